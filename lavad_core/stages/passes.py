"""A pass over a video's frames, in batches for a model."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any, TypeVar

from lavad_core.errors import InputError
from lavad_core.runs import work
from lavad_core.stages.context import StageContext
from lavad_core.video.decoder import open_frames
from lavad_core.video.types import Frame, FrameRequest, Probe

T = TypeVar("T")


@contextmanager
def decode(context: StageContext, probe: Probe, requests: Sequence[FrameRequest]) -> Iterator[Iterator[Frame]]:
    """The requested frames of the context's video, read ahead by at most ``run.queue_frames``."""
    source = context.bench.source(context.video)
    if source.kind == "listed":
        raise InputError(f"{source.name!r} is known from a list alone, and {context.node.id} needs its pictures")
    queue_frames = context.config.run.queue_frames
    with open_frames(source, requests, probe, context.config.video.limits, queue_frames=queue_frames) as frames:
        context.count(work.VIDEOS_DECODED, 1)
        yield _counted(context, frames, frozenset(probe.gaps))


def _counted(context: StageContext, frames: Iterator[Frame], gaps: frozenset[int]) -> Iterator[Frame]:
    lost: set[int] = set()
    for frame in frames:
        context.count(work.FRAMES_DELIVERED, 1)
        if frame.substituted:
            context.count(work.FRAMES_SUBSTITUTED, 1)
            if frame.index not in gaps and frame.index not in lost:
                lost.add(frame.index)
                context.frames_lost += 1
        yield frame


def call_size(section: Any, at_most: int) -> int:
    """Items that one call of a model takes: its ``batch_size`` or ``concurrency``, but never more than ``at_most`` at once
    in memory."""
    size: int = min(getattr(section, "batch_size", 0) or getattr(section, "concurrency", 1), at_most)
    return size


def calls_of(items: Iterable[T], section: Any, at_most: int) -> Iterator[list[T]]:
    """Items in lists of :func:`call_size`."""
    size = call_size(section, at_most)
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch
