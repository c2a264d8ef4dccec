"""JSON over HTTP to one server, or to several of one model, with limits and retries.

Requests run on the event loop of the process; callers stay synchronous. What is retried
is decided by :class:`~lavad_core.errors.ServiceError` and nothing else (``docs/design/trust-in-text.md``).
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import itertools
import json
import queue
import random
from collections.abc import Awaitable, Callable, Generator, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol, Self, TypeVar

import tenacity
from pydantic import SecretStr

from lavad_core.address import Addresses, each_address
from lavad_core.config.section import ServedSection
from lavad_core.errors import ServiceError, ServiceUnavailable
from lavad_core.models.chat.error_answers import unusable
from lavad_core.models.chat.event_loop import submit
from lavad_core.models.chat.one_server import RETRY_AFTER, Server
from lavad_core.models.chat.ready import ReadyAnswers
from lavad_core.models.chat.replicas import Replicas

FIRST_BACKOFF_S = 0.5
"""Delay before the first retry; doubles each time up to ``max_backoff_s``."""

CLOSE_TIMEOUT_S = 10.0
"""For cancelling what is in flight; a connection that does not even close is left to the end of the process."""

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
    optional: bool = False
    """Whether a server that answers with an error is up all the same."""


class Post(Protocol):
    """What a job of :meth:`JsonPool.run` asks with: one call, with its retries."""

    async def __call__(self, call: Call) -> dict[str, Any]: ...


class JsonPool:
    """The servers of one model, mostly one, with bounded concurrency, a total timeout and retries for each request."""

    def __init__(
        self,
        base_url: Addresses,
        api_key: SecretStr | None,
        *,
        concurrency: int,
        timeout_s: float,
        retries: int,
        max_backoff_s: float,
        key_setting: str = "api_key",
        check: Callable[[str], None] | None = None,
    ) -> None:
        """
        Args:
            base_url: http or https, up to and including ``/v1``; may hold ``user:password@``, which ``shown_url`` lacks.
                Several: who is asked, and when, see :class:`~lavad_core.models.chat.replicas.Replicas`.
            api_key: sent as a bearer token; never shown.
            concurrency: most requests in flight at each server.
            timeout_s: total time of one attempt, from connecting to the answer's last byte.
            retries: times a request is tried again.
            max_backoff_s: longest delay between tries, also when the server asks for a longer one.
            key_setting: the setting that holds the key, for messages.
            check: see :class:`~lavad_core.models.chat.replicas.Replicas`.

        Raises:
            ConfigError: ``base_url`` is not an HTTP address, the key cannot be sent, or a proxy of the environment cannot be
                used.
        """
        servers = [Server(one, api_key, key_setting, concurrency) for one in each_address(base_url)]
        self._replicas = Replicas(servers, check)
        self.shown_url = ", ".join(server.shown_url for server in servers)
        self._concurrency, self._timeout_s, self._attempts = concurrency, timeout_s, retries + 1
        self._max_backoff_s = max_backoff_s
        self._tasks: set[asyncio.Task[Any]] = set()

    @classmethod
    def configured(cls, section: ServedSection, key_setting: str, check: Callable[[str], None] | None = None) -> Self:
        """The pool that a section of the configuration describes; ``key_setting`` and ``check`` as above."""
        return cls(
            section.base_url,
            section.api_key,
            concurrency=section.concurrency,
            timeout_s=section.timeout_s,
            retries=section.retries,
            max_backoff_s=section.max_backoff_s,
            key_setting=key_setting,
            check=check,
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

    def run(self, jobs: Iterable[Callable[[Post], Awaitable[T]]], together: str = "") -> ReadyAnswers[tuple[int, T]]:
        """Results of jobs as they come, each with the position of its job. Those of one ``together`` go to one server.

        ``jobs`` is read as results are taken, at most two rounds of ``concurrency`` ahead, so that any number of jobs
        needs bounded memory. When the caller stops iterating, jobs in flight are cancelled. When a job fails, results
        that have arrived are yielded, the others are cancelled, and its error is raised.

        Raises:
            ServiceUnavailable, ServiceTimeout: after the retries.
            ContentRefused: the server's content filter refused it.
            RequestRejected: another 4xx, or what a ``check`` raises.
            ModelError: the server does not serve the model.
        """
        return ReadyAnswers(self._rounds(jobs, together))

    def _rounds(
        self, jobs: Iterable[Callable[[Post], Awaitable[T]]], together: str
    ) -> Generator[list[tuple[int, T]], None, None]:
        """What has finished each time, at most a round of ``concurrency``: the other round is in flight meanwhile."""
        finished: queue.SimpleQueue[tuple[int, concurrent.futures.Future[T]]] = queue.SimpleQueue()
        flying: set[concurrent.futures.Future[T]] = set()
        source = enumerate(jobs)

        def start(count: int) -> None:
            for number, job in itertools.islice(source, count):
                future = submit(self._in_slot(job, together))
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

    def check_all(self) -> None:
        """Check each server now; see :meth:`~lavad_core.models.chat.replicas.Replicas.check_all`."""
        submit(self._replicas.check_all()).result()

    def close(self) -> None:
        """Cancel what is in flight and close the connections. The pool is not used afterwards."""
        with suppress(concurrent.futures.TimeoutError):
            submit(self._shut()).result(timeout=CLOSE_TIMEOUT_S)

    async def _shut(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._replicas.close()

    async def _in_slot(self, job: Callable[[Post], Awaitable[T]], together: str) -> T:
        """A job holds its slot while it backs off: a server that says it is busy is asked less."""
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            async with self._replicas.first(together).slots:
                return await job(lambda call: self._retried("POST", call, together))
        finally:
            self._tasks.discard(task)

    async def _retried(self, method: str, call: Call, together: str = "") -> dict[str, Any]:
        attempts = min(call.attempts or self._attempts, self._attempts)
        retrying = tenacity.AsyncRetrying(
            stop=tenacity.stop_after_attempt(attempts),
            wait=self._delay_s,
            retry=tenacity.retry_if_exception_type(ServiceError),
            reraise=True,
        )
        # ASCII: a lone surrogate in a text becomes an escape that the server can refuse, not an error while encoding.
        content = json.dumps(call.body, allow_nan=False).encode() if method == "POST" else None
        timeout_s = min(call.timeout_s or self._timeout_s, self._timeout_s)

        def once(server: Server) -> Awaitable[dict[str, Any]]:
            return server.once(method, server.url(call.path, at_root=call.at_root), content, timeout_s)

        async for attempt in retrying:
            with attempt:
                server, answer = await self._replicas.ask(together, once, optional=call.optional)
                if call.check is not None:
                    try:
                        call.check(answer, attempt.retry_state.attempt_number, attempts)
                    except ServiceUnavailable as error:
                        url = server.url(call.path, at_root=call.at_root)
                        raise unusable(f"{method} {url}: 200, but {server.quote(str(error))}") from error
        return answer

    def _delay_s(self, state: tenacity.RetryCallState) -> float:
        """Exponential with jitter, or what the server asked for, at most ``max_backoff_s``."""
        error = state.outcome.exception() if state.outcome else None
        backoff = min(FIRST_BACKOFF_S * 2.0 ** (state.attempt_number - 1), self._max_backoff_s)
        asked_s: float = getattr(error, RETRY_AFTER, 0.0)
        return min(max(backoff * random.uniform(0.5, 1.0), asked_s), self._max_backoff_s)
