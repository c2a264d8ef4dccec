"""H.264 files of pictures that this program drew. The other file that imports ``av``.

It runs in the main process, unlike the decoder: what it is given are arrays of ours and time stamps that were checked, never
bytes of a user's file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lavad_core.user_files import replacing

OPTIONS = {"crf": "23", "preset": "veryfast"}
"""The quality, at which text and lines stay sharp; a minute of 648x684 takes 2 to 10 MB, depending on noise."""

MAX_RATE = Fraction(1000)
"""Frames per second that are announced, at most: a header needs some number for a video without a rate."""


Write = Callable[[NDArray[np.uint8], int], None]
"""Appends a frame: uint8 [height, width, 3], RGB, of the file's size; and its presentation time stamp, in the file's
``time_base``, greater than the one before."""


@contextmanager
def open_writer(path: Path, width: int, height: int, time_base: Fraction, rate: Fraction) -> Iterator[Write]:
    """Write an MP4 file; it is there when the block ends, and not at all if that raises.

    Args:
        path: replaced if it exists.
        width, height: size of all pictures, even numbers.
        time_base: seconds per unit of the time stamps.
        rate: mean frames per second, for the header and the last frame's length.

    Raises:
        OSError: it cannot be written.
    """
    import av

    options = {"movflags": "+faststart"}
    try:
        with replacing(path) as draft, av.open(str(draft), "w", format="mp4", options=options) as media:
            stream: Any = media.add_stream("libx264", rate=min(rate, MAX_RATE), options=OPTIONS)
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
            stream.codec_context.time_base = time_base

            def write(picture: NDArray[np.uint8], pts: int) -> None:
                frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
                frame.pts, frame.time_base = pts, time_base
                media.mux(stream.encode(frame))

            yield write
            media.mux(stream.encode())  # what the encoder holds back
    except av.FFmpegError as error:
        raise OSError(error.errno, error.strerror, str(path)) from None
