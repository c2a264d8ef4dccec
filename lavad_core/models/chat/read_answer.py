"""What can be used of a chat model's answers: the one place where thoughts go, and where it is told what is missing. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from lavad_core.method.summary_text import finished_part
from lavad_core.models.chat.thoughts import only_ends, without_thoughts
from lavad_core.models.protocols import ChatAnswer

Fault = Literal["truncated", "empty", "only_thought", "refused"]

WORDS: dict[Fault, str] = {
    "truncated": "cut off by the limit of tokens",
    "empty": "empty",
    "only_thought": "a thought without an answer",
    "refused": "refused by the model or a content filter",
}
"""Faults in the order in which messages name them."""

COUNTS: dict[Fault, str] = {
    "truncated": "truncated",
    "empty": "blank",
    "only_thought": "only_thought",
    "refused": "refused",
}
"""Their names in a commit's counts. (``empty`` is there the number of results without text, for whatever reason.)"""

THINKING_OFF = (
    "switch the model's thinking off (chat.extra_body={chat_template_kwargs: {enable_thinking: false}}, of a model in this "
    "process chat.template_kwargs={enable_thinking: false})"
)
"""What helps against thoughts."""


@dataclass(frozen=True)
class ReadAnswer:
    """An answer as a stage reads it."""

    text: str
    """Without thoughts; empty if there is nothing to use."""
    fault: Fault | None
    """What is wrong with the answer, if anything; only a ``truncated`` one has a text."""
    answer: ChatAnswer
    """The answer, as the model gave it."""

    @property
    def shown(self) -> str:
        """For people: the text, or what stands in its place."""
        return self.text or self.answer.text


def read_answers(answers: Sequence[ChatAnswer]) -> list[ReadAnswer]:
    """The readings of answers to alike questions, in order.

    Where the template opens a thought in the prompt, an answer that is cut off in it has no mark at all. It is told by the
    others: if one of them ends a thought that it has not begun, those that were cut off before such an end are thoughts.
    """
    within = any(answer.finish_reason != "refused" and only_ends(answer.text) for answer in answers)
    return [_read(answer, within) for answer in answers]


def _read(answer: ChatAnswer, within: bool) -> ReadAnswer:
    if answer.finish_reason == "refused":
        return ReadAnswer("", "refused", answer)
    text = without_thoughts(answer.text)
    cut = answer.finish_reason == "length"
    if within and cut and text == answer.text:
        text = ""
    if text.strip():
        return ReadAnswer(text, "truncated" if cut else None, answer)
    return ReadAnswer("", "only_thought" if answer.text.strip() else "truncated" if cut else "empty", answer)


def refused_with(readings: Iterable[ReadAnswer]) -> str:
    """What a server said when it refused one of the answers; empty if it said nothing, or refused none."""
    return next((reading.answer.text for reading in readings if reading.fault == "refused" and reading.answer.text), "")


def caption_of(reading: ReadAnswer) -> str:
    """The caption in an answer, in one line. Of one that was cut off, its whole sentences, if it has any: a caption is short,
    and half of it still names what is seen."""
    cut = reading.fault == "truncated"
    return " ".join(((cut and finished_part(reading.text)) or reading.text).split())


def count_faults(readings: Iterable[ReadAnswer]) -> Counter[Fault]:
    """How many answers have each fault."""
    return Counter(reading.fault for reading in readings if reading.fault is not None)


def fault_counts(faults: Counter[Fault]) -> dict[str, int]:
    """For the counts of a commit: every kind, also those that did not occur."""
    return {COUNTS[fault]: faults[fault] for fault in COUNTS}


def faults_in_words(faults: Counter[Fault]) -> str:
    """``3 refused by …, 1 empty``; empty if there are none."""
    return ", ".join(f"{faults[fault]} {words}" for fault, words in WORDS.items() if faults[fault])
