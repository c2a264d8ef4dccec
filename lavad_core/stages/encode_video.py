"""One pass of the encoder over a video, for frames, windows or both. No image and no clip is encoded twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lavad_core.method.sampling import Samples
from lavad_core.models.protocols import Encoder, Image
from lavad_core.runs import work
from lavad_core.stages.context import StageContext
from lavad_core.stages.passes import call_size, decode_frames
from lavad_core.stages.vectors import FRAME_VECTORS, WindowMeans, to_column, unit
from lavad_core.stages.video_frames import clips_of, frames_of_clips, frames_to_clean, grid_of, load_probe, samples_of
from lavad_core.store.types import ResultWriter
from lavad_core.video.types import FrameRequest

Pair = tuple[int, int]


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
    requests: list[FrameRequest] = []
    sinks: list[_Images | _Clips] = []
    if frames_writer is not None:
        requests.append(FrameRequest(encoder.image_geometry, frames_to_clean(context.config, probe)))
        sinks.append(_Images(context, encoder, device, frames_writer))
    if windows_writer is not None:
        samples = samples_of(context.config, probe)
        requests.append(FrameRequest(encoder.clip_geometry, frames_of_clips(context.config, probe)))
        sinks.append(_Clips(context, encoder, device, windows_writer, grid_of(context.config, probe), samples))
    size = call_size(context.config.encoder, context.config.run.queue_frames)
    with decode_frames(context, probe, requests) as frames:
        for frame in frames:
            sink = sinks[frame.request]
            sink.take(frame.index, frame.image)
            if sink.waiting >= size:
                sink.flush()
    for sink in sinks:
        sink.flush()
        sink.finish()


class _Images:
    """Frames on their way through E_I."""

    def __init__(
        self, context: StageContext, encoder: Encoder, device: AbstractContextManager[Any], writer: ResultWriter
    ) -> None:
        self._context, self._encoder, self._device, self._writer = context, encoder, device, writer
        self._frames: list[tuple[int, Image]] = []

    @property
    def waiting(self) -> int:
        return len(self._frames)

    def take(self, index: int, image: Image) -> None:
        self._frames.append((index, image))

    def flush(self) -> None:
        if not self._frames:
            return
        with self._device, self._context.at_work():
            vectors = self._encoder.embed_images([image for _, image in self._frames])
        self._context.count(work.IMAGES_ENCODED, len(self._frames))
        indices = pa.array([index for index, _ in self._frames], pa.int64())
        self._writer.write(pa.table([indices, to_column(vectors)], schema=FRAME_VECTORS))
        self._frames = []

    def finish(self) -> None:
        """Nothing to do: no image waits for another."""


class _Clips:
    """Two-frame clips on their way through E_V, and the windows that they make up.

    Windows come into memory with their first frame, in order of time, and leave it with their last clip.
    """

    def __init__(
        self,
        context: StageContext,
        encoder: Encoder,
        device: AbstractContextManager[Any],
        writer: ResultWriter,
        centres: NDArray[np.int64],
        samples: Samples,
    ) -> None:
        self._context, self._encoder, self._device, self._writer = context, encoder, device, writer
        self._centres = centres
        self._means: WindowMeans[Pair] = WindowMeans(clips_of(context.config, samples))
        self._coming = clips_of(context.config, samples)
        self._next = next(self._coming, None)
        self._ends: dict[int, set[int]] = {}  # last frame of a clip -> its first frames
        self._users: Counter[int] = Counter()  # frame -> clips that still need it
        self._images: dict[int, Image] = {}
        self._clips: list[tuple[Pair, tuple[Image, Image]]] = []

    @property
    def waiting(self) -> int:
        return len(self._clips)

    def take(self, index: int, image: Image) -> None:
        while self._next is not None and self._next[0][0] <= index:
            self._open(self._next)
            self._next = next(self._coming, None)
        if self._users[index]:
            self._images[index] = image
        for first in sorted(self._ends.pop(index, ())):
            self._clips.append(((first, index), (self._images[first], image)))
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

    def flush(self) -> None:
        if self._clips:
            with self._device, self._context.at_work():
                vectors = self._encoder.embed_clips([images for _, images in self._clips])
            self._context.count(work.VIEWS_ENCODED, len(self._clips) * self._encoder.views_per_clip)
            for (pair, _), vector in zip(self._clips, vectors, strict=True):
                self._means.add(pair, vector)
            self._clips = []
        self._writer.write(window_table(self._centres, list(self._means.ready())))

    def finish(self) -> None:
        """Check that all windows are complete."""
        self._means.finish()
