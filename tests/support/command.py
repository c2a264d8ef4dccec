"""Running the ``lavad`` command in this process and in one of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer
from typer.testing import CliRunner, Result

from lavad.deployments.cli.main import app

REPOSITORY = Path(__file__).resolve().parent.parent.parent


def lavad(*arguments: str, env: dict[str, str] | None = None) -> Result:
    """In this process: stdout and stderr apart."""
    return CliRunner().invoke(app, list(arguments), env=env or {})


def _commands(group: Any, before: str = "") -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from _commands(command, f"{before}{name} ")
        else:
            yield f"{before}{name}", command


COMMANDS = dict(_commands(typer.main.get_command(app)))
"""Every command with its words, ``store ls``, to what the command line knows of it."""


def environment(**variables: str) -> dict[str, str]:
    """This process's environment without settings of ours, with ``variables``."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("LAVAD_", "COLUMNS"))}
    return {**kept, "PYTHONPATH": str(REPOSITORY), **variables}


def start(*arguments: str, cwd: Path | None = None, **variables: str) -> subprocess.Popen[str]:
    """As a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "lavad.deployments.cli.main", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
        encoding="utf-8",
        cwd=cwd,
        env=environment(**variables),
    )
