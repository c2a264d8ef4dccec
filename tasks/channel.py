"""Showing things in the orchestrator without waiting for it.

What is shown must never hold what is computed: a server that is gone, or hangs, would keep the run's main thread in the
retries of Prefect's client for minutes. So artifacts go through a thread of their own, with few tries and short times, and
are dropped when that is not enough. All that they say is in the run's record and its results too.
"""

from __future__ import annotations

import contextvars
import json
import logging
import threading
from collections import deque
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import ArtifactCreate
from prefect.settings import PREFECT_CLIENT_MAX_RETRIES, temporary_settings
from prefect.utilities.context import get_task_and_flow_run_ids

from lavad_core.quoting import first_line

log = logging.getLogger("lavad_core.shown")

SEND_TIMEOUT_S = 5.0
"""For the server to take one artifact; it needs 40 ms."""

TRIES_AGAIN = 1
"""Further tries of Prefect's client, after two seconds."""

MAX_WAITING = 50
"""Artifacts that wait to be sent; a flow has four."""

CLOSE_S = 10.0
"""For what still waits at the end: two artifacts that a hanging server does not take."""

ClientCall = Callable[[SyncPrefectClient], object]


class Channel:
    """Sends in the background, for the flow or task run in whose context it is made. :meth:`close` ends it.

    Attributes:
        task_run_id, flow_run_id: ids of the task run and of its flow run.
        all_shown: after :meth:`close`, whether the server has taken everything.
    """

    def __init__(self) -> None:
        self.task_run_id, self.flow_run_id = get_task_and_flow_run_ids()
        self._waiting: deque[tuple[str, ClientCall]] = deque()
        self._lost: dict[str, str] = {}
        self._changed = threading.Condition()
        self._closed = False
        self.all_shown = True
        work = contextvars.copy_context().run
        self._thread = threading.Thread(target=work, args=(self._work,), name="shown", daemon=True)
        self._thread.start()

    def put(self, what: str, send: ClientCall) -> None:
        """Send it when there is time; in the place of what waits under the same name, and not at all if too much waits.

        Args:
            send: is given a client; may raise.
        """
        with self._changed:
            if any(name == what for name, _ in self._waiting):
                self._waiting = deque((name, send if name == what else other) for name, other in self._waiting)
            elif self._closed or len(self._waiting) >= MAX_WAITING:
                self._lost.setdefault(what, "too much waited for the server")
            else:
                self._waiting.append((what, send))
            self._changed.notify_all()

    def artifact(self, what: str, kind: str, key: str, data: Any, description: str) -> None:
        """An artifact of this run.

        Args:
            kind: ``markdown``, ``image``, or ``table``.
            data: text, address, or rows.
            description: Markdown.
        """
        made = ArtifactCreate(
            type=kind,
            key=key,
            description=description,
            data=json.dumps(data) if kind == "table" else data,
            task_run_id=self.task_run_id,
            flow_run_id=self.flow_run_id,
        )
        self.put(what, lambda client: client.create_artifact(made))

    def close(self, wait_s: float = CLOSE_S) -> None:
        """Send what waits, for at most so long, and say what was not shown."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join(wait_s)
        with self._changed:
            for what, _ in self._waiting:
                self._lost.setdefault(what, "the server took too long")
            self._waiting.clear()
            lost, self._lost = self._lost, {}
        self.all_shown = not lost
        if lost:
            log.warning(
                "not shown in Prefect: %s (%s). Nothing else is missing: `lavad status` has what they say",
                ", ".join(lost),
                next(iter(lost.values())),
            )

    def _work(self) -> None:
        with temporary_settings({PREFECT_CLIENT_MAX_RETRIES: TRIES_AGAIN}), ExitStack() as opened:
            client: SyncPrefectClient | None = None
            while (item := self._next()) is not None:
                what, send = item
                try:
                    # A client of its own: that of the flow is used by the main thread, and is more patient.
                    if client is None:
                        made = get_client(sync_client=True, httpx_settings={"timeout": SEND_TIMEOUT_S})
                        client = opened.enter_context(made)
                    send(client)
                except Exception as error:  # the edge of what must not matter, whatever the client raises
                    self._failed(what, f"{type(error).__name__}: {first_line(error)}")
                else:
                    with self._changed:
                        self._lost.pop(what, None)

    def _failed(self, what: str, why: str) -> None:
        with self._changed:
            again = what in self._lost
            self._lost[what] = why
        if not again:
            log.debug("the %s is not shown: %s", what, why)

    def _next(self) -> tuple[str, ClientCall] | None:
        with self._changed:
            while not self._waiting and not self._closed:
                self._changed.wait()
            return self._waiting.popleft() if self._waiting else None
