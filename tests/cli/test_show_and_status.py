"""``lavad show`` and ``lavad status`` on a store that a run has left."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest
from support import filled_store
from support.command import lavad
from support.filled_store import CAPTION, EVIL, FRAMES, GRID, SCORES, SUMMARIES, fill
from support.video_factory import make_video

from lavad_core.runs.video_list import save_sources, unfinished_of
from lavad_core.stages import detect
from lavad_core.store.files import FileStore
from lavad_core.store.types import Commit, Key
from lavad_core.video.types import VideoSource


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("store")
    fill(root, "first", EVIL)
    return root


def test_show_as_table(store: Path) -> None:
    result = lavad("show", "first", "--store", str(store))
    assert result.exit_code == 0, result.stderr
    lines = result.stdout.splitlines()
    assert lines[0].split() == ["frame", "time_s", "score", "raw_score", "summary"]
    assert lines[1].split()[:4] == ["0", "0.000", "0.100", "0.000"]
    assert len(lines) == 4
    assert "40 frames" in result.stderr
    assert "peak 0.700 at frame 16; 1 segment at threshold 0.5" in result.stderr


def test_show_as_json_holds_the_exact_values(store: Path) -> None:
    shown = json.loads(lavad("show", "first", "--store", str(store), "--format", "json").stdout)
    assert [row["frame"] for row in shown["grid"]] == GRID
    assert [row["score"] for row in shown["grid"]] == SCORES
    assert [row["summary"] for row in shown["grid"]] == SUMMARIES
    assert (shown["video"], shown["status"], shown["frames"], shown["peak_score"]) == ("first", "ok", FRAMES, 0.7)


def test_show_every_frame(store: Path) -> None:
    result = lavad("show", "first", "--store", str(store), "--frames", "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(result.stdout)))
    assert len(rows) == FRAMES
    assert [float(row["score"]) for row in rows] == [SCORES[frame // 16] for frame in range(FRAMES)]
    assert float(rows[25]["time_s"]) == 1.0
    as_json = json.loads(lavad("show", "first", "--store", str(store), "--frames", "--format", "json").stdout)
    assert [row["score"] for row in as_json["frames"]] == [float(row["score"]) for row in rows]


def test_show_segments(store: Path) -> None:
    shown = json.loads(lavad("show", "first", "--store", str(store), "--segments", "--format", "json").stdout)
    assert [(s["start_frame"], s["end_frame"], s["peak_score"]) for s in shown["segments"]] == [(16, 31, 0.7)]
    assert shown["segments"][0]["caption"] == CAPTION
    assert (shown["threshold"], shown["min_length_s"], shown["max_gap_s"]) == (0.5, 0.0, 0.0)
    table = lavad("show", "first", "--store", str(store), "--segments").stdout.splitlines()
    assert table[0].split()[:3] == ["segment", "start_frame", "end_frame"]
    assert len(table) == 2
    assert table[1].endswith(CAPTION.replace("\x1b", "\\x1b"))


def test_show_the_most_and_the_least_suspicious_part(store: Path) -> None:
    shown = json.loads(lavad("show", "first", "--store", str(store), "--extremes", "--json").stdout)
    highest, lowest = shown["extremes"]
    ends = {"start_frame": 16, "end_frame": 39, "start_s": 0.64, "end_s": 1.6}
    assert highest == {"part": "highest", **ends, "mean_score": 0.475, "frame": 16, "summary": SUMMARIES[1]}
    assert (lowest["part"], lowest["start_frame"], lowest["mean_score"], lowest["frame"]) == ("lowest", 32, 0.25, 32)
    rows = list(
        csv.DictReader(
            io.StringIO(lavad("show", "first", "--store", str(store), "--extremes", "--format", "csv").stdout)
        )
    )
    assert [row["part"] for row in rows] == ["highest", "lowest"]
    table = lavad("show", "first", "--store", str(store), "--extremes").stdout.splitlines()
    assert table[1].split()[:7] == ["highest", "16", "39", "0.640", "1.600", "0.475", "16"]


def test_segments_of_an_earlier_version_have_no_caption(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    columns = pa.schema([field for field in detect.SCHEMA if field.name != "caption"])
    monkeypatch.setattr(detect, "SCHEMA", columns)
    monkeypatch.setattr(filled_store, "SEGMENT", filled_store.SEGMENT[:-1])
    fill(tmp_path / "store", "first")
    result = lavad("show", "first", "--store", str(tmp_path / "store"), "--segments", "--format", "json")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["segments"][0].keys() >= {"summary", "peak_frame"}


@pytest.mark.parametrize("format_", ["table", "csv"])
@pytest.mark.parametrize("video", ["first", EVIL])
def test_user_texts_are_escaped(format_: str, video: str, store: Path) -> None:
    output = lavad("show", video, "--store", str(store), "--format", format_).output
    assert not {"\x1b", "\u202e"} & set(output)
    assert "\\x1b[31m" in output
    if format_ == "csv":
        rows = list(csv.DictReader(io.StringIO(output)))
        assert len(rows) == 3
        assert rows[1]["summary"] == "'" + SUMMARIES[1]  # a spreadsheet would compute it


@pytest.mark.parametrize(
    ("case", "arguments", "code", "says"),
    [
        ("near name", ["show", "frist"], 2, "did you mean 'first'?"),
        ("rejected", ["show", "bad"], 1, "rejected: no-video: an audio file"),
        ("failed before it was read", ["show", "lost"], 1, "failed: ServiceUnavailable: no connection"),
        ("unknown run", ["show", "first", "--run", "20200101T000000000-000000"], 2, "no run 20200101T000000000-000000"),
        ("no id of a run", ["show", "first", "--run", "../x"], 2, "'../x' is not an id of a run"),
        ("both", ["show", "first", "--frames", "--segments"], 2, "give one of --frames, --segments, --extremes"),
        ("no id of a run, status", ["status", "../../etc/passwd"], 2, "is not an id of a run"),
    ],
)
def test_refusals(case: str, arguments: list[str], code: int, says: str, store: Path) -> None:
    result = lavad(*arguments, "--store", str(store))
    assert result.exit_code == code, case
    assert says in " ".join(result.stderr.split()), case
    assert result.stdout == ""
    assert "Traceback" not in result.stderr


def test_without_a_store(tmp_path: Path) -> None:
    for command in (["status"], ["show", "x"], ["store", "ls"], ["store", "verify"], ["store", "gc"]):
        result = lavad(*command, "--store", str(tmp_path / "none"))
        assert result.exit_code == 4, command
        assert "there is no store at" in result.stderr
        assert not (tmp_path / "none").exists()


def test_without_runs(tmp_path: Path) -> None:
    for command in (["status"], ["show", "x"]):
        result = lavad(*command, "--store", str(tmp_path))
        assert result.exit_code == 2
        assert "has no runs yet" in result.stderr


def test_the_latest_run_that_had_the_video_counts(tmp_path: Path) -> None:
    fill(tmp_path, "old", "both", more=("detect.threshold=0.25",))
    second, _ = fill(tmp_path, "other", "both")
    shown = json.loads(lavad("show", "old", "--store", str(tmp_path), "--format", "json").stdout)
    assert shown["threshold"] == 0.25
    shown = json.loads(lavad("show", "both", "--store", str(tmp_path), "--format", "json").stdout)
    assert (shown["threshold"], shown["run"]) == (0.5, second)


@pytest.mark.parametrize(
    ("case", "asked", "meant"),
    [
        ("the file's name", "street_1.mp4", "street_1"),
        ("its path", "videos/street_1.mp4", "street_1"),
        ("an absolute path without the ending", "/data/street_1", "street_1"),
        ("a name with a folder", "/data/two/street_2.mp4", "two/street_2"),
        ("another ending", "street_4.MKV", "street_4"),
        ("a name with a dot", "x/cam.1.mp4", "cam.1"),
        ("a misspelt name", "stret_4", "street_4"),
    ],
)
def test_the_suggested_name(case: str, asked: str, meant: str, tmp_path: Path) -> None:
    fill(tmp_path, "street_4", "street_1", "two/street_2", "cam.1", "cam")
    result = lavad("show", asked, "--store", str(tmp_path))
    assert result.exit_code == 2, case
    assert f"did you mean {meant!r}?" in result.stderr, case


def test_an_earlier_run_that_has_the_scores_is_named(tmp_path: Path) -> None:
    """``bad`` is rejected by every run, and so is no help; the latest of those that have scores is named."""
    fill(tmp_path, "first")
    second, _ = fill(tmp_path, "first", more=("detect.threshold=0.25",))
    third, _ = fill(tmp_path, "first", more=("run.targets=[summarise]",))
    result = lavad("show", "first", "--store", str(tmp_path))
    assert result.exit_code == 1
    assert f"no scores in run {third}" in result.stderr
    assert result.stderr.splitlines()[-1].endswith(f"--run {second}")
    assert lavad("show", "first", "--store", str(tmp_path), "--run", second).exit_code == 0
    assert "--run" not in lavad("show", "bad", "--store", str(tmp_path)).stderr


def test_a_damaged_result_is_not_shown(tmp_path: Path) -> None:
    fill(tmp_path, "first")
    (part,) = (tmp_path / "refine").rglob("*.parquet")
    data = bytearray(part.read_bytes())
    data[len(data) // 2] ^= 1
    part.write_bytes(data)
    result = lavad("show", "first", "--store", str(tmp_path))
    assert result.exit_code == 4
    assert "SHA-256" in result.stderr
    assert result.stdout == ""


def test_status_as_table(store: Path) -> None:
    result = lavad("status", "--store", str(store))
    assert result.exit_code == 0, result.stderr
    rows = [line.split() for line in result.stdout.splitlines()]
    assert rows[0] == ["video", "status", "reason", "seconds", "message"]
    assert [row[1] for row in rows[1:5]] == ["ok", "ok", "rejected", "failed"]
    assert rows[3][:3] == ["bad", "rejected", "no-video"]
    assert "PartiallyFailed" in result.stderr
    assert "2 ok, 1 rejected" in result.stderr
    assert "2 of 4 videos have no scores" in result.stderr
    assert rows[5:] == [
        [],
        ["metric", "value"],
        ["roc_auc", "0.7500"],
        ["pr_auc_trapezoid", "undefined"],
        ["videos_scored", "2"],
    ]
    assert not {"\x1b", "\u202e"} & set(result.output)


def test_status_as_json(store: Path) -> None:
    shown = json.loads(lavad("status", "--json", "--store", str(store)).stdout)
    assert {video["name"]: video["status"] for video in shown["videos"]} == {
        "first": "ok",
        EVIL: "ok",
        "bad": "rejected",
        "lost": "failed",
    }
    assert shown["work"] == {"texts_encoded": 6}
    assert shown["metrics"]["roc_auc"] == 0.75
    assert shown["config"]["chat"]["seed"] == 7


def test_status_of_stages(store: Path) -> None:
    result = lavad("status", "--stages", "--store", str(store))
    header, *rows = result.stdout.splitlines()
    row = next(row for row in rows if row.startswith("refine"))
    assert header.split()[:4] == ["stage", "done", "cached", "failed"]
    assert row.split()[:4] == ["refine", "2", "0", "0"]
    assert row.endswith("texts_encoded 6")


def test_status_lists_runs(tmp_path: Path) -> None:
    first, _ = fill(tmp_path, "a")
    second, _ = fill(tmp_path, "b")
    listed = json.loads(lavad("status", "--all", "--json", "--store", str(tmp_path)).stdout)
    assert [run["run"] for run in listed] == [first, second]
    assert f"other runs: {first}" in lavad("status", "--store", str(tmp_path)).stderr
    assert json.loads(lavad("status", first, "--json", "--store", str(tmp_path)).stdout)["videos"][0]["name"] == "a"


def test_a_run_by_its_name(tmp_path: Path) -> None:
    """It is shown, and stands for the id wherever that can be given; what is not markup stays as it is."""
    first, _ = fill(tmp_path, "a", name="[red]base", limit=3)
    second, _ = fill(tmp_path, "b")
    store = ("--store", str(tmp_path))
    said = lavad("status", "[red]base", *store).stderr
    assert f"run {first} ([red]base): " in said
    assert "; only the first 3 of the videos that were given" in said
    listed = lavad("status", "--all", *store).stdout.splitlines()
    assert [line.split()[1] for line in listed[:2]] == ["name", "[red]base"]
    assert lavad("status", "--all", "[red]base", *store).stdout.splitlines()[1].split()[:2] == [first, "[red]base"]
    assert [run["run"] for run in json.loads(lavad("status", "--all", second, "--json", *store).stdout)] == [second]
    assert "did you mean '[red]base'?" in lavad("status", "--all", "[red]bse", *store).stderr
    assert [run["name"] for run in json.loads(lavad("status", "--all", "--json", *store).stdout)] == ["[red]base", ""]
    assert json.loads(lavad("show", "a", "--run", "[red]base", "--format", "json", *store).stdout)["run"] == first
    assert lavad("export", "csv", str(tmp_path / "a.csv"), "--run", "[red]base", *store).exit_code == 0
    assert lavad("report", "-o", str(tmp_path / "pages"), "--run", "[red]base", *store).exit_code == 0
    page = (tmp_path / "pages" / "index.html").read_text(encoding="utf-8")
    assert f"Run {first} ([red]base)" in page
    assert f"run {first}, only the first 3 of the videos that were given" in page
    assert (
        "its run has only the first 3 of the videos that were given"
        in lavad("show", "a", "--run", first, *store).stderr
    )
    assert lavad("status", "[red]bse", *store).exit_code == 2
    assert "did you mean '[red]base'?" in lavad("status", "[red]bse", *store).stderr
    assert "limit" not in lavad("status", second, *store).stderr


@pytest.mark.parametrize("by_name", [True, False], ids=["name", "id"])
def test_a_retry_has_the_videos_of_its_whole_set(by_name: bool, tmp_path: Path) -> None:
    """Its name and its id stand for the set, so every command finds the videos that needed no second try."""
    first, _ = fill(tmp_path, "a", name="trial")
    second, _ = fill(tmp_path, "b", name="trial")
    save_sources(tmp_path, second, [VideoSource("b", Path("/b.mp4"))], {VideoSource("a", Path("/a.mp4")): first})
    store, given = ("--store", str(tmp_path)), "trial" if by_name else second
    status = lavad("status", given, *store)
    assert f"1 other video of the set has scores from before: {first}" in status.stderr
    rows = {line.split()[0]: line for line in status.stdout.splitlines() if line}
    assert second in rows["b"]
    assert first in rows["a"]
    (earlier,) = json.loads(lavad("status", given, "--json", *store).stdout)["earlier"]
    assert (earlier["name"], earlier["status"], earlier["run"]) == ("a", "ok", first)
    assert "from before" not in lavad("status", first, *store).stderr
    for video in ("a", "b"):
        shown = json.loads(lavad("show", video, "--run", given, "--json", *store).stdout)
        assert (shown["run"], shown["status"]) == (second, "ok")
    exported = json.loads(lavad("export", "csv", str(tmp_path / "x.csv"), "--run", given, "--json", *store).stdout)
    assert exported["videos"] == ["a", "b"]
    assert lavad("plot", "a", "-o", str(tmp_path / "a.svg"), "--frames", "0", "--run", given, *store).exit_code == 0


def test_an_import_with_a_runs_name_hides_it_from_nobody(tmp_path: Path) -> None:
    """Each command takes the kind that it can use; what can use both takes the latest, and says that there are two."""
    store, ours = ("--store", str(tmp_path / "store")), fill(tmp_path / "store", "a", name="trial")[0]
    save_sources(tmp_path / "store", ours, [VideoSource("a", Path("/a.mp4")), VideoSource("bad", Path("/b.mp4"))])
    (tmp_path / "scores").mkdir()
    (tmp_path / "scores" / "c.json").write_text(json.dumps({"0": 0.1, "16": 0.9}))
    (tmp_path / "videos").mkdir()
    make_video(tmp_path / "videos" / "c.mp4", frames=20)
    given = ("--scores", str(tmp_path / "scores"), "--videos", str(tmp_path / "videos"), "--interval", "16")
    imported = lavad("import", *given, "--name", "trial", "--json", *store)
    theirs = json.loads(imported.stdout)["run"]
    shown = lavad("show", "c", "--run", "trial", "--json", *store)
    assert json.loads(shown.stdout)["run"] == theirs
    assert f"1 run and 1 import are named 'trial'; the latest import is taken: {theirs}" in shown.stderr
    assert lavad("show", "a", "--run", "trial", *store).stderr.endswith("there are 1: 'c'\n")
    assert lavad("show", "a", "--run", ours, *store).exit_code == 0
    assert "did no work of a model" in lavad("plan", __file__, "--rates-from", "trial", *store).stderr
    left = unfinished_of(tmp_path / "store", "trial")
    assert (left.run_id, [source.name for source in left.unfinished]) == (ours, ["bad"])
    for command, says in (("retry", "import the mended files"), ("plan x --rates-from", "which measured nothing")):
        refused = lavad(*command.split(), theirs, *store)
        assert refused.exit_code == 2
        assert f"{theirs} is an import, " in refused.stderr
        assert says in refused.stderr


def test_the_environment_names_the_store(store: Path) -> None:
    assert lavad("status", env={"LAVAD_STORE": str(store)}).exit_code == 0


def test_a_run_that_was_not_to_refine_says_so(tmp_path: Path) -> None:
    run_id, _ = fill(tmp_path, "first", more=("run.targets=[summarise]",))
    result = lavad("show", "first", "--store", str(tmp_path))
    assert result.exit_code == 1
    assert f"no scores in run {run_id}: its run.targets were summarise; run again with 'refine'" in result.stderr


def test_status_says_how_many_ends_could_not_be_checked(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "could not be checked" not in lavad("status", "--store", str(store)).stderr
    real = FileStore.find

    def find(self: FileStore, key: Key) -> Commit | None:
        commit = real(self, key)
        if commit is None or key.stage != "probe":
            return commit
        return replace(commit, facts={**commit.facts, "unchecked": "a transport stream announces no end"})

    monkeypatch.setattr(FileStore, "find", find)
    assert "the end of 2 of 4 videos could not be checked" in lavad("status", "--store", str(store)).stderr
