"""Whole runs of the ``lavad`` command in processes that can be killed."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import sys
from multiprocessing.process import BaseProcess
from pathlib import Path

from lavad_core.store.local import OUTSIDE

_CONTEXT = multiprocessing.get_context("forkserver")
# Imported once: a run then begins its work within a second, and a random moment of it is seldom an import.
_CONTEXT.set_forkserver_preload(["lavad.deployments.cli.commands.run.run", "lavad.flows.score_videos", "transformers"])


def _command(arguments: list[str], environment: dict[str, str], log: str) -> None:
    os.environ.update(environment)
    os.setsid()
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    from lavad.deployments.cli.main import main

    sys.argv = ["lavad", *arguments]
    main()


def start(arguments: list[str], environment: dict[str, str], log: Path) -> BaseProcess:
    """``lavad`` with these arguments; its output goes to ``log``."""
    process = _CONTEXT.Process(target=_command, args=(arguments, environment, str(log)))
    process.start()
    return process


def finish(arguments: list[str], environment: dict[str, str], log: Path, timeout_s: float = 300) -> int:
    """Run to the end; its exit code."""
    process = start(arguments, environment, log)
    process.join(timeout_s)
    if process.exitcode is None:
        process.kill()
        raise AssertionError(f"lavad {arguments} did not end in {timeout_s} s:\n{log.read_text()[-3000:]}")
    return process.exitcode


def tree(store: Path) -> dict[str, str]:
    """File name to SHA-256 of everything in the compared tree."""
    found = {}
    for path in sorted(store.rglob("*")):
        name = path.relative_to(store)
        if path.is_file() and name.parts[0] not in OUTSIDE:
            found[str(name)] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def commits(store: Path) -> dict[str, tuple[int, int]]:
    """Commit file to (inode, time of change): another commit of the same bytes would differ."""
    return {
        str(path.relative_to(store)): (path.stat().st_ino, path.stat().st_mtime_ns)
        for folder in store.glob("*")
        if folder.name not in OUTSIDE  # a writer's unfinished ones, which may go away meanwhile
        for path in folder.rglob("commit.json")
    }
