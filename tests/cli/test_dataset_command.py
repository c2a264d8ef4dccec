"""``lavad dataset``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.command import lavad
from support.video_factory import make_frames, make_video

from lavad_core.datasets.catalogue import ADAPTERS

OWN = """video,start,end,class,frames
one #1,5,9,Fire,12
two=2,,,,20
"""


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    path = tmp_path / "labels.csv"
    path.write_text(OWN)
    return path


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    folder = tmp_path / "videos"
    folder.mkdir()
    make_video(folder / "one #1.mp4", 12)
    make_frames(folder / "two=2", range(20))
    return folder


def test_list_names_every_adapter() -> None:
    table = lavad("dataset", "list").stdout
    assert all(name in table for name in ADAPTERS)
    assert "https://github.com/lilygeorgescu/UBnormal" in table
    assert [row["adapter"] for row in json.loads(lavad("dataset", "list", "--json").stdout)] == list(ADAPTERS)


def test_a_complete_data_set(labels: Path, videos: Path) -> None:
    result = lavad("dataset", "check", "own", str(labels), "--videos", str(videos))
    assert result.exit_code == 0, result.output
    rows = {tuple(line.split()[:-1]): line.split()[-1] for line in result.stdout.splitlines()[1:8]}
    assert rows["videos",] == "2"
    assert rows["frames",] == "32"
    assert rows["labelled", "frames"] == "5"
    assert "annotation" in result.stdout
    assert "0 errors, 0 warnings" in result.stderr


def test_what_is_missing_gives_exit_code_1(labels: Path, videos: Path) -> None:
    (videos / "one #1.mp4").rename(videos / "one 1.mp4")
    result = lavad("dataset", "check", "own", str(labels), "--videos", str(videos), "--no-count")
    assert result.exit_code == 1
    assert "error: 1 of 2 videos are not here: 'one #1' (nearest: 'one 1')" in result.stdout
    assert "warning: 1 video is here and not of the data set" in result.stdout


def test_a_video_that_was_cut_off_and_one_that_is_none(labels: Path, videos: Path) -> None:
    (videos / "one #1.mp4").write_bytes(b"no video")
    for image in sorted((videos / "two=2").iterdir())[2:]:
        image.unlink()
    result = lavad("dataset", "check", "own", str(labels), "--videos", str(videos), "--json")
    report = json.loads(result.stdout)
    assert (result.exit_code, report["ok"]) == (1, False)
    errors = {finding["message"]: finding["videos"] for finding in report["findings"] if finding["level"] == "error"}
    assert errors == {
        "1 video cannot be read: 'one #1' (format)": ["one #1"],
        "1 video is shorter than the list says, cut off or another: 'two=2' (2, not 20)": ["two=2"],
    }
    assert report["here"]["frames"] == 32


def test_counts_are_kept_in_the_store_that_a_run_uses(labels: Path, videos: Path, tmp_path: Path) -> None:
    store = str(tmp_path / "store")
    for _ in range(2):
        result = lavad("dataset", "check", "own", str(labels), "--videos", str(videos), "--store", store)
        assert result.exit_code == 0, result.output
    planned = lavad("run", str(videos), "--preset", "tiny", "--store", store, "--dry-run")
    probes = [line.split() for line in planned.stdout.splitlines() if line.startswith("probe")]
    assert [row[:3] for row in probes] == [["probe", "cached", "2"]]


def test_a_list_may_be_the_second_path(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a Abuse 1 2\nb Normal -1 -1\n")
    (tmp_path / "l.txt").write_text("b 0 9 7\n")
    as_path = lavad("dataset", "check", "ucf-crime", str(tmp_path / "a.txt"), str(tmp_path / "l.txt"), "--json")
    as_option = lavad(
        "dataset", "check", "ucf-crime", str(tmp_path / "a.txt"), "--list", str(tmp_path / "l.txt"), "--json"
    )
    assert json.loads(as_path.stdout) == json.loads(as_option.stdout)
    assert json.loads(as_path.stdout)["here"]["videos"] == 1


def test_a_folder_is_its_own_videos(videos: Path) -> None:
    result = lavad("dataset", "check", "folder", str(videos), "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["here"]["frames"] == 32


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["ucf-crimes"], "do you mean 'ucf-crime'?"),
        (["ucf-crime"], "there are no labels: give Temporal_Anomaly"),
        (["own", "absent.csv"], "does not exist"),
        (["own", "a", "b", "c"], "labels and one list"),
        (["own", "a", "b", "--list", "c"], "labels and one list"),
    ],
)
def test_wrong_use(arguments: list[str], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = lavad("dataset", "check", *arguments)
    assert result.exit_code == 2
    assert says in " ".join(result.stderr.split())


def test_names_are_escaped(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a\x1b[31m Abuse 1 2\n")
    (tmp_path / "l.txt").write_text("a\x1b[31m\nb\x1b[0m\n")
    result = lavad("dataset", "check", "ucf-crime", str(tmp_path / "a.txt"), str(tmp_path / "l.txt"))
    assert "\x1b" not in result.output
