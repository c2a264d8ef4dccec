"""Gated re-scoring, between the scores and their refinement: the texts of a video in doubt are rated again, told what was
possibly seen in its most suspicious part (URF)."""

from __future__ import annotations

import sys
from bisect import bisect_left
from typing import Any

import numpy as np
import pyarrow as pa

from lavad_core.config.schema import LavadConfig
from lavad_core.errors import RequestRejected
from lavad_core.imports.tags import read_tags
from lavad_core.method.summarising import Messages, shorten
from lavad_core.models.chat.read_answer import WORDS
from lavad_core.models.picture_parts import data_uri
from lavad_core.models.protocols import ChatModel, ChatRequest
from lavad_core.recipes.extremes import Extreme, Extremes, extremes
from lavad_core.recipes.rescoring import Tags, outside_band, rescore_messages, tags_messages, tags_of_answer
from lavad_core.runs import work
from lavad_core.stages import score
from lavad_core.stages.asking import ask_all, asked, chat_read_if, fits, seed_of, seeing
from lavad_core.stages.context import StageContext
from lavad_core.stages.imported_values import check_unchanged
from lavad_core.stages.node import Condition, Node, Reads, never, scores_node, settings_of
from lavad_core.stages.passes import decode_frames
from lavad_core.stages.units import FRAMES_DECODED, TOKENS, Work
from lavad_core.stages.video_frames import FrameTimes, grid_of, load_probe
from lavad_core.store.types import Commit
from lavad_core.video.types import FrameRequest, Geometry

VERSION = 1
DESCRIPTION = "A second rating of the videos in doubt, with tags of what was seen (URF)."
SCHEMA = score.SCHEMA.append(pa.field("first_score", pa.float64(), nullable=False)).append(
    pa.field("reason", pa.string(), nullable=False)
)

TAG_TOKENS = 1024
"""Most tokens of the answer that names tags, and what they may add to a question about a text."""

FRAME_RATE, MOST_FRAMES = 18, 180
"""Frames per second, and of all, of a window that the method shows its model."""

JPEG_QUALITY = 95

TAGS_CUT = "tags_cut"
"""Questions in which the tags lost words."""


def total_tokens(config: LavadConfig) -> int:
    """Most tokens of a question about a text and its answer, if the model's context has room for them."""
    return config.score.total_tokens + TAG_TOKENS


def _shown(config: LavadConfig) -> bool:
    """Whether the model is shown pictures."""
    return config.rescore.tags == "vlm"


READ_IF: dict[str, Condition] = (
    chat_read_if("score")
    | score.ANSWER_READ_IF
    | dict.fromkeys(("rescore.tags_prompt", "rescore.pictures", "rescore.image_side"), _shown)
    | {
        "chat.context_tokens": lambda config: (
            getattr(config.chat, "context_tokens", sys.maxsize) < total_tokens(config)
        ),
        "rescore.tags": never,  # where they come from, the inputs say
    }
)


def reads(config: LavadConfig) -> list[Reads]:
    """The scores, the texts that they are of, and the pictures of the most suspicious part or imported tags."""
    return [
        Reads(
            ("probe", scores_node(config), "summarise"),
            settings_of(config, "rescore", READ_IF),
            role="chat",
            imported=not _shown(config),
            pictures="rescore.tags=import, with imports.tags" if _shown(config) else "",
        )
    ]


def costs(config: LavadConfig, node: Node, video: FrameTimes) -> Work:
    """At most, since which videos are in doubt is not known before: a request for each grid frame, and one with pictures, whose
    tokens their model alone knows."""
    own, rows = config.score, len(grid_of(config, video))
    answer = own.max_answer_tokens if own.answer == "choice" else total_tokens(config)
    found = asked(config, node, rows, total=total_tokens(config), kept=own.max_answer_tokens, answer=answer)
    if _shown(config):
        found[work.LLM_REQUESTS] += 1
        found[work.COMPLETION_TOKENS] += TAG_TOKENS
        found[TOKENS] += TAG_TOKENS
        found[FRAMES_DECODED] = video.frames
    return found


def run(context: StageContext) -> Commit:
    """Commit one row per grid frame: the score, which is the first one (``first_score``) where the video is not in doubt or has
    no tags; what the model answered, and where the score came from, as the stage ``score`` has it, or ``first``; and why it was
    or was not rated again. Facts hold what was found of the video: ``why``, ``rescored``, its extremes, and its ``tags``."""
    config = context.config
    scored = context.table(scores_node(config), ["frame", "score"])
    frames, first = scored["frame"].to_pylist(), scored["score"].to_pylist()
    own = config.rescore
    found = extremes(frames, first, fraction=own.window_fraction, least=own.min_window_frames)
    why = outside_band(found, own.band)
    if why:
        return _as_before(context, frames, first, found, f"not re-scored: {why}")
    tags = _tags(context, found.highest)
    if not tags.text:
        return _as_before(context, frames, first, found, f"not re-scored: {tags.why}", skipped=True, gap=tags.unread)
    texts = context.table("summarise", ["summary"])["summary"].to_pylist()
    cut: list[str] = []

    def request(model: ChatModel, text: str) -> tuple[ChatRequest, bool]:
        question, shortened, fewer = rescore_request(config, model, text, tags.text)
        cut.extend([text] * fewer)
        return question, shortened

    readings, shortened = score.ask_about(context, texts, request)
    why = f"re-scored: highest mean {found.highest.mean:g}; tags: {tags.text}"
    beside = score.Beside(
        {"first_score": first, "reason": [why] * len(frames)},
        {"rescored": 1, "skipped": 0, TAGS_CUT: len(cut)},
        _facts(found, why, tags.text),
    )
    return score.commit_readings(context, frames, readings, SCHEMA, shortened, beside)


def _facts(found: Extremes, why: str, tags: str = "") -> dict[str, Any]:
    ends = {
        name: [part.start, part.end, part.mean] for name, part in (("highest", found.highest), ("lowest", found.lowest))
    }
    return {"why": why, "rescored": bool(tags), **ends, "deviation": found.deviation, "tags": tags}


def _as_before(
    context: StageContext,
    frames: list[int],
    first: list[float],
    found: Extremes,
    why: str,
    *,
    skipped: bool = False,
    gap: bool = False,
) -> Commit:
    """Commit the first scores. A video that is left out though it is in doubt says so among the run's videos."""
    nothing = [None] * len(frames)
    columns = {
        "frame": frames,
        "score": first,
        "answer": nothing,
        "origin": ["first"] * len(frames),
        "outside": nothing,
        "first_score": first,
        "reason": [why] * len(frames),
    }
    with context.writer(SCHEMA) as writer:
        writer.write(pa.Table.from_pydict(columns, schema=SCHEMA))
        return writer.commit(
            "ok_with_gaps" if gap else "ok",
            message=why if skipped else "",
            counts={"scores": len(frames), "rescored": 0, "skipped": int(skipped), TAGS_CUT: 0},
            facts=_facts(found, why),
        )


def _tags(context: StageContext, part: Extreme) -> Tags:
    """What was possibly seen in a part of the video.

    Raises:
        InputError: the imported tags have changed since the run began.
        ModelError: the model is shown no pictures.
        RequestRejected: its server takes no request with as many of them.
    """
    config = context.config
    if not _shown(config):
        assert config.imports.tags is not None  # the configuration was checked
        tags, digest = read_tags(config.imports.tags, context.video.name)
        check_unchanged(context, config.imports.tags, digest, "tags")
        return tags
    model, device = context.resources.models.chat()
    seeing(config, model, "rescore.tags 'vlm' shows it pictures", "rescore.tags=import, with imports.tags")
    try:
        (reading,) = ask_all(context, model, device, [_tags_request(context, model, part)])
    except RequestRejected as refusal:
        raise RequestRejected(
            refusal.status,
            f"{refusal}; it was shown {config.rescore.pictures} pictures at most: a server that takes fewer needs a smaller "
            "rescore.pictures or rescore.image_side",
            refusal.field,
            refusal.words,
        ) from refusal
    if reading.fault is not None and not reading.text:
        return Tags(why=f"the model's answer about its pictures is {WORDS[reading.fault]}", unread=True)
    return tags_of_answer(reading.text)


def _tags_request(context: StageContext, model: ChatModel, part: Extreme) -> ChatRequest:
    """The question what is seen in a part of the video, with its pictures."""
    probe, own = load_probe(context), context.config.rescore
    first, last = part.start, min(part.end, probe.frames - 1)
    seconds = float(probe.times_s[last] - probe.times_s[first])
    count = min(own.pictures, MOST_FRAMES, max(1, round(seconds * FRAME_RATE)))
    wanted = np.unique(np.linspace(first, last, count).round().astype(np.int64))
    with decode_frames(context, probe, [FrameRequest(Geometry("short_side", own.image_side), wanted)], model) as shown:
        pictures = tuple(data_uri(picture.image, JPEG_QUALITY) for picture in shown)
    messages = tags_messages(own.tags_prompt)
    return ChatRequest(
        messages=messages,
        max_tokens=min(TAG_TOKENS, model.context_tokens // 4),
        temperature=0.0,
        top_p=1.0,
        seed=seed_of(context.config, messages, pictures),
        pictures=pictures,
    )


def rescore_request(config: LavadConfig, model: ChatModel, summary: str, tags: str) -> tuple[ChatRequest, bool, bool]:
    """The question about a text, and whether the text and the tags were too long. Tags lose their last words first."""
    total = min(total_tokens(config), model.context_tokens)
    most = total - config.score.max_answer_tokens

    def prompt(text: str, words: str) -> Messages:
        return rescore_messages(text, words, config.rescore.context_prompt, config.score.format_prompt)

    words, kept = tags.split(), tags
    if not fits(model, prompt(summary, tags), most):

        def too_many(count: int) -> bool:
            return not fits(model, prompt(summary, " ".join(words[:count])), most)

        kept = " ".join(words[: bisect_left(range(1, len(words) + 1), True, key=too_many)])
    (text,) = shorten([summary], 0, lambda texts: fits(model, prompt(texts[0], kept), most))
    return score.rating_request(config, model, prompt(text, kept), total), text != summary, kept != tags
