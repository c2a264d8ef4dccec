"""A JSON document that holds its own digest, so that a value changed later, by hand or by a disk, is not believed.

It guards against accidents and against helpful editors, not against somebody who works the digest out again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Literal

from lavad_core.digest import ascii_json

FIELD = "digest"
"""The field that holds the SHA-256 of everything else in the document, 64 hexadecimal digits."""

Seal = Literal["whole", "none", "broken"]
"""``none``: an earlier version of the program wrote the document, and it has no digest."""


def sealed(fields: Mapping[str, Any]) -> dict[str, Any]:
    """``fields`` with their digest. How they are indented on disk does not matter.

    Raises:
        TypeError: not made of JSON's types.
        ValueError: a float is NaN or infinite.
    """
    return {**fields, FIELD: _digest(fields)}


def seal_of(document: Mapping[str, Any]) -> Seal:
    """Whether a document is as it was written."""
    given = document.get(FIELD)
    if given is None:
        return "none"
    rest = {name: value for name, value in document.items() if name != FIELD}
    try:
        return "whole" if given == _digest(rest) else "broken"
    except (TypeError, ValueError):  # NaN, which JSON does not have and Python reads
        return "broken"


def _digest(fields: Mapping[str, Any]) -> str:
    return hashlib.sha256(ascii_json(fields).encode("ascii")).hexdigest()
