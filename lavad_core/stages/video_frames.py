"""The timeline of a probed video, and the samples of its windows, as later stages need them."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from lavad_core.config.schema import LavadConfig
from lavad_core.method.sampling import Samples, frames_of, grid, window_clips, window_samples
from lavad_core.recipes.clips import asked_of_grid, frames_of_windows
from lavad_core.stages.context import StageContext
from lavad_core.stages.node import Condition
from lavad_core.store.types import Commit, Store
from lavad_core.video.types import Probe


class FrameTimes(Protocol):
    """What is known about a video's frames: by its probe, or, for a plan, by an estimate of its length."""

    @property
    def frames(self) -> int:
        """How many frames the video has, M."""

    @property
    def times_s(self) -> NDArray[np.float64]:
        """float64, [M], presentation times in seconds."""


def _any_frame(config: LavadConfig) -> bool:
    return config.window.sampling == "any-frame"


def _constant_rate(config: LavadConfig) -> bool:
    return config.window.frame_rate == "constant"


FRAMES_READ_IF: dict[str, Condition] = {
    "window.duration_s": _any_frame,
    "window.align": _any_frame,
    "window.samples": _any_frame,
    "window.frame_rate": _any_frame,
    "window.constant_frame_rate": lambda config: _any_frame(config) and _constant_rate(config),
}
"""When a stage that embeds or cleans frames reads settings of ``window``: on the grid, which frames these are does not depend
on the window."""

SAMPLES_READ_IF: dict[str, Condition] = {"window.constant_frame_rate": _constant_rate}
"""When a stage that looks at the samples of windows reads settings of ``window``."""


def load_probe(context: StageContext) -> Probe:
    """The probe's result, an input of the stage."""
    return read_probe(context.resources.store, context.input("probe"))


def read_probe(store: Store, commit: Commit) -> Probe:
    """The probe's result from its commit, for readers outside a stage."""
    table = store.read(commit, ["pts", "decoded", "packet"])
    facts = commit.facts
    packets = table["packet"].to_numpy()
    return Probe(
        status="ok" if commit.status == "ok" else "ok_with_gaps",
        reason=commit.message,
        frames=facts["frames"],
        pts=table["pts"].to_numpy(),
        time_base=Fraction(*facts["time_base"]),
        gaps=tuple(np.flatnonzero(~table["decoded"].to_numpy()).tolist()),
        width=facts["width"],
        height=facts["height"],
        rotation=facts["rotation"],
        codec=facts["codec"],
        container=facts["container"],
        frames_from_header=facts["frames_from_header"],
        counts=dict(commit.counts),
        packets=packets if (packets >= 0).any() else None,
        unchecked=facts.get("unchecked", ""),
    )


def grid_of(config: LavadConfig, video: FrameTimes) -> NDArray[np.int64]:
    """Indices of the frames that are captioned and scored."""
    return grid(video.frames, config.video.frame_interval)


def samples_of(config: LavadConfig, video: FrameTimes) -> Samples:
    """For each grid frame the frames sampled from its window."""
    window = config.window
    return window_samples(
        grid_of(config, video),
        video.frames,
        config.video.frame_interval,
        video.times_s,
        duration_s=window.duration_s,
        samples=window.samples,
        sampling=window.sampling,
        frame_rate=_rate(config),
        align=window.align,
    )


def _rate(config: LavadConfig) -> float | None:
    return config.window.constant_frame_rate if _constant_rate(config) else None


def clips_shown(config: LavadConfig, video: FrameTimes) -> Iterator[NDArray[np.int64]]:
    """For each grid frame that a model is asked about, the frames of its window that the model is shown (``clips``)."""
    centres, own = grid_of(config, video), config.clips
    return frames_of_windows(
        centres[asked_of_grid(len(centres), own.stride)],
        video.times_s,
        duration_s=config.window.duration_s,
        frame_rate=_rate(config),
        align=config.window.align,
        fps=own.fps,
        most=own.most_frames,
    )


def frames_shown(config: LavadConfig, video: FrameTimes) -> NDArray[np.int64]:
    """Frames of the clips that a model is shown."""
    return frames_of(clips_shown(config, video), video.frames)


def clips_of(config: LavadConfig, samples: Samples) -> Iterator[list[tuple[int, int]]]:
    """For each window the two-frame clips that stand for it, one window after the other: the lists of all windows of ten
    hours would take 50 MB."""
    window = config.window
    return (window_clips(frames, vector=window.vector, clips=window.clips) for frames in samples)


def frames_of_clips(config: LavadConfig, video: FrameTimes) -> NDArray[np.int64]:
    """Frames of the clips that stand for the windows."""
    return frames_of(clips_of(config, samples_of(config, video)), video.frames)


def frames_to_clean(config: LavadConfig, video: FrameTimes) -> NDArray[np.int64]:
    """Frames whose captions are cleaned, and which are embedded for that: the grid (paper), or every frame that some
    window samples (reference)."""
    if config.window.sampling == "grid":
        return grid_of(config, video)
    return frames_of(samples_of(config, video), video.frames)
