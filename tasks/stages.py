"""One task per stage of a video (docs/design/method.md has the figure)."""

from __future__ import annotations

from lavad.tasks.stage_task import StageTask, stage_task
from lavad_core.stages.registry import STAGES

STAGE_TASKS: dict[str, StageTask] = {name: stage_task(name, stage.DESCRIPTION) for name, stage in STAGES.items()}
"""Stage name to task."""
