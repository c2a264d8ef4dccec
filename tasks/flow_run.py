"""What the list of flow runs tells about one: which run of LAVAD it is, and why it is red."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from prefect.client.schemas.objects import FlowRun, State
from prefect.context import FlowRunContext
from prefect.flows import Flow

from lavad.tasks.channel import Channel
from lavad_core.escape import escape
from lavad_core.masking import masked_text
from lavad_core.runs.manifest import new_run_id

RENAMED_S = 2.0
"""For the server to take a name; it is shown and nothing else."""

OF_AN_EXCEPTION = "Flow run encountered an exception: "
"""Begins Prefect's message of a state that an exception made."""

MAX_REASON = 160
"""Characters of a reason in the list; the state's message and the run's artifacts have all of it."""


def lasting_run_id() -> str:
    """An id for a run of LAVAD which is the same each time that this context's flow run is tried again."""
    context = FlowRunContext.get()
    flow_run = None if context is None else context.flow_run
    if flow_run is None or flow_run.created is None:
        return new_run_id()
    return new_run_id(flow_run.created, flow_run.id.hex[-6:])


def name_flow_run(*parts: str) -> None:
    """Add to the name of this context's flow run, in the UI and for what is named after it; nothing outside of a flow run."""
    context = FlowRunContext.get()
    if context is not None and context.flow_run is not None:
        context.flow_run.name = " · ".join([context.flow_run.name, *parts])
        _rename(context.flow_run.id, context.flow_run.name)


def name_reason(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> None:
    """Hook of a flow run that ends red: its name ends with the reason, so that the list of runs has it."""
    add_reason(flow_run, state)


def add_reason(flow_run: FlowRun, state: State[Any]) -> None:
    """Put the reason at the end of a flow run's name; also for one whose process is gone, and with it its hooks."""
    reason = (state.message or str(state.name)).removeprefix(OF_AN_EXCEPTION)
    first, _, _ = reason.partition("\n")
    told = f" · {escape(masked_text(first), limit=MAX_REASON)}"
    if not flow_run.name.endswith(told):
        _rename(flow_run.id, flow_run.name + told)


RED: dict[str, Any] = {"on_failure": [name_reason], "on_crashed": [name_reason]}
"""Options of every flow."""


def _rename(flow_run_id: UUID, name: str) -> None:
    channel = Channel()
    channel.put("name of the run", lambda client: client.update_flow_run(flow_run_id, name=name))
    channel.close(RENAMED_S)
