"""The prompts that the language model was sent for a video, made again from the results of the stages before."""

from __future__ import annotations

import sys
from collections.abc import Container, Iterator, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast, get_args

from lavad_core.config.schema import LavadConfig
from lavad_core.errors import InputError
from lavad_core.method.scoring import score_messages
from lavad_core.method.summarising import Messages, shorten, summary_messages
from lavad_core.models.chat.prompt_readers import PromptReader
from lavad_core.models.chat.roles import folded
from lavad_core.models.kinds import prompt_reader_here
from lavad_core.models.kinds.local_chat import FOLDED
from lavad_core.models.protocols import ChatModel
from lavad_core.recipes.rescoring import rescore_messages
from lavad_core.results.run import EventTexts, RunVideo
from lavad_core.results.types import ResultSet
from lavad_core.stages.rescore import rescore_request
from lavad_core.stages.score import score_request, threshold_questions
from lavad_core.stages.score_definitions import statement_questions
from lavad_core.stages.summarise import summary_request
from lavad_core.stages.yes_no import is_ordinal, threshold_requests

_NO_TEMPLATE = (
    "messages are shown as they were sent: the model's chat template and tokenizer are not on this machine (for a served model "
    "chat.tokenizer names them)"
)
_CUT = "where captions had to be left out, their number is the store's; one that was alone may have been cut further"
_WHOLE = "summaries that were too long for the score's prompt are shown whole"


AskingStage = Literal["summarise", "score", "score_definitions", "rescore", "summarise_events", "rate_events"]
"""A stage that asks the language model about texts."""


@dataclass(frozen=True)
class SentPrompt:
    """One prompt."""

    frame: int
    """The grid frame that it is about; of an event the first frame."""
    stage: AskingStage
    """The stage that asked."""
    messages: Messages
    """(role, text), as they left."""
    rendered: str | None
    """What the model read, with its special tokens; None where the files that say so are not on this machine."""

    @property
    def text(self) -> str:
        """What the model read; otherwise the messages, each under its role."""
        if self.rendered is not None:
            return self.rendered
        return "\n".join(f"[{role}]\n{text}" for role, text in self.messages)


@dataclass(frozen=True)
class SentPrompts:
    """The prompts of a video."""

    prompts: tuple[SentPrompt, ...]
    """In order of frames; the summary's before the score's, and that of a second rating last."""
    folds: bool
    """Whether system messages were folded into the user's turn."""
    notes: tuple[str, ...]
    """How far they are exact, one sentence for each reservation."""


def sent_prompts(results: ResultSet, name: str, store: Path, at: int | None = None) -> SentPrompts:
    """The prompts of a run's video.

    Args:
        results: the run's.
        name: the video's.
        store: the folder of results.
        at: only those of the grid frame nearest to this frame, or of the events that hold it; None for all.

    Raises:
        InputError: it is an import, neither summaries nor scores were asked of a language model, or the video has no frame
            ``at``.
        DamagedResult: results are gone from the store.
        ModelError: the chat template is here and cannot be used.
    """
    video = results[name]
    if not isinstance(video, RunVideo) or results.config is None:
        raise InputError(
            f"{results.set_id} is an import: nothing was asked here, and it does not say what was elsewhere"
        )
    config = results.config
    asked = {stage: identity for stage in get_args(AskingStage) if (identity := video.model_of(stage))}
    if not asked:
        raise InputError(
            f"run {results.set_id} asked a language model neither for summaries nor for scores of {name!r}"
        )
    folds = next(iter(asked.values())).endswith(FOLDED)
    reader = prompt_reader_here(config.chat, store, folds=folds)
    with closing(reader) if reader is not None else nullcontext():
        made = _Prompts(video, config, reader, folds)
        grid, frames_of = video.scores.grid.tolist(), video.scores.frames
        if at is not None and at >= frames_of:
            raise InputError(
                f"{name!r} has {frames_of} frames, and none is {at}; the last one is {frames_of - 1} (--at)"
            )
        frames = grid if at is None else [min(grid, key=lambda frame: abs(frame - at))]
        found = tuple(prompt for frame in frames for prompt in made.of(frame, asked))
        for event in video.event_texts:
            if at is None or event.start_frame <= at <= event.end_frame:
                found += tuple(made.of_event(event, asked))
    return SentPrompts(found, folds, tuple(made.notes))


class _Prompts:
    """Makes the prompts of a video.

    Attributes:
        notes: what has to be said about them so far.
    """

    def __init__(self, video: RunVideo, config: LavadConfig, reader: PromptReader | None, folds: bool) -> None:
        self._video, self._config, self._reader, self._folds = video, config, reader, folds
        # What makes requests counts tokens, and asks nothing else of a model.
        self._counts = None if reader is None else cast(ChatModel, _Counts(reader))
        self.notes = {_NO_TEMPLATE: None} if reader is None else dict[str, None]()

    def of(self, frame: int, asked: Container[str]) -> Iterator[SentPrompt]:
        """The prompts about a grid frame, of the stages that asked."""
        if "summarise" in asked and (window := self._video.windows.get(frame)):
            centre = min(range(len(window)), key=lambda at: abs(list(window)[at] - frame))
            left_out = self._video.left_out.get(frame, 0)
            yield self._prompt(frame, "summarise", self._summary(list(window.values()), centre, left_out))
        summary = self._video.summaries.get(frame, "")
        if not summary.strip() and self._config.score.without_summary != "ask":
            return
        if "score" in asked:
            for messages in self._score(summary):
                yield self._prompt(frame, "score", messages)
        if "score_definitions" in asked:
            if self._video.summaries_shortened:
                self.notes[_WHOLE] = None
            for messages in statement_questions(self._config, summary):
                yield self._prompt(frame, "score_definitions", messages)
        if "rescore" in asked and (tags := self._video.rescoring.get("tags")):
            yield self._prompt(frame, "rescore", self._rescore(summary, tags))

    def of_event(self, event: EventTexts, asked: Container[str]) -> Iterator[SentPrompt]:
        """The prompts about an event, of the stages that asked."""
        if not event.captions:
            return
        if "summarise_events" in asked:
            messages = self._summary(event.captions, (len(event.captions) - 1) // 2, event.left_out)
            yield self._prompt(event.start_frame, "summarise_events", messages)
        if "rate_events" in asked and (event.summary.strip() or self._config.score.without_summary == "ask"):
            for messages in self._score(event.summary):
                yield self._prompt(event.start_frame, "rate_events", messages)

    def _summary(self, texts: Sequence[str], centre: int, left_out: int) -> Messages:
        """With as many captions as the store says that there was room for."""
        settings, kept = self._config.summarise, len(texts) - left_out
        if kept < len(texts):
            if self._counts is not None:
                request, found = summary_request(self._config, self._counts, texts, centre)
                if found == kept:
                    return request.messages
            self.notes[_CUT] = None
        some = shorten(texts, centre, lambda some: len(some) <= kept)
        return summary_messages(some, settings.prompt, settings.separator)

    def _score(self, summary: str) -> list[Messages]:
        """One, or one for each threshold."""
        counts = self._counts if self._video.summaries_shortened else None
        if self._video.summaries_shortened and counts is None:
            self.notes[_WHOLE] = None
        if is_ordinal(self._config):
            if counts is not None:
                requests, _ = threshold_questions(self._config, counts, summary)
            else:
                requests = threshold_requests(self._config, summary)
            return [request.messages for request in requests]
        if counts is not None:
            return [score_request(self._config, counts, summary)[0].messages]
        return [score_messages(summary, self._config.score.context_prompt, self._config.score.format_prompt)]

    def _rescore(self, summary: str, tags: str) -> Messages:
        if self._counts is not None:
            return rescore_request(self._config, self._counts, summary, tags)[0].messages
        prompts = (self._config.rescore.context_prompt, self._config.score.format_prompt)
        return rescore_messages(summary, tags, *prompts)

    def _prompt(self, frame: int, stage: AskingStage, messages: Messages) -> SentPrompt:
        leaving = folded(messages) if self._folds else messages
        return SentPrompt(frame, stage, leaving, None if self._reader is None else self._reader.render(leaving))


class _Counts:
    """The tokens of prompts, as the model that is asked counts them."""

    def __init__(self, reader: PromptReader) -> None:
        self._reader = reader
        self.context_tokens = reader.context_tokens or sys.maxsize

    def count_tokens(self, messages: Messages) -> int:
        """Tokens of a prompt."""
        return self._reader.count(folded(messages) if self._reader.folds else messages)[0]
