"""Stage 6, score (Eq. 4): how anomalous each summary is, by the language model, 0 to 1."""

from __future__ import annotations

import pyarrow as pa

from lavad_core.config.schema import LavadConfig
from lavad_core.errors import VideoRejected
from lavad_core.method.scoring import (
    choices,
    expected_score,
    interpolate_missing,
    parse_choice,
    parse_free_text,
    score_messages,
)
from lavad_core.method.summarising import shorten
from lavad_core.models.protocols import ChatAnswer, ChatModel, ChatRequest
from lavad_core.stages.asking import ask_all, build_all, seed_of
from lavad_core.stages.context import StageContext
from lavad_core.stages.imported import imported_scores
from lavad_core.stages.timeline import grid_of, load_probe
from lavad_core.store.types import Commit

SCHEMA = pa.schema(
    [
        pa.field("frame", pa.int64(), nullable=False),
        pa.field("score", pa.float64(), nullable=False),
        pa.field("answer", pa.string()),
        pa.field("origin", pa.string(), nullable=False),
    ]
)


def run(context: StageContext) -> Commit:
    """Commit a row a grid frame: the score, what the model answered, and whether the score was ``said``, ``expected``
    (from the model's probabilities), ``interpolated`` (the answer held none) or ``imported``."""
    if context.node.imported:
        centres = grid_of(context, load_probe(context)).tolist()
        given = imported_scores(context, centres)
        return _commit(context, centres, given, [None] * len(centres), ["imported"] * len(centres))
    summaries = context.table("summarise", ["frame", "summary"])
    frames, texts = summaries["frame"].to_pylist(), summaries["summary"].to_pylist()
    model, device = context.bench.models.chat()
    requests = build_all(context, lambda text: build_request(context.config, model, text), texts)
    answers = ask_all(context, model, device, requests)
    found = [read_answer(context.config, answer) for answer in answers]
    if all(value is None for value in found):
        raise VideoRejected(
            "no-scores",
            f"none of {len(found)} answers for {context.video.name!r} holds a number in [0, 1]; "
            f"first answer: {answers[0].text[:80]!r}; score.answer = choice makes the server give one",
        )
    scores, interpolated = interpolate_missing(frames, found)
    said = "expected" if context.config.score.expected else "said"
    origins = ["interpolated" if missing else said for missing in interpolated.tolist()]
    return _commit(context, frames, scores.tolist(), [answer.text for answer in answers], origins)


def build_request(config: LavadConfig, model: ChatModel, summary: str) -> ChatRequest:
    """The score request for a summary; a summary too long for the context loses its last words."""
    settings = config.score
    total = min(settings.total_tokens, model.context_tokens)

    def tokens(text: str) -> int:
        return model.count_tokens(score_messages(text, settings.context_prompt, settings.format_prompt))

    (kept,) = shorten([summary], 0, lambda texts: tokens(texts[0]) + settings.max_answer_tokens <= total)
    constrained = settings.answer == "choice"
    messages = score_messages(kept, settings.context_prompt, settings.format_prompt)
    return ChatRequest(
        messages=tuple(messages),
        max_tokens=settings.max_answer_tokens if constrained else max(1, total - tokens(kept)),
        temperature=settings.temperature,
        top_p=settings.top_p,
        seed=seed_of(config, messages),
        choices=choices() if constrained else None,
        distribution=constrained and settings.expected,
    )


def read_answer(config: LavadConfig, answer: ChatAnswer) -> float | None:
    """The score in an answer, or None."""
    if config.score.answer == "free-text":
        return parse_free_text(answer.text)
    if config.score.expected and answer.log_probabilities is not None:
        return expected_score(answer.log_probabilities)
    return parse_choice(answer.text)


def _commit(
    context: StageContext, frames: list[int], scores: list[float], answers: list[str | None], origins: list[str]
) -> Commit:
    unparsed = origins.count("interpolated")
    too_many = unparsed > context.config.score.max_unparsed_fraction * len(frames)
    with context.writer(SCHEMA) as writer:
        columns = {"frame": frames, "score": scores, "answer": answers, "origin": origins}
        writer.write(pa.Table.from_pydict(columns, schema=SCHEMA))
        return writer.commit(
            "ok_with_gaps" if too_many else "ok",
            message=f"{unparsed} of {len(frames)} answers held no score and were interpolated" if too_many else "",
            counts={"scores": len(frames), "unparsed": unparsed},
        )
