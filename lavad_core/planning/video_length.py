"""How long videos are, from the best source there is: a probe in the store, the container's header, a data set's list."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from lavad_core.datasets.types import LabelledVideo
from lavad_core.store.types import Commit, Store
from lavad_core.video.types import VideoHeader


@dataclass(frozen=True)
class VideoLength:
    """The frames of a video."""

    name: str
    """The name of the video."""
    frames: int
    """How many frames the video has, M."""
    times_s: NDArray[np.float64] = field(repr=False)
    """float64, [M], presentation times, seconds; counted or, but for ``probe``, those of a constant rate."""
    duration_s: float
    """How long the video is, seconds."""
    source: Literal["probe", "header", "list"]
    """``probe``: every frame was decoded once; ``header``: as the file announces; ``list``: as a data set's list says."""


def length_from_probe(name: str, store: Store, commit: Commit) -> VideoLength:
    """From the probe's result.

    Raises:
        DamagedResult: it is not whole.
    """
    times = store.read(commit, ["time_s"])["time_s"].to_numpy()
    return VideoLength(name, len(times), times, float(commit.facts["duration_s"]), "probe")


def length_from_header(name: str, header: VideoHeader, default_rate: float) -> VideoLength | None:
    """The length that a file announces; None where it announces none. ``default_rate`` is the frames per second where the file
    says neither rate nor duration."""
    frames = header.frames_or_estimate
    return None if frames is None else _steady(name, frames, header.rate_or_estimate or default_rate, "header")


def length_from_list(video: LabelledVideo, frame_rate: float) -> VideoLength | None:
    """The length that a data set states; None where it states none."""
    return None if not video.frames else _steady(video.name, video.frames, frame_rate, "list")


def _steady(name: str, frames: int, rate: float, source: Literal["header", "list"]) -> VideoLength:
    return VideoLength(name, frames, np.arange(frames) / rate, frames / rate, source)
