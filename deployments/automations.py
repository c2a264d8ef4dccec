"""Automations, put in place by name, as often as wanted (:mod:`lavad.deployments.apply`).

A flow run whose worker or machine is lost stays Running for ever otherwise: a run that has sent a heartbeat and then neither
another one nor an end is marked Crashed. The others notify somebody, and are there when a notification block is named.
"""

from __future__ import annotations

from datetime import timedelta
from typing import cast
from uuid import UUID

from prefect.automations import Automation
from prefect.client.schemas.objects import StateType
from prefect.events.actions import ChangeFlowRunState, SendNotification
from prefect.events.schemas.automations import EventTrigger, Posture

from lavad.deployments.prefect_settings import HEARTBEAT_S
from lavad.tasks.ending_events import BELOW, DROPPED

LOST = "LAVAD: runs without a heartbeat are crashed"
RED = "LAVAD: notification on a red run"
FELL = "LAVAD: notification on a metric that fell"
FELL_FAR = "LAVAD: notification on a metric below its baseline's interval"
HANGING = "LAVAD: notification on a run that takes too long"

SILENCE = timedelta(seconds=3 * HEARTBEAT_S)
"""Three heartbeats, of the deployments (prefect.yaml) and of runs that the command line begins."""

LONG = timedelta(hours=24)
"""A run that takes longer than this is worth a look: the nightly one has not ended when the next is due."""

RED_ENDS = ("Failed", "PartiallyFailed", "Regressed", "Crashed")
"""Names of states, since events are called after them: our own PartiallyFailed and Regressed must be among them."""

ENDS = ("Completed", *RED_ENDS, "Cancelled", "Cancelling", "Cached", "TimedOut", "RolledBack")

FLOW_RUNS: dict[str, str | list[str]] = {"prefect.resource.id": "prefect.flow-run.*"}
OUR_FLOWS = (
    "score-videos",
    "score-data-set",
    "score-shard",
    "score-video",
    "retry-failed",
    "check-store",
    "evaluate",
    "study",
)
"""Names of our flows. Those of others on the same server may have a heartbeat from which 90 s of silence say nothing."""
OURS: dict[str, str | list[str]] = {"prefect.resource.role": "tag", "prefect.resource.id": "prefect.tag.lavad"}
"""Flow runs of the deployments, all of which have this tag."""


def lost_runs() -> Automation:
    """Marks runs Crashed whose worker or machine is gone."""
    return Automation(
        name=LOST,
        description="The worker or its machine is gone; `prefect flow-run retry` goes on where the store is.",
        trigger=EventTrigger(
            after={"prefect.flow-run.heartbeat"},
            expect={"prefect.flow-run.heartbeat", *(f"prefect.flow-run.{name}" for name in ENDS)},
            match=FLOW_RUNS,
            match_related={"prefect.resource.role": "flow", "prefect.resource.name": list(OUR_FLOWS)},
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


def notifications(block: UUID) -> list[Automation]:
    """Those that tell somebody, through a saved notification block."""
    return [
        Automation(
            name=RED,
            description="A run of LAVAD's deployments has ended Failed, PartiallyFailed, Regressed or Crashed.",
            trigger=EventTrigger(
                expect={f"prefect.flow-run.{name}" for name in RED_ENDS},
                match=FLOW_RUNS,
                match_related=OURS,
                posture=Posture.Reactive,
                threshold=1,
            ),
            actions=[
                _notify(block, "{{ flow_run.name }} is {{ flow_run.state.name }}", "{{ flow_run.state.message }}")
            ],
        ),
        _metric_fell(
            block, FELL, "A metric is below its baseline's by more than is tolerated; chance may be why.", "tolerance"
        ),
        _metric_fell(block, FELL_FAR, "A metric is below its baseline's by more than chance explains.", "interval"),
        Automation(
            name=HANGING,
            description=f"A run of LAVAD's deployments has been Running for {LONG} and has not ended.",
            trigger=EventTrigger(
                after={"prefect.flow-run.Running"},
                expect={f"prefect.flow-run.{name}" for name in ENDS},
                match=FLOW_RUNS,
                match_related=OURS,
                for_each={"prefect.resource.id"},
                posture=Posture.Proactive,
                threshold=1,
                within=LONG,
            ),
            actions=[_notify(block, "{{ flow_run.name }} has not ended", f"It has been running for {LONG}.")],
        ),
    ]


def _metric_fell(block: UUID, name: str, description: str, below: str) -> Automation:
    return Automation(
        name=name,
        description=description,
        trigger=EventTrigger(
            expect={DROPPED},
            match={"prefect.resource.id": "lavad.metric.*", BELOW: below},
            posture=Posture.Reactive,
            threshold=1,
        ),
        actions=[
            _notify(
                block,
                "{{ event.payload.change }}" + f", below its {below}",
                "{{ event.payload.results }} against baseline {{ event.payload.baseline }}",
            )
        ],
    )


def _notify(block: UUID, subject: str, body: str) -> SendNotification:
    return SendNotification(block_document_id=block, subject=f"LAVAD: {subject}", body=body)


def apply_automations(block: UUID | None = None) -> dict[str, str]:
    """Create the automations, or bring those of their names up to date.

    Args:
        block: id of a saved notification block; without one the automations that notify are left as they are.

    Returns:
        name to which of the two.
    """
    done = {}
    for wanted in [lost_runs(), *([] if block is None else notifications(block))]:
        try:
            present = cast(Automation, Automation.read(name=wanted.name))  # a coroutine only within an event loop
        except ValueError:
            wanted.create()
            done[wanted.name] = "created"
        else:
            wanted.id, wanted.enabled = present.id, present.enabled
            wanted.update()
            done[wanted.name] = "updated"
    return done
