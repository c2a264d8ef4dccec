"""Objects of an S3-compatible storage: the only file that speaks with one.

Endpoint, region and credentials are those of the SDK (environment, profile, role); none is ever asked for, kept or shown. A
storage that is away is waited for, :data:`AWAY_S`; where ``AWS_MAX_ATTEMPTS`` says how often to try, the SDK does so alone.
"""

from __future__ import annotations

import base64
import errno
import functools
import hashlib
import os
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from lavad_core.errors import InputError
from lavad_core.masking import masked_text
from lavad_core.s3_refusals import AWAY, CREDENTIALS, Concern, concern_of, way_out

ATTEMPTS = 10
"""Tries of a request that is refused for a while, where the environment or profile says nothing."""

AWAY_S = 60.0
"""How long a request is tried again while the storage does not answer or says that it cannot, there too. The SDK alone gives up
after some seconds, and at once when many requests have failed: it has an allowance of tries for all of them together."""

FIRST_WAIT_S, LONGEST_WAIT_S = 0.25, 8.0
"""Between two of these tries; twice as long each time."""

CONNECT_TIMEOUT_S, READ_TIMEOUT_S = 10, 60

CONNECTIONS = 32
"""As many threads as may use the storage at once without waiting for each other."""

MAX_PUT_BYTES = 5 << 30
"""Most that S3 takes in one request, and only one request can be conditional or have one digest."""


class S3Error(OSError):
    """What a storage refuses, as an error of the system: code that handles files handles it.

    Attributes:
        needs: what would help, for a message.
        concern: whom it is about.
    """

    def __init__(self, address: str, cause: str, needs: str, concern: Concern = "all") -> None:
        super().__init__(errno.EIO, cause, address)
        self.needs, self.concern = needs, concern

    def __reduce__(self) -> tuple[type, tuple[str, str, str, Concern]]:
        return type(self), (str(self.filename), str(self.strerror), self.needs, self.concern)


@dataclass(frozen=True)
class StoredObject:
    """What is known about an object without reading it."""

    name: str
    """Relative to the prefix, with ``/``."""
    bytes: int
    """Its size, bytes."""
    etag: str
    """Changes when the content does; letters, digits and ``-``."""
    modified_s: float
    """When it was put, seconds since the epoch, by the clock of the storage."""
    sha256: str = ""
    """SHA-256, hexadecimal, that the storage compared with the content when it was put; empty if it keeps none."""


class Bucket:
    """The objects below an address; safe with threads. Making one asks nothing.

    Args:
        address: ``s3://BUCKET/PREFIX``.

    Raises (all methods):
        S3Error: the storage refuses, or does not answer after all tries.
        InputError: the SDK is not installed.
    """

    def __init__(self, address: str) -> None:
        self.address = address.rstrip("/")
        self._bucket, _, prefix = self.address.removeprefix("s3://").partition("/")
        self._prefix = f"{prefix}/" if prefix else ""

    def shown(self, name: str) -> str:
        """The address of an object."""
        return f"{self.address}/{name}" if name else self.address

    def put(self, name: str, content: Path | bytes, *, if_absent: bool = False) -> str | None:
        """Make an object of a file or of bytes.

        Args:
            if_absent: only if there is none of that name: of many callers one succeeds.

        Returns:
            its ETag; None if there was one.
        """
        size = len(content) if isinstance(content, bytes) else content.stat().st_size
        if size > MAX_PUT_BYTES:
            raise S3Error(self.shown(name), f"{size} bytes", f"a file of at most {MAX_PUT_BYTES} bytes")
        condition = {"IfNoneMatch": "*"} if if_absent else {}
        for left in reversed(range(ATTEMPTS)):
            with self._errors(name), _body(content) as (body, sha256):
                try:
                    answer = _client().put_object(
                        Bucket=self._bucket,
                        Key=self._prefix + name,
                        Body=body,
                        ChecksumAlgorithm="SHA256",
                        ChecksumSHA256=sha256,
                        **condition,
                    )
                    return _plain(answer["ETag"])
                except _errors().ClientError as error:
                    code = _code(error)
                    if if_absent and code in ("PreconditionFailed", "412"):
                        return None
                    if not (left and if_absent and code in ("ConditionalRequestConflict", "409")):
                        raise
        raise AssertionError("the last try ends above")

    def read(self, name: str, most: int | None) -> bytes | None:
        """The first ``most`` bytes of an object, or all; None if there is none."""
        for left in reversed(range(ATTEMPTS)):
            with self._errors(name):
                try:
                    found = _client().get_object(Bucket=self._bucket, Key=self._prefix + name)
                    content: bytes = found["Body"].read(most)
                    return content
                except _errors().ClientError as error:
                    if _is_absent(error):
                        return None
                    raise
                except (_errors().HTTPClientError, _errors().IncompleteReadError):
                    if not left:  # cut off in the middle, where the SDK does not try again
                        raise
        raise AssertionError("the last try ends above")

    def read_range(self, name: str, first: int, count: int, etag: str) -> bytes | None:
        """Bytes of an object from ``first`` on; None if there is none, or it is another one than that of ``etag``."""
        for left in reversed(range(ATTEMPTS)):
            with self._errors(name):
                try:
                    found = _client().get_object(
                        Bucket=self._bucket, Key=self._prefix + name, Range=f"bytes={first}-{first + count - 1}"
                    )
                    content: bytes = found["Body"].read()
                    return content if _plain(found["ETag"]) == etag else None
                except _errors().ClientError as error:
                    if _is_absent(error):
                        return None
                    raise
                except (_errors().HTTPClientError, _errors().IncompleteReadError):
                    if not left:
                        raise
        raise AssertionError("the last try ends above")

    def download(self, name: str, target: Path) -> bool:
        """Make a file of an object's content; False if there is no such object."""
        with open(target, "wb") as file:
            return self.download_into(name, file)

    def download_into(self, name: str, file: IO[bytes]) -> bool:
        """Write an object's content into an open file; False if there is no such object."""
        with self._errors(name):
            from boto3.s3.transfer import TransferConfig

            try:
                _client().download_fileobj(
                    self._bucket, self._prefix + name, file, Config=TransferConfig(max_concurrency=4)
                )
            except _errors().ClientError as error:
                if _is_absent(error):
                    return False
                raise
        return True

    def stat(self, name: str) -> StoredObject | None:
        """What is known about an object; None if it does not exist."""
        with self._errors(name):
            try:
                found = _client().head_object(Bucket=self._bucket, Key=self._prefix + name, ChecksumMode="ENABLED")
            except _errors().ClientError as error:
                if _is_absent(error):
                    return None
                raise self._in_words(name, error) from None
        whole = found.get("ChecksumType", "FULL_OBJECT") == "FULL_OBJECT"
        sha256 = base64.b64decode(found.get("ChecksumSHA256", "")).hex() if whole else ""
        modified_s = found["LastModified"].timestamp()
        return StoredObject(name, found["ContentLength"], _plain(found["ETag"]), modified_s, sha256)

    def list(self, folder: str = "") -> Iterator[StoredObject]:
        """All objects below a folder (empty: the prefix), in the order of their names, however many."""
        below = f"{self._prefix}{folder}/" if folder else self._prefix
        with self._errors(folder):
            pages = _client().get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=below)
            for page in pages:
                for one in page.get("Contents", ()):
                    name = one["Key"].removeprefix(self._prefix)
                    yield StoredObject(name, one["Size"], _plain(one["ETag"]), one["LastModified"].timestamp())

    def delete(self, name: str) -> None:
        """Remove an object; a missing one is not an error."""
        with self._errors(name):
            _client().delete_object(Bucket=self._bucket, Key=self._prefix + name)

    def is_about_one(self, error: S3Error) -> bool:
        """Whether an error is about the one object that was asked for. Where there was no answer, after all tries, the storage
        is asked once for something else: if it answers that, it is not away."""
        if error.concern != "nobody":
            return error.concern == "one"
        try:
            with self._errors(""):
                _client(tries=1).list_objects_v2(Bucket=self._bucket, Prefix=self._prefix, MaxKeys=1)
        except S3Error as other:
            return other.concern == "one"  # it may not list
        return True

    def _in_words(self, name: str, error: Any) -> Any:
        """Why an object's HEAD is refused: such an answer has a status and no words, so a GET is asked, which has them."""
        if not 300 <= _status(error) < 500:
            return error
        try:
            _client().get_object(Bucket=self._bucket, Key=self._prefix + name, Range="bytes=0-0")["Body"].close()
        except _errors().ClientError as worded:
            if not _code(worded).isdigit() and _code(worded) != "InvalidRange":  # the range of an empty object
                return worded
        return error

    @contextmanager
    def _errors(self, name: str) -> Iterator[None]:
        """What the SDK raises, in our words. Of an answer nothing is repeated but its code and sentence."""
        library = _errors()
        try:
            yield
        except library.ClientError as error:
            code = _code(error)
            words = str(error.response.get("Error", {}).get("Message", ""))[:200]
            status = _status(error)
            raise S3Error(
                self.shown(name), masked_text(f"{code}: {words}"), way_out(code, status), concern_of(code, status)
            ) from None
        except (library.NoCredentialsError, library.PartialCredentialsError, library.ProfileNotFound) as error:
            raise S3Error(self.shown(name), type(error).__name__, CREDENTIALS) from None
        except (library.BotoCoreError, *_transfer_errors()) as error:
            last = getattr(error, "last_exception", error)  # of all tries of a content that breaks off
            raise S3Error(self.shown(name), type(last).__name__, AWAY, "nobody") from None


def _is_absent(error: Any) -> bool:
    return _code(error) in ("404", "NoSuchKey", "NotFound")


def _code(error: Any) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def _status(error: Any) -> int:
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def _plain(etag: str) -> str:
    return "".join(char for char in etag if char.isalnum() or char == "-")


@contextmanager
def _body(content: Path | bytes) -> Iterator[tuple[Any, str]]:
    """What a request sends, and its SHA-256 as S3 has it."""
    if isinstance(content, bytes):
        yield content, base64.b64encode(hashlib.sha256(content).digest()).decode("ascii")
        return
    with open(content, "rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").digest()
        file.seek(0)
        yield file, base64.b64encode(sha256).decode("ascii")


def _errors() -> Any:
    try:
        from botocore import exceptions
    except ImportError:
        raise InputError("s3:// addresses need the AWS SDK for Python: pip install 'lavad[s3]'") from None
    return exceptions


def _transfer_errors() -> tuple[type[Exception], ...]:
    from boto3.exceptions import Boto3Error
    from s3transfer.exceptions import RetriesExceededError

    return (Boto3Error, RetriesExceededError)


def _client(tries: int | None = None) -> Any:
    """The SDK's client: one for each process and environment. With ``tries`` it waits for nobody."""
    _errors()
    given = tuple(sorted((name, value) for name, value in os.environ.items() if name.startswith("AWS_")))
    return _client_of(os.getpid(), given, tries)


@functools.lru_cache(maxsize=8)
def _client_of(process: int, environment: tuple[tuple[str, str], ...], tries: int | None) -> Any:
    import boto3
    from botocore.config import Config

    session = boto3.session.Session()
    known = session._session.get_config_variable
    settings: dict[str, Any] = {
        "connect_timeout": CONNECT_TIMEOUT_S,
        "read_timeout": READ_TIMEOUT_S,
        "max_pool_connections": CONNECTIONS,
        "retries": {
            "mode": "adaptive" if known("retry_mode") == "adaptive" else "standard",
            "total_max_attempts": tries or known("max_attempts") or ATTEMPTS,
        },
    }
    client = session.client("s3", config=Config(**settings))
    patient = tries is None and known("max_attempts") is None
    own = "amazonaws.com" not in client.meta.endpoint_url
    if own and not (known("s3") or {}).get("addressing_style"):
        # Storages of others are seldom reachable by a host of the bucket's name.
        client = session.client("s3", config=Config(**settings, s3={"addressing_style": "path"}))
    if patient:
        client.meta.events.register_first("needs-retry.s3", _wait_while_away)
    return client


def _wait_while_away(
    response: Any, attempts: int, caught_exception: Exception | None, request_dict: dict[str, Any], **_: Any
) -> float | None:
    """Answers the SDK's question after each try: seconds until the next, or None to let the SDK decide."""
    away = response[0].status_code >= 500 if response is not None else isinstance(caught_exception, _lost())
    begun = request_dict["context"].setdefault("lavad_begun", time.monotonic())
    if not away or time.monotonic() - begun > AWAY_S:
        return None
    longest = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2.0**attempts)
    return random.uniform(longest / 2, longest)


def _lost() -> tuple[type[Exception], ...]:
    errors = _errors()
    return (errors.ConnectionError, errors.HTTPClientError)
