"""``lavad report``, ``lavad overlay`` and ``lavad plot``: of a run without its videos, and of an import with them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.command import lavad
from support.filled_store import EVIL, fill
from support.video_factory import make_video

from lavad.deployments.cli.exits import Exit
from lavad_core.config.steps import VideoConfig
from lavad_core.video.decoder import probe
from lavad_core.video.types import VideoSource

LABELS = "street_1.mp4 Fire 16 31 -1 -1\nstreet_2.mp4 Normal -1 -1 -1 -1\n"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A store whose run scored two videos of 40 frames that are gone, and failed at two others."""
    fill(tmp_path / "store", "street_1", "street_2")
    (tmp_path / "labels.txt").write_text(LABELS)
    return tmp_path / "store"


@pytest.fixture
def imported(tmp_path: Path) -> Path:
    """A store with the import of scores for two videos that are in ``videos``."""
    (tmp_path / "videos").mkdir()
    (tmp_path / "scores").mkdir()
    for name, peak in (("street_1", 0.9), ("street_2", 0.2)):
        make_video(tmp_path / "videos" / f"{name}.mp4", frames=40, fps=25)
        (tmp_path / "scores" / f"{name}.json").write_text(json.dumps({"0": 0.1, "16": peak, "32": 0.0}))
    (tmp_path / "labels.txt").write_text(LABELS)
    result = lavad(
        *("import", "--store", str(tmp_path / "store"), "--scores", str(tmp_path / "scores")),
        *("--videos", str(tmp_path / "videos")),
    )
    assert result.exit_code == 0, result.stderr
    return tmp_path / "store"


def test_a_report_of_a_run(run: Path, tmp_path: Path) -> None:
    output = tmp_path / "report"
    bare = lavad("report", "--store", str(run), "--output", str(output))
    assert bare.exit_code == 0, bare.stderr
    assert bare.stdout == f"page: {output / 'index.html'}\n"
    assert "there are no labels: the report has no metrics" in bare.stderr
    assert "2 videos have no scores" in bare.stderr
    index = (output / "index.html").read_text()
    assert "THE SCORES MEAN NOTHING: these models are random" in index
    assert "failed: ServiceUnavailable: no connection" in index

    labels = ("--labels", str(tmp_path / "labels.txt"))
    result = lavad("report", "--store", str(run), "-o", str(output), *labels, "--sigma", "2", "--resamples", "50")
    assert result.exit_code == 0, result.stderr
    index = (output / "index.html").read_text()
    assert "refined σ2" in index
    assert "1.0000" in index  # the highest score is where the event is
    page = (output / "videos" / "0001-street_1.html").read_text()
    assert "Fire 0:00.6–0:01.3" in page
    assert "video &#39;street_1&#39; is not at hand" in page
    assert "Refined: the mean over the most similar summaries" in page
    assert "Two men\\nfight \\x1b[31mnow." in page


def test_a_report_of_an_import_with_its_videos(imported: Path, tmp_path: Path) -> None:
    output = tmp_path / "report"
    given = ("--labels", str(tmp_path / "labels.txt"), "--videos", str(tmp_path / "videos"))
    result = lavad("report", "--store", str(imported), "--output", str(output), *given)
    assert result.exit_code == 0, result.stderr
    page = (output / "videos" / "0001-street_1.html").read_text()
    assert page.count("data:image/jpeg;base64,") == 3
    assert "Not in these results: captions, cleaned captions, summaries" in page
    again = lavad("report", "--store", str(imported), "--output", str(tmp_path / "videos"), *given)
    assert again.exit_code == Exit.USAGE
    assert "holds something that is not a report" in again.stderr
    assert len(list((tmp_path / "videos").iterdir())) == 2


def test_an_overlay(imported: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.mp4"
    given = ("--store", str(imported), "--videos", str(tmp_path / "videos"))
    result = lavad("overlay", "street_1", *given, "--labels", str(tmp_path / "labels.txt"), "--output", str(output))
    assert (result.exit_code, result.stdout) == (0, f"overlay: {output}\n"), result.stderr
    assert probe(VideoSource("out", output), VideoConfig().limits, 30).frames == 40

    video = tmp_path / "videos" / "street_1.mp4"
    before = video.read_bytes()
    for name, target, code, says in (
        ("street_1", str(video), Exit.USAGE, "is the video itself"),
        ("street_1", "out.avi", Exit.USAGE, "an overlay is an .mp4 file"),
        ("steet_1", str(output), Exit.USAGE, "did you mean 'street_1'?"),
        ("street_1", str(tmp_path / "nowhere" / "out.mp4"), Exit.OUTPUT, "could not be written: No such file"),
    ):
        failed = lavad("overlay", name, *given, "--output", target)
        assert failed.exit_code == code, says
        assert says in " ".join(failed.stderr.replace("│", " ").split()), says
    assert video.read_bytes() == before


def test_an_overlay_of_another_video_is_refused(imported: Path, tmp_path: Path) -> None:
    make_video(tmp_path / "videos" / "street_1.mp4", frames=41, fps=25)
    given = ("--store", str(imported), "--videos", str(tmp_path / "videos"))
    result = lavad("overlay", "street_1", *given, "--output", str(tmp_path / "out.mp4"))
    assert result.exit_code == Exit.USAGE
    assert "has 41 frames, its scores are of 40" in result.stderr
    assert not (tmp_path / "out.mp4").exists()


def test_plots(imported: Path, run: Path, tmp_path: Path) -> None:
    labels = ("--labels", str(tmp_path / "labels.txt"))
    store = ("--store", str(run))
    curve = lavad("plot", "street_1", "street_2", *store, *labels, "--output", str(tmp_path / "curve.svg"))
    assert (curve.exit_code, curve.stdout) == (0, f"plot: {tmp_path / 'curve.svg'}\n"), curve.stderr
    assert "without key frames: video 'street_1' is not at hand" in curve.stderr
    assert "street_1: Fire" in (tmp_path / "curve.svg").read_text()
    ids = [row["run"] for row in json.loads(lavad("status", "--all", "--json", *store).stdout)]
    assert len(ids) == 2
    runs = [argument for name, run_id in zip("AB", ids, strict=True) for argument in ("--run", f"{name}={run_id}")]
    for kind in ("roc", "pr"):
        path = tmp_path / f"{kind}.svg"
        result = lavad("plot", f"--{kind}", *runs, *store, *labels, "--sigma", "1", "--output", str(path))
        assert result.exit_code == 0, result.stderr
        svg = path.read_text()
        assert all(f">{name}" in svg for name in ("A<", "A σ1 (16 frames", "B<", "B σ1 (16 frames", "chance<"))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--output", "x.png"], "needs the names of some"),
        (["street_1", "--roc", "--output", "x.png"], "needs the names of some"),
        (["--roc", "--pr", "--output", "x.png"], "give one of --roc, --pr and --curve"),
        (["street_1", "--output", "x.jpg"], "ends in one of .png, .svg, .pdf"),
        (["--roc", "--output", "x.png"], "there are no labels"),
        (["street_9", "--output", "x.png"], "did you mean"),
        (["lost", "--output", "x.png"], "failed: ServiceUnavailable: no connection"),
        (["street_1", "--run", "20200101T000000000-aaaaaa", "--output", "x.png"], "has no run"),
        (["street_1", "--list", "x.txt", "--output", "x.png"], "--dataset"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_plots_that_cannot_be_made(arguments: list[str], says: str, run: Path) -> None:
    result = lavad("plot", *arguments, "--store", str(run))
    assert result.exit_code == Exit.USAGE
    assert says in " ".join(result.stderr.replace("│", " ").split())
    assert result.stdout == ""


def test_names_are_escaped_everywhere(tmp_path: Path) -> None:
    fill(tmp_path / "store", EVIL)
    result = lavad("report", "--store", str(tmp_path / "store"), "--output", str(tmp_path / "out"))
    assert result.exit_code == 0, result.stderr
    assert [path.name for path in (tmp_path / "out" / "videos").iterdir()] == ["0001-evil_2J_b_1_.html"]
    for path in (tmp_path / "out").rglob("*.html"):
        assert "\x1b" not in path.read_text()
        assert "<b>," not in path.read_text()
