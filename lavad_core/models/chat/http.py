"""JSON over HTTP with limits: the only file that imports the HTTP client.

Requests run on the event loop of the process; callers stay synchronous. What is retried
is decided by :class:`~lavad_core.errors.ServiceError` and nothing else (``docs/design/trust-in-text.md``).
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import functools
import itertools
import json
import queue
import random
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, Protocol, Self, TypeVar
from urllib.parse import unquote

import httpx
import tenacity
from pydantic import SecretStr

from lavad_core.address import bare_address, checked_address, is_loopback, user_info
from lavad_core.config.secrets import sendable_key
from lavad_core.config.section import ServedSection
from lavad_core.errors import (
    ConfigError,
    ModelError,
    RequestRejected,
    ServiceError,
    ServiceTimeout,
    ServiceUnavailable,
)
from lavad_core.escape import escape
from lavad_core.masking import MASK, masked_text
from lavad_core.models.chat.error_answers import ErrorAnswer, is_error, unusable
from lavad_core.models.chat.event_loop import submit
from lavad_core.models.chat.ready import ReadyAnswers
from lavad_core.quoting import MAX_QUOTED, first_line

MAX_ANSWER_BYTES = 64 * 2**20
"""A longer answer is cut off and counts as damaged. A chat answer of 4,096 tokens with 20 log-probabilities each is
about 10 MB; nothing that is asked for here is larger."""

FIRST_BACKOFF_S = 0.5
"""Delay before the first retry; doubles each time up to ``max_backoff_s``."""

CLOSE_TIMEOUT_S = 10.0
"""For cancelling what is in flight; a connection that does not even close is left to the end of the process."""

PROXY_WAY_OUT = (
    "the proxies of the environment (ALL_PROXY, HTTP_PROXY, HTTPS_PROXY) are of the form http://host:port or "
    "socks5://host:port (with the package socksio, `pip install 'httpx[socks]'`); unset one that "
    "is not, or all with NO_PROXY='*'"
)
"""The client makes a transport for every proxy, so that one that it cannot use is in the way of all connections."""

T = TypeVar("T")


@dataclass(frozen=True)
class Call:
    """One POST."""

    path: str
    """Below ``base_url``, such as ``chat/completions``."""
    body: dict[str, Any]
    """What is sent as JSON."""
    check: Callable[[dict[str, Any], int, int], None] | None = None
    """Given the parsed answer, the number of this attempt (from 1) and the last one's; raises :class:`ServiceError` for
    an answer that asking again may repair, another error for one that it will not."""
    at_root: bool = False
    """``path`` is below the server's root (``base_url`` without its last ``/v1``): ``tokenize``."""
    attempts: int | None = None
    """Most tries, where they are fewer than the pool's."""
    timeout_s: float | None = None
    """Time for one try, seconds, where it is shorter than the pool's."""


class Post(Protocol):
    """What a job of :meth:`JsonPool.run` asks with: one call, with its retries."""

    async def __call__(self, call: Call) -> dict[str, Any]: ...


_RETRY_AFTER = "retry_after_s"
"""Attribute of a :class:`ServiceUnavailable`: the delay that the server asked for."""


class JsonPool:
    """A connection pool to one server with bounded concurrency, a total timeout and retries for each request."""

    def __init__(
        self,
        base_url: str,
        api_key: SecretStr | None,
        *,
        concurrency: int,
        timeout_s: float,
        retries: int,
        max_backoff_s: float,
        key_setting: str = "api_key",
    ) -> None:
        """
        Args:
            base_url: http or https, up to and including ``/v1``; may hold ``user:password@``, which ``shown_url`` lacks.
            api_key: sent as a bearer token; never shown.
            concurrency: most requests in flight.
            timeout_s: total time of one attempt, from connecting to the answer's last byte.
            retries: times a request is tried again.
            max_backoff_s: longest delay between tries, also when the server asks for a longer one.
            key_setting: the setting that holds the key, for messages.

        Raises:
            ConfigError: ``base_url`` is not an HTTP address, the key cannot be sent, or a proxy of the environment cannot be
                used.
        """
        key = _checked_key(api_key, key_setting)
        try:
            self.shown_url = bare_address(checked_address(base_url).rstrip("/"))
        except ValueError as error:
            raise ConfigError(f"base_url {error}") from None
        name, _, password = map(unquote, user_info(base_url).partition(":"))
        self._secrets = [secret for secret in (key, password) if secret]
        self._concurrency, self._timeout_s, self._attempts = concurrency, timeout_s, retries + 1
        self._max_backoff_s, self._key_setting = max_backoff_s, key_setting
        # A proxy of the environment cannot reach this machine's loopback.
        trust_env = not is_loopback(self.shown_url)
        certificates = functools.cache(
            lambda: httpx.create_ssl_context(trust_env=trust_env)
        )  # longer than many requests
        self._connect = functools.partial(_client, self.shown_url, key, (name, password), trust_env, certificates)
        self._free = [self._connect()]  # now, so that what is wrong with the environment is said now
        self._clients = list(self._free)
        self._connections, self._slots = asyncio.Semaphore(concurrency), asyncio.Semaphore(concurrency)
        self._tasks: set[asyncio.Task[Any]] = set()

    @classmethod
    def configured(cls, section: ServedSection, key_setting: str) -> Self:
        """The pool that a section of the configuration describes; ``key_setting`` as above."""
        return cls(
            section.base_url,
            section.api_key,
            concurrency=section.concurrency,
            timeout_s=section.timeout_s,
            retries=section.retries,
            max_backoff_s=section.max_backoff_s,
            key_setting=key_setting,
        )

    @classmethod
    def for_one_look(cls, section: ServedSection, most_s: float) -> Self:
        """For asking a server what it is: one request at a time, within ``most_s`` seconds at most, and without a second
        try."""
        return cls(
            section.base_url,
            section.api_key,
            concurrency=1,
            timeout_s=min(section.timeout_s, most_s),
            retries=0,
            max_backoff_s=0,
        )

    def run(self, jobs: Iterable[Callable[[Post], Awaitable[T]]]) -> ReadyAnswers[tuple[int, T]]:
        """Results of jobs as they come, each with the position of its job.

        ``jobs`` is read as results are taken, at most two rounds of ``concurrency`` ahead, so that any number of jobs
        needs bounded memory. When the caller stops iterating, jobs in flight are cancelled. When a job fails, results
        that have arrived are yielded, the others are cancelled, and its error is raised.

        Raises:
            ServiceUnavailable, ServiceTimeout: after the retries.
            ContentRefused: the server's content filter refused it.
            RequestRejected: another 4xx, or what a ``check`` raises.
            ModelError: the server does not serve the model.
        """
        return ReadyAnswers(self._rounds(jobs))

    def _rounds(self, jobs: Iterable[Callable[[Post], Awaitable[T]]]) -> Generator[list[tuple[int, T]], None, None]:
        """What has finished each time, at most a round of ``concurrency``: the other round is in flight meanwhile."""
        finished: queue.SimpleQueue[tuple[int, concurrent.futures.Future[T]]] = queue.SimpleQueue()
        flying: set[concurrent.futures.Future[T]] = set()
        source = enumerate(jobs)

        def start(count: int) -> None:
            for number, job in itertools.islice(source, count):
                future = submit(self._in_slot(job))
                flying.add(future)
                future.add_done_callback(lambda done, number=number: finished.put((number, done)))  # type: ignore[misc]

        try:
            start(2 * self._concurrency)
            failure: BaseException | None = None
            while flying and not (failure and finished.empty()):
                done = [finished.get()]
                while len(done) < self._concurrency and not finished.empty():
                    done.append(finished.get())
                flying.difference_update(future for _, future in done)
                failure = failure or next(filter(None, (future.exception() for _, future in done)), None)
                yield [(number, future.result()) for number, future in done if future.exception() is None]
                if failure is None:
                    start(len(done))
            if failure is not None:
                raise failure
        finally:
            for future in flying:
                future.cancel()

    def ask(self, method: str, call: Call) -> dict[str, Any]:
        """One call, with retries; errors as :meth:`run`."""
        return submit(self._retried(method, call)).result()

    def close(self) -> None:
        """Cancel what is in flight and close the connections. The pool is not used afterwards."""
        with suppress(concurrent.futures.TimeoutError):
            submit(self._shut()).result(timeout=CLOSE_TIMEOUT_S)

    async def _shut(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for client in self._clients:
            await client.aclose()

    async def _in_slot(self, job: Callable[[Post], Awaitable[T]]) -> T:
        """A job holds its slot while it backs off: a server that says it is busy is asked less."""
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            async with self._slots:
                return await job(lambda call: self._retried("POST", call))
        finally:
            self._tasks.discard(task)

    async def _retried(self, method: str, call: Call) -> dict[str, Any]:
        attempts = min(call.attempts or self._attempts, self._attempts)
        retrying = tenacity.AsyncRetrying(
            stop=tenacity.stop_after_attempt(attempts),
            wait=self._delay_s,
            retry=tenacity.retry_if_exception_type(ServiceError),
            reraise=True,
        )
        # ASCII: a lone surrogate in a text becomes an escape that the server can refuse, not an error while encoding.
        content = json.dumps(call.body, allow_nan=False).encode() if method == "POST" else None
        async for attempt in retrying:
            with attempt:
                answer = await self._once(method, call, content)
                if call.check is not None:
                    try:
                        call.check(answer, attempt.retry_state.attempt_number, attempts)
                    except ServiceUnavailable as error:
                        raise unusable(f"{method} {self._url(call)}: 200, but {self._quote(str(error))}") from error
        return answer

    def _delay_s(self, state: tenacity.RetryCallState) -> float:
        """Exponential with jitter, or what the server asked for, at most ``max_backoff_s``."""
        error = state.outcome.exception() if state.outcome else None
        backoff = min(FIRST_BACKOFF_S * 2.0 ** (state.attempt_number - 1), self._max_backoff_s)
        asked_s: float = getattr(error, _RETRY_AFTER, 0.0)
        return min(max(backoff * random.uniform(0.5, 1.0), asked_s), self._max_backoff_s)

    async def _once(self, method: str, call: Call, sent: bytes | None) -> dict[str, Any]:
        url = self._url(call)
        where = f"{method} {url}"
        headers = {"Content-Type": "application/json"} if sent is not None else {}
        timeout_s = min(call.timeout_s or self._timeout_s, self._timeout_s)
        try:
            async with asyncio.timeout(timeout_s):
                async with (
                    self._connection() as client,
                    client.stream(method, url, content=sent, headers=headers) as response,
                ):
                    content = bytearray()
                    async for chunk in response.aiter_bytes():
                        content += chunk
                        if len(content) > MAX_ANSWER_BYTES:
                            raise unusable(f"{where}: an answer of more than {MAX_ANSWER_BYTES} bytes")
        except (TimeoutError, httpx.TimeoutException) as error:
            raise ServiceTimeout(f"{where}: no complete answer within {timeout_s:g} s (timeout_s)") from error
        except httpx.RequestError as error:
            words = self._quote(str(error) or type(error).__name__)
            raise ServiceUnavailable(f"{where}: {words}; is the server up, and base_url right?") from error
        parsed = _parse(bytes(content))
        if response.status_code != 200 or is_error(parsed):
            raise self._refusal(where, response, parsed, bytes(content))
        if parsed is None:
            raise unusable(f"{where}: 200, but not a JSON object: {self._quote(_text(bytes(content)))}")
        return parsed

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[httpx.AsyncClient]:
        """A client with one connection, that was used last of those that are free.

        One client with all connections looks at each of them before and after every request: with 128 that is more work than
        the request.
        """
        async with self._connections:
            if not self._free:
                self._free.append(self._connect())
                self._clients.append(self._free[-1])
            client = self._free.pop()
            try:
                yield client
            finally:
                self._free.append(client)

    def _url(self, call: Call) -> str:
        return f"{self.shown_url.removesuffix('/v1') if call.at_root else self.shown_url}/{call.path}"

    def _refusal(
        self, where: str, response: httpx.Response, parsed: dict[str, Any] | None, content: bytes
    ) -> RequestRejected | ModelError | ServiceUnavailable:
        """The error for a failed request: a status other than 200, or an error under 200."""
        said = ErrorAnswer.of(response.status_code, parsed, _text(content))
        error = said.error(where, self._quote(said.words), self._key_setting)
        if isinstance(error, ServiceUnavailable):
            setattr(error, _RETRY_AFTER, _retry_after_s(response.headers.get("Retry-After", "")))
        return error

    def _quote(self, words: str) -> str:
        """A server's words: short, without control characters, without our secrets."""
        for secret in self._secrets:
            words = words.replace(secret, MASK)
        return escape(words, limit=MAX_QUOTED)


def _client(
    server: str, key: str, user: tuple[str, str], trust_env: bool, certificates: Callable[[], ssl.SSLContext]
) -> httpx.AsyncClient:
    try:
        return httpx.AsyncClient(
            headers={"Authorization": f"Bearer {key}"} if key else {},
            auth=user if any(user) and not key else None,
            timeout=None,  # asyncio.timeout around the whole attempt: httpx knows none for a slow trickle
            limits=httpx.Limits(max_connections=1),
            verify=certificates(),
            trust_env=trust_env,
        )
    except (ImportError, ValueError, OSError, httpx.InvalidURL) as error:  # it makes a transport for each proxy
        raise ConfigError(
            f"no connection to {server} can be made in this environment: {masked_text(first_line(error))}; {PROXY_WAY_OUT}"
        ) from error


def _checked_key(api_key: SecretStr | None, setting: str) -> str:
    try:
        return sendable_key(api_key.get_secret_value()) if api_key else ""
    except ValueError as error:
        raise ConfigError(f"{setting} {error}") from None


def _parse(content: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):  # not JSON, not UTF-8, or nested thousands of levels deep
        return None
    return value if isinstance(value, dict) else None


def _text(content: bytes) -> str:
    return content[: 4 * MAX_QUOTED].decode(errors="replace") or "(empty)"


def _retry_after_s(header: str) -> float:
    """Seconds that ``Retry-After`` asks for, as a number or a date; 0 if it says nothing usable."""
    if header.strip().isdecimal():
        return float(header)
    try:
        return max(0.0, parsedate_to_datetime(header).timestamp() - time.time())
    except (ValueError, OverflowError):
        return 0.0
