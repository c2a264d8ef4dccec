"""What a run found in new videos, as a table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.filled_store import EVIL, SEGMENT, fill

from lavad.tasks.found_artifacts import found_in
from lavad_core.config.schema import LavadConfig
from lavad_core.results.run import keys_of_run
from lavad_core.store.files import FileStore


def found(root: Path, before: int, *more: str) -> tuple[Any, LavadConfig]:
    run_id, config = fill(root, "yard", EVIL, more=more)
    keys = {name: own for (_, name), own in keys_of_run(root, run_id).items() if name in ("yard", EVIL)}
    return found_in(FileStore(root), config, keys, before), config


def test_a_row_for_each_segment_of_new_videos(tmp_path: Path) -> None:
    made, _ = found(tmp_path, 7)
    assert made.message == "2 segments in 2 of 2 new videos; 7 other videos have results from before"
    (row,) = [row for row in made.rows if row["video"] == "yard"]
    assert (row["from s"], row["to s"], row["peak"]) == (0.6, 1.3, 0.7)
    assert row["reason"].replace("\\", "") == SEGMENT[7]
    (evil,) = [row for row in made.rows if row["video"] != "yard"]
    assert not any(sign in evil["video"] for sign in ("\x1b", "\u202e", "<", "\n"))


def test_smoothing_is_said(tmp_path: Path) -> None:
    made, _ = found(tmp_path, 0, "smooth.kind=ema")
    assert made.message.endswith("; scores smoothed: ema, α 0.2")


def test_results_that_are_gone_are_no_table(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    run_id, config = fill(tmp_path, "yard")
    keys = {name: own for (_, name), own in keys_of_run(tmp_path, run_id).items() if name == "yard"}
    next((tmp_path / "detect").rglob("part-*.parquet")).unlink()
    assert found_in(FileStore(tmp_path), config, keys, 0) is None
    assert "what was found is not shown" in caplog.text
