"""Names of videos: what is the same name, and which names of two sets belong together."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from lavad_core.errors import InputError
from lavad_core.plain_text import first_few
from lavad_core.suggest import nearest
from lavad_core.video.discover import MAX_NAMED, VIDEO_SUFFIXES

_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
_NEGATIONS = frozenset(("non", "not", "no", "ab", "un", "in", "anti"))
_ANOMALOUS = frozenset(("abnormal", "anomaly", "anomalies", "anomalous"))


def without_ending(name: str) -> str:
    """``name`` without the ending of a video file, in any case; a name that is nothing but an ending stays."""
    stem, dot, ending = name.rpartition(".")
    return stem if stem and f"{dot}{ending.lower()}" in VIDEO_SUFFIXES else name


def match_key(name: str) -> str:
    """What two spellings of one name have in common: no ending of a video file, composed characters (NFC).

    macOS writes ``é`` as two characters, labels have it as one. Case, spaces, ``#`` and ``=`` count.
    """
    return unicodedata.normalize("NFC", without_ending(name))


def says_normal(text: str) -> bool:
    """Whether ``normal`` is one of the words of a name or a class: ``MSAD_normal_testing_7``, ``Testing_Normal_Videos``.

    Whole words decide, as ``_``, digits, spaces and capitals part them: ``abnormal`` is another one, and ``not_normal`` says
    the contrary. UCF-Crime calls a folder ``Testing_Normal_Videos_Anomaly``.
    """
    words = [word.lower() for word in _WORD.findall(text)]
    said = [at for at, word in enumerate(words) if word == "normal" and not (at and words[at - 1] in _NEGATIONS)]
    of_videos = any(words[at + 1 : at + 2] in (["video"], ["videos"]) for at in said)
    return bool(said) and (of_videos or not any(word in _ANOMALOUS for word in words))


@dataclass(frozen=True)
class NameMatch:
    """Names of a data set beside those of something else."""

    pairs: dict[str, str] = field(repr=False)
    """The data set's name to the other's, in the order of the data set."""
    missing: tuple[str, ...]
    """The data set's names that the other lacks, in its order."""
    extra: tuple[str, ...]
    """The other's names that the data set lacks, in its order."""


def match(wanted: Iterable[str], given: Iterable[str], what: str = "names") -> NameMatch:
    """Pair the names of a data set with others by :func:`match_key`, whatever the order. Nothing is guessed.

    Raises:
        InputError: two of ``given``, which are ``what``, are the same name.
    """
    left: dict[str, str] = {}
    for name in given:
        key = match_key(name)
        if key in left:
            raise InputError(f"{what}: {left[key]!r} and {name!r} are the same video; keep one of them")
        left[key] = name
    pairs, missing = {}, []
    for name in wanted:
        found = left.pop(match_key(name), None)
        if found is None:
            missing.append(name)
        else:
            pairs[name] = found
    return NameMatch(pairs, tuple(missing), tuple(left.values()))


def listed(names: Sequence[str], among: Iterable[str] = ()) -> str:
    """The first few of ``names`` for a message, each with the nearest of ``among``."""
    candidates = list(among)

    def show(name: str) -> str:
        near = nearest(name, candidates) if candidates else None
        return repr(name) + (f" (nearest: {near!r})" if near is not None else "")

    return first_few(names, MAX_NAMED, show)
