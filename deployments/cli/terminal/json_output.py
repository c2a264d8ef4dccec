"""What ``--json`` prints: one document on stdout, and nothing else there."""

from __future__ import annotations

import json
from collections.abc import Mapping

from lavad.deployments.cli.terminal.text import show


def show_document(name: str, values: Mapping[str, object], *, version: int = 1, compact: bool = False) -> None:
    """A document with its name and version first, so that a program can tell what it reads.

    Args:
        name: name of the document; ``format`` becomes ``lavad-<name>``.
        values: JSON values by field. Fields may be added within a version, and are never taken away or given another meaning.
        version: version of the document; a change that old readers cannot take needs the next one.
        compact: one line; for what has a value for every frame.

    Raises:
        ValueError: a number is NaN or infinite, which JSON does not have: a fault of the program.
    """
    show_json({"format": f"lavad-{name}", "version": version, **values}, compact=compact)


def show_json(values: object, *, compact: bool = False) -> None:
    """JSON values on stdout, indented unless ``compact``. ASCII: whatever a name contains, it stays inert on a terminal."""
    show(json.dumps(values, indent=None if compact else 2, allow_nan=False))
