"""A timeline without a video: names and frame counts of a list, and a frame rate. For runs from captions, summaries or scores
that somebody else has made, where the videos are not at hand."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from lavad_core.config.schema import ImportConfig
from lavad_core.datasets.lists import ListedVideo, read_list
from lavad_core.datasets.names import match_key
from lavad_core.digest import digest
from lavad_core.errors import InputError, VideoRejected
from lavad_core.video.types import Probe, VideoSource

CONTAINER = "list"
"""In place of a container's name: the timeline is what a list says, and nobody has seen the video."""


def listed_sources(settings: ImportConfig) -> list[VideoSource]:
    """The videos of ``imports.list``, in its order.

    Raises:
        InputError: the list cannot be read, or does not say how many frames a video has.
    """
    path = settings.list
    assert path is not None, "it is asked for the videos of a list"
    found = read_list(path)
    without = [name for name, video in found.items() if video.frames is None]
    if without:
        raise InputError(
            f"imports.list: {str(path)!r} does not say how many frames {len(without)} of {len(found)} videos have, first "
            f"{without[0]!r}; give a list with frame counts, such as lines of `name frames`, or the videos"
        )
    return [VideoSource(name, path, "listed") for name in found]


def listed_id(source: VideoSource, settings: ImportConfig) -> str:
    """The identity of a listed video: its name, frames and frame rate, and that they come from a list.

    Raises:
        VideoRejected: the list does not have it any more.
    """
    frames = _video(source, settings).frames
    return digest({"from": CONTAINER, "name": source.name, "frames": frames, "frame_rate": settings.frame_rate})


def listed_probe(source: VideoSource, settings: ImportConfig) -> Probe:
    """The timeline that a list and a frame rate give; errors as :func:`listed_id`."""
    frames = _video(source, settings).frames
    assert frames is not None, "a listed source has a count"
    assert settings.frame_rate is not None, "the configuration asks for both"
    return Probe(
        status="ok",
        reason="",
        frames=frames,
        pts=np.arange(frames, dtype=np.int64),
        time_base=1 / Fraction(settings.frame_rate).limit_denominator(1001),
        gaps=(),
        width=0,
        height=0,
        rotation=0,
        codec="",
        container=CONTAINER,
        frames_from_header=None,
        counts={},
    )


def _video(source: VideoSource, settings: ImportConfig) -> ListedVideo:
    assert settings.list is not None, "the source is of a list"
    key = match_key(source.name)
    for name, video in read_list(settings.list).items():
        if match_key(name) == key and video.frames:
            return video
    raise VideoRejected("missing", f"{source.name!r} is not in the list {str(settings.list)!r} with a frame count")
