"""``lavad plan``: from videos and from a list alone, as a table and as JSON."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.command import lavad
from support.json_files import strict
from support.video_factory import make_video

LABELS = "a Fighting 10 40 -1 -1\nb Normal -1 -1 -1 -1\n"
LIST = "a 0 320 6\nb 0 159 7\n"


@pytest.fixture
def listed(tmp_path: Path) -> list[str]:
    (tmp_path / "labels.txt").write_text(LABELS)
    (tmp_path / "list.txt").write_text(LIST)
    where = ["--labels", str(tmp_path / "labels.txt"), "--list", str(tmp_path / "list.txt")]
    return ["plan", "--dataset", "ucf-crime", *where, "--preset", "tiny", "--store", str(tmp_path / "store")]


def test_from_a_list_alone(listed: list[str], tmp_path: Path) -> None:
    result = lavad(*listed)
    assert result.exit_code == 0, result.stderr
    lines = [line.split() for line in result.stdout.splitlines()]
    assert ["videos", "2", "2"] in lines
    assert ["captions", "62", "62"] in lines, "21 and 10 grid frames, two captioners"
    assert ["hours,", "by", "rates", "unknown", "unknown"] in lines
    assert "an estimate from the list of UCF-Crime alone" in result.stderr
    assert "no rate is known for caption:random-blip2-opt" in result.stderr
    assert not (tmp_path / "store").exists()


def test_as_json_with_rates_of_ones_own(listed: list[str], tmp_path: Path) -> None:
    (tmp_path / "rates.yaml").write_text(
        "rates:\n  - {stages: [caption], unit: captions_made, per_second: 31, kind: measured, machine: m, source: me}\n"
    )
    result = lavad(*listed, "--rates", str(tmp_path / "rates.yaml"), "--json")
    assert result.exit_code == 0, result.stderr
    found = strict(result.stdout)
    assert found["basis"] == "list"
    assert found["left"]["hours"] == pytest.approx(2 / 3600)
    by_stage = {stage["stage"]: stage for stage in found["stages"]}
    assert by_stage["caption:random-blip2-opt"]["rate"]["source"] == "me"
    assert by_stage["score"]["left"]["hours"] is None
    assert "summarise" in found["left"]["stages_without_rate"]
    assert "llm_requests" in found["upper_bounds"]


def test_from_videos(tmp_path: Path) -> None:
    (tmp_path / "v").mkdir()
    make_video(tmp_path / "v" / "s.mp4", frames=40, fps=10)
    (tmp_path / "v" / "=bad\x1b[31m.mp4").write_bytes(b"nothing")
    result = lavad("plan", str(tmp_path / "v"), "--preset", "tiny", "--store", str(tmp_path / "store"))
    assert result.exit_code == 0, result.stderr
    assert ["grid", "frames", "3", "3"] in [line.split() for line in result.stdout.splitlines()]
    assert "not counted: =bad\\x1b[31m: format" in result.stderr
    assert "\x1b" not in result.output
    assert not (tmp_path / "store").exists(), "a plan makes no store"


@pytest.mark.parametrize(
    ("case", "arguments", "code", "says"),
    [
        ("nothing", [], 2, "give INPUTS, or a data set"),
        ("both", ["x.mp4", "--dataset", "ucf-crime"], 2, "give INPUTS, or a data set"),
        ("labels without a data set", ["x.mp4", "--labels", "l"], 2, "are for --dataset"),
        ("no video", ["nowhere.mp4"], 2, "no video found for 'nowhere.mp4'"),
        ("no rates", ["--dataset", "ucf-crime", "--rates", "none.yaml"], 2, "'none.yaml' does not exist"),
        ("no run", ["--dataset", "ucf-crime", "--rates-from", "x"], 2, "'x' is not an id of a run"),
        ("no data set", ["--dataset", "ucf-krime"], 2, "ucf-crime"),
    ],
)
def test_what_is_wrong_is_said(case: str, arguments: list[str], code: int, says: str, tmp_path: Path) -> None:
    result = lavad("plan", *arguments, "--preset", "tiny", "--store", str(tmp_path / "store"))
    assert (result.exit_code, says in result.stderr) == (code, True), result.stderr


def test_nothing_that_could_be_counted(tmp_path: Path) -> None:
    (tmp_path / "bad.mp4").write_bytes(b"nothing")
    result = lavad("plan", str(tmp_path / "bad.mp4"), "--preset", "tiny", "--store", str(tmp_path / "store"))
    assert result.exit_code == 3
    assert "no video could be counted" in result.stderr
