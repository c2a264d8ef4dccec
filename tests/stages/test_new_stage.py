"""A stage is added as docs/stages.md says: one file and one line, in a copy of the program, and then it is run."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from support.video_factory import make_video

from lavad_core.stages.node import Reads
from lavad_core.stages.registry import Stage

PACKAGES = ("lavad_core", "lavad", "tasks", "flows")

PROGRAM = """
import json, sys
from pathlib import Path
from lavad.tasks.stages import STAGE_TASKS
from lavad_core.config.load import load_config
from lavad_core.pipeline.execute import run_graph
from lavad_core.pipeline.pending import plan_work
from lavad_core.pipeline.resources import RunResources
from lavad_core.planning.rates import packaged_rates
from lavad_core.planning.survey import cost_of_videos
from lavad_core.runs.manifest import new_run_id
from lavad_core.runs.recorder import RunRecorder
from lavad_core.video.types import VideoSource

def resources(*overrides):
    overrides = ("run.targets=[motion]", f"store={sys.argv[2]}", *overrides)
    return RunResources(load_config(preset="tiny", overrides=overrides, environ={}))

first = resources("video.frame_interval=8")
video = first.prepare(VideoSource("clip", Path(sys.argv[1]), "file"))
cost = cost_of_videos(first.config, [VideoSource("clip", Path(sys.argv[1]), "file")], packaged_rates())
planned = [[work.node_id, work.state] for work in plan_work(first, [video])]
failed = run_graph(first, [video], RunRecorder(first.store.root, new_run_id(), config={}))
key = first.graph.keys(video)["motion"]
commit = first.store.find(key)
print(json.dumps({
    "task": [STAGE_TASKS["motion"].name, STAGE_TASKS["motion"].description],
    "planned": planned,
    "costs": {stage.node: [dict(stage.left.work), stage.left.bytes] for stage in cost.stages},
    "failed": [str(error) for error in failed.values()],
    "rows": first.store.read(commit, ["frame", "change"]).to_pylist(),
    "commit": [commit.status, commit.message, dict(commit.counts)],
    "again": [[work.node_id, work.state] for work in plan_work(first, [video])],
    "others": resources().graph.keys(video)["motion"].fingerprint != key.fingerprint,
}))
"""


def blocks(page: str) -> dict[str, str]:
    """The blocks of code of a page, by language."""
    return dict(re.findall(r"```(python|diff)\n(.*?)```", page, flags=re.DOTALL))


def grey(index: int, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Dark until frame 23, bright from frame 24."""
    return np.full((size[1], size[0], 3), 200 if index >= 24 else 40, np.uint8)


@pytest.fixture(scope="module")
def said(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the program says after the page was followed."""
    copy = tmp_path_factory.mktemp("copy")
    for package in PACKAGES:
        shutil.copytree(
            repository / package,
            copy / package,
            symlinks=True,
            ignore=shutil.ignore_patterns("__pycache__"),
        )
    found = blocks((repository / "docs" / "stages.md").read_text(encoding="utf-8"))
    name, _, content = found["python"].partition("\n")
    (copy / name.removeprefix("# ")).write_text(content, encoding="utf-8")
    target, *lines = found["diff"].splitlines()
    before = "".join(f"{line[1:]}\n" for line in lines if line[0] == " ")
    after = "".join(f"{line[1:]}\n" for line in lines)
    names = copy / target.removeprefix("--- ")
    listed = names.read_text(encoding="utf-8")
    assert listed.count(before) == 1
    names.write_text(listed.replace(before, after), encoding="utf-8")

    clip = copy / "clip.mp4"
    make_video(clip, frames=48, draw=grey)
    result = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(clip), str(copy / "store")],
        env={**os.environ, "PYTHONPATH": str(copy)},
        cwd=copy,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    answer: dict[str, Any] = json.loads(result.stdout.splitlines()[-1])
    return answer


def test_the_stage_is_planned_run_and_found_again(said: dict[str, Any]) -> None:
    assert said["failed"] == []
    assert said["planned"] == [["probe", "run"], ["motion", "run"]]
    assert said["again"] == [["probe", "cached"], ["motion", "cached"]]


def test_a_plan_counts_its_work(said: dict[str, Any]) -> None:
    work, size = said["costs"]["motion"]
    assert work == {"frames_decoded": 48, "videos_decoded": 1, "rows": 6}
    assert size > said["costs"]["probe"][1] - 48 * 4, "a result takes room, and each of its rows"


def test_its_rows_are_in_the_store(said: dict[str, Any]) -> None:
    changes = {row["frame"]: row["change"] for row in said["rows"]}
    assert list(changes) == [0, 8, 16, 24, 32, 40]
    assert changes.pop(24) == pytest.approx(160, abs=4)  # lossy coding
    assert changes == pytest.approx(dict.fromkeys(changes, 0), abs=1)
    assert said["commit"] == ["ok", "", {"still": 4}]


def test_a_task_and_a_key_follow_from_its_file(said: dict[str, Any]) -> None:
    assert said["task"] == ["motion", "How much the picture changes from one grid frame to the next."]
    assert said["others"] is True  # another interval, another result


def test_the_page_has_what_a_stage_must_say(repository: Path) -> None:
    page = (repository / "docs" / "stages.md").read_text(encoding="utf-8")
    assert [name for name in dir(Stage) if not name.startswith("_") and f"`{name}" not in page] == []
    assert [item.name for item in fields(Reads) if f"| `{item.name}` |" not in page] == []
