"""The prompts that a configuration sends to the chat model, and whether they fit, without loading its weights."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass

from lavad_core.config.schema import LavadConfig
from lavad_core.errors import ConfigError, ServiceUnavailable
from lavad_core.method.scoring import score_messages
from lavad_core.method.summarising import Messages, summary_messages
from lavad_core.models.chat.prompt_readers import PromptReader
from lavad_core.models.chat.roles import folded
from lavad_core.models.kinds import prompt_reader
from lavad_core.pipeline.graph import build_graph
from lavad_core.recipes.direct import direct_messages
from lavad_core.recipes.rescoring import rescore_messages
from lavad_core.stages.rescore import total_tokens
from lavad_core.stages.score_definitions import statement_questions
from lavad_core.stages.yes_no import is_ordinal, threshold_messages

SHORTEST = "a"
"""A caption or summary: if the prompt does not fit with it, it never does."""


@dataclass(frozen=True)
class Prompt:
    """The prompt of a stage, with an example in place of captions or summary."""

    stage: str
    """One that asks the chat model."""
    messages: Messages
    """(role, text) as they leave."""
    folds: bool
    """Whether system messages are folded into the user's turn."""
    rendered: str | None
    """What the model reads; None if only the server knows."""
    fixed_tokens: int
    """Tokens of the prompt with the shortest caption or summary."""
    counted: bool
    """Whether the model's own tokenizer counted; otherwise the number is an estimate."""
    counted_later: bool
    """Whether the model counts them when it is loaded, before anything is asked: then an estimate decides nothing."""
    total_tokens: int
    """Most tokens of prompt and answer together."""
    answer_tokens: int
    """How many of these are kept for the answer."""
    setting: str
    """The setting that allows more."""

    @property
    def fits(self) -> bool:
        """Whether anything can be asked at all."""
        return self.fixed_tokens + self.answer_tokens <= self.total_tokens

    @property
    def in_words(self) -> str:
        """How much there is room for."""
        about = "" if self.counted else "about "
        left = self.total_tokens - self.fixed_tokens - self.answer_tokens
        room = f"{left} are left for the text" if self.fits else f"that is {-left} too many"
        return (
            f"{about}{self.fixed_tokens} tokens of fixed text and {self.answer_tokens} for the answer, of {self.total_tokens}: "
            f"{room}"
        )


def chat_stages(config: LavadConfig) -> list[str]:
    """The stages of a configuration that ask the chat model."""
    graph = build_graph(config, dict.fromkeys(config.models, "?"))
    return [node.stage for node in graph.nodes if node.role == "chat"]


def prompts_of(config: LavadConfig) -> list[Prompt]:
    """The prompts of the stages that ask the chat model; none for a chat model of the user's own, which alone knows.

    Raises:
        ModelError: the model is not here, or its chat template cannot be used.
        RequestRejected: its template refuses the messages.
        ServiceUnavailable: its server is not there.
    """
    stages = chat_stages(config)
    if not stages:
        return []
    reader = prompt_reader(config.chat, config.store)
    if reader is None:
        return []
    with closing(reader):
        return [_prompt(config, stage, reader) for stage in stages]


def check_prompts(config: LavadConfig) -> None:
    """Say that prompts do not fit before anything is computed or paid for. What cannot be known now is left to the run.

    Raises:
        ConfigError: they do not; names the setting.
        ModelError, RequestRejected: the chat template cannot be used.
    """
    try:
        prompts = prompts_of(config)
    except ServiceUnavailable:
        return
    for prompt in prompts:
        if not prompt.fits and (prompt.counted or not prompt.counted_later):
            raise ConfigError(
                f"the prompt of {prompt.stage} does not fit: {prompt.in_words}; allow more tokens ({prompt.setting}), reserve "
                "fewer for the answer, or shorten the prompt"
            )


def _prompt(config: LavadConfig, stage: str, reader: PromptReader) -> Prompt:
    rates = ("rate_events", "rescore", "score_definitions")
    asks_as = {"summarise_events": "summarise", **dict.fromkeys(rates, "score")}.get(stage, stage)
    if asks_as == "summarise":
        settings = config.summarise
        most = config.window.samples if stage == "summarise" else config.events.captions
        examples = [f"(caption {number})" for number in range(1, most + 1)]
        example = summary_messages(examples, settings.prompt, settings.separator)
        shortest = summary_messages([SHORTEST], settings.prompt, settings.separator)
        total, answer = settings.total_tokens, settings.min_answer_tokens
    elif stage == "score_direct" or (stage == "score_clips" and not is_ordinal(config)):
        of_score = config.score
        example = shortest = direct_messages(of_score.context_prompt, of_score.format_prompt)
        total, answer = reader.context_tokens or of_score.total_tokens, of_score.max_answer_tokens
    elif stage == "score_definitions":
        example, shortest = (
            max(statement_questions(config, text), key=_length) for text in ("(the summary)", SHORTEST)
        )
        total, answer = config.score.total_tokens, 1
    elif is_ordinal(config):
        of_clips = stage == "score_clips"
        example, shortest = (
            threshold_messages(config, 1.0, None if of_clips else text) for text in ("(the summary)", SHORTEST)
        )
        total, answer = (of_clips and reader.context_tokens) or config.score.total_tokens, 1
    elif stage == "rescore":
        prompts = (config.rescore.context_prompt, config.score.format_prompt)
        example, shortest = (
            rescore_messages("(the summary)", "(tags)", *prompts),
            rescore_messages(SHORTEST, "", *prompts),
        )
        total, answer = total_tokens(config), config.score.max_answer_tokens
    else:
        of_score = config.score
        example = score_messages("(the summary)", of_score.context_prompt, of_score.format_prompt)
        shortest = score_messages(SHORTEST, of_score.context_prompt, of_score.format_prompt)
        total, answer = of_score.total_tokens, of_score.max_answer_tokens
    # Pictures take tokens too: how many, their model alone knows.
    pictures = stage in ("score_direct", "score_clips")
    setting = "a model with a longer context" if pictures else f"{asks_as}.total_tokens"
    if reader.context_tokens is not None and reader.context_tokens < total:
        total, setting = reader.context_tokens, "a model with a longer context"
    fixed, counted = reader.count(_leaving(shortest, reader.folds))
    messages = _leaving(example, reader.folds)
    return Prompt(
        stage,
        messages,
        reader.folds,
        reader.render(messages),
        fixed,
        counted,
        reader.counts_later,
        total,
        answer,
        setting,
    )


def _length(messages: Messages) -> int:
    return sum(len(text) for _, text in messages)


def _leaving(messages: Messages, folds: bool) -> Messages:
    return folded(messages) if folds else tuple(messages)
