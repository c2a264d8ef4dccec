"""Automations, put in place by name: ``python -m lavad.deployments.automations`` after ``prefect deploy --all``.

A flow run whose worker or machine is lost stays Running for ever otherwise: a run that has sent a heartbeat and then neither
another one nor an end is marked Crashed, and its slot of the concurrency limit is free again.
"""

from __future__ import annotations

from datetime import timedelta
from typing import cast

from prefect.automations import Automation
from prefect.client.schemas.objects import StateType
from prefect.events.actions import ChangeFlowRunState
from prefect.events.schemas.automations import EventTrigger, Posture

NAME = "LAVAD: runs without a heartbeat are crashed"

SILENCE = timedelta(seconds=90)
"""Three heartbeats of the deployments (prefect.yaml)."""

ENDS = (
    "Completed",
    "Failed",
    "PartiallyFailed",
    "Regressed",
    "Crashed",
    "Cancelled",
    "Cancelling",
    "Cached",
    "TimedOut",
    "RolledBack",
)
"""Names of states, since events are called after them: our own PartiallyFailed and Regressed must be among them."""


def automation() -> Automation:
    """The automation as it should be."""
    return Automation(
        name=NAME,
        description="The worker or its machine is gone; `prefect flow-run retry` goes on where the store is.",
        trigger=EventTrigger(
            after={"prefect.flow-run.heartbeat"},
            expect={"prefect.flow-run.heartbeat", *(f"prefect.flow-run.{name}" for name in ENDS)},
            match={"prefect.resource.id": "prefect.flow-run.*"},
            for_each={"prefect.resource.id"},
            posture=Posture.Proactive,
            threshold=1,
            within=SILENCE,
        ),
        actions=[
            ChangeFlowRunState(
                name=None,
                state=StateType.CRASHED,
                message="no heartbeat: the worker or its machine is gone",
                force=False,
            )
        ],
    )


def apply_automation() -> str:
    """Create the automation, or bring the one of that name up to date; returns which of the two."""
    wanted = automation()
    try:
        present = cast(Automation, Automation.read(name=NAME))  # a coroutine only within an event loop
    except ValueError:
        wanted.create()
        return "created"
    wanted.id = present.id
    wanted.update()
    return "updated"


if __name__ == "__main__":
    print(apply_automation())
