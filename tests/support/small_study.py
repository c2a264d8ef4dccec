"""A study of five rows on tiny clips with small random models, without an orchestrator."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lavad_core.runs.recorder import Listener
from lavad_core.studies.study_file import Study, parse_study
from lavad_core.studies.study_run import run_study
from lavad_core.studies.study_runs import StudyBase, planned_rows
from lavad_core.studies.study_table import StudyTable
from lavad_core.video.discover import discover

MINE = """
title: Mine
reference: all
metrics: [auc, average_precision]
rows:
  - {name: all}
  - {name: K = 2, settings: {refine: {neighbours: 2}}}
  - {name: without refinement, settings: {refine: {enabled: false}}}
  - {name: without cleaning, captioners: each, settings: {clean: {enabled: false}}}
  - {name: one captioner, captioners: [random-blip2-t5]}
"""


def run(folder: Path, text: str = MINE, listener: Listener | None = None, only: Sequence[str] = ()) -> StudyTable:
    """Run a study, or ``only`` some rows of it, in a folder of :func:`support.small_demonstration.write_demonstration`."""
    study = parse_study(text, "mine.yaml")
    if only:
        study = Study.model_validate({**study.model_dump(), "rows": [one for one in study.rows if one.name in only]})
    overrides = [f"store={folder / 'store'}", f"evaluate.labels={folder / 'labels.txt'}", "run.workers=2"]
    rows = planned_rows("mine", study, StudyBase(None, [folder / "lavad.yaml"], overrides, own_preset=False))
    return run_study("mine", study, rows, discover([folder / "videos"]), listener=listener)


def numbers(table: StudyTable) -> list[object]:
    """What must be the same whenever a study is run."""
    return [(row.name, dict(row.cells), row.runs, row.scored, row.videos) for row in table.rows]
