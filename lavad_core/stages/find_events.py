"""Events: the parts of a video between changes of its pictures, coarse and fine (VADTree)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lavad_core.config.schema import LavadConfig
from lavad_core.imports.boundaries import read_boundaries
from lavad_core.recipes.event_tree import changes, levels, peaks, scaled
from lavad_core.stages.context import StageContext
from lavad_core.stages.imported_values import check_unchanged
from lavad_core.stages.node import Condition, Node, Reads, never, settings_of
from lavad_core.stages.units import ROWS, Work
from lavad_core.stages.vectors import from_column
from lavad_core.stages.video_frames import FrameTimes, grid_of, load_probe
from lavad_core.store.types import Commit

VERSION = 1
DESCRIPTION = "Events: what lies between changes of the pictures, at two levels."
SCHEMA = pa.schema(
    [
        pa.field("level", pa.string(), nullable=False),
        pa.field("start_frame", pa.int64(), nullable=False),
        pa.field("end_frame", pa.int64(), nullable=False),
        pa.field("left", pa.float64(), nullable=False),
        pa.field("right", pa.float64(), nullable=False),
    ]
)
READ_IF: dict[str, Condition] = {"events.boundaries": never}  # whose scores they are, the inputs say

LEVELS: dict[str, tuple[str, ...]] = {"both": ("coarse", "fine"), "coarse": ("coarse",), "fine": ("fine",)}
"""``events.levels`` to the levels that there are rows of."""


MOST_A_GRID_FRAME = {"both": 1.5, "coarse": 1.0, "fine": 1.0}
"""``events.levels`` to the most different events for each grid frame: at the fine level it may be one of its own, and a coarse
event that is not a fine one holds two of those at least."""


def reads(config: LavadConfig) -> list[Reads]:
    """The vectors of the grid's frames; or the imported boundary scores."""
    settings = settings_of(config, "find_events", READ_IF)
    if config.events.boundaries == "import":
        return [Reads(("probe",), settings, imported=True)]
    return [Reads(("probe", "embed_frames"), settings)]


def costs(config: LavadConfig, node: Node, video: FrameTimes) -> Work:
    """No model. How many events there are, only the pictures say."""
    return {ROWS: most_asked(config, video)}


def most_asked(config: LavadConfig, video: FrameTimes) -> int:
    """The most different events of a video that hold a grid frame."""
    return int(len(grid_of(config, video)) * MOST_A_GRID_FRAME[config.events.levels])


def run(context: StageContext) -> Commit:
    """Commit one row per event, the coarse ones first, each level in order of time: its first and last frame (inclusive), and
    the scores of the boundaries on its left and right, 1 at the ends of the video."""
    probe, own = load_probe(context), context.config.events
    frames, scores, note = _imported(context, probe.frames) if context.node.imported else _computed(context)
    found = peaks(frames.tolist(), scores.tolist(), own.peak_threshold)
    both = dict(zip(("coarse", "fine"), levels(found, probe.frames, own.min_length_frames), strict=True))
    rows = [(level, vars(event)) for level in LEVELS[own.levels] for event in both[level]]
    columns = {"level": [level for level, _ in rows]}
    columns |= {name: [event[name] for _, event in rows] for name in SCHEMA.names[1:]}
    with context.writer(SCHEMA) as writer:
        writer.write(pa.Table.from_pydict(columns, schema=SCHEMA))
        return writer.commit(
            message=note,
            counts={"events": len(rows), "grid_frames": len(grid_of(context.config, probe)), "boundaries": len(found)},
        )


def _computed(context: StageContext) -> tuple[NDArray[np.int64], NDArray[np.float64], str]:
    """Each grid frame but the first has the change from the one before it; the first has none."""
    parts, frames = list(_changes(context)), context.table("embed_frames", ["frame"])["frame"].to_numpy()
    return frames, np.concatenate([np.zeros(1), scaled(np.concatenate(parts))]), ""


def _changes(context: StageContext) -> Iterator[NDArray[np.float64]]:
    last = None
    for batch in context.resources.store.batches(context.input("embed_frames"), ["vector"]):
        vectors = from_column(batch["vector"])
        yield changes(vectors if last is None else np.concatenate([last, vectors]))
        last = vectors[-1:]


def _imported(context: StageContext, frames: int) -> tuple[NDArray[np.int64], NDArray[np.float64], str]:
    """
    Raises:
        InputError: the scores are of a video of another length, or have changed since the run began.
    """
    place = context.config.imports.boundaries
    assert place is not None, "the configuration was checked"
    given = read_boundaries(place, context.video.name)
    check_unchanged(context, place, given.sha256)
    return given.positions(frames)
