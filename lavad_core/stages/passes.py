"""A pass over a video's frames, in batches for a model: decoded, or kept from the pass of an earlier one."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from functools import partial
from itertools import islice
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from lavad_core.config.schema import LavadConfig
from lavad_core.config.section import AUTO_MOST, AUTO_ON_CPU
from lavad_core.errors import InputError
from lavad_core.models.shared_batches import Session, SharedBatches
from lavad_core.runs import work
from lavad_core.stages.context import StageContext
from lavad_core.stages.node import Graph, Node
from lavad_core.stages.video_frames import FrameTimes, frames_of_clips, frames_shown, frames_to_clean, grid_of
from lavad_core.video.decoder import open_frames
from lavad_core.video.frame_cache import KeptFrameDamaged
from lavad_core.video.prefetch import Prefetch
from lavad_core.video.types import Frame, FrameRequest, Probe

log = logging.getLogger(__name__)

T = TypeVar("T")
Item = TypeVar("Item")
Result = TypeVar("Result")

LEAST_QUEUE = 64
"""Frames that may wait for a model that takes few at once: the decoder works in bursts."""

FRAMES_OF: dict[str, Callable[[LavadConfig, FrameTimes], NDArray[np.int64]]] = {
    "caption": grid_of,
    "embed_frames": frames_to_clean,
    "embed_windows": frames_of_clips,
    "score_direct": grid_of,
    "score_clips": frames_shown,
}
"""Stage to the frames that it decodes. Frames are kept for these; a stage that is not here decodes for itself."""


def passes_of(graph: Graph) -> tuple[Node, ...]:
    """The nodes that look at pictures, in their order."""
    return tuple(
        node
        for node in graph.nodes
        if node.stage in FRAMES_OF and node.role and not node.imported and "embed_frames" not in node.inputs
    )


def sharing_a_pass(config: LavadConfig, graph: Graph, running: Collection[str]) -> frozenset[str]:
    """Those of the running nodes whose frames come from the pass of an earlier one: their own model's, or another model's that
    keeps them. Whether there is room to keep them is not known here."""
    passing = [node for node in passes_of(graph) if node.id in running]
    kept = config.run.frame_cache_bytes != 0
    return frozenset(
        node.id
        for place, node in enumerate(passing)
        if place and (kept or node.role in {earlier.role for earlier in passing[:place]})
    )


@contextmanager
def session_at(
    context: StageContext, model: Any, device: AbstractContextManager[Any], own: SharedBatches[Item, Result]
) -> Iterator[Session[Item, Result]]:
    """This video's use of a model: in the batches that the model fills from all videos, if it has such.

    Args:
        model: with ``shared_batches`` of the type of ``own`` if it does not matter to a result what else is in its batch.
        device: held while a batch is computed.
        own: batches of this video alone, for any other model.
    """

    @contextmanager
    def at_work() -> Iterator[None]:
        with device, context.at_work():
            yield

    shared = getattr(model, "shared_batches", None)  # a user's own object may have anything of that name
    batches: SharedBatches[Item, Result] = shared if isinstance(shared, SharedBatches) else own
    with batches.session(
        at_work=at_work, check_stop=context.resources.check_stop, most=context.config.run.queue_frames
    ) as session:
        yield session


@contextmanager
def decode_frames(
    context: StageContext, probe: Probe, requests: Sequence[FrameRequest], model: Any = None
) -> Iterator[Iterator[Frame]]:
    """The requested frames of the context's video, read ahead for the stage's ``model``, if it has one, by at most
    :func:`queue_size`. What a later model of the run wants too is kept on the way, and decoded no more."""
    source = context.resources.source(context.video)
    if source.kind == "listed":
        raise InputError(f"{source.name!r} is known from a list alone, and {context.node.id} needs its pictures")
    gaps, queue = frozenset(probe.gaps), queue_size(context.config, context.node.role, model)
    if context.resources.frames.holds(context.video.video_id, requests, probe.frames):
        ahead = Prefetch(_kept(context, probe, requests, queue), queue)
        with closing(ahead):
            yield _counted(context, iter(ahead), gaps)
        return
    with _decoded(context, probe, requests, queue) as frames:
        yield _counted(context, frames, gaps)


@contextmanager
def _decoded(
    context: StageContext, probe: Probe, requests: Sequence[FrameRequest], queue: int
) -> Iterator[Iterator[Frame]]:
    later = _wanted_later(context, probe)
    filling = None if later is None else context.resources.frames.filling(context.video.video_id, later, probe)
    pass_over = partial(
        open_frames,
        context.resources.source(context.video),
        probe=probe,
        limits=context.config.video.limits,
        queue_frames=queue,
    )
    if filling is None:
        with pass_over(requests=requests) as frames:
            context.count(work.VIDEOS_DECODED, 1)
            yield frames
        return
    through = partial(filling.through, number=len(requests))
    with filling, pass_over(requests=[*requests, filling.request], through=through) as frames:
        context.count(work.VIDEOS_DECODED, 1)
        yield frames


def _kept(
    context: StageContext, probe: Probe, requests: Sequence[FrameRequest], queue: int
) -> Generator[Frame, None, None]:
    """Kept frames; from one on that is damaged, decoded ones."""
    cache, video = context.resources.frames, context.video
    good = 0
    try:
        for frame in cache.frames(video.video_id, requests, probe.frames):
            yield frame
            good += 1
        return
    except KeptFrameDamaged as damage:
        log.warning("%r: kept frames are not used (%s); it is decoded again", video.name, damage)
        cache.drop(video.video_id)
    with _decoded(context, probe, requests, queue) as frames:
        yield from islice(frames, good, None)


def _wanted_later(context: StageContext, probe: Probe) -> NDArray[np.int64] | None:
    """Frames that other models want after this stage, in this run: int64, strictly increasing. None if none does."""
    passes = passes_of(context.resources.graph)
    here = next((place for place, node in enumerate(passes) if node.id == context.node.id), len(passes))
    stages = {
        node.stage
        for node in passes[here + 1 :]
        if node.role != context.node.role
        and (context.refresh or context.resources.store.find(context.keys[node.id]) is None)
    }
    return np.unique(np.concatenate([FRAMES_OF[stage](context.config, probe) for stage in stages])) if stages else None


def _counted(context: StageContext, frames: Iterator[Frame], gaps: frozenset[int]) -> Iterator[Frame]:
    lost: set[int] = set()
    while True:
        with context.waiting():
            frame = next(frames, None)
        if frame is None:
            return
        context.count(work.FRAMES_DELIVERED, 1)
        if frame.substituted:
            context.count(work.FRAMES_SUBSTITUTED, 1)
            if frame.index not in gaps and frame.index not in lost:
                lost.add(frame.index)
                context.frames_lost += 1
        yield frame


def call_size(section: Any, at_most: int | None = None, model: Any = None) -> int:
    """Items that one call of a model takes: its ``batch_size`` or ``concurrency``, but never more than ``at_most`` at once
    in memory. Where the section says ``auto``, ``model`` may have a ``batch_size`` that it found; without it, the most that
    may be found."""
    size = getattr(section, "batch_size", 0) or getattr(section, "concurrency", 1)
    if size == "auto":
        size = getattr(model, "batch_size", AUTO_ON_CPU if section.device == "cpu" else AUTO_MOST)
    return int(size if at_most is None else min(size, at_most))


def queue_size(config: LavadConfig, role: str, model: Any = None) -> int:
    """Decoded frames of a video that may wait for the model of a role (empty for a stage without one): ``run.queue_frames``,
    otherwise those of two calls, within :data:`~lavad_core.video.prefetch.MAX_QUEUE_BYTES`."""
    if config.run.queue_frames is not None:
        return config.run.queue_frames
    return max(LEAST_QUEUE, 2 * call_size(config.models[role], None, model) if role else 0)


def calls_of(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Items in lists of this many."""
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch
