"""H.264 files of pictures that this program drew. The other file that imports ``av``.

It runs in the main process, unlike the decoder: what it is given are arrays of ours and time stamps that were checked, never
bytes of a user's file.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

OPTIONS = {"crf": "23", "preset": "veryfast"}
"""The quality, at which text and lines stay sharp; a minute of 648x684 takes 2 to 10 MB, depending on noise."""

MAX_RATE = Fraction(1000)
"""Frames per second that are announced, at most: a header needs some number for a video without a rate."""


class VideoWriter:
    """Frames on their way into a file; made by :func:`open_writer`."""

    def __init__(self, media: Any, stream: Any, time_base: Fraction) -> None:
        self._media, self._stream, self._time_base = media, stream, time_base

    def write(self, picture: NDArray[np.uint8], pts: int) -> None:
        """Append a frame.

        Args:
            picture: uint8 [height, width, 3], RGB, of the file's size.
            pts: presentation time stamp, in the file's ``time_base``; greater than the one before.
        """
        import av

        frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
        frame.pts, frame.time_base = pts, self._time_base
        self._media.mux(self._stream.encode(frame))

    def finish(self) -> None:
        """Write what the encoder holds back."""
        self._media.mux(self._stream.encode())


@contextmanager
def open_writer(path: Path, width: int, height: int, time_base: Fraction, rate: Fraction) -> Iterator[VideoWriter]:
    """Write an MP4 file; it is there when the block ends, and not at all if that raises.

    Args:
        path: replaced if it exists.
        width, height: of all pictures, even numbers.
        time_base: seconds per unit of the time stamps.
        rate: mean frames per second, for the header and the last frame's length.

    Raises:
        OSError: it cannot be written.
    """
    import av

    draft = path.with_name(f".{path.name}.part")
    try:
        with av.open(str(draft), "w", format="mp4", options={"movflags": "+faststart"}) as media:
            stream: Any = media.add_stream("libx264", rate=min(rate, MAX_RATE), options=OPTIONS)
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
            stream.codec_context.time_base = time_base
            writer = VideoWriter(media, stream, time_base)
            yield writer
            writer.finish()
        draft.replace(path)
    except av.FFmpegError as error:
        raise OSError(error.errno, error.strerror, str(path)) from None
    finally:
        draft.unlink(missing_ok=True)
