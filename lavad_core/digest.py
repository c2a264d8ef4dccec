"""Digests of values and files: canonical JSON, SHA-256.

Prefect's and Python's own hashes differ between processes for sets and objects; a key that outlives a
process needs one spelling of each value.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

FINGERPRINT_DIGITS = 32
"""Hexadecimal digits kept of a SHA-256: 128 bits, far beyond any number of results a store will hold."""


def canonical_json(value: Any) -> str:
    """The one spelling of ``value``: sorted keys, no white space, no NaN.

    Raises:
        TypeError: a part is not made of dict, list, tuple, str, int, float, bool or None.
        ValueError: a float is NaN or infinite.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def ascii_json(value: Any) -> str:
    """:func:`canonical_json` in ASCII, which takes any string, lone surrogates included.

    Raises:
        TypeError: a part is not made of dict, list, tuple, str, int, float, bool or None.
        ValueError: a float is NaN or infinite.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def full_digest(value: Any) -> str:
    """The SHA-256 of :func:`canonical_json`, 64 hexadecimal digits."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def file_sha256(path: Path) -> str:
    """The SHA-256 of a file's content, 64 hexadecimal digits; OSError if it cannot be read."""
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def digest(value: Any) -> str:
    """The first :data:`FINGERPRINT_DIGITS` hexadecimal digits of the SHA-256 of :func:`canonical_json`."""
    return full_digest(value)[:FINGERPRINT_DIGITS]
