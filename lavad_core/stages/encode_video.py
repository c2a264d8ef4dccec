"""One pass of the encoder over a video, for frames, windows or both. No image and no clip is encoded twice."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence
from functools import partial

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lavad_core.method.sampling import Samples
from lavad_core.models.encoders.visual_batches import Seen, visual_batches
from lavad_core.models.protocols import Image
from lavad_core.models.shared_batches import Session, Ticket
from lavad_core.runs import work
from lavad_core.stages.context import StageContext
from lavad_core.stages.passes import call_size, decode_frames, session_at
from lavad_core.stages.vectors import FRAME_VECTORS, WindowMeans, to_column, unit
from lavad_core.stages.video_frames import clips_of, frames_of_clips, frames_to_clean, grid_of, load_probe, samples_of
from lavad_core.store.types import ResultWriter
from lavad_core.video.types import FrameRequest

Pair = tuple[int, int]
Vector = NDArray[np.float32]
VisualSession = Session[Seen, Vector]


def window_table(centres: NDArray[np.int64], ready: Sequence[tuple[int, NDArray[np.float32]]]) -> pa.Table:
    """Rows of ``embed_windows`` for finished windows; means are normalised here."""
    if not ready:
        return FRAME_VECTORS.empty_table()
    positions = [position for position, _ in ready]
    vectors = unit(np.stack([vector for _, vector in ready]))
    return pa.table([pa.array(centres[positions]), to_column(vectors)], schema=FRAME_VECTORS)


def encode_video(
    context: StageContext, *, frames_writer: ResultWriter | None = None, windows_writer: ResultWriter | None = None
) -> None:
    """Write the vectors of frames, of windows, or of both from one decode.

    Args:
        frames_writer: takes a unit vector for each frame of ``frames_to_clean``.
        windows_writer: takes the unit mean over the clips of each window.
    """
    probe = load_probe(context)
    encoder, device = context.resources.models.encoder()
    size = partial(call_size, context.config.encoder, context.config.run.queue_frames)
    # One session for both: a thread that waited for a clip of its own would hold up a batch of images otherwise.
    with session_at(context, encoder, device, visual_batches(encoder, size)) as session:
        requests: list[FrameRequest] = []
        sinks: list[_Images | _Clips] = []
        if frames_writer is not None:
            requests.append(FrameRequest(encoder.image_geometry, frames_to_clean(context.config, probe)))
            sinks.append(_Images(context, session, frames_writer))
        if windows_writer is not None:
            samples, centres = samples_of(context.config, probe), grid_of(context.config, probe)
            requests.append(FrameRequest(encoder.clip_geometry, frames_of_clips(context.config, probe)))
            sinks.append(_Clips(context, session, windows_writer, centres, samples, encoder.views_per_clip))
        with decode_frames(context, probe, requests, encoder) as frames:
            for frame in frames:
                sink = sinks[frame.request]
                sink.take(frame.index, frame.image)
                sink.write()
        for sink in sinks:
            sink.write(last=True)
    for sink in sinks:
        sink.finish()


class _Images:
    """Frames on their way through E_I."""

    def __init__(self, context: StageContext, session: VisualSession, writer: ResultWriter) -> None:
        self._context, self._session, self._writer = context, session, writer
        self._waiting: deque[tuple[int, Ticket[Seen, Vector]]] = deque()

    def take(self, index: int, image: Image) -> None:
        self._waiting.append((index, self._session.submit(image)))

    def write(self, *, last: bool = False) -> None:
        """Write what is computed; with ``last``, wait for the rest."""
        rows = list(self._session.redeem(self._waiting, all_of_them=last))
        if rows:
            self._context.count(work.IMAGES_ENCODED, len(rows))
            indices = pa.array([index for index, _ in rows], pa.int64())
            vectors = to_column(np.stack([vector for _, vector in rows]))
            self._writer.write(pa.table([indices, vectors], schema=FRAME_VECTORS))

    def finish(self) -> None:
        """Nothing to do: no image waits for another."""


class _Clips:
    """Two-frame clips on their way through E_V, and the windows that they make up.

    Windows come into memory with their first frame, in order of time, and leave it with their last clip.
    """

    def __init__(
        self,
        context: StageContext,
        session: VisualSession,
        writer: ResultWriter,
        centres: NDArray[np.int64],
        samples: Samples,
        views: int,
    ) -> None:
        self._context, self._session, self._writer = context, session, writer
        self._centres, self._views = centres, views
        self._means: WindowMeans[Pair] = WindowMeans(clips_of(context.config, samples))
        self._coming = clips_of(context.config, samples)
        self._next = next(self._coming, None)
        self._ends: dict[int, set[int]] = {}  # last frame of a clip -> its first frames
        self._users: Counter[int] = Counter()  # frame -> clips that still need it
        self._images: dict[int, Image] = {}
        self._waiting: deque[tuple[Pair, Ticket[Seen, Vector]]] = deque()

    def take(self, index: int, image: Image) -> None:
        while self._next is not None and self._next[0][0] <= index:
            self._open(self._next)
            self._next = next(self._coming, None)
        if self._users[index]:
            self._images[index] = image
        for first in sorted(self._ends.pop(index, ())):
            self._waiting.append(((first, index), self._session.submit((self._images[first], image))))
            self._users[first] -= 1
            if not self._users[first]:
                del self._users[first], self._images[first]

    def _open(self, pairs: list[Pair]) -> None:
        """Note the clips of a window whose first frame has come; windows share clips."""
        for first, last in pairs:
            firsts = self._ends.setdefault(last, set())
            if first not in firsts:
                firsts.add(first)
                self._users[first] += 1

    def write(self, *, last: bool = False) -> None:
        """Write the windows that are complete; with ``last``, wait for the rest."""
        clips = list(self._session.redeem(self._waiting, all_of_them=last))
        if clips:
            self._context.count(work.VIEWS_ENCODED, len(clips) * self._views)
            for pair, vector in clips:
                self._means.add(pair, vector)
            self._writer.write(window_table(self._centres, list(self._means.ready())))

    def finish(self) -> None:
        """Check that all windows are complete."""
        self._means.finish()
