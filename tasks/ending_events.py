"""What LAVAD tells other programs of a run's end, as events of Prefect: automations are triggered by them.

* ``lavad.evaluation.finished`` of ``lavad.results.<id of the run or import>``: ``state``, ``message``, ``metrics`` by name;
* ``lavad.metric.dropped`` of ``lavad.metric.<name>``: ``results``, ``baseline``, ``change`` in words, ``difference`` and the
  ends of its interval, ``low`` and ``high``; the resource's label ``lavad.below`` is ``interval`` where the metric is below its
  baseline's interval, otherwise ``tolerance``;
* ``lavad.videos.failed`` of ``lavad.results.<id of the run>``: ``message``, ``videos`` (name to reason, the first ones).

They are sent from a thread of Prefect's, and hold nothing up. The flow run is among the related resources.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from prefect.events import emit_event

from lavad_core.evaluation.regression import Regression
from lavad_core.runs.manifest import RunManifest

EVALUATED = "lavad.evaluation.finished"
DROPPED = "lavad.metric.dropped"
FAILED = "lavad.videos.failed"
BELOW = "lavad.below"

MAX_NAMED = 20
"""Videos that an event names."""


def tell_evaluated(results: str, state: str, message: str, metrics: Mapping[str, float | None]) -> None:
    """An evaluation is over.

    Args:
        results: id of the run or import.
        state, message: name of the flow run's last state, and its message.
        metrics: by name; None where undefined.
    """
    _emit(EVALUATED, f"lavad.results.{results}", state=state, message=message, metrics=dict(metrics))


def tell_dropped(results: str, regression: Regression) -> None:
    """One event for each metric that fell below the baseline by more than is tolerated."""
    for change in regression.falls:
        _emit(
            DROPPED,
            f"lavad.metric.{change.metric}",
            {BELOW: "interval" if change.below_interval else "tolerance"},
            results=results,
            baseline=regression.baseline,
            change=str(change),
            difference=change.difference.difference,
            low=change.difference.low,
            high=change.difference.high,
        )


def tell_failed(run: RunManifest, message: str) -> None:
    """Videos of a run have no scores; nothing is told where all have, or are known to be bad."""
    missing = [video for video in run.videos if not video.settled]
    if missing:
        named = {video.name: f"{video.status}: {video.reason}" for video in missing[:MAX_NAMED]}
        _emit(FAILED, f"lavad.results.{run.run_id}", message=message, videos=named)


def _emit(event: str, resource: str, labels: Mapping[str, str] | None = None, **payload: Any) -> None:
    emit_event(event, resource={"prefect.resource.id": resource, **(labels or {})}, payload=payload)
