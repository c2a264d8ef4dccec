"""The flow runs of shards, on the server."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, cast
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId, FlowRunFilterIdempotencyKey
from prefect.client.schemas.objects import FlowRun
from prefect.deployments import run_deployment
from prefect.exceptions import ObjectNotFound
from prefect.states import Crashed

from lavad.tasks.client import ClientError
from lavad.tasks.flow_run import OF_AN_EXCEPTION
from lavad_core.errors import InputError, bad_again
from lavad_core.masking import masked_text
from lavad_core.quoting import first_line
from lavad_core.runs.manifest import RunManifest

log = logging.getLogger("lavad_core.flow")

UNSTARTED_S = 300.0
"""Between taking a flow run and saying what was started a worker needs seconds, and so does a process until the flow run begins
in it. If the worker loses the server, or the process dies in between, the flow run would stay Pending for ever: heartbeats
come from those that have begun alone."""

UNSTARTED = "its worker lost the server before it had started a process"
NOT_BEGUN = "the process that its worker had started has not begun the run for minutes, and is taken for lost"

PAGE = 100
"""Flow runs asked for at once; a server gives at most 200."""


def start(deployment: str, parameters: Mapping[str, Any], name: str, key: str) -> FlowRun:
    """A new flow run of a deployment, shown below the one that calls this; returns at once.

    Args:
        deployment: ``flow/deployment``.
        parameters: parameters of the flow.
        name: name of the flow run.
        key: the server makes only one flow run of a key.

    Raises:
        InputError: the server has no such deployment.
    """
    try:
        made = run_deployment(
            deployment, parameters=dict(parameters), flow_run_name=name, timeout=0, idempotency_key=key
        )
        return cast(FlowRun, made)  # a coroutine only within an event loop
    except ObjectNotFound as error:
        raise InputError(
            f"the Prefect server has no deployment {deployment!r}: `python -m lavad.deployments.apply` puts it there"
        ) from error


def known(keys: Iterable[str]) -> dict[str, FlowRun]:
    """The flow runs that were started under these keys."""
    found: dict[str, FlowRun] = {}
    with get_client(sync_client=True) as client:
        for some in _pages(keys):
            wanted = FlowRunFilter(idempotency_key=FlowRunFilterIdempotencyKey(any_=some))
            found |= {
                str(run.idempotency_key): run for run in client.read_flow_runs(flow_run_filter=wanted, limit=PAGE)
            }
    return found


def over(runs: Sequence[FlowRun], pending: dict[UUID, float]) -> dict[UUID, FlowRun]:
    """Those that the server knows to have ended, as it has them now, by their ids; none where it does not answer. One that
    somebody has deleted is over too, and given back as it was; one that will never begin (:data:`UNSTARTED_S`) is ended
    here.

    Args:
        runs: the flow runs.
        pending: kept from call to call: when each Pending state was first seen, by its id. By the clock of this process,
            since that of the worker's machine, which the state has, may be another time.
    """
    found: dict[UUID, FlowRun] = {}
    try:
        with get_client(sync_client=True) as client:
            for some in _pages(runs):
                wanted = FlowRunFilter(id=FlowRunFilterId(any_=[run.id for run in some]))
                now = client.read_flow_runs(flow_run_filter=wanted, limit=PAGE)
                there = {run.id for run in now}
                found |= {run.id: run for run in some if run.id not in there}
                found |= {run.id: run for run in now if run.state is not None and run.state.is_final()}
                for run in now:
                    if not _is_unstarted(run, pending):
                        continue
                    why = UNSTARTED if run.infrastructure_pid is None else NOT_BEGUN
                    client.set_flow_run_state(run.id, Crashed(message=why), force=True)
                    found[run.id] = client.read_flow_run(run.id)
    except (ClientError, OSError) as error:
        log.warning("the Prefect server does not say how the shards are (%s); asked again", first_line(error))
    return found


def hopeless(record: RunManifest | None, ended: FlowRun | None) -> str:
    """Why a shard that has left videos would leave them again; empty if a process died, or if another one may do better.

    Args:
        record: the record of the shard's run; None if it never began.
        ended: its flow run as it ended.
    """
    if ended is None or ended.state is None:
        return ""
    if ended.state.is_cancelled():
        return "cancelled"
    if not ended.state.is_failed():
        return ""
    if record is not None and record.videos:
        left = [video for video in record.videos if video.status == "not-run"]
        return record.message if left and all(bad_again(video.reason) for video in left) else ""
    # Without videos it ended before it took them, and without a record before it began.
    said = (ended.state.message or "").removeprefix(OF_AN_EXCEPTION) if record is None else record.message
    return masked_text(said.partition("\n")[0]) if bad_again(said.partition(":")[0]) else ""


def _is_unstarted(run: FlowRun, pending: dict[UUID, float]) -> bool:
    """Whether a worker took it long ago, and has started nothing, or a process in which it did not begin.

    A pod may wait for its node and for its image, and Kubernetes says when it is lost. A process is named by a number; pods
    and containers have names with colons.
    """
    state, started = run.state, run.infrastructure_pid
    if state is None or not state.is_pending() or (started is not None and not started.isdecimal()):
        return False
    return time.monotonic() - pending.setdefault(state.id, time.monotonic()) > UNSTARTED_S


def _pages(items: Iterable[Any]) -> Iterator[list[Any]]:
    left = iter(items)
    while some := list(islice(left, PAGE)):
        yield some
