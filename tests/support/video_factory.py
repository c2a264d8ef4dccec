"""Small videos whose frames say which frame they are, for tests of everything that reads video.

Each frame carries its index as ten grey bars (a binary number, lowest bit first, from the left), which survive any codec and
resize; :func:`read_index` reads it back.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image

BITS = 10
"""Indices up to 1023."""

DARK, LIGHT = 48, 208

OPTIONS: dict[str, dict[str, str]] = {
    "libx264": {"preset": "veryfast", "crf": "18"},
    "libx265": {"preset": "ultrafast", "x265-params": "log-level=none:bframes=3"},
    "libsvtav1": {"preset": "12", "svtav1-params": "lp=1"},
    "libvpx": {"deadline": "realtime", "cpu-used": "8", "crf": "8", "b": "1M"},
    "libvpx-vp9": {"deadline": "realtime", "cpu-used": "8", "crf": "20", "b": "0"},
}
"""What makes each encoder fast and its pictures readable."""


def picture(index: int, size: tuple[int, int] = (96, 64)) -> NDArray[np.uint8]:
    """uint8 [height, width, 3]: the frame of ``index``; the left half of its upper quarter is light, to tell the way up."""
    width, height = size
    columns = np.arange(width) * BITS // width
    row = np.where((index >> columns) & 1, LIGHT, DARK).astype(np.uint8)
    grey = np.repeat(row[None], height, axis=0)
    grey[: height // 4] = np.where(np.arange(width) < width // 2, LIGHT, DARK)
    return np.repeat(grey[..., None], 3, axis=2)


def read_index(rgb: NDArray[np.uint8]) -> int:
    """The index that a frame of :func:`picture` carries, at whatever size."""
    height, width = rgb.shape[:2]
    band = rgb[height // 2 : height * 7 // 8].astype(np.float64).mean(axis=(0, 2))
    centres = ((np.arange(BITS) + 0.5) * width / BITS).astype(int)
    return sum(1 << bit for bit, x in enumerate(centres) if band[x] > (DARK + LIGHT) / 2)


def make_video(
    path: str | Path,
    frames: int = 48,
    size: tuple[int, int] = (96, 64),
    fps: int | Fraction = 30,
    codec: str = "libx264",
    *,
    pix_fmt: str = "yuv420p",
    b_frames: int | None = None,
    gop: int | None = None,
    options: dict[str, str] | None = None,
    container: str | None = None,
    container_options: dict[str, str] | None = None,
    pts: Sequence[int] | None = None,
    time_base: Fraction | None = None,
    draw: Callable[[int, tuple[int, int]], NDArray[Any]] = picture,
    audio: bool = False,
    format: str = "rgb24",
) -> Path:
    """Write a video.

    Args:
        path: its ending chooses the container, unless ``container`` (FFmpeg's name) does.
        frames: how many.
        size: width and height, pixels.
        fps: frames per second.
        codec: FFmpeg's encoder.
        pix_fmt: FFmpeg's pixel format.
        b_frames: most B-frames in a row; None leaves it to the encoder.
        gop: frames from key frame to key frame.
        options: of the encoder.
        container_options: of the muxer.
        pts: time stamps in ``time_base`` units; 0, 1, … by default.
        time_base: of ``pts``; 1/fps by default.
        draw: the picture of an index.
        audio: add a stream of silence as long as the video.
        format: pixel format of what ``draw`` gives.
    """
    path = Path(path)
    with av.open(str(path), "w", format=container, options=container_options or {}) as media:
        stream = media.add_stream(codec, rate=fps, options=OPTIONS.get(codec, {}) | (options or {}))
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height = size
        stream.pix_fmt = pix_fmt
        if time_base is not None:
            stream.codec_context.time_base = time_base
        if b_frames is not None:
            stream.codec_context.max_b_frames = b_frames
        if gop is not None:
            stream.codec_context.gop_size = gop
        sound = media.add_stream("aac", rate=16000) if audio else None
        for number in range(frames):
            frame = av.VideoFrame.from_ndarray(draw(number, size), format=format)
            frame.pts = pts[number] if pts is not None else number
            frame.time_base = time_base or 1 / Fraction(fps)
            media.mux(stream.encode(frame))
        media.mux(stream.encode())
        if sound is not None:
            _mux_silence(media, sound, float(frames / Fraction(fps)))
    return path


def make_audio(path: str | Path, seconds: float = 1.0) -> Path:
    """Write a media file with sound and no picture."""
    path = Path(path)
    with av.open(str(path), "w") as media:
        _mux_silence(media, media.add_stream("aac", rate=16000), seconds)
    return path


def make_frames(
    folder: str | Path, indices: Sequence[int], size: tuple[int, int] = (96, 64), name: str = "{:06d}.jpg"
) -> Path:
    """Write a folder of numbered images."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for index in indices:
        Image.fromarray(picture(index, size)).save(folder / name.format(index), quality=90)
    return folder


def turn(path: str | Path, degrees: int) -> Path:
    """Write a display matrix into an MP4 file: a player turns its pictures clockwise by ``degrees``."""
    path = Path(path)
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 4
    at += 4 + (32 if data[at] == 1 else 20) + 16
    one = 1 << 16
    a, b, c, d = {0: (1, 0, 0, 1), 90: (0, 1, -1, 0), 180: (-1, 0, 0, -1), 270: (0, -1, 1, 0)}[degrees % 360]
    struct.pack_into(">9i", data, at, a * one, b * one, 0, c * one, d * one, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    return path


def _mux_silence(media: av.container.OutputContainer, stream: av.AudioStream, seconds: float) -> None:
    for start in range(0, int(seconds * 16000), 1024):
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), dtype=np.float32), format="fltp", layout="mono")
        frame.sample_rate, frame.pts = 16000, start
        media.mux(stream.encode(frame))
    media.mux(stream.encode())
