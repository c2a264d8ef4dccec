"""A store that an earlier version of the program has written is read, and its results are used again (tests/kept_store)."""

from __future__ import annotations

import json
import shutil
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from kept_store.make import written
from support.command import lavad
from support.whole_runs import tree

from lavad.flows.retry_failed import retry_failed
from lavad.flows.score_videos import score_videos
from lavad_core.config.load import load_config
from lavad_core.config.schema import LavadConfig
from lavad_core.config.secrets import public_settings
from lavad_core.pipeline.resources import RunResources
from lavad_core.runs.manifest import list_runs, load_run
from lavad_core.runs.run_log import load_records
from lavad_core.video.discover import discover

KEPT = Path(__file__).resolve().parent.parent / "kept_store"
IDS: dict[str, Any] = json.loads((KEPT / "kept.json").read_text(encoding="utf-8"))
FINGERPRINTS: dict[str, dict[str, dict[str, str]]] = IDS.pop("fingerprints")
COMMANDS: dict[str, list[str]] = json.loads((KEPT / "commands.json").read_text(encoding="utf-8"))
SCORED = ("crossing.mp4", "halle_ü.mkv", "sequence")

HEAD_OF_SHOW = {"format": "lavad-video", "version": 1}
"""Documents of ``lavad show`` begin with it since every command that prints facts has ``--json``."""


@dataclass(frozen=True)
class Kept:
    """The unpacked files."""

    folder: Path

    @property
    def store(self) -> Path:
        return self.folder / "store"

    def config(self, run: str) -> LavadConfig:
        """The configuration with which the kept run was made, with paths of this place."""
        changed = [f"store={self.store}"]
        if run == "imports":
            changed += [f"imports.summaries={self.folder / 'summaries'}", "detect.min_length_s=0.1"]
            changed += [f"evaluate.labels={self.folder / 'labels.csv'}"]
        return load_config(preset="tiny", files=[self.folder / "settings.yaml"], overrides=changed, environ={})

    def videos(self, run: str) -> list[str]:
        """The inputs of the kept run."""
        folder = self.folder / "videos"
        return [str(folder)] if run == "run" else [str(folder / name) for name in SCORED]


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Kept:
    folder = tmp_path_factory.mktemp("moved")
    with tarfile.open(KEPT / "kept.tar.gz") as archive:
        archive.extractall(folder, filter="data")
    return Kept(folder)


def test_the_kept_files_are_few_and_of_no_machine(kept: Kept) -> None:
    assert (KEPT / "kept.tar.gz").stat().st_size < 1_000_000
    assert sorted(IDS.values()) == list_runs(kept.store)
    assert {load_run(kept.store, run_id).host.get("name") for run_id in IDS.values()} == {"example"}


@pytest.mark.parametrize("run", ["run", "imports"])
def test_every_stage_has_the_fingerprint_that_it_had(run: str, kept: Kept) -> None:
    resources = RunResources(kept.config(run))
    found = {
        source.name: {node: key.fingerprint for node, key in resources.graph.keys(resources.prepare(source)).items()}
        for source in discover(kept.videos(run))
    }
    # A video that was rejected has no more stages than that.
    expected = {video: found[video] | own for video, own in FINGERPRINTS[run].items()}
    assert found == expected
    assert {len(found[Path(name).stem]) for name in SCORED} == {12}


@pytest.mark.usefixtures("prefect_server")
@pytest.mark.parametrize(
    ("run", "state", "rejected"),
    [("run", "PartiallyFailed", ["sound_only"]), ("imports", "Completed", [])],
    ids=["run", "imports"],
)
def test_the_same_run_computes_nothing(run: str, state: str, rejected: list[str], kept: Kept) -> None:
    before = tree(kept.store)
    ended = score_videos(kept.videos(run), settings=public_settings(kept.config(run)), return_state=True)
    assert ended.name == state
    assert tree(kept.store) == before
    then, now = load_run(kept.store, IDS[run]), load_run(kept.store)
    assert now.run_id not in IDS.values()
    assert not any(now.work.values())
    assert {node: (stage.done, stage.cached) for node, stage in now.stages.items()} == dict.fromkeys(
        then.stages, (0, 3)
    )
    assert [video.name for video in now.videos if video.status == "rejected"] == rejected
    assert [(v.name, v.video_id, v.status, v.message) for v in now.videos] == [
        (v.name, v.video_id, v.status, v.message) for v in then.videos
    ]
    assert now.metrics == then.metrics
    made = {(record.video, record.node): record.fingerprint for record in load_records(kept.store, now.run_id)}
    assert made == {(video, node): own for video, stages in FINGERPRINTS[run].items() for node, own in stages.items()}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_says_what_it_said_then(
    name: str, kept: Kept, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(kept.folder)
    output = tmp_path / "output"
    words = [word.format(output=output, **IDS) for word in COMMANDS[name]]
    result = lavad(*words, "--store", "store", env={"COLUMNS": "120"})
    assert result.exit_code in (0, 1), result.stderr
    said = result.stdout + (written(output) if output.exists() else "")
    then = (KEPT / "golden" / f"{name}.txt").read_text(encoding="utf-8")
    if "--format json" in " ".join(COMMANDS[name]):
        assert json.loads(said) == json.loads(then) | HEAD_OF_SHOW
    elif "--json" in COMMANDS[name]:
        # JSON is written in ASCII since; its values are what they were.
        assert json.loads(said) == json.loads(then)
    else:
        assert said == then


def test_nothing_in_it_is_damaged_or_altered(kept: Kept) -> None:
    result = lavad("store", "verify", "--store", str(kept.store))
    assert (result.exit_code, result.stdout) == (0, "")
    assert "0 damaged results, 0 other findings" in result.stderr


@pytest.mark.parametrize("run", ["run", "imports", "import"])
def test_a_report_of_it_has_every_video(run: str, kept: Kept, tmp_path: Path) -> None:
    labels = ("--dataset", "own", "--labels", str(kept.folder / "labels.csv"), "--resamples", "0")
    videos = ("--videos", str(kept.folder / "videos"))
    given = ("--run", IDS[run], "--store", str(kept.store), "--output", str(tmp_path / "report"))
    result = lavad("report", *given, *labels, *videos)
    assert result.exit_code == 0, result.stderr
    page = (tmp_path / "report" / "index.html").read_text(encoding="utf-8")
    assert all(Path(name).stem in page for name in SCORED)


@pytest.mark.usefixtures("prefect_server")
def test_what_it_left_undone_is_tried_again(kept: Kept, tmp_path: Path) -> None:
    """Its videos are looked for where they were, which is nowhere now."""
    store = tmp_path / "store"
    shutil.copytree(kept.store, store)
    ended = retry_failed(IDS["run"], settings={"store": str(store)}, return_state=True)
    assert ended.name == "Failed"
    found = load_run(store)
    assert [(video.name, video.status, video.reason) for video in found.videos] == [
        ("sound_only", "rejected", "missing")
    ]
    assert found.config["video"]["frame_interval"] == 8
