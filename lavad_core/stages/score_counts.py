"""How the scores of a video came out: counts for the commit, and sentences for people. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from lavad_core.config.steps import ScoreConfig
from lavad_core.models.chat.read_answer import THINKING_OFF, WORDS, Fault, ReadAnswer, fault_counts, refused_with
from lavad_core.plain_text import number_of

SHOWN = 80
"""Characters of an answer in a message."""


@dataclass(frozen=True)
class ScoreCounts:
    """What became of the answers for one video."""

    windows: int
    """All windows."""
    answers: int = 0
    """How many of them the model was asked about."""
    unparsed: int = 0
    """How many have no score of their own."""
    no_summary: int = 0
    """How many have no summary."""
    faults: Counter[Fault] = field(default_factory=Counter)
    """Unusable answers, by what is wrong with them."""
    no_number: int = 0
    """Answers without a fault in which no score was found."""
    first: str = ""
    """The first answer without a score, or what the server said when it refused one; empty if all have scores."""
    truncated: int = 0
    """Answers that were cut off, with a score or without."""

    @classmethod
    def of(cls, readings: Sequence[ReadAnswer | None], scores: Sequence[float | None]) -> ScoreCounts:
        """The tally of one video; a reading is None where there was no summary to ask about."""
        answered = [reading for reading in readings if reading is not None]
        without = [
            reading for reading, score in zip(readings, scores, strict=True) if reading is not None and score is None
        ]
        texts = [reading.text for reading in without if reading.text] or [refused_with(without)]
        return cls(
            windows=len(readings),
            answers=len(answered),
            unparsed=sum(score is None for score in scores),
            no_summary=len(readings) - len(answered),
            faults=Counter(reading.fault for reading in without if reading.fault is not None),
            no_number=sum(reading.fault is None for reading in without),
            first=texts[0],
            truncated=sum(reading.fault == "truncated" for reading in answered),
        )

    @property
    def given(self) -> int:
        """Answers that the model gave. A refusal does not count: the videos with something to refuse would be rejected."""
        return self.answers - self.faults["refused"]

    @property
    def useless(self) -> int:
        """Answers that were given and hold no score."""
        return self.unparsed - self.no_summary - self.faults["refused"]

    @property
    def counts(self) -> Mapping[str, int]:
        """Counts for the commit."""
        faults = fault_counts(self.faults)
        return {
            "unparsed": self.unparsed,
            "no_summary": self.no_summary,
            "no_number": self.no_number,
            **faults,
            "truncated": self.truncated,
        }

    def in_words(self) -> str:
        """Why windows have no score, each reason with its number."""
        parts = [f"{self.faults[fault]} answers are {words}" for fault, words in WORDS.items() if self.faults[fault]]
        if self.no_number:
            parts.append(f"{number_of(self.no_number, 'answer', 'hold')} no score")
        if self.no_summary:
            parts.append(f"{self.no_summary} summaries are empty")
        if self.first:
            parts.append(f"first answer without one: {self.first[:SHOWN]!r}")
        return ", ".join(parts)

    def way_out(self, settings: ScoreConfig) -> str:
        """What to change, by the most frequent reason."""
        ways = {
            "truncated": f"allow more tokens (score.total_tokens, now {settings.total_tokens})",
            "only_thought": f"{THINKING_OFF}, or allow more tokens (score.total_tokens, now {settings.total_tokens})",
            "refused": "ask a model without a content filter (chat.model, chat.base_url)",
            # Not "choice" alone: the error of a server without it sends users here.
            "no_number": f"the model has to begin its answer with score.yes or score.no ({settings.yes!r} or {settings.no!r}, "
            f"best single tokens of it), and its server to show log-probabilities (logprobs, top_logprobs); {THINKING_OFF}"
            if settings.answer == "ordinal" or settings.method == "definitions"
            else "score.answer=choice makes sure of one, with a server that obeys structured_outputs (vLLM from 0.12) "
            "or in this process (chat.kind=transformers); with another server, ask a model that follows score.format_prompt"
            if settings.answer == "free-text"
            else "",
        }
        reasons = Counter({"no_number": self.no_number})
        reasons.update({str(fault): count for fault, count in self.faults.items()})
        most = reasons.most_common(1)
        way = ways.get(most[0][0], "") if most and most[0][1] else ""
        return f"; {way}" if way else ""
