"""What the small language model learns to say about a window: a rule that counts what ten captions tell.

An event in three of ten captions, its pauses among them, is the main thing; in two it may be; one caption alone is taken
for a mistake of the captioner. Captions are clauses: ``a man walks in a park at night`` and, after ``while``, what passes by.
Of several clauses for one act that word is told, one after the other, that most of them have, so that mistakes in single
words fall out.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from math import ceil

from lavad.demo import grammar

HEDGES = {"Perhaps": 0.4, "For a moment": 0.5, "For some time": 0.7, "": 0.9}
"""How a summary begins that tells an event, and how alarming it is then."""

UNCLEAR_RATING = 0.3
ODD_RATING = 0.2
NORMAL_RATING = 0.1

ODD = ("hug", "run", "lightning", "grill", "steam")
"""Normal acts that look like an event."""

WORST = ("explosion", "robbery")
"""Rated a tenth higher than other events where they fill the window."""

_ABNORMAL = {*grammar.EVENTS, *grammar.UNCLEAR}
_SENTENCES = 2
_PLACE = re.compile(rf" (?:{'|'.join(grammar.PLACES.values())})\b.*")
_LOOSE_END = re.compile(r"(?: (?:a|an|and|at|in|on|the|of|to))+$")

act_of = lru_cache(1 << 16)(grammar.act_of)


def summary(captions: Sequence[str]) -> str:
    """What happened in a window: one or two short sentences on one line, without a full stop at the end.

    Args:
        captions: the window's, in order of time, at least one.
    """
    clauses = [caption.split(" while ", 1)[0].strip() for caption in captions]
    asides = [parts[1].strip() for caption in captions if len(parts := caption.split(" while ", 1)) == 2]
    acts = [act_of(clause) for clause in clauses]
    enough = ceil(0.3 * len(captions))
    # Counter keeps the order of first sight, and so does sorting: of two as frequent acts the first seen is told first.
    counts = Counter(act for act in acts if act)

    def told(act: str) -> str:
        return consensus([clause for clause, each in zip(clauses, acts, strict=True) if each == act])

    def by_count(kinds: set[str], least: int) -> list[str]:
        return sorted((act for act in counts if act in kinds and counts[act] >= least), key=lambda act: -counts[act])

    everyday = {*grammar.NORMAL} - {"idle"}
    abnormal = sum(act in _ABNORMAL for act in acts)
    events = by_count({*grammar.EVENTS}, min(enough, max(2, enough - 1)))
    if events and abnormal >= enough:  # its pauses bear it out
        fraction = abnormal / len(acts)
        hedge = "For a moment" if fraction < 0.5 else "For some time" if fraction < 0.75 else ""
        others = [act for act in events[1:] if counts[act] >= enough] + by_count(everyday, enough)
        first = _hedged(hedge, told(events[0]))
    elif events:
        first, others = _hedged("Perhaps", told(events[0])), by_count(everyday, 2)
    else:
        seen = by_count({*grammar.UNCLEAR}, enough) + by_count(everyday, enough)
        seen += by_count({"idle"}, enough) + by_count({*grammar.FORMS} - {*grammar.EVENTS}, 1)
        first, others = _hedged("", told(seen[0]) if seen else consensus(clauses)), seen[1:]
        others = [act for act in others if act in everyday and counts[act] >= enough and act != seen[0]]
    sentences = [first, *(_hedged("", _without_place(told(act))) for act in others)]
    passing = Counter(act for aside in asides if (act := act_of(aside)))
    if passing and len(sentences) < _SENTENCES:
        act, count = passing.most_common(1)[0]
        if count >= enough:
            sentences.append(_hedged("", consensus([aside for aside in asides if act_of(aside) == act])))
    return ". ".join(sentences[:_SENTENCES])


def consensus(clauses: Sequence[str]) -> str:
    """Word by word what most of the clauses say that agree so far; of two as frequent words the one that is first."""
    agreeing = [clause.split() for clause in clauses]
    said: list[str] = []
    while True:
        following = Counter(words[len(said)] if len(words) > len(said) else "" for words in agreeing)
        word = following.most_common(1)[0][0]
        if not word:
            return _LOOSE_END.sub("", " ".join(said))
        agreeing = [words for words in agreeing if len(words) > len(said) and words[len(said)] == word]
        said.append(word)


def rating(text: str) -> float:
    """How alarming a summary or a single caption is, 0 to 1 in tenths: the most alarming of what its sentences tell."""
    hedge = next(hedge for hedge in HEDGES if text.startswith(hedge))
    sentences = re.split(r"[.\n]", text.removeprefix(hedge).strip())
    acts = [act for sentence in sentences if (act := act_of(sentence.strip().lower()))]
    return max((_rating_of(act, hedge) for act in acts), default=NORMAL_RATING)


def _rating_of(act: str, hedge: str) -> float:
    if act in grammar.EVENTS:
        return 1.0 if act in WORST and not hedge else HEDGES[hedge]
    if act in grammar.UNCLEAR:
        return UNCLEAR_RATING
    return 0.0 if act == "idle" else ODD_RATING if act in ODD else NORMAL_RATING


def _hedged(hedge: str, clause: str) -> str:
    return f"{hedge} {clause}" if hedge else clause[:1].upper() + clause[1:]


def _without_place(clause: str) -> str:
    """Said already by the sentence before it."""
    return _PLACE.sub("", clause)
