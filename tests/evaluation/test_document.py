"""What docs/evaluation.md says is what the program has."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import typer
from typer.main import get_command

from lavad.deployments.cli.main import app
from lavad_core.evaluation.curves import POINTS
from lavad_core.evaluation.events import IOUS
from lavad_core.evaluation.options import EvaluationOptions
from lavad_core.evaluation.types import METRIC_TITLES

TEXT = (Path(__file__).resolve().parent.parent.parent / "docs" / "evaluation.md").read_text(encoding="utf-8")


def options_of(command: str) -> set[str]:
    group = get_command(app)
    assert isinstance(group, typer.core.TyperGroup)
    return {option for parameter in group.commands[command].params for option in parameter.opts}


@pytest.mark.parametrize("command", ["evaluate", "compare"])
def test_options_of_the_examples_are_there(command: str) -> None:
    lines = [line for line in TEXT.splitlines() if line.startswith(f"lavad {command} ")]
    assert lines
    assert set(re.findall(r"--[a-z-]+", " ".join(lines))) <= options_of(command)


def test_options_of_the_text_are_there() -> None:
    assert set(re.findall(r"`(--[a-z-]+)", TEXT)) <= options_of("evaluate") | options_of("compare")


def test_every_metric_is_explained_under_its_name() -> None:
    table = TEXT[TEXT.index("## The metrics") : TEXT.index("Scikit-learn computes them")]
    assert re.findall(r"^\| ([^|]+) \|", table, re.MULTILINE)[1:] == list(METRIC_TITLES.values())


def test_figures() -> None:
    defaults = EvaluationOptions()
    assert f"`--resamples` times ({defaults.resamples}; 0 for none)" in TEXT
    assert f"at least {IOUS[0]}, {IOUS[1]} or {IOUS[2]}" in " ".join(TEXT.split())
    assert f"at most {POINTS} points" in TEXT
