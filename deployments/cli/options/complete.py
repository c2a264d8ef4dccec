"""What the shell offers for an option's or argument's value: presets, runs, videos. Nothing heavy is imported for it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

_SAFE = re.compile(r"[A-Za-z0-9_.,:@%+/-]+")
"""Words that a shell reads as they are. Users chose the names of runs and videos, and shells put an offered word on the command
line without quotes, so that other words are not offered."""

if TYPE_CHECKING:
    from lavad_core.runs.manifest import Origin


def presets(incomplete: str) -> list[str]:
    """Names of the presets."""
    from lavad_core.config.load import presets

    return [name for name in presets() if name.startswith(incomplete)]


def studies(incomplete: str) -> list[str]:
    """Names of the studies that come with the program."""
    from lavad_core.studies.study_file import shipped_studies

    return [name for name in shipped_studies() if name.startswith(incomplete)]


def results(ctx: Any, incomplete: str) -> list[str]:
    """Names and ids of the runs and imports of the store that the command line or the environment names, the latest first; none
    if that store cannot be read."""
    return _runs(ctx, incomplete, None)


def runs(ctx: Any, incomplete: str) -> list[str]:
    """As :func:`results`, names of runs only."""
    return _runs(ctx, incomplete, "run")


def legends(ctx: Any, incomplete: str) -> list[str]:
    """As :func:`results`, also after the ``NAME=`` of a legend."""
    name, equals, run = incomplete.rpartition("=")
    return [f"{name}{equals}{word}" for word in results(ctx, run)] if _SAFE.fullmatch(name or "x") else []


def videos(ctx: Any, incomplete: str) -> list[str]:
    """Names of the videos of the run that the command line names, otherwise of the latest."""
    from lavad_core.errors import LavadError
    from lavad_core.runs.manifest import load_run
    from lavad_core.runs.video_list import runs_of_set

    given = ctx.params.get("run") or (ctx.params.get("runs") or [None])[-1]
    try:
        root = _root(ctx)
        parts = runs_of_set(root, load_run(root, given and given.rpartition("=")[2]))
    except LavadError:
        return []
    return _safe((video.name for part in parts for video in part.videos), incomplete)


def _runs(ctx: Any, incomplete: str, origin: Origin | None) -> list[str]:
    from lavad_core.errors import LavadError
    from lavad_core.runs.manifest import list_runs, names_of_runs

    try:
        root = _root(ctx)
        return _safe([*reversed(names_of_runs(root, origin).values()), *reversed(list_runs(root))], incomplete)
    except LavadError:
        return []


def _root(ctx: Any) -> Path:
    from lavad.deployments.cli.options.common import store_root

    return store_root(ctx.params.get("store"))


def _safe(known: Iterable[str], incomplete: str) -> list[str]:
    return [word for word in dict.fromkeys(known) if word.startswith(incomplete) and _SAFE.fullmatch(word)]
