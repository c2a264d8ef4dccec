"""``lavad store``: what it lists, what it finds, what it removes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.command import lavad
from support.filled_store import fill


@pytest.fixture
def store(tmp_path: Path) -> Path:
    fill(tmp_path, "first", "second")
    return tmp_path


def parts(store: Path) -> set[str]:
    return {path.relative_to(store).parts[0] for path in store.rglob("*.parquet")}


def test_ls(store: Path) -> None:
    listed = json.loads(lavad("store", "ls", "--store", str(store), "--json").stdout)
    assert {stage["stage"]: (stage["videos"], stage["results"]) for stage in listed} == dict.fromkeys(
        ("probe", "summarise", "refine", "detect"), (2, 2)
    )
    table = lavad("store", "ls", "--store", str(store)).stdout.splitlines()
    assert table[0].split()[:4] == ["stage", "videos", "results", "rows"]
    assert len(table) == 5


def test_verify_of_a_sound_store(store: Path) -> None:
    result = lavad("store", "verify", "--store", str(store))
    assert (result.exit_code, result.stdout) == (0, "")
    assert "0 damaged results, 0 other findings" in result.stderr


def test_verify_finds_a_flipped_bit(store: Path) -> None:
    part = next((store / "refine").rglob("*.parquet"))
    data = bytearray(part.read_bytes())
    data[len(data) // 3] ^= 4
    part.write_bytes(data)
    result = lavad("store", "verify", "--store", str(store))
    assert result.exit_code == 4
    assert result.stdout.startswith("damaged: refine/")
    found = json.loads(lavad("store", "verify", "--store", str(store), "--json").stdout)
    assert [finding["kind"] for finding in found] == ["damaged"]


def test_verify_finds_an_orphan(store: Path) -> None:
    part = next((store / "refine").rglob("*.parquet"))
    part.with_name(part.name.replace("0", "9", 1)).write_bytes(b"x")
    result = lavad("store", "verify", "--store", str(store))
    assert result.exit_code == 1, result.stdout
    assert "0 damaged results, 1 other finding" in result.stderr


def test_gc_leaves_what_is_committed(store: Path) -> None:
    before = sorted(store.rglob("*"))
    result = lavad("store", "gc", "--store", str(store), "--older-than-h", "0")
    assert result.exit_code == 0, result.stderr
    assert "removed: 0 results, 0 parts" in result.stderr
    assert [path for path in sorted(store.rglob("*")) if path.suffix == ".parquet"] == [
        path for path in before if path.suffix == ".parquet"
    ]


def test_gc_of_unreachable_results_keeps_what_the_configuration_reaches(store: Path) -> None:
    same = ["--preset", "tiny", "--set", "chat.seed=7"]
    common = ["store", "gc", "--store", str(store), "--unreachable", "--older-than-h", "0"]
    kept = lavad(*common, *same, "--dry-run")
    assert kept.exit_code == 0, kept.stderr
    assert kept.stdout == ""
    other = lavad(*common, *same, "--set", "refine.neighbours=3", "--dry-run")
    assert {line.split("/")[0] for line in other.stdout.splitlines()} == {"refine", "detect"}
    assert "would remove: 4 results" in other.stderr
    assert parts(store) == {"probe", "summarise", "refine", "detect"}
    done = lavad(*common, *same, "--set", "refine.neighbours=3", "--yes")
    assert "removed: 4 results" in done.stderr
    assert parts(store) == {"probe", "summarise"}


def test_young_results_stay(store: Path) -> None:
    other = ["--preset", "tiny", "--set", "video.frame_interval=8"]
    result = lavad("store", "gc", "--store", str(store), "--unreachable", *other, "--yes")
    assert result.exit_code == 0, result.stderr
    assert "removed: 0 results" in result.stderr
    assert parts(store) == {"probe", "summarise", "refine", "detect"}


@pytest.mark.parametrize(
    ("case", "arguments", "says"),
    [
        ("no look before", ["--unreachable", "--preset", "tiny"], "--dry-run first"),
        ("a configuration for nothing", ["--preset", "tiny"], "only looked at with --unreachable"),
        ("a negative age", ["--older-than-h", "-1"], "--older-than-h"),
    ],
)
def test_refusals(case: str, arguments: list[str], says: str, store: Path) -> None:
    result = lavad("store", "gc", "--store", str(store), *arguments)
    assert result.exit_code == 2, case
    assert says in " ".join(result.stderr.split()), case
