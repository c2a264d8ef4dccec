"""Runs of the flow over a set of videos, and what a real Prefect server has recorded of them."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.client.schemas.objects import State, TaskRun
from prefect.client.schemas.sorting import TaskRunSort

from lavad.flows.score_videos import score_videos
from lavad_core.runs.manifest import RunManifest
from support.fake_stages import settings

RECORDED_S = 30.0


def run(videos: Path, store: Path, **parameters: Any) -> State[Any]:
    given = {"settings": settings(store), **parameters}
    state: State[Any] = score_videos([str(videos)], return_state=True, **given)
    return state


def task_runs(state: State[Any], expected: int, last: str = "") -> list[TaskRun]:
    """Those that the server has of the state's flow run, as soon as ``expected`` are there, the one named ``last…`` among them,
    and all have ended."""
    found: list[TaskRun] = []
    deadline = time.monotonic() + RECORDED_S
    with get_client(sync_client=True) as client:
        ours = FlowRunFilter(id=FlowRunFilterId(any_=[flow_run(state)]))
        while time.monotonic() < deadline:
            found = client.read_task_runs(flow_run_filter=ours, sort=TaskRunSort.ID_DESC, limit=200)
            there = len(found) >= expected and any(one.name.startswith(last) for one in found)
            if there and all(one.state is not None and one.state.is_final() for one in found):
                return found
            time.sleep(0.2)
    raise AssertionError(f"{len(found)} of {expected} task runs recorded: {[(r.name, r.state_name) for r in found]}")


def planned_waits(task_run: TaskRun) -> list[float]:
    """Seconds for which the task run was to wait before each further try."""
    with get_client(sync_client=True) as client:
        states = client.read_task_run_states(task_run.id)
    waiting = [one for one in states if one.name == "AwaitingRetry"]
    return [
        (one.state_details.scheduled_time - one.timestamp).total_seconds()
        for one in waiting
        if one.state_details.scheduled_time is not None
    ]


def flow_run(state: State[Any]) -> UUID:
    assert state.state_details.flow_run_id is not None
    return state.state_details.flow_run_id


def outcomes(manifest: RunManifest) -> dict[str, str]:
    """Each video's status."""
    return {outcome.name: outcome.status for outcome in manifest.videos}


def artifacts(state: State[Any]) -> dict[str, Any]:
    wanted = {"artifacts": {"flow_run_id": {"any_": [str(flow_run(state))]}}}
    answer = httpx.post(f"{os.environ['PREFECT_API_URL']}/artifacts/filter", json=wanted, timeout=30)
    return {one["key"]: one["data"] for one in answer.raise_for_status().json()}
