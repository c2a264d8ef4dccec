"""What the shell offers for an option's or argument's value: presets and runs. Nothing heavy is imported for it."""

from __future__ import annotations

import re
from typing import Any

_SAFE = re.compile(r"[A-Za-z0-9_.,:@%+/-]+")
"""Words that a shell reads as they are. A user chose the run's name, and shells put an offered word on the command line without
quotes, so that other words are not offered."""


def presets(incomplete: str) -> list[str]:
    """Names of the presets."""
    from lavad_core.config.load import presets

    return [name for name in presets() if name.startswith(incomplete)]


def runs(ctx: Any, incomplete: str) -> list[str]:
    """Names and ids of the runs of the store that the command line or the environment names, the latest first; none if that
    store cannot be read."""
    from lavad.deployments.cli.options.common import store_root
    from lavad_core.errors import LavadError
    from lavad_core.runs.manifest import list_runs, names_of_runs

    try:
        root = store_root(ctx.params.get("store"))
        known = [*reversed(names_of_runs(root).values()), *reversed(list_runs(root))]
    except LavadError:
        return []
    return [word for word in dict.fromkeys(known) if word.startswith(incomplete) and _SAFE.fullmatch(word)]
