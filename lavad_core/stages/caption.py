"""Stage 1, caption: Φ_C on every grid frame, for one captioner."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Generator, Sequence
from contextlib import closing
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lavad_core.config.schema import LavadConfig
from lavad_core.models.chat.read_answer import (
    Fault,
    caption_of,
    count_faults,
    fault_counts,
    faults_in_words,
    read_answers,
)
from lavad_core.models.chat.thoughts import without_thoughts
from lavad_core.models.protocols import AnsweringCaptioner, ChatAnswer, Image
from lavad_core.models.shared_batches import SharedBatches
from lavad_core.runs import work
from lavad_core.stages.context import StageContext
from lavad_core.stages.imported_values import imported_texts
from lavad_core.stages.node import Condition, Node, Reads, grid_settings, never, settings_of
from lavad_core.stages.passes import call_size, calls_of, decode_frames, session_at
from lavad_core.stages.units import ROWS, Work, one_pass
from lavad_core.stages.video_frames import FrameTimes, grid_of, load_probe
from lavad_core.store.commits import storable
from lavad_core.store.types import Commit
from lavad_core.video.types import Frame, FrameRequest, Probe

VERSION = 1
DESCRIPTION = "Caption every grid frame, with one captioner."
SCHEMA = pa.schema(
    [
        pa.field("frame", pa.int64(), nullable=False),
        pa.field("captioner", pa.string(), nullable=False),
        pa.field("caption", pa.string(), nullable=False),
    ]
)


log = logging.getLogger(__name__)

LEAST_FRAMES = 8
"""Grid frames from which on a captioner that says one and the same of all of them is suspected."""

CHANGE = 25.0
"""Smallest mean difference from the first picture, in grey levels, at which pictures count as changing: a camera that sees
nothing happen rightly gets one caption."""


MOST_CUT = 0.05
"""Fraction of a video's captions that may be cut off by the limit of tokens before its result is ``ok_with_gaps``."""


READ_IF: dict[str, Condition] = {"captioner.on_change": never}  # what it comes to is part of the model's identity

READ_AS: dict[str, dict[str, Any]] = {"openai": {"captioner.reading": 2}}
"""Raised where captions of one kind alone are read from answers in another way: a new version of the stage would caption
again with all kinds."""


def reads(config: LavadConfig) -> list[Reads]:
    """The grid's pictures through each captioner; or the imported captions."""
    if config.imports.captions:
        grid = grid_settings(config)
        return [Reads(("probe",), grid, variant=name, imported=True) for name in config.imports.captions]
    return [
        Reads(
            ("probe",),
            settings_of(config, "caption", READ_IF, name) | READ_AS.get(section.kind, {}),
            role=f"captioner:{name}",
            variant=name,
            pictures="imports.captions",
        )
        for name, section in config.captioners.items()
    ]


def caption_nodes(config: LavadConfig) -> tuple[str, ...]:
    """Ids of the nodes, for the stages that read them."""
    return tuple(f"caption:{each.variant}" for each in reads(config))


def costs(config: LavadConfig, node: Node, video: FrameTimes) -> Work:
    """A caption of every grid frame."""
    frames = len(grid_of(config, video))
    made = {} if node.imported else one_pass(video) | {work.CAPTIONS_MADE: frames}
    return made | {ROWS: frames}


def run(context: StageContext) -> Commit:
    """Commit one row per grid frame; an empty caption is kept as such and counted, and a captioner that says nothing, or
    the same of everything, is named: beside others of an ensemble nobody would miss it."""
    probe = load_probe(context)
    pictures = _Pictures()
    faults: Counter[Fault] = Counter()
    if context.node.imported:
        frames = grid_of(context.config, probe).tolist()
        batches = (each for each in [(frames, imported_texts(context, frames))])
    else:
        batches = _captioned(context, probe, pictures, faults)
    name = context.node.variant
    empty = wordless = rows = 0
    said: set[str] = set()
    # An error of the writer ends the pass and its session at once: batches of other videos wait for a session that is open.
    with context.writer(SCHEMA) as writer, closing(batches):
        for frames, captions in batches:
            rows += len(frames)
            empty += sum(not caption.strip() for caption in captions)
            wordless += sum(not any(map(str.isalnum, caption)) for caption in captions)
            said.update(captions if len(said) < 2 else ())
            names = [name] * len(frames)
            writer.write(
                pa.Table.from_pydict({"frame": frames, "captioner": names, "caption": captions}, schema=SCHEMA)
            )
        message = ""
        if wordless:
            message = f"captioner {name}: {empty} of {rows} captions are empty"
            if unusable := faults_in_words(
                Counter({fault: count for fault, count in faults.items() if fault != "truncated"})
            ):
                message += f" ({unusable})"
            if wordless > empty:
                message += f", and {wordless - empty} have no letter or digit"
        elif len(said) == 1 and rows >= LEAST_FRAMES and pictures.change >= CHANGE:
            message = f"captioner {name}: all {rows} captions are {min(said)[:60]!r}, though the pictures differ"
        if wordless == rows or (message and not wordless):
            message += "; its weights or its precision may be at fault"
            log.warning("%r: %s", context.video.name, message)
        if faults["truncated"] > MOST_CUT * rows:
            message += "; " if message else f"captioner {name}: "
            message += f"{faults['truncated']} of {rows} captions are cut off; raise its max_new_tokens"
        return writer.commit(
            "ok_with_gaps" if message else "ok",
            message=message,
            counts={"captions": rows, "empty": empty, "wordless": wordless, **fault_counts(faults)},
        )


class _Pictures:
    """How much the pictures of a video differ from its first."""

    def __init__(self) -> None:
        self._first: NDArray[np.int16] | None = None
        self.change = 0.0

    def seen(self, frame: Frame) -> tuple[int, Image]:
        """The frame's index and picture. Grey thumbnails are compared: a few thousand numbers per picture."""
        image = frame.image
        small = image[:: max(1, image.shape[0] // 32), :: max(1, image.shape[1] // 32)].mean(axis=2).astype(np.int16)
        if self._first is None:
            self._first = small
        elif small.shape == self._first.shape:
            self.change = max(self.change, float(np.abs(small - self._first).mean()))
        return frame.index, image


def _captioned(
    context: StageContext, probe: Probe, pictures: _Pictures, faults: Counter[Fault]
) -> Generator[tuple[list[int], list[str]], None, None]:
    captioner, device = context.resources.models.captioner(context.node.variant)
    section = context.config.captioners[context.node.variant]
    size = partial(call_size, section, context.config.run.queue_frames, captioner)
    say = captioner.answers if isinstance(captioner, AnsweringCaptioner) else captioner.caption
    own: SharedBatches[Image, str | ChatAnswer] = SharedBatches(say, size)
    request = FrameRequest(captioner.geometry, grid_of(context.config, probe))
    # The session is there first: while its decoder starts, batches wait for its frames.
    with (
        session_at(context, captioner, device, own) as session,
        decode_frames(context, probe, [request], captioner) as frames,
    ):
        for batch in calls_of(session.results(map(pictures.seen, frames)), size()):
            captions = _captions([said for _, said in batch], faults)
            context.count(work.CAPTIONS_MADE, len(captions))
            yield [index for index, _ in batch], [storable(caption) for caption in captions]


def _captions(said: Sequence[str | ChatAnswer], faults: Counter[Fault]) -> list[str]:
    """Captions without thoughts; what is wrong with answers is added to ``faults``."""
    answers = [each for each in said if isinstance(each, ChatAnswer)]
    if not answers:
        return [without_thoughts(str(each)) for each in said]
    readings = read_answers(answers)
    faults.update(count_faults(readings))
    return [caption_of(reading) for reading in readings]
