"""Flow runs of this process that the orchestrator takes for running, for a process that ends without its orchestrator's help.

Prefect reports a run's end from the run's own main thread. When that is held up, and the process ends by force, the run would
stay "Running" on a server that outlives it.
"""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State
from prefect.context import FlowRunContext, SyncClientContext
from prefect.settings import PREFECT_CLIENT_MAX_RETRIES, get_current_settings, temporary_settings
from prefect.states import Crashed

from lavad.tasks.client import Client, ClientError

ANSWER_S = 1.5
"""For the server to take a state; the process is ending."""

LAST_ANSWER_S = 5.0
"""For each try of the last state. The server had as much time for the artifacts, and did not take them."""

LAST_TRIES_AGAIN = 1
"""Further tries of Prefect's client for the last state, where the server was found silent: after two seconds, not for 62."""

_guard = threading.Lock()
_own = False
_open: dict[UUID, tuple[contextvars.Context, State[Any] | None]] = {}


def begun() -> None:
    """Note that the flow run of this context is running."""
    context = FlowRunContext.get()
    if context is not None and context.flow_run is not None:
        with _guard:
            _open[context.flow_run.id] = (contextvars.copy_context(), None)


def decided(state: State[Any]) -> None:
    """Note how the flow run of this context ends, before Prefect reports it."""
    context = FlowRunContext.get()
    if context is not None and context.flow_run is not None:
        with _guard:
            if context.flow_run.id in _open:
                _open[context.flow_run.id] = (_open[context.flow_run.id][0], state)


def reported() -> None:
    """Note that Prefect has reported the end of all flow runs of this process."""
    with _guard:
        _open.clear()


def report_now(message: str, wait_s: float) -> None:
    """Tell the server how the runs of this process end, which is now; for at most ``wait_s``.

    Args:
        message: for those that are not decided: they are Crashed.
        wait_s: in seconds. What a server has not taken by then stays as it is.
    """
    with _guard:
        runs = list(_open.items())
        _open.clear()
    threads = []
    for run_id, (context, state) in runs:
        last = state if state is not None else Crashed(message=message)
        threads.append(
            threading.Thread(target=context.copy().run, args=(_send, run_id, last), name="ending", daemon=True)
        )
        threads[-1].start()
    for thread in threads:
        thread.join(wait_s / len(threads))


def _send(run_id: UUID, state: State[Any]) -> None:
    with temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0}):
        try:
            with get_client(sync_client=True, httpx_settings={"timeout": ANSWER_S}) as client:
                client.set_flow_run_state(run_id, state, force=True)
        except (ClientError, OSError, RuntimeError):  # the server is gone, or the interpreter going: nobody to tell
            return


@contextmanager
def own_settings() -> Iterator[None]:
    """Within it Prefect's settings are those of one flow run, and :func:`hurry` may change them."""
    global _own
    _own = True
    try:
        yield
    finally:
        _own = False


def hurry(tries_again: int) -> None:
    """From now on Prefect's client in this context tries a request again at most so often, and waits at most
    :data:`LAST_ANSWER_S` for each answer; only within :func:`own_settings`."""
    if not _own:
        return
    settings = get_current_settings().client
    settings.max_retries = min(settings.max_retries, tries_again)
    context = SyncClientContext.get()
    http = getattr(context.client, "_client", None) if context is not None else None
    if isinstance(http, Client):  # it was made when the flow run began, with the time for an answer that held then
        http.timeout = LAST_ANSWER_S


def hurry_all() -> None:
    """Let Prefect's clients in all flow runs of this process try no request again (:func:`hurry`). For signals."""
    with _guard:
        contexts = [context for context, _ in _open.values()]
    for context in contexts:
        context.copy().run(hurry, 0)
