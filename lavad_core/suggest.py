"""The nearest key to one that does not exist."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

_NEAR = 0.6
"""Similarity from which a whole path is offered; below, only its last part is compared."""


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The most similar of ``known``; None if nothing is similar.

    A path with the same last part comes first, so that a key in the wrong section is found; then the most similar whole
    path, so that a misspelt section is found; then the most similar last part.
    """
    candidates = sorted(set(known))
    lowered = {candidate.lower().replace("-", "_"): candidate for candidate in candidates}
    wanted = word.lower().replace("-", "_")
    near = difflib.get_close_matches(wanted, lowered, n=1, cutoff=_NEAR)
    last = wanted.rpartition(".")[2]
    by_last = {path: path.rpartition(".")[2] for path in lowered}
    same_last = sorted(
        (path for path in by_last if by_last[path] == last), key=lambda path: (-_like(path, wanted), path)
    )
    if same_last:
        return lowered[same_last[0]]
    if near:
        return lowered[near[0]]
    ends = difflib.get_close_matches(last, set(by_last.values()), n=1, cutoff=0.75)
    if not ends:
        return None
    best = max((path for path in by_last if by_last[path] == ends[0]), key=lambda path: (_like(path, wanted), path))
    return lowered[best]


def _like(one: str, other: str) -> float:
    return difflib.SequenceMatcher(None, one, other).ratio()
