"""The windows of a long video take little memory, however many they are."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest
from support import long_video

from lavad_core.stages import refine
from lavad_core.video.types import VideoSource

BYTES_AN_HOUR = 2_500_000
"""Of 108,000 frames and 6,750 windows, the times of the frames among them. Ten hours: 25 MB."""


@pytest.mark.parametrize(
    "window",
    [
        {"sampling": "grid", "vector": "spread"},
        {"sampling": "any-frame", "vector": "ends", "frame_rate": "constant"},
        {"sampling": "any-frame", "vector": "spread", "clips": 9},
    ],
    ids=["paper", "reference", "most frames"],
)
def test_windows_of_a_long_video(window: dict[str, Any]) -> None:
    """The first windows and the caches are there before memory is measured: what is left grows with the length."""
    long_video.encode(long_video.probe_of(0.02), **window)
    probe = long_video.probe_of(1)
    tracemalloc.start()
    try:
        frames, windows = long_video.encode(probe, **window)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert windows == 6_750
    assert frames == (6_750 if window["sampling"] == "grid" else 67_441)
    assert peak < BYTES_AN_HOUR, f"{peak:,} bytes"


@pytest.mark.parametrize("pool", ["unique", "all"])
def test_refined_scores_are_the_same_from_blocks_of_summaries(
    make_bench: Callable[..., Any], street: VideoSource, monkeypatch: pytest.MonkeyPatch, pool: str
) -> None:
    resources = make_bench(window={"duration_s": 4.8}, refine={"pool": pool})
    video = resources.prepare(street)
    assert resources.run(video) == {}
    whole = resources.rows(video, "refine")
    assert len(resources.rows(video, "embed_summaries")) > 1
    commit = resources.store.find(resources.graph.keys(video)["refine"])
    resources.store.discard(commit)
    monkeypatch.setattr(refine, "SUMMARIES_AT_ONCE", 1)
    assert resources.run(video) == {}
    assert resources.rows(video, "refine") == whole
