"""Stage 6, score (Eq. 4): how anomalous each summary is, by the language model, 0 to 1."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

import pyarrow as pa

from lavad_core.config.schema import LavadConfig
from lavad_core.errors import VideoRejected
from lavad_core.method.scoring import (
    choices,
    expected_score,
    interpolate_missing,
    parse_choice,
    parse_free_text,
    parse_own_score,
    score_messages,
)
from lavad_core.method.summarising import Messages, shorten
from lavad_core.models.chat.read_answer import ReadAnswer
from lavad_core.models.protocols import ChatModel, ChatRequest
from lavad_core.recipes.ordinal import MANY_VIOLATIONS, violations
from lavad_core.stages.asking import ask_all, build_all, chat_read_if, fits, seed_of
from lavad_core.stages.context import StageContext
from lavad_core.stages.imported_values import imported_scores
from lavad_core.stages.node import Condition, Node, Reads, grid_settings, settings_of
from lavad_core.stages.score_counts import ScoreCounts
from lavad_core.stages.units import Work
from lavad_core.stages.video_frames import FrameTimes, grid_of, load_probe
from lavad_core.stages.yes_no import (
    Judged,
    ask_thresholds,
    is_ordinal,
    questions_about,
    threshold_messages,
    threshold_requests,
)
from lavad_core.store.types import Commit, ResultWriter

Asked = TypeVar("Asked")
Answer = TypeVar("Answer")

VIOLATIONS = "order_violations"
"""Fact of a commit: mean fraction of neighbouring thresholds of which the model finds the higher one more probable."""

MOST_SHORTENED = 0.05
"""Fraction of a video's summaries that may lose words before its scores are ``ok_with_gaps``."""

VERSION = 2
DESCRIPTION = "Anomaly scores of the summaries by the language model (Eq. 4)."
SCHEMA = pa.schema(
    [
        pa.field("frame", pa.int64(), nullable=False),
        pa.field("score", pa.float64(), nullable=False),
        pa.field("answer", pa.string()),
        pa.field("origin", pa.string(), nullable=False),
        pa.field("outside", pa.float64()),
    ]
)


@dataclass(frozen=True)
class Beside:
    """What a stage that scores as this one does has in its result beside that."""

    columns: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    """Columns of its schema that are not here."""
    counts: Mapping[str, int] = field(default_factory=dict)
    """Counts of the commit."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """Facts of the commit."""
    said: Sequence[str] = ()
    """Sentences of the commit's message."""


ANSWER_READ_IF: dict[str, Condition] = {
    "score.expected": lambda config: config.score.answer == "choice",
    "score.match": lambda config: config.score.answer == "free-text",
    "score.above_one": lambda config: config.score.answer == "free-text" and config.score.match == "first",
}
"""When settings of how an answer is read are read."""

ORDINAL_SCHEMA = SCHEMA.append(pa.field("probabilities", pa.list_(pa.float64())))
"""With ``score.answer: ordinal``: also the probability of yes at each threshold; null where one is not known."""

ORDINAL_READ_IF: dict[str, Condition] = {
    **dict.fromkeys([f"score.{name}" for name in ("thresholds", "question", "rubric", "yes", "no")], is_ordinal),
    **dict.fromkeys(
        [f"score.{name}" for name in ("context_prompt", "format_prompt", "temperature", "top_p", "max_answer_tokens")]
        + ["chat.seed"],  # nothing is drawn
        lambda config: not is_ordinal(config),
    ),
}
"""When a stage that may ask yes/no questions reads what it asks."""

READ_IF = chat_read_if("score") | ANSWER_READ_IF | ORDINAL_READ_IF


def reads(config: LavadConfig) -> list[Reads]:
    """The summaries; or the imported scores."""
    if config.imports.scores is not None:
        return [Reads(("probe",), grid_settings(config), imported=True)]
    return [Reads(("summarise",), settings_of(config, "score", READ_IF), role="chat")]


def costs(config: LavadConfig, node: Node, video: FrameTimes) -> Work:
    """At most a request for each grid frame, or one for each threshold; equal summaries are one."""
    return questions_about(config, node, len(grid_of(config, video)))


def run(context: StageContext) -> Commit:
    """Commit one row per grid frame: the score, what the model answered, and whether the score was ``said``, ``expected``
    (from the model's probabilities), ``interpolated`` (the answer held none, or there was no summary) or ``imported``; and,
    where it was measured, how probable it was that the answer would have begun unlike any choice."""
    if context.node.imported:
        centres = grid_of(context.config, load_probe(context)).tolist()
        given = imported_scores(context, centres)
        return _commit(
            context, centres, given, [None] * len(centres), ["imported"] * len(centres), ScoreCounts(len(centres))
        )
    summaries = context.table("summarise", ["frame", "summary"])
    frames, texts = summaries["frame"].to_pylist(), summaries["summary"].to_pylist()
    if is_ordinal(context.config):
        judged, shortened = answers_about(context, texts, partial(threshold_questions, context.config), ask_thresholds)
        return commit_judged(context, frames, judged, ORDINAL_SCHEMA, shortened)
    readings, shortened = ask_about(context, texts, partial(score_request, context.config))
    return commit_readings(context, frames, readings, SCHEMA, shortened)


def commit_judged(
    context: StageContext,
    frames: list[int],
    judged: Sequence[Judged | None],
    schema: pa.Schema,
    shortened: int = 0,
    between: Collection[int] = (),
) -> Commit:
    """:func:`commit_readings` of answers to yes/no questions; facts hold how often thresholds were in the wrong order."""
    readings = [None if one is None else one.reading for one in judged]
    found = [None if one is None else one.score for one in judged]
    beside = beside_judged(context, judged)
    return commit_readings(context, frames, readings, schema, shortened, beside, found=found, between=between)


def beside_judged(context: StageContext, judged: Sequence[Judged | None]) -> Beside:
    """The probabilities, and how often thresholds were in the wrong order."""
    probabilities = [None if one is None else one.probabilities for one in judged]
    disorder = [violations(known) for known in probabilities if known is not None]
    mean = math.fsum(disorder) / len(disorder) if disorder else 0.0
    said = (
        f"chat model {context.config.chat.model!r} finds a higher threshold of severity more probable than the one before it "
        f"in {mean:.1%} of cases (mean of {len(disorder)} scores; {MANY_VIOLATIONS:.0%} are many): it does not tell the "
        "thresholds apart; try another model, or another score.question",
    )
    return Beside(
        {"probabilities": probabilities}, facts={VIOLATIONS: mean}, said=said if mean > MANY_VIOLATIONS else ()
    )


def commit_readings(
    context: StageContext,
    frames: list[int],
    readings: Sequence[ReadAnswer | None],
    schema: pa.Schema,
    shortened: int = 0,
    beside: Beside | None = None,
    *,
    found: Sequence[float | None] | None = None,
    said: str | None = None,
    between: Collection[int] = (),
) -> Commit:
    """Commit the scores in a model's answers, one for each grid frame: those without one are filled in from around them.

    Args:
        frames: the grid.
        readings: the answers; None where nothing was asked.
        schema: the columns wanted, of those of :data:`SCHEMA` and ``reason``, the answer as a text.
        shortened: how many questions lost words.
        beside: what else the result holds.
        found: the scores in the answers, where they were read already.
        said: the origin of such a score; None where ``score.answer`` says it.
        between: places of frames that were not to be asked about. Their scores are those around them, and nothing is missing.

    Raises:
        VideoRejected: too few answers hold a score.
    """
    if found is None:
        found = [None if reading is None else read_answer(context.config, reading) for reading in readings]
    wanted = [at for at in range(len(frames)) if at not in between]
    tally = ScoreCounts.of([readings[at] for at in wanted], [found[at] for at in wanted])
    reject_useless(context, tally)
    above_one = context.config.score.above_one == "score"
    scores, interpolated = interpolate_missing(frames, found, above_one=above_one)
    if said is None:
        said = "expected" if context.config.score.expected else "ordinal" if is_ordinal(context.config) else "said"
    origins = [
        "between" if at in between else "interpolated" if missing else said
        for at, missing in enumerate(interpolated.tolist())
    ]
    answers = [None if reading is None else reading.shown for reading in readings]
    outside = [None if reading is None else reading.answer.outside for reading in readings]
    return _commit(context, frames, scores.tolist(), answers, origins, tally, outside, shortened, schema, beside)


def ask_about(
    context: StageContext, texts: Sequence[str], build: Callable[[ChatModel, str], tuple[ChatRequest, bool]]
) -> tuple[list[ReadAnswer | None], int]:
    """:func:`answers_about` of one question about each summary."""
    return answers_about(context, texts, build, ask_all)


def answers_about(
    context: StageContext,
    texts: Sequence[str],
    build: Callable[[ChatModel, str], tuple[Asked, bool]],
    ask: Callable[[StageContext, ChatModel, AbstractContextManager[Any], Sequence[Asked]], Sequence[Answer]],
) -> tuple[list[Answer | None], int]:
    """What the model says about each summary, None for an empty one about which it is not asked; and how many were too long.

    Args:
        texts: the summaries.
        build: what is asked about one, and whether the summary was too long.
        ask: gives the answers.
    """
    asked = [
        number for number, text in enumerate(texts) if text.strip() or context.config.score.without_summary == "ask"
    ]
    answers: list[Answer | None] = [None] * len(texts)
    shortened = 0
    if asked:
        model, device = context.resources.models.chat()
        wanted = [texts[number] for number in asked]
        built = build_all(context.config.chat, partial(build, model), wanted)
        requests, shortened = [request for request, _ in built], sum(cut for _, cut in built)
        for number, answer in zip(asked, ask(context, model, device, requests), strict=True):
            answers[number] = answer
    return answers, shortened


def reject_useless(context: StageContext, tally: ScoreCounts, what: str = "windows") -> None:
    """Say to the stage's circuit breaker whether a video's answers were of use.

    Args:
        what: has scores, in the plural.

    Raises:
        VideoRejected: no score, or too few of them to fill in the others.
    """
    settings = context.config.score
    too_few = tally.useless > settings.reject_unparsed_fraction * tally.given
    if tally.answers:
        # Some accidental scores do not make a video's answers useful: it is rejected all the same.
        useful = tally.unparsed < tally.windows and not too_few
        context.resources.patience.note(context.node.id, context.video.name, useful)
    if tally.unparsed == tally.windows:
        raise VideoRejected(
            "no-scores",
            f"none of {tally.windows} {what} of {context.video.name!r} has a score: {tally.in_words()}"
            f"{tally.way_out(settings)}",
        )
    if too_few:
        raise VideoRejected(
            "no-scores",
            f"{tally.useless} of {tally.given} answers for {context.video.name!r} hold no score ({tally.in_words()}), more "
            f"than score.reject_unparsed_fraction = {settings.reject_unparsed_fraction:g}{tally.way_out(settings)}",
        )


def threshold_questions(config: LavadConfig, model: ChatModel, summary: str) -> tuple[list[ChatRequest], bool]:
    """The questions about a summary at all thresholds, and whether the summary was too long: then it loses its last words."""
    # As many letters as a word has: no more tokens than that are read of an answer.
    most = min(config.score.total_tokens, model.context_tokens) - max(len(config.score.yes), len(config.score.no)) - 1
    (kept,) = shorten([summary], 0, lambda texts: fits(model, threshold_messages(config, 1.0, texts[0]), most))
    return threshold_requests(config, kept), kept != summary


def score_request(config: LavadConfig, model: ChatModel, summary: str) -> tuple[ChatRequest, bool]:
    """The score request for a summary, and whether the summary was too long: then it loses its last words."""
    settings = config.score
    total = min(settings.total_tokens, model.context_tokens)

    def prompt(text: str) -> Messages:
        return score_messages(text, settings.context_prompt, settings.format_prompt)

    most = total - settings.max_answer_tokens
    (kept,) = shorten([summary], 0, lambda texts: fits(model, prompt(texts[0]), most))
    return rating_request(config, model, prompt(kept), total), kept != summary


def rating_request(config: LavadConfig, model: ChatModel, messages: Messages, total: int) -> ChatRequest:
    """The request for a score: as ``score.answer`` says.

    Args:
        messages: the question.
        total: most tokens of question and answer together.
    """
    settings = config.score
    constrained = settings.answer == "choice"
    return ChatRequest(
        messages=tuple(messages),
        max_tokens=settings.max_answer_tokens if constrained else max(1, total - model.count_tokens(messages)),
        temperature=settings.temperature,
        top_p=settings.top_p,
        seed=seed_of(config, messages),
        choices=choices() if constrained else None,
        distribution=constrained and settings.expected,
    )


def read_answer(config: LavadConfig, reading: ReadAnswer) -> float | None:
    """The score in an answer, or None."""
    settings = config.score
    if settings.answer == "free-text":
        if settings.match == "own":
            return parse_own_score(reading.text)
        return parse_free_text(reading.text, above_one=settings.above_one == "score")
    if settings.expected and reading.answer.log_probabilities is not None:
        return expected_score(reading.answer.log_probabilities)
    return parse_choice(reading.text)


def _commit(
    context: StageContext,
    frames: list[int],
    scores: list[float],
    answers: list[str | None],
    origins: list[str],
    tally: ScoreCounts,
    outside: list[float | None] | None = None,
    shortened: int = 0,
    schema: pa.Schema = SCHEMA,
    beside: Beside | None = None,
) -> Commit:
    beside = beside or Beside()
    outside = outside or [None] * len(frames)
    with context.writer(schema) as writer:
        columns = {"frame": frames, "score": scores, "answer": answers, "origin": origins, "outside": outside}
        columns["reason"] = [answer or "" for answer in answers]
        columns |= beside.columns
        writer.write(pa.Table.from_pydict({name: columns[name] for name in schema.names}, schema=schema))
        return commit_rows(context, writer, tally, outside, shortened, beside)


def commit_rows(
    context: StageContext,
    writer: ResultWriter,
    tally: ScoreCounts,
    outside: Sequence[float | None],
    shortened: int,
    beside: Beside,
) -> Commit:
    """Commit what was written, with what there is to say about the answers.

    Args:
        tally: what became of the answers, one for each row that has one.
        outside: how probable it was that each answer would have begun unlike any choice, where that was measured.
        shortened: how many questions lost words.
        beside: counts and facts for the commit.
    """
    rows = tally.windows
    too_many = tally.unparsed > context.config.score.max_unparsed_fraction * rows
    said = [
        f"{tally.unparsed} of {rows} answers held no score and were interpolated ({tally.in_words()})"
        f"{tally.way_out(context.config.score)}"
    ] * too_many
    too_long = shortened > MOST_SHORTENED * rows
    if shortened:
        said.append(
            f"{shortened} of {rows} summaries were too long for the prompt and lost their last words; raise "
            f"score.total_tokens (now {context.config.score.total_tokens}) as far as the model's context allows"
        )
    looked = [value for value in outside if value is not None]
    misfit = math.fsum(looked) / len(looked) if looked else 0.0
    if misfit > context.config.score.max_outside:
        by_definitions = context.config.score.method == "definitions"
        yes_no = "definitions.question" if by_definitions else "score.question" * is_ordinal(context.config)
        said.append(
            f"{misfit:.1%} of what chat model {context.config.chat.model!r} would have said lies outside the choices (mean of "
            f"{len(looked)} answers, score.max_outside = {context.config.score.max_outside:g}): "
            + (
                f"its answers would begin with another word; try another model, or another {yes_no}"
                if yes_no
                else "it was made to give a score and would have said something else; try another model, or another "
                "score.format_prompt"
            )
        )
    said += beside.said
    return writer.commit(
        "ok_with_gaps" if too_many or too_long else "ok",
        message="; ".join(said),
        counts={"scores": rows, **tally.counts, "shortened": shortened, "looked_outside": len(looked), **beside.counts},
        facts={**({"outside": misfit} if looked else {}), **beside.facts},
    )
