"""How the summaries of a video came out: counts for the commit, and sentences for people. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field

from lavad_core.config.steps import SummariseConfig
from lavad_core.escape import shortened
from lavad_core.models.chat.read_answer import (
    THINKING_OFF,
    Fault,
    ReadAnswer,
    count_faults,
    fault_counts,
    faults_in_words,
    refused_with,
)

FEW = 5
"""Windows, and different questions, up to which one text for most of them says nothing."""

_THOUGHTS = f"; if they are thoughts whose beginning is in the prompt, {THINKING_OFF}"

SHOWN = 61
"""Characters of a text in a message."""


@dataclass(frozen=True)
class SummaryCounts:
    """What became of the summaries of one video."""

    summaries: int
    """How many windows there are."""
    unique: int
    """How many different texts they have."""
    empty: int
    """How many have no text."""
    answers: int = 0
    """How many answers the model gave; 0 if nothing was asked."""
    faults: Counter[Fault] = field(default_factory=Counter)
    """Answers by what is wrong with them."""
    shortened: int = 0
    """Windows with captions left out."""
    left_out: int = 0
    """Captions left out."""
    one_text: tuple[str, int] | None = None
    """The text of most windows, and how many have it; None unless there is one."""
    refusal: str = ""
    """What the server said when it refused an answer."""

    @classmethod
    def of(
        cls,
        summaries: Sequence[str],
        readings: Sequence[ReadAnswer] = (),
        questions: Sequence[Hashable] = (),
        left_out: Sequence[int] = (),
    ) -> SummaryCounts:
        """The outcome of one video: one summary per window, and the rest of the same windows, if a model was asked."""
        return cls(
            len(summaries),
            len(set(summaries)),
            sum(not summary.strip() for summary in summaries),
            len(readings),
            count_faults(readings),
            sum(count > 0 for count in left_out),
            sum(left_out),
            _one_text(summaries, questions),
            refused_with(readings),
        )

    @property
    def counts(self) -> Mapping[str, int]:
        """Counts for the commit."""
        found = {
            "summaries": self.summaries,
            "unique": self.unique,
            "empty": self.empty,
            "shortened": self.shortened,
            "captions_left_out": self.left_out,
        }
        return found | fault_counts(self.faults)

    def gaps(self, settings: SummariseConfig) -> list[str]:
        """What makes the summaries ``ok_with_gaps``, one sentence each, with the way out."""
        most = settings.max_faulty_fraction
        found = []
        if self.empty:
            words = f", with {shortened(self.refusal, SHOWN)!r}" if self.refusal else ""
            why = f" ({faults_in_words(self.faults)}{words})" if self.faults else ""
            found.append(f"{self.empty} of {self.summaries} summaries are empty{why}{_way_out(self.faults)}")
        cut = self.faults["truncated"]
        if cut > most * self.answers:
            found.append(
                f"{cut} of {self.answers} answers were cut off; raise summarise.total_tokens (now {settings.total_tokens}) "
                f"or summarise.min_answer_tokens (now {settings.min_answer_tokens})"
                + _THOUGHTS
                * (2 * cut > self.answers)
            )
        if self.shortened > most * self.summaries:
            found.append(
                f"{self.left_out} captions were left out in {self.shortened} of {self.summaries} windows; raise "
                f"summarise.total_tokens (now {settings.total_tokens}) as far as the model's context allows"
            )
        return found

    def warnings(self) -> list[str]:
        """Sentences on what is worth a look, though nothing is missing."""
        if self.one_text is None:
            return []
        text, count = self.one_text
        return [
            f"warning: {count} of {self.summaries} windows have one and the same summary, {shortened(text, SHOWN)!r}"
        ]


def _way_out(faults: Counter[Fault]) -> str:
    if faults["only_thought"]:
        return f"; {THINKING_OFF}, or allow more tokens (summarise.total_tokens)"
    if faults["truncated"]:
        return "; allow more tokens (summarise.total_tokens)"
    if faults["refused"]:
        return "; ask a model without a content filter (chat.model, chat.base_url)"
    return ""


def _one_text(summaries: Sequence[str], questions: Sequence[Hashable]) -> tuple[str, int] | None:
    """A text that more than half of the windows have, and more than half of the different questions: a still scene has few
    questions, and one answer to them is right."""
    if len(summaries) <= FEW or not questions:
        return None
    text, count = Counter(summaries).most_common(1)[0]
    asked = len(set(questions))
    with_it = len({question for question, summary in zip(questions, summaries, strict=True) if summary == text})
    return (
        (text, count) if text.strip() and 2 * count > len(summaries) and asked > FEW and 2 * with_it > asked else None
    )
