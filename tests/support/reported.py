"""Made-up results of a video, for tests of pages and curves."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from PIL import Image

from lavad_core.reports.page import MetricRow, Page, VideoCard
from lavad_core.reports.video import Caption, Cleaned, GridFrame, Neighbour, Span, Steps, VideoReport, key_frames

INTERVAL, FRAME_RATE = 16, 15


def video(
    name: str = "clip",
    frames: int = 750,
    truth: Sequence[Span] | None = (Span(160, 319, "fire"),),
    found: Sequence[Span] = (Span(160, 239),),
    text: str = "a fire burns",
) -> VideoReport:
    """The score rises at frame 160 and is highest at 192."""
    numbers = range(0, frames, INTERVAL)
    grid = tuple(
        GridFrame(frame, frame / FRAME_RATE, 0.9 if frame == 192 else 0.7 if 160 <= frame < 240 else 0.1, 0.5, text)
        for frame in numbers
    )
    return VideoReport(
        name=name,
        times_s=np.arange(frames) / FRAME_RATE,
        interval=INTERVAL,
        grid=grid,
        truth=None if truth is None else tuple(truth),
        found=tuple(found),
        threshold=0.5,
        steps={
            at.frame: Steps(
                (Caption("one", text), Caption("two", text)),
                Cleaned(text, "one", 0, 0.25),
                tuple(Neighbour(near, 0.5) for near in grid[:10]),
            )
            for at in grid
        },
    )


def jpeg(seed: int = 0) -> bytes:
    """Noise, which is larger than any picture of that size."""
    file = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (180, 240, 3), np.uint8)
    Image.fromarray(pixels).save(file, "JPEG", quality=80)
    return file.getvalue()


def page(videos: Sequence[VideoReport], text: str = "plain") -> Page:
    """With noise for key frames, and ``text`` wherever a text can stand."""
    cards = []
    for one in videos:
        shown = key_frames(one)
        cards.append(VideoCard(one, shown, {frame.at.frame: jpeg(frame.at.frame) for frame in shown}))
    metrics = [MetricRow(text, 0.75, None, ours=True), MetricRow("constant", 0.5, 0.25)]
    return Page(text, [text], [(text, text)], metrics, text, cards)
