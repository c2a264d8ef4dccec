"""What the rows of a study add to a store and to the rows above them, without loading a model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from lavad_core.config.schema import LavadConfig
from lavad_core.planning.cost import RunCost
from lavad_core.store.types import Key
from lavad_core.studies.study_runs import PlannedRow


@dataclass(frozen=True)
class AddedWork:
    """What a row adds."""

    row: str
    """Name of the row."""
    runs: int
    """Runs of the row; 0 if it is quoted."""
    work: Mapping[str, int]
    """Unit of work (``lavad_core.runs.work``) to its amount."""
    hours: float | None
    """Hours of the stages with a known rate; None if there is none."""
    stages_without_rate: tuple[str, ...]
    """Stages whose hours are unknown."""


CostOf = Callable[[LavadConfig, set[Key]], RunCost]
"""What a configuration costs beside results that are counted already, to which it adds its own."""


def added_work(rows: Sequence[PlannedRow], cost_of: CostOf) -> tuple[list[AddedWork], list[str]]:
    """What each row adds, in order, and remarks on all of them: what was not counted, and why.

    Args:
        cost_of: the cost of a configuration over the videos, or over a data set's list.

    Raises:
        InputError: a folder of imported values is not there, or has none for a video.
    """
    counted: set[Key] = set()
    found: list[AddedWork] = []
    notes: dict[str, None] = {}
    for row in rows:
        costs = [cost_of(config, counted) for config in row.configs]
        parts = [cost.left.part for cost in costs]
        units = dict.fromkeys(unit for part in parts for unit in part.work)
        hours = [part.hours for part in parts if part.hours is not None]
        found.append(
            AddedWork(
                row.row.name,
                len(costs),
                {unit: sum(part.work.get(unit, 0) for part in parts) for unit in units},
                sum(hours) if hours else None,
                tuple(sorted({node for cost in costs for node in cost.left.unknown_hours})),
            )
        )
        notes |= {note: None for cost in costs for note in cost.notes}
        notes |= {f"not counted: {video}: {why}": None for cost in costs for video, why in cost.uncounted.items()}
    return found, list(notes)
