"""Every study that ships, one after the other on one store, with small random models in the place of the paper's."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import pytest
from support.small_demonstration import CAPTIONERS, CLIPS
from support.whole_runs import commits

from lavad_core.runs.records import StageRecord
from lavad_core.studies.study_file import shipped_studies
from lavad_core.studies.study_run import run_study
from lavad_core.studies.study_runs import StudyBase, planned_rows
from lavad_core.video.discover import discover

GRID = sum(-(-frames // 16) for frames in CLIPS.values())
STAND_INS = {
    f"blip2-{name}": CAPTIONERS["t5" in name]
    for name in ("flan-t5-xl", "flan-t5-xl-coco", "flan-t5-xxl", "opt-6.7b", "opt-6.7b-coco")
}


@pytest.mark.slow
def test_every_shipped_study_has_a_whole_table_and_computes_nothing_that_another_has(
    empty: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(empty, tmp_path / "copy")
    overrides = [f"store={folder / 'store'}", f"evaluate.labels={folder / 'labels.txt'}", "run.workers=2"]
    second = folder / "mistral.yaml"
    second.write_text("chat: {model: 'random:llama?seed=2'}\n")
    base = StudyBase(
        None,
        [folder / "lavad.yaml"],
        overrides,
        own_preset=False,
        own_encoders=False,
        stand_ins={**STAND_INS, "mistral-7b-instruct": str(second)},
    )
    made: Counter[tuple[str, str, str]] = Counter()

    def note(record: StageRecord) -> None:
        if record.seconds is not None and not record.cached:
            made[record.node, record.video_id, record.fingerprint] += 1

    work: Counter[str] = Counter()
    for name, study in shipped_studies().items():
        rows = planned_rows(name, study, base)
        table = run_study(name, study, rows, discover([folder / "videos"]), listener=note)
        work.update(table.work)
        assert not table.partial, table.notes
        assert [row.name for row in table.rows if not row.quoted] == [one.row.name for one in rows if one.configs]
        assert all(
            row.cells[metric].ours is not None for row in table.rows if not row.quoted for metric in table.metrics
        )
        chat_models = {config.chat.model for one in rows for config in one.configs}
        assert all(count <= (len(chat_models) if role == "chat" else 1) for role, count in table.loads.items()), (
            f"{name} loads {table.loads}"
        )
    assert set(made.values()) == {1}, "a result was made twice"
    assert len(made) <= len(commits(folder / "store"))
    assert work["captions_made"] == GRID * len(CAPTIONERS), "captions were made again for another study"
