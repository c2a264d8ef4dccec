"""docs/datasets.md says what the program does."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from lavad.deployments.cli.main import app
from lavad_core.datasets.catalogue import ADAPTERS, open_dataset


def part(repository: Path, name: str) -> str:
    text = (repository / "docs" / "datasets.md").read_text(encoding="utf-8")
    begin, end = f"<!-- {name}: begin -->\n", f"<!-- {name}: end -->"
    return text[text.index(begin) + len(begin) : text.index(end)].strip()


def table() -> str:
    rows = ["| adapter | data set | labels | list |", "|---|---|---|---|"]
    for name, adapter in ADAPTERS.items():
        title = f"[{adapter.title}]({adapter.published})" if adapter.published else adapter.title
        rows.append(f"| `{name}` | {title} | {adapter.labels} | {adapter.list_file} |")
    return "\n".join(rows)


def test_the_table_of_adapters_is_current(repository: Path) -> None:
    assert part(repository, "adapters") == table()


def test_the_example_of_ones_own_is_read(repository: Path, tmp_path: Path) -> None:
    (tmp_path / "own.csv").write_text("\n".join(part(repository, "own").splitlines()[1:-1]))
    found = open_dataset("own", tmp_path / "own.csv")
    assert {video.name: (video.classes, video.intervals, video.frames) for video in found.videos.values()} == {
        "gate_1": (("Fight", "Fire"), ((120, 260), (600, 712)), 900),
        "gate_2": ((), (), 1500),
    }
    assert found.frame_rate == 25


def test_the_example_of_ucf_crime_is_what_is_printed(
    repository: Path, shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not (shared / "data" / "ucf_crime").is_dir():
        pytest.skip("no ../shared/data/ucf_crime: the example is not compared with the program")
    monkeypatch.chdir(shared / "data" / "ucf_crime")
    command, *printed = part(repository, "ucf").splitlines()[1:-1]
    result = CliRunner().invoke(app, command.split()[2:])
    assert result.exit_code == 0
    assert result.stdout.splitlines() == printed
