"""Decoded frames that later models of a run want too, kept on a local disk between the passes over a video.

One file without a name holds them all: the system takes it away with the process, however that ends, so nothing is left to tidy
and nobody else can read it (docs/design/frame-cache.md).
"""

from __future__ import annotations

import logging
import os
import tempfile
import threading
import weakref
import zlib
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lavad_core.video import geometry, wanted
from lavad_core.video.packed_picture import packed, unpacked
from lavad_core.video.scratch import default_scratch
from lavad_core.video.types import NATIVE, Frame, FrameRequest, Probe

log = logging.getLogger(__name__)

_ROW = np.dtype(
    [
        ("index", np.int64),
        ("place", np.int64),
        ("size", np.uint32),
        ("height", np.int32),
        ("width", np.int32),
        ("checksum", np.uint32),
        ("substituted", np.bool_),
    ]
)
"""What is in memory of a frame that is kept: 33 bytes."""

_EXPECTED = 2
"""Times fewer bytes that pictures are expected to take than as decoded; real ones gave 2.8 to 6.2. A video whose pictures take
more is kept as long as there is room."""


class KeptFrameDamaged(Exception):
    """A frame does not come back from the disk as it was written; the video is to be decoded again."""


class FrameCache:
    """The kept frames of one run in one process; safe with threads. Nothing is on disk before the first is kept.

    Frames are kept as decoded, in fewer bytes, and resized when they are given out, by what resizes them in the decoding
    process: the same pixels. A video's frames are there only when its pass has come to its end, without losing one. An error
    of the disk empties the cache and leaves it off for the rest of the run, with one warning: the videos are then decoded for
    each model.

    Args:
        folder: on a local disk; None for :func:`~lavad_core.video.scratch.default_scratch`.
        max_bytes: most that is kept; None for half of what is free there at first; 0 keeps nothing.
    """

    def __init__(self, folder: Path | None, max_bytes: int | None) -> None:
        self._folder, self._max_bytes = folder, max_bytes
        self._guard = threading.Lock()
        self._said_full = False
        self._off = max_bytes == 0
        self._reset()

    def _reset(self) -> None:
        self._file: _Nameless | None = None
        self._limit = self._end = 0
        self._kept: dict[str, NDArray[np.void]] = {}
        self._spare: list[tuple[int, int]] = []  # place and size of frames that are kept no more
        self._filling: dict[str, Filling] = {}

    def filling(self, video_id: str, frames: NDArray[np.int64], probe: Probe) -> Filling | None:
        """Room for frames of a video, for a pass that is about to begin. None if there is none, or another pass fills it.

        Args:
            video_id: digest of the video's content.
            frames: int64, strictly increasing indices.
            probe: the video's; the size of its picture says how much room is expected to be needed.
        """
        expected = len(frames) * probe.width * probe.height * 3 // _EXPECTED
        with self._guard:
            if self._off or not expected or video_id in self._filling:
                return None
            self._forget(video_id)
            try:
                room = self._room()
            except OSError as error:
                self._refused(error)
                return None
            if expected > room:
                self._say_full(expected)
                return None
            assert self._file is not None
            found = self._filling[video_id] = Filling(self, self._file, video_id, frames, probe, expected)
            return found

    def holds(self, video_id: str, requests: Sequence[FrameRequest], frames: int) -> bool:
        """Whether all frames of the requests, of a video of ``frames`` frames, are kept."""
        with self._guard:
            kept = self._kept.get(video_id)
        if kept is None:
            return False
        asked = [
            np.asarray(request.frames, np.int64) if request.every is None else np.arange(0, frames, request.every)
            for request in requests
        ]
        return all(bool(np.isin(indices, kept["index"], assume_unique=True).all()) for indices in asked)

    def frames(self, video_id: str, requests: Sequence[FrameRequest], frames: int) -> Iterator[Frame]:
        """What a pass over the video would deliver (:func:`lavad_core.video.decoder.open_frames`), from the disk.

        Raises:
            KeptFrameDamaged: a frame is not there, or not as it was written; those before it were good.
        """
        with self._guard:
            kept, file = self._kept.get(video_id), self._file
        if kept is None or file is None:
            raise KeptFrameDamaged("they are kept no more")
        for index, numbers in wanted.needed(requests, frames):
            row = kept[np.searchsorted(kept["index"], index)]
            image = file.read(row)
            for number in numbers:
                sized = geometry.resize_picture(requests[number].geometry, image)
                sized.flags.writeable = False
                yield Frame(index, number, sized, bool(row["substituted"]))

    def drop(self, video_id: str) -> None:
        """Forget the frames of a video."""
        with self._guard:
            self._forget(video_id)

    def clear(self) -> None:
        """Give the disk back: no stage of the run wants frames any more. Later passes may fill it again."""
        with self._guard:
            self._reset()

    def _room(self) -> int:
        """Bytes that nothing is kept in, and that no other pass will need."""
        if self._file is None:
            self._file = _Nameless(self._folder or default_scratch())
            self._limit = self._file.free() // 2 if self._max_bytes is None else self._max_bytes
        spare = sum(size for _, size in self._spare)
        return (
            min(self._limit - self._end, self._file.free()) + spare - sum(each.left for each in self._filling.values())
        )

    def _claim(self, filling: Filling, size: int) -> int | None:
        """A place for this many bytes of a frame; None if there is no room."""
        with self._guard:
            if self._file is None or self._filling.get(filling.video_id) is not filling:
                return None  # emptied meanwhile
            for number, (place, spare) in enumerate(self._spare):
                if spare >= size:
                    self._spare[number : number + 1] = [(place + size, spare - size)] if spare > size else []
                    return place
            place = self._end
            if size > min(self._limit - place, self._file.free()):
                self._say_full(filling.written + size)
                return None
            self._end += size
            return place

    def _forget(self, video_id: str) -> None:
        """Called with the guard held."""
        rows = self._kept.pop(video_id, None)
        if rows is not None:
            self._give_back(rows)

    def _give_back(self, rows: NDArray[np.void]) -> None:
        """Called with the guard held."""
        self._spare += zip(rows["place"].tolist(), rows["size"].tolist(), strict=True)

    def _say_full(self, need: int) -> None:
        if not self._said_full:
            self._said_full = True
            log.warning(
                "frames of a video (about %d MB) do not fit the %d MB that may be kept in %r, and %d MB are; videos without "
                "room are decoded again for each model; run.frame_cache_bytes and run.scratch say how much and where",
                need >> 20,
                self._limit >> 20,
                str(self._folder or default_scratch()),
                self._end >> 20,
            )

    def _refused(self, error: OSError) -> None:
        """Called with the guard held."""
        if not self._off:
            self._off = True
            self._reset()
            log.warning(
                "frames cannot be kept in %r (%s): videos are decoded again for each model; run.scratch names another folder",
                str(self._folder or default_scratch()),
                error.strerror or error,
            )

    def _ended(self, filling: Filling, rows: NDArray[np.void], whole: bool, error: OSError | None = None) -> None:
        """A pass is over; ``rows`` are the frames that were kept, ``whole`` says whether these are all."""
        with self._guard:
            if error is not None:
                self._refused(error)
            if self._filling.get(filling.video_id) is filling:
                del self._filling[filling.video_id]
                if whole:
                    self._kept[filling.video_id] = rows
                else:
                    self._give_back(rows)


class Filling:
    """A pass over a video on its way into the cache. Use as a context manager around the pass.

    Attributes:
        video_id: digest of the video's content.
        request: asks the pass for the frames to keep.
        written: bytes of frames that are kept so far.
    """

    def __init__(
        self,
        cache: FrameCache,
        file: _Nameless,
        video_id: str,
        frames: NDArray[np.int64],
        probe: Probe,
        expected: int,
    ) -> None:
        self.video_id, self.written, self._expected = video_id, 0, expected
        self.request = FrameRequest(NATIVE, frames)
        self._cache, self._file = cache, file
        self._gaps = frozenset(probe.gaps)
        self._rows = np.zeros(len(frames), _ROW)
        self._count = 0
        self._good = True

    @property
    def left(self) -> int:
        """Bytes that it is still expected to write."""
        return max(0, self._expected - self.written)

    def through(self, frames: Iterator[Frame], number: int) -> Generator[Frame, None, None]:
        """The frames of a pass without those of :attr:`request`, which are written on their way.

        Args:
            frames: as they come.
            number: place of :attr:`request` among the requests of the pass.
        """
        for frame in frames:
            # A frame that the probe had and this pass lost: another pass may have it.
            self._good = self._good and not (frame.substituted and frame.index not in self._gaps)
            if frame.request != number:
                yield frame
            elif self._good:
                self._write(frame)
        if self._good and self._count == len(self._rows):
            self._cache._ended(self, self._rows, whole=True)

    def _write(self, frame: Frame) -> None:
        data = packed(frame.image)
        place = self._cache._claim(self, len(data))
        if place is None:
            self._good = False
            return
        height, width = frame.image.shape[:2]
        self._rows[self._count] = (frame.index, place, len(data), height, width, zlib.crc32(data), frame.substituted)
        self._count += 1
        self.written += len(data)
        try:
            self._file.write(memoryview(data), place)
        except OSError as error:
            self._good = False
            self._cache._ended(self, self._rows[: self._count], False, error)

    def __enter__(self) -> Filling:
        return self

    def __exit__(self, *_: object) -> None:
        self._cache._ended(self, self._rows[: self._count], whole=False)


class _Nameless:
    """A file without a name; it goes with its last user, or with the process."""

    def __init__(self, folder: Path) -> None:
        with tempfile.TemporaryFile(prefix="lavad-frames-", dir=folder, buffering=0) as file:
            self._descriptor = os.dup(file.fileno())
        weakref.finalize(self, os.close, self._descriptor)

    def free(self) -> int:
        """Bytes that may still be written to its disk."""
        found = os.fstatvfs(self._descriptor)
        return found.f_bavail * found.f_frsize

    def write(self, data: memoryview, place: int) -> None:
        while data:
            written = os.pwrite(self._descriptor, data, place)
            data, place = data[written:], place + written

    def read(self, row: np.void) -> NDArray[np.uint8]:
        """The picture of a row, uint8 [height, width, 3]."""
        size = int(row["size"])
        try:
            data = os.pread(self._descriptor, size, int(row["place"]))
        except OSError as error:
            raise KeptFrameDamaged(f"frame {row['index']} cannot be read: {error.strerror}") from error
        if len(data) != size or zlib.crc32(data) != row["checksum"]:
            raise KeptFrameDamaged(f"frame {row['index']} is not as it was written")
        return unpacked(data, int(row["height"]), int(row["width"]))
