"""The artifact that says what was found: of the videos that are new to a run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from support.fake_stages import FakeStages, make_videos
from support.flow_runs import artifacts, run

from lavad.tasks import scoring_run
from lavad.tasks.found_artifacts import Found

pytestmark = pytest.mark.usefixtures("prefect_server")


def test_it_is_of_those_alone(stages: FakeStages, tmp_path: Path, store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[list[str], int]] = []

    def found_in(store: Any, config: Any, new: Mapping[str, Any], before: int) -> Found:
        asked.append((sorted(new), before))
        return Found([{"video": name, "peak": 0.9} for name in new], f"{len(new)} segments")

    monkeypatch.setattr(scoring_run, "found_in", found_in)
    videos = make_videos(tmp_path / "videos", "one.mp4", "two.mp4")
    run(videos, store)
    make_videos(tmp_path / "videos", "three.mp4")
    state = run(videos, store)
    run(videos, store)
    assert asked == [(["one", "two"], 0), (["three"], 2), ([], 3)]
    assert json.loads(artifacts(state)["lavad-found"]) == [{"video": "three", "peak": 0.9}]
