"""The scripts that measure start, and the one that needs no golden set, GPU or minutes measures something."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parent.parent / "benchmarks"


def run(script: Path, *arguments: str) -> str:
    ended = subprocess.run(
        [sys.executable, str(script), *arguments], cwd=FOLDER.parent, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


@pytest.mark.parametrize("script", sorted(FOLDER.glob("*.py")), ids=lambda script: str(script.stem))
def test_each_script_starts_and_says_what_it_measures(script: Path) -> None:
    assert "usage:" in run(script, "--help")


def test_batches_over_videos_are_fewer() -> None:
    sizes = ["--videos", "6", "--frames", "4", "--batch", "8", "--workers", "3", "--ms", "20"]
    each, together, ratio, _ = run(FOLDER / "short_videos.py", *sizes).splitlines()
    assert " 6 of 8, 50.0% of the rows padded" in each
    assert 3 <= int(together.partition("over videos:")[2].split()[0]) < 6
    assert ratio.startswith("6 videos of 4 frames: ")


def test_memory_of_a_long_video_is_measured() -> None:
    rows = run(FOLDER / "long_video_memory.py", "--hours", "0.02").partition("peak MB\n")[2].splitlines()
    assert [row.split()[:2] for row in rows] == [["0.02", "135"]] * 5
    assert all(float(row.split()[-1]) >= 0 for row in rows)


def test_the_client_of_served_chat_models_is_measured() -> None:
    rows = [row.split() for row in run(FOLDER / "chat_client.py", "--windows", "8", "--concurrency", "2").splitlines()]
    assert [row[:3] for row in rows[1:4]] == [
        ["2", "(bare", "httpx)"],
        ["2", "the", "server"],
        ["2", "chat.tokenizer", rows[3][2]],
    ]
    assert [row[-1] for row in rows[1:4]] == ["1.00", "1.50", "1.00"], "round trips a request"
    assert all(float(row[-2]) > 0 for row in rows[1:4])


def test_token_steps_of_a_chat_model_are_measured() -> None:
    rows = run(FOLDER / "chat_tokens.py", "--size", "small", "--requests", "3", "--tokens", "2").splitlines()[1:]
    assert [row[:16].strip() for row in rows] == ["the model alone", "greedy", "sampled", "choices"]
    for row in rows[1:]:
        ratios = re.findall(r"(\S+) times", row)
        assert len(ratios) == 2
        assert all(float(ratio) > 0 for ratio in ratios)


@pytest.mark.slow  # a Prefect server with a new database
def test_the_cost_of_orchestration_is_measured_against_its_limits() -> None:
    sizes = ["--videos", "2,4", "--simulated", "40", "--rounds", "2", "--looked-at", "4"]
    found = run(FOLDER / "orchestration.py", *sizes)
    rows = re.findall(r"^ +(\d+)  (\S.*?)  +(\S+) +(\S+) +(\S+) +\S+$", found, re.MULTILINE)
    few = [(2, "computed"), (2, "cached"), (2, "without Prefect"), (2, "bare tasks")]
    many = [(4, "computed"), (4, "cached")]
    shards = [(4, "1 of 4 shards"), (40, "1 of 4 shards")]
    expected = [*few, *many, *many, *few, *shards, *reversed(shards), *few, *many]
    assert [(int(videos), what) for videos, what, *_ in rows] == expected, "the sizes in turn, then the medians"
    assert all(float(ms) > 0 and float(own) > 0 for *_, ms, own, _ in rows)
    medians = re.findall(r"^ +(?:4|40)  .*: \S+ ms a video \(median of \S+, \S+\)$", found, re.MULTILINE)
    assert len(medians) == 2 * 4
    assert len(re.findall(r"ms a video$", found, re.MULTILINE)) == 2 * 3
    limits = found.partition("\n\n")[2].splitlines()
    assert sum(line.endswith((": kept", ": NOT KEPT")) for line in limits) == 8, "a line for each limit"
