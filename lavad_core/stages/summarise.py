"""Stage 5, summarise (Eq. 3): what happened in the window around each grid frame, by the language model."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lavad_core.config.schema import LavadConfig
from lavad_core.method.sampling import SAMPLED, Samples, cannot_be_had, nearest_rows
from lavad_core.method.summarising import kept_part, shorten, summary_messages
from lavad_core.method.summary_text import finished_part
from lavad_core.models.chat.read_answer import ReadAnswer
from lavad_core.models.protocols import ChatModel, ChatRequest
from lavad_core.stages.asking import ask_all, asked, build_all, chat_read_if, seed_of
from lavad_core.stages.context import StageContext
from lavad_core.stages.imported_values import imported_texts
from lavad_core.stages.node import Node, Reads, grid_settings, settings_of
from lavad_core.stages.summary_counts import SummaryCounts
from lavad_core.stages.units import Work
from lavad_core.stages.video_frames import SAMPLES_READ_IF, FrameTimes, grid_of, load_probe, samples_of
from lavad_core.store.types import Commit, ResultWriter

log = logging.getLogger(__name__)

VERSION = 2
DESCRIPTION = "Summaries of each window's captions by the language model (Eq. 3)."
SCHEMA = pa.schema(
    [
        pa.field("frame", pa.int64(), nullable=False),
        pa.field("summary", pa.string(), nullable=False),
        pa.field("sampled_frames", pa.list_(pa.int64()), nullable=False),
        pa.field("captions_left_out", pa.int32(), nullable=False),
    ]
)


_warned: set[str] = set()
"""Settings of which the log has named a video; the others' commits say it too."""

READ_IF = chat_read_if("summarise") | SAMPLES_READ_IF


def reads(config: LavadConfig) -> list[Reads]:
    """The cleaned captions, through the language model or as they are; or the imported summaries."""
    if config.imports.summaries is not None:
        return [Reads(("probe",), grid_settings(config), imported=True)]
    if not config.summarise.enabled:
        return [Reads(("probe", "clean"), grid_settings(config) | {"summarise.enabled": False})]
    return [Reads(("probe", "clean"), settings_of(config, "summarise", READ_IF), role="chat")]


def costs(config: LavadConfig, node: Node, video: FrameTimes) -> Work:
    """At most a request for each grid frame."""
    own = config.summarise
    rows = len(grid_of(config, video))
    return asked(config, node, rows, total=own.total_tokens, kept=own.min_answer_tokens, answer=own.total_tokens)


def run(context: StageContext) -> Commit:
    """Commit one row per grid frame: the summary, the frames that its window sampled, and how many captions of it had to be
    left out to fit the model's context."""
    probe = load_probe(context)
    centres = grid_of(context.config, probe).tolist()
    with context.writer(SCHEMA) as writer:
        if context.node.imported:
            return _write(context, writer, centres, imported_texts(context, centres))
        frames, captions = cleaned_captions(context)
        if not context.config.summarise.enabled:
            # any-frame sampling cleans other frames than the centres: then it is the nearest cleaned one
            own = [captions[row] for row in nearest_rows(frames, np.asarray(centres))]
            return _write(context, writer, centres, own)
        windows = samples_of(context.config, probe)
        model, device = context.resources.models.chat()

        def build(at: int) -> tuple[ChatRequest, int]:
            window = windows[at]
            texts = [captions[row] for row in np.searchsorted(frames, window)]
            return summary_request(context.config, model, texts, int(np.abs(window - centres[at]).argmin()))

        built = build_all(context.config.chat, build, range(len(windows)))
        requests = [request for request, _ in built]
        left_out = [count - kept for count, (_, kept) in zip(windows.lengths.tolist(), built, strict=True)]
        readings = ask_all(context, model, device, requests)
        summaries = [read_summary(context.config, reading) for reading in readings]
        context.resources.patience.note(context.node.id, context.video.name, any(summaries))
        outcome = SummaryCounts.of(summaries, readings, requests, left_out)
        return _write(context, writer, centres, summaries, windows, left_out, outcome)


def read_summary(config: LavadConfig, reading: ReadAnswer) -> str:
    """S_i in an answer; empty if it holds none."""
    drop = reading.fault == "truncated" and config.summarise.unfinished == "drop"
    return kept_part(finished_part(reading.text) if drop else reading.text, config.summarise.keep)


def summary_request(
    config: LavadConfig, model: ChatModel, captions: Sequence[str], centre: int
) -> tuple[ChatRequest, int]:
    """The summary request for a window, and how many of its captions it holds.

    Args:
        captions: those of the window's samples, in order of time.
        centre: position of the sample nearest to the window's centre.
    """
    settings = config.summarise
    total = min(settings.total_tokens, model.context_tokens)

    def tokens(texts: Sequence[str]) -> int:
        return model.count_tokens(summary_messages(texts, settings.prompt, settings.separator))

    kept = shorten(captions, centre, lambda texts: tokens(texts) + settings.min_answer_tokens <= total)
    messages = summary_messages(kept, settings.prompt, settings.separator)
    request = ChatRequest(
        messages=tuple(messages),
        max_tokens=max(1, total - tokens(kept)),
        temperature=settings.temperature,
        top_p=settings.top_p,
        seed=seed_of(config, messages),
    )
    return request, len(kept)


def cleaned_captions(context: StageContext) -> tuple[NDArray[np.int64], list[str]]:
    """Frames and their captions. A text that many frames have is one string: with ``any-frame`` ten frames of a window have
    one."""
    table = context.table("clean", ["frame", "caption"])
    captions = table["caption"].combine_chunks().dictionary_encode()
    texts = captions.dictionary.to_pylist()
    return table["frame"].to_numpy(), [texts[at] for at in captions.indices.to_pylist()]


def _lists(windows: Samples) -> pa.Array:
    """The frames of each window as a column of lists."""
    offsets = np.concatenate([[0], np.cumsum(windows.lengths)])
    frames = np.empty(offsets[-1], np.int64)
    for start, window in zip(offsets.tolist(), windows, strict=False):
        frames[start : start + len(window)] = window
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), pa.array(frames))


def _write(
    context: StageContext,
    writer: ResultWriter,
    centres: list[int],
    summaries: list[str],
    windows: Samples | None = None,
    left_out: list[int] | None = None,
    outcome: SummaryCounts | None = None,
) -> Commit:
    nobody = pa.array([[]] * len(centres), SCHEMA.field("sampled_frames").type)
    columns = {
        "frame": centres,
        "summary": summaries,
        "sampled_frames": nobody if windows is None else _lists(windows),
        "captions_left_out": left_out or [0] * len(centres),
    }
    writer.write(pa.Table.from_pydict(columns, schema=SCHEMA))
    outcome = outcome or SummaryCounts.of(summaries)
    gaps = outcome.gaps(context.config.summarise)
    return writer.commit(
        "ok_with_gaps" if gaps else "ok",
        message="; ".join([*gaps, *outcome.warnings(), *_thin(context, windows)]),
        counts={**outcome.counts, "short_windows": 0 if windows is None else windows.short},
        facts={SAMPLED: {} if windows is None else windows.histogram},
    )


def _thin(context: StageContext, windows: Samples | None) -> list[str]:
    """A sentence if most windows have fewer candidates than the configuration wants samples."""
    window = context.config.window
    short, number = (0, 0) if windows is None else (windows.short, len(windows))
    words = cannot_be_had(short, number, window.samples, window.sampling)
    setting = f"window.samples = {window.samples} of {window.duration_s:g} s by {window.sampling}"
    if words and setting not in _warned:
        _warned.add(setting)
        log.warning("%r: %s", context.video.name, words)
    return [words] if words else []
