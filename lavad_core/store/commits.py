"""The text of ``commit.json``: one spelling for one commit, and a digest of itself in it.

ASCII only, so that no name in it moves the cursor of a terminal that shows it or turns its text around.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, get_args

from lavad_core.digest import ascii_json
from lavad_core.errors import DamagedResult, InternalError
from lavad_core.seal import sealed
from lavad_core.store.types import Commit, Key, PartFile, Status

FORMAT = 1
"""Version of the commit file. A reader refuses any other version, and ``gc`` keeps it."""

MAX_COMMIT_BYTES = 16 << 20
"""Commits are read whole, so facts are small values, and tables go to parts."""

COMMIT_NAME = "commit.json"

_STAGE = re.compile(r"[a-z][a-z0-9_]{0,63}")
_DIGEST = re.compile(r"[0-9a-f]{1,64}")
_PART = re.compile(r"part-[0-9a-f]{16}\.parquet")


class UnknownFormat(DamagedResult):
    """A commit of a later version of the program, which this one neither uses nor removes."""


def check_key(key: Key) -> None:
    """Nothing but stage names and hexadecimal digests becomes a path.

    Raises:
        InternalError: a part of the key is something else.
    """
    if not _STAGE.fullmatch(key.stage) or key.stage in {"cache", "runs", "sets"}:
        raise InternalError(f"stage {key.stage!r} of a key is not a name of a stage (a-z, 0-9 and _)")
    for name, value in (("video_id", key.video_id), ("fingerprint", key.fingerprint)):
        if not _DIGEST.fullmatch(value):
            raise InternalError(f"{name} {value!r} of a key is not 1 to 64 hexadecimal digits")


def key_of(names: list[str]) -> Key | None:
    """The key of a folder's path below the store; None if it is not the folder of a result."""
    if len(names) != 3:
        return None
    key = Key(*names)
    try:
        check_key(key)
    except InternalError:
        return None
    return key


def part_name(sha256: str) -> str:
    """A part is named after its content: writers with other bytes never touch each other's files."""
    return f"part-{sha256[:16]}.parquet"


def is_part(name: str) -> bool:
    """Whether a file's name is one that :func:`part_name` gives."""
    return _PART.fullmatch(name) is not None


def storable(text: str) -> str:
    """``text`` with what UTF-8 cannot say (a name's invalid bytes come as lone surrogates) written as ``\\\\udc…``."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def encode_commit(commit: Commit) -> bytes:
    """The bytes of the commit file.

    Raises:
        InternalError: a value is not JSON, is NaN or infinite, or the commit is too large.
    """
    fields = {
        "format": FORMAT,
        "stage": commit.key.stage,
        "video_id": commit.key.video_id,
        "fingerprint": commit.key.fingerprint,
        "video": commit.video,
        "status": commit.status,
        "reason": commit.reason,
        "message": commit.message,
        "counts": {name: _count(name, value) for name, value in commit.counts.items()},
        "facts": commit.facts,
        "provenance": commit.provenance,
        "files": [
            {"name": f.name, "bytes": f.bytes, "sha256": f.sha256, "rows": f.rows, "schema": dict(f.schema)}
            for f in commit.files
        ],
    }
    try:
        data = _with_digest(fields)
    except (TypeError, ValueError, RecursionError) as error:
        raise InternalError(f"the commit of {commit.key} holds what JSON cannot say: {error}") from error
    if len(data) > MAX_COMMIT_BYTES:
        raise InternalError(f"the commit of {commit.key} has {len(data)} bytes, the limit is {MAX_COMMIT_BYTES}")
    return data


def _count(name: str, value: Any) -> int:
    try:
        return int(value.__index__())  # numpy's integers too, but no float and no text
    except AttributeError:
        raise InternalError(f"count {name!r} is {value!r}, not an integer") from None


def _with_digest(fields: Mapping[str, Any]) -> bytes:
    return (ascii_json(sealed(fields)) + "\n").encode("ascii")


def decode_commit(data: bytes, key: Key) -> Commit:
    """The commit in a file's bytes.

    Every byte is checked: what is read, spelled again with its digest, must be what was read.

    Raises:
        DamagedResult: it does not parse, its digest is wrong, or it is the commit of another key.
        UnknownFormat: it is of a later version.
    """
    try:
        fields = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise DamagedResult(f"the commit of {key} is not JSON: {error}") from error
    if not isinstance(fields, dict):
        raise DamagedResult(f"the commit of {key} is not a JSON object")
    if isinstance(fields.get("format"), int) and fields["format"] != FORMAT:
        raise UnknownFormat(f"the commit of {key} has format {fields['format']}; this version knows {FORMAT}")
    fields.pop("digest", None)
    try:
        if _with_digest(fields) != data:
            raise DamagedResult(f"the commit of {key} does not match its own digest")
        commit = _commit(fields)
    except (TypeError, ValueError, KeyError, RecursionError) as error:
        raise DamagedResult(f"the commit of {key} lacks a field or has a wrong one: {error!r}") from error
    if commit.key != key:
        raise DamagedResult(f"the commit in the place of {key} is that of {commit.key}: files were moved")
    return commit


def _commit(fields: Mapping[str, Any]) -> Commit:
    if fields["status"] not in get_args(Status):
        raise ValueError(f"status {fields['status']!r}")
    files = tuple(
        PartFile(f["name"], int(f["bytes"]), str(f["sha256"]), int(f["rows"]), dict(f["schema"]))
        for f in fields["files"]
    )
    if not all(is_part(f.name) and part_name(f.sha256) == f.name for f in files):
        raise ValueError("name of a part")
    return Commit(
        key=Key(fields["stage"], fields["video_id"], fields["fingerprint"]),
        video=fields["video"],
        status=fields["status"],
        reason=fields["reason"],
        message=fields["message"],
        counts=dict(fields["counts"]),
        facts=dict(fields["facts"]),
        provenance=dict(fields["provenance"]),
        files=files,
    )
