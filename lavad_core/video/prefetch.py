"""Frames read ahead by a thread, bounded in number and in bytes."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Generator, Iterator
from contextlib import closing

from lavad_core.errors import InternalError
from lavad_core.video.types import Frame

MAX_QUEUE_BYTES = 256 << 20
"""Frames that wait hold at most this many bytes (or are one): 64 frames of 4K would be 1.6 GB."""


class Prefetch:
    """Runs ``frames`` in a thread and hands its frames over in order.

    The queue is the backpressure: when it is full the thread stops reading, the pipe fills, and the decoder waits.

    Args:
        frames: ends or raises; runs in the thread, and is closed there.
        queue_frames: how many frames may wait.
    """

    def __init__(self, frames: Generator[Frame, None, None], queue_frames: int) -> None:
        self._frames, self._max_frames = frames, max(1, queue_frames)
        self._waiting: deque[Frame] = deque()
        self._bytes = 0
        self._ended = self._stopped = False
        self._error: BaseException | None = None
        self._change = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="lavad-frames", daemon=True)
        self._thread.start()

    def __iter__(self) -> Iterator[Frame]:
        while True:
            with self._change:
                self._change.wait_for(lambda: self._waiting or self._ended or self._stopped)
                if self._stopped:
                    raise InternalError("frames were read after their context had ended")
                if not self._waiting:
                    if self._error is not None:
                        raise self._error
                    return
                frame = self._waiting.popleft()
                self._bytes -= frame.image.nbytes
                self._change.notify_all()
            yield frame

    def close(self) -> None:
        """Drop what waits and let the thread end; whatever it reads from must have been ended before."""
        with self._change:
            self._stopped = True
            self._waiting.clear()
            self._change.notify_all()
        self._thread.join()

    def _run(self) -> None:
        try:
            with closing(self._frames):  # what it holds, such as a decoding process, goes with the reader
                for frame in self._frames:
                    with self._change:
                        self._change.wait_for(self._has_room)
                        if self._stopped:
                            return
                        self._waiting.append(frame)
                        self._bytes += frame.image.nbytes
                        self._change.notify_all()
        except BaseException as error:  # the edge of a thread: the consumer raises it
            self._error = error
        finally:
            with self._change:
                self._ended = True
                self._change.notify_all()

    def _has_room(self) -> bool:
        return (
            self._stopped
            or not self._waiting
            or (len(self._waiting) < self._max_frames and self._bytes < MAX_QUEUE_BYTES)
        )
