"""Pictures of more than 8 bits, in folders and in videos: shown as they look, or refused with the way out, never cut."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from support.video_factory import make_video, picture, read_index
from support.video_limits import default_limits

from lavad_core.errors import VideoRejected
from lavad_core.video import images
from lavad_core.video.decoder import open_frames, probe
from lavad_core.video.types import NATIVE, FrameRequest, VideoSource

INDEX = 37
GREY = picture(INDEX)[..., 0].astype(np.uint16) * 257
PIXELS = 1 << 20


def png(values: NDArray[np.uint16]) -> bytes:
    """A PNG with 16 bits a channel: [height, width] grey, or [height, width, 2, 3 or 4]."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    height, width = values.shape[:2]
    kind = {1: 0, 2: 4, 3: 2, 4: 6}[values.size // (height * width)]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    head = struct.pack(">IIBBBBB", width, height, 16, kind, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def channels(number: int, values: NDArray[np.uint16] = GREY) -> NDArray[np.uint16]:
    """The same picture in each colour; alpha is opaque."""
    colours = [values] * (1 if number < 3 else 3)
    return np.stack(colours + [np.full_like(values, 65535)] * (number - len(colours)), axis=-1)


def save(path: Path, image: Any, **how: Any) -> None:
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(path, **how)


SHOWN = {
    "16-bit grey PNG": lambda p: (p / "0.png").write_bytes(png(GREY)),
    "16-bit grey and alpha PNG": lambda p: (p / "0.png").write_bytes(png(channels(2))),
    "16-bit RGB PNG": lambda p: (p / "0.png").write_bytes(png(channels(3))),
    "16-bit RGBA PNG": lambda p: (p / "0.png").write_bytes(png(channels(4))),
    "12 bits in the upper bits of 16": lambda p: (p / "0.png").write_bytes(png(GREY & 0xFFF0)),
    "16-bit TIFF": lambda p: save(p / "0.tif", GREY),
    "16-bit TIFF, packed": lambda p: save(p / "0.tif", GREY, compression="tiff_lzw"),
    "16-bit TIFF, big end first": lambda p: save(p / "0.tiff", GREY.astype(">u2")),
    "real numbers 0 to 1": lambda p: save(p / "0.tif", (GREY / 65535).astype(np.float32)),
    "1 bit": lambda p: save(p / "0.png", Image.fromarray(GREY > 30000)),
    "palette": lambda p: save(p / "0.png", Image.fromarray(picture(INDEX)).convert("P")),
    "palette with transparency": lambda p: save(
        p / "0.png", Image.fromarray(picture(INDEX)).convert("P"), transparency=0
    ),
    "grey with alpha": lambda p: save(p / "0.png", Image.fromarray(picture(INDEX)).convert("LA")),
    "RGB with alpha": lambda p: save(p / "0.webp", Image.fromarray(picture(INDEX)).convert("RGBA"), lossless=True),
    "premultiplied alpha": lambda p: save(p / "0.tif", Image.fromarray(picture(INDEX)).convert("RGBA")),
    "CMYK": lambda p: save(p / "0.jpg", Image.fromarray(picture(INDEX)).convert("CMYK")),
    "YCbCr TIFF": lambda p: save(p / "0.tif", Image.fromarray(picture(INDEX)).convert("YCbCr")),
    "BMP": lambda p: save(p / "0.bmp", Image.fromarray(picture(INDEX)).convert("RGBA")),
}


def first_picture(source: VideoSource) -> tuple[str, NDArray[np.uint8]]:
    found = probe(source, default_limits(), 30.0)
    with open_frames(source, [FrameRequest(NATIVE, frames=(0,))], found, default_limits()) as frames:
        return found.status, next(frames).image


@pytest.mark.parametrize("word", SHOWN)
def test_a_picture_is_shown_as_it_looks(word: str, tmp_path: Path) -> None:
    SHOWN[word](tmp_path)
    (path,) = tmp_path.iterdir()
    images.examine_image(str(path), PIXELS)
    shown = images.read_rgb(str(path), PIXELS)
    assert (shown.shape, shown.dtype) == ((64, 96, 3), np.uint8)
    assert read_index(shown) == INDEX
    if word not in ("1 bit", "palette", "palette with transparency"):
        assert np.abs(shown.astype(int) - picture(INDEX)).max() <= 6


def test_a_folder_and_a_video_of_the_same_16_bit_pixels_are_equal(tmp_path: Path) -> None:
    ramp = np.arange(65536, dtype=np.uint16).reshape(128, 512)

    def draw(index: int, size: tuple[int, int]) -> NDArray[np.uint16]:
        return ramp

    folder = tmp_path / "v"
    folder.mkdir()
    (folder / "000000.png").write_bytes(png(ramp))
    video = make_video(
        tmp_path / "v.mkv", frames=1, size=(512, 128), codec="ffv1", pix_fmt="gray16le", draw=draw, format="gray16le"
    )
    from_folder = first_picture(VideoSource("v", folder, "frames"))
    from_video = first_picture(VideoSource("v", video))
    assert from_folder[0] == from_video[0] == "ok"
    assert (from_folder[1] == from_video[1]).all()
    assert len(np.unique(from_folder[1])) == 256


REFUSED = {
    "32-bit integers": (lambda p: save(p / "0.tif", GREY.astype(np.int32) * 1000), "mode 'I'"),
    "signed 16 bits": (lambda p: save(p / "0.tif", (GREY // 2).astype(np.int16)), "mode 'I'"),
    "real numbers to 255": (lambda p: save(p / "0.tif", (GREY / 257).astype(np.float32)), "from 48 to 208"),
    "real numbers below 0": (
        lambda p: save(p / "0.tif", (GREY / 65535 - 0.5).astype(np.float32)),
        "real numbers from -",
    ),
    "no numbers": (lambda p: save(p / "0.tif", np.full((64, 96), np.nan, np.float32)), "real numbers from nan"),
    "LAB": (lambda p: save(p / "0.tif", Image.new("LAB", (96, 64))), "mode 'LAB'"),
    "10 bits in 16": (lambda p: (p / "0.png").write_bytes(png(GREY >> 6)), "no value above 835"),
    "12 bits in 16": (lambda p: (p / "0.png").write_bytes(png(GREY >> 4)), "no value above 3341"),
}


@pytest.mark.parametrize("word", REFUSED)
def test_a_picture_whose_white_is_unknown_is_refused(word: str, tmp_path: Path) -> None:
    make, words = REFUSED[word]
    make(tmp_path)
    with pytest.raises(VideoRejected, match=words) as caught:
        probe(VideoSource("v", tmp_path, "frames"), default_limits(), 30.0)
    assert caught.value.reason == "format"
    assert "8 bits" in str(caught.value)


def test_black_is_not_refused(tmp_path: Path) -> None:
    (tmp_path / "0.png").write_bytes(png(np.zeros((64, 96), np.uint16)))
    assert probe(VideoSource("v", tmp_path, "frames"), default_limits(), 30.0).status == "ok"


@pytest.mark.parametrize(("name", "how"), [("0.tif", {}), ("0.webp", {"lossless": True}), ("0.png", {})])
def test_further_pages_are_counted(name: str, how: dict[str, Any], tmp_path: Path) -> None:
    pages = [Image.fromarray(picture(number)) for number in range(4)]
    pages[0].save(tmp_path / name, save_all=True, append_images=pages[1:], **how)
    found = probe(VideoSource("v", tmp_path, "frames"), default_limits(), 30.0)
    assert (found.status, found.frames, found.counts["pages_left_out"]) == ("ok_with_gaps", 1, 3)


@pytest.mark.parametrize(
    "pix_fmt", ["gray10le", "gray12le", "gray16le", "yuv420p10le", "yuv422p12le", "gbrp10le", "gbrp16le", "rgb48le"]
)
def test_deep_videos_look_as_they_should(pix_fmt: str, tmp_path: Path) -> None:
    path = make_video(tmp_path / "v.mkv", frames=2, codec="ffv1", pix_fmt=pix_fmt, options={"strict": "experimental"})
    status, shown = first_picture(VideoSource("v", path))
    assert status == "ok"
    assert np.abs(shown.astype(int) - picture(0)).max() <= 4


def test_the_case_that_was_all_white(shared: Path) -> None:
    folder = shared / "cases" / "png_16bit"
    with Image.open(folder / "0.png") as image:
        expected = np.asarray(image) / 257
    status, shown = first_picture(VideoSource("v", folder, "frames"))
    assert status == "ok"
    assert np.abs(shown[..., 0] - expected).max() <= 1
