"""Made-up results of a video, for tests of pages and curves."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lavad_core.imports.types import Neighbours
from lavad_core.reports import html
from lavad_core.reports.pictures import VideoCard
from lavad_core.reports.video import FrameSpan, VideoReport, key_frames
from lavad_core.results.types import CleanedCaption, ScoredVideo, VideoTexts

INTERVAL, FRAME_RATE = 16, 15


def video(
    name: str = "clip",
    frames: int = 750,
    truth: Sequence[FrameSpan] | None = (FrameSpan(160, 319, "fire"),),
    found: Sequence[FrameSpan] = (FrameSpan(160, 239),),
    text: str = "a fire burns",
) -> VideoReport:
    """The score rises at frame 160 and is highest at 192."""
    grid = range(0, frames, INTERVAL)
    scores = np.array([0.9 if at == 192 else 0.7 if 160 <= at < 240 else 0.1 for at in grid])
    return report(
        scores,
        frames,
        name=name,
        raw_scores=np.full(len(grid), 0.5),
        texts=VideoTexts(
            {"one": dict.fromkeys(grid, text), "two": dict.fromkeys(grid, text)},
            dict.fromkeys(grid, CleanedCaption(text, "one", 0, 0.25)),
            dict.fromkeys(grid, text),
        ),
        truth=truth,
        found=found,
        near=Neighbours([[0.5] * 10] * len(grid), [[0.5] * 10] * len(grid), [list(grid)[:10]] * len(grid)),
    )


def report(
    scores: NDArray[np.float64],
    frames: int,
    *,
    name: str = "clip",
    raw_scores: NDArray[np.float64] | None = None,
    texts: VideoTexts | None = None,
    truth: Sequence[FrameSpan] | None = (),
    found: Sequence[FrameSpan] = (),
    near: Neighbours | None = None,
) -> VideoReport:
    """Of scores that are at hand."""
    return VideoReport(
        scored=ScoredVideo(name, frames, INTERVAL, scores, raw_scores, FRAME_RATE, np.arange(frames) / FRAME_RATE),
        texts=texts or VideoTexts(),
        near=near,
        truth=None if truth is None else tuple(truth),
        found=tuple(found),
        threshold=0.5,
    )


def jpeg(seed: int = 0) -> bytes:
    """Noise, which is larger than any picture of that size."""
    file = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (180, 240, 3), np.uint8)
    Image.fromarray(pixels).save(file, "JPEG", quality=80)
    return file.getvalue()


def page(videos: Sequence[VideoReport], text: str = "plain") -> str:
    """The page of the demonstration, with noise for key frames, and ``text`` wherever a text can stand."""
    cards = []
    for one in videos:
        shown = key_frames(one)
        cards.append(VideoCard(one, shown, {frame.at.frame: jpeg(frame.at.frame) for frame in shown}))
    return html.render(
        "one_page",
        title=text,
        lead=[text],
        facts=[(text, text)],
        metrics={text: (0.75, None), "constant": (0.5, 0.25)},
        metrics_note=text,
        cards=cards,
    )
