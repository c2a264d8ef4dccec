"""A data set in parts that are worked on apart, by several devices or machines. Pure.

Which part a video is in depends on the videos and the number of parts alone, so that every process comes to the same answer.
"""

from __future__ import annotations

import heapq
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from lavad_core.errors import InputError
from lavad_core.video.types import VideoSource

SHARDS_PER_DEVICE = 4
"""Shards for each device: the last ones to end then differ by a quarter of a device's work at most, and each still holds enough
to make the loading of its models small beside it."""

MOST_VIDEOS = 199
"""Videos of a shard that an orchestrator runs: 16 task runs each are what one flow run was measured with
(docs/design/scheduling.md)."""

_SHARD = re.compile(r"([0-9]{1,6})/([0-9]{1,6})", re.ASCII)


@dataclass(frozen=True)
class ShardNumber:
    """Which shard of how many."""

    number: int
    """Its number, from 1."""
    of: int
    """How many shards the set has."""

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"


@dataclass(frozen=True)
class SizedVideo:
    """A video of the set."""

    source: VideoSource
    """The video."""
    content: str
    """Equal for videos whose results are the same; empty where the content could not be read."""
    grid_frames: int | None
    """Frames that models look at; None for a video that could not be probed."""
    why: str = ""
    """Why it could not be probed."""


@dataclass(frozen=True)
class Shard:
    """A part of the set."""

    number: int
    """Its number, from 1."""
    videos: tuple[SizedVideo, ...]
    """Its videos, in the order of the set."""

    @property
    def grid_frames(self) -> int:
        """Its size: frames that models look at, without those of videos that could not be probed."""
        return sum({video.content: video.grid_frames or 0 for video in self.videos}.values())


def parse_shard(text: str) -> ShardNumber:
    """``3/8`` is the third of eight shards.

    Raises:
        InputError: it is something else, or there is no such shard.
    """
    found = _SHARD.fullmatch(text)
    if found is None:
        raise InputError(f"{text!r:.100} is not a shard: write I/N, such as 3/8 for the third of eight")
    shard = ShardNumber(int(found[1]), int(found[2]))
    if not 1 <= shard.number <= shard.of:
        raise InputError(f"there is no shard {text}: I/N goes from 1/N to N/N, and N is at least 1")
    return shard


def shard_count(videos: int, devices: int, shards: int | None = None) -> int:
    """How many shards a set of videos is cut into.

    Args:
        videos: how many videos it has.
        devices: how many devices work on it at once.
        shards: the number that the user wants; None for :data:`SHARDS_PER_DEVICE` a device, or more where a shard would have
            more than :data:`MOST_VIDEOS`, or fewer where there are fewer videos.

    Raises:
        InputError: ``shards`` is too few.
    """
    least = math.ceil(videos / MOST_VIDEOS)
    if shards is None:
        return max(1, least, min(videos, SHARDS_PER_DEVICE * devices))
    if shards < least:
        raise InputError(
            f"{videos} videos in {shards} shards are more than {MOST_VIDEOS} a shard, the most of one flow run; give at least "
            f"{least} shards"
        )
    return shards


def shards_of(videos: Sequence[SizedVideo], count: int) -> tuple[Shard, ...]:
    """The shards of a set: the longest video first, into the shard with the fewest grid frames so far.

    Videos of the same content stay together, since one of them is computed for all. No shard gets more than :data:`MOST_VIDEOS`
    while another has room. A video that could not be probed has no size; it goes to the shard with the fewest videos, whose run
    says what is wrong with it.

    Args:
        videos: the videos, whose names differ.
        count: how many shards; some are empty where there are fewer videos.
    """
    together: dict[str, list[int]] = {}
    unsized: list[int] = []
    for at, video in enumerate(videos):
        if video.grid_frames is None:
            unsized.append(at)
        else:
            together.setdefault(video.content, []).append(at)
    most = max(MOST_VIDEOS, math.ceil(len(videos) / count))
    found: list[list[int]] = [[] for _ in range(count)]
    least_filled = [(0, shard) for shard in range(count)]  # by grid frames
    for own in sorted(
        together.values(), key=lambda own: (-(videos[own[0]].grid_frames or 0), videos[own[0]].source.name)
    ):
        while len(least_filled) > 1 and len(found[least_filled[0][1]]) + len(own) > most:
            heapq.heappop(least_filled)
        frames, shard = least_filled[0]
        found[shard] += own
        heapq.heapreplace(least_filled, (frames + (videos[own[0]].grid_frames or 0), shard))
    fewest = [(len(own), shard) for shard, own in enumerate(found)]
    heapq.heapify(fewest)
    for at in sorted(unsized, key=lambda at: videos[at].source.name):
        count_of, shard = fewest[0]
        found[shard].append(at)
        heapq.heapreplace(fewest, (count_of + 1, shard))
    return tuple(Shard(number, tuple(videos[at] for at in sorted(own))) for number, own in enumerate(found, 1))
