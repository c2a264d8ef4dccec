"""Options that are declared once, as the fields of a dataclass."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from lavad.deployments.cli.options.group import grouped


@dataclass(frozen=True)
class Place:
    """Where."""

    folder: Annotated[str, typer.Option("--folder", help="Where.")] = "here"
    depth: Annotated[int, typer.Option("--depth", min=0)] = 1


@dataclass(frozen=True, kw_only=True)
class Journey:
    """A group with a group in it."""

    place: Place
    far: Annotated[bool, typer.Option("--far")] = False


app = typer.Typer()


@app.command()
@grouped
def command(
    *, name: Annotated[str, typer.Argument()], journey: Journey, loud: Annotated[bool, typer.Option()] = False
) -> None:
    """Say it."""
    typer.echo(f"{name} {journey.place} {journey.far} {loud}")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        pytest.param(["x"], "x Place(folder='here', depth=1) False False", id="defaults"),
        pytest.param(
            ["--depth", "3", "x", "--loud", "--far"],
            "x Place(folder='here', depth=3) True True",
            id="one of the fields",
        ),
    ],
)
def test_a_group_is_one_value_of_the_command(arguments: list[str], said: str) -> None:
    assert CliRunner().invoke(app, arguments).stdout == said + "\n"


def test_each_field_is_an_option_with_its_help_and_limits() -> None:
    told = CliRunner().invoke(app, ["--help"]).stdout
    assert "Say it." in told
    assert "Where." in told
    assert CliRunner().invoke(app, ["x", "--depth", "-1"]).exit_code == 2
