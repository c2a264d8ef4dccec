"""Running the ``lavad`` command in this process and in one of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from typer.testing import CliRunner, Result

from lavad.deployments.cli.main import app

REPOSITORY = Path(__file__).resolve().parent.parent.parent


def lavad(*arguments: str, env: dict[str, str] | None = None) -> Result:
    """In this process: stdout and stderr apart."""
    return CliRunner().invoke(app, list(arguments), env=env or {})


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
