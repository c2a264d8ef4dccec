"""The nearest name or key to one that does not exist."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

_NEAR = 0.6
"""Similarity from which a name, or each part of a path, is offered."""

_MOST = 3
"""Sections that are offered for a key without one."""

_NEAR_ALONE = 0.75
"""Similarity from which the last part of a path in another section is offered."""


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The most similar of ``known``, which are names; None if none is similar."""
    names = {_folded(name): name for name in sorted(set(known))}
    near = difflib.get_close_matches(_folded(word), names, n=1, cutoff=_NEAR)
    return names[near[0]] if near else None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The end of a message about a name that does not exist: the most similar of ``known``; empty if none is similar."""
    near = nearest(word, known)
    return f"; did you mean {near!r}?" if near else ""


def nearest_paths(word: str, known: Iterable[str]) -> list[str]:
    """The most similar of ``known``, which are dotted paths; empty if none is similar.

    A path with the same last part comes first, so that a key in the wrong section is found; then one of which every part is
    similar, so that a misspelt section is found; then the most similar last part. Of a word without a section nobody can say
    which section was meant: there may be a few.
    """
    wanted = _folded(word)
    parts = wanted.split(".")
    paths = {_folded(path): path for path in sorted(set(known))}
    by_last = {path: path.rpartition(".")[2] for path in paths}
    found = [path for path, last in by_last.items() if last == parts[-1]] or [
        path for path in paths if path.count(".") == len(parts) - 1 and all(map(_are_near, path.split("."), parts))
    ]
    if not found:
        ends = difflib.get_close_matches(parts[-1], set(by_last.values()), n=1, cutoff=_NEAR_ALONE)
        found = [path for path, last in by_last.items() if last in ends]
    found.sort(key=lambda path: (-_like(path, wanted), path))
    several = len(parts) == 1 and len(found) <= _MOST and all("." in path for path in found)
    return [paths[path] for path in found[: None if several else 1]]


def _folded(word: str) -> str:
    return word.lower().replace("-", "_")


def _are_near(one: str, other: str) -> bool:
    return _like(one, other) >= _NEAR


def _like(one: str, other: str) -> float:
    return difflib.SequenceMatcher(None, one, other).ratio()
