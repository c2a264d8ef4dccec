"""Three processes, each with a shard of one set, on one store: what comes out is what one run makes."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from support.command import lavad
from support.video_factory import make_audio, make_video
from support.whole_runs import finish, start, tree

from lavad_core.runs.manifest import list_runs, load_run
from lavad_core.runs.run_log import load_records

LENGTHS = (96, 40, 72, 48, 64, 56)


def clips(folder: Path) -> Path:
    """A folder with a video of each length."""
    folder.mkdir()
    for number, frames in enumerate(LENGTHS):
        make_video(folder / f"{number}.mp4", frames=frames, fps=10)
    return folder


def run_at_once(arguments: Mapping[Path, list[str]], environment: dict[str, str]) -> list[int | None]:
    """Start a command for each log, wait for all, and return their exit codes."""
    going = [start(own, environment, log) for log, own in arguments.items()]
    for process in going:
        process.join(300)
    return [process.exitcode for process in going]


@pytest.mark.slow
def test_shards_at_once_make_what_one_run_makes(prefect_server: str, tmp_path: Path) -> None:
    videos = clips(tmp_path / "videos")
    (videos / "same.mp4").write_bytes((videos / "0.mp4").read_bytes())
    make_audio(videos / "bad.mp4")
    (videos / "empty.mp4").touch()
    labels = tmp_path / "labels.txt"
    labels.write_text("".join(f"{path.name}  Fire  8  20  -1  -1\n" for path in sorted(videos.iterdir())))
    environment = {"PREFECT_API_URL": prefect_server}

    def arguments(store: str, *more: str) -> list[str]:
        given = [
            "--debug",
            "run",
            str(videos),
            "--preset",
            "tiny",
            "--labels",
            str(labels),
            "--store",
            str(tmp_path / store),
        ]
        # One request at a time: the last digits of probabilities depend on what else is in a batch, and an answer is that of
        # whichever video has asked first (docs/design/scheduling.md, "Equal to the last byte").
        return [*given, "--plain", "--set", "chat.batch_size=1", *more]

    assert finish(arguments("plain"), environment, tmp_path / "plain.log") == 1
    logs = [tmp_path / f"{number}.log" for number in (1, 2, 3)]
    shards = {log: arguments("shards", "--shard", f"{number}/3") for number, log in enumerate(logs, 1)}
    codes = run_at_once(shards, environment)
    said = "".join(log.read_text() for log in logs)
    assert sorted(code or 0 for code in codes) in ([0, 1, 1], [0, 0, 1]), said  # two have a bad video, or one
    store = tmp_path / "shards"
    assert tree(store) == tree(tmp_path / "plain")

    made = Counter(
        (record.node, record.video_id)
        for run_id in list_runs(store)
        for record in load_records(store, run_id)
        if not record.cached and not record.node.startswith("caption:")  # one pass makes those of both captioners
    )
    assert set(made.values()) == {1}, "computed twice"
    probed = [re.findall(r"this process probed ([0-9]+) of them", log.read_text()) for log in logs]
    assert sum(int(of_process[-1]) for of_process in probed if of_process) == len(LENGTHS) + 1

    plain, folder = load_run(tmp_path / "plain"), ["--store", str(store)]
    status = json.loads(lavad("status", "--json", *folder).stdout)
    shown = {video["name"]: video["status"] for video in [*status["videos"], *status["earlier"]]}
    assert shown == {video.name: video.status for video in plain.videos}
    evaluated = [
        json.loads(lavad("evaluate", "--labels", str(labels), "--json", "--store", str(one)).stdout)["rows"]
        for one in (store, tmp_path / "plain")
    ]
    assert evaluated[0] == evaluated[1]
    assert said.count("roc_auc") >= 1, "the last shard to end prints the metrics of the set"

    make_video(videos / "empty.mp4", frames=32, fps=10)  # mended: the retry is of the whole set
    assert finish(["retry", *folder, "--plain"], environment, tmp_path / "retry.log") == 1
    run = load_run(store)
    assert {video.name: video.status for video in run.videos} == {"bad": "rejected", "empty": "ok"}
    again = json.loads(lavad("status", "--json", *folder).stdout)
    assert len(again["earlier"]) == len(LENGTHS) + 1


@pytest.mark.slow
def test_full_batches_change_last_digits_of_one_column_and_nothing_else(prefect_server: str, tmp_path: Path) -> None:
    """The videos have summaries in common, and one answers for all: in the batch of whichever shard comes first."""
    videos = clips(tmp_path / "videos")
    plain, store, environment = tmp_path / "plain", tmp_path / "shards", {"PREFECT_API_URL": prefect_server}

    def arguments(root: Path, *more: str) -> list[str]:
        return ["run", str(videos), "--preset", "tiny", "--store", str(root), "--plain", *more]

    assert finish(arguments(plain), environment, tmp_path / "plain.log") == 0
    shards = {tmp_path / f"{number}.log": arguments(store, "--shard", f"{number}/3") for number in (3, 2, 1)}
    assert run_at_once(shards, environment) == [0, 0, 0]

    def rest(root: Path) -> dict[str, str]:
        return {name: digest for name, digest in tree(root).items() if not name.startswith("score/")}

    assert rest(store) == rest(plain)
    parts = sorted((plain / "score").rglob("*.parquet"))
    assert len(parts) == len(LENGTHS)
    for part in parts:
        (other,) = (store / part.parent.relative_to(plain)).glob("*.parquet")
        expected, found = (pq.read_table(path).to_pydict() for path in (part, other))
        assert found.pop("outside") == pytest.approx(expected.pop("outside"), rel=1e-5)
        assert found == expected
