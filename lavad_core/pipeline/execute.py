"""Running one stage for one video: find its result, or make it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from lavad_core.errors import (
    DamagedResult,
    DeviceOutOfMemory,
    InputError,
    LavadError,
    ModelError,
    NotAsked,
    VideoRejected,
)
from lavad_core.pipeline.pace import workers_of
from lavad_core.pipeline.resources import RunResources
from lavad_core.runs.recorder import RunRecorder, StageRecord
from lavad_core.stages.context import StageContext, StageResources
from lavad_core.stages.node import Node, PreparedVideo
from lavad_core.stages.registry import STAGES
from lavad_core.store.types import Commit

log = logging.getLogger(__name__)

REJECTED_BY_CONTENT = frozenset(
    {"format", "no-video", "no-frames", "too-large", "decoder-crashed", "no-captions", "no-scores"}
)
"""Rejections that the same bytes will meet again: committed, so that a re-run does not decode them again. The others
(missing, timeout, memory, a decoder that was killed, …) come from around the video and are tried again by the next run."""


def run_stage(
    resources: StageResources, video: PreparedVideo, node_id: str, record: StageRecord, *, refresh: bool = False
) -> Commit:
    """The committed result of a stage for a video; computed if it is not in the store (``record.cached`` says which).

    Args:
        node_id: id of a node of ``resources.graph``.
        refresh: compute even if there is a result, and replace it.

    Raises:
        VideoRejected: the video cannot be scored; also when an earlier run has committed that.
        Interrupted: the run is being stopped.
        NotAsked: the stage's model was of no use for the first videos of this run.
        LavadError: as the stage raises; nothing is committed then.
    """
    key = resources.graph.keys(video)[node_id]
    record.fingerprint = key.fingerprint
    found = None if refresh else resources.store.find(key)
    if found is not None and resources.store.is_whole(found):
        record.cached = True
        return _accepted(found, record)
    # An existing result is damaged then, and would be taken for another writer's.
    refresh = refresh or found is not None
    context = StageContext(resources, video, node_id, record, refresh)
    try:
        commit = _compute(context)
    except VideoRejected as rejection:
        resources.check_stop()  # what stops the run may have ended the decoder too: that says nothing about the video
        record.status, record.reason, record.message = "rejected", rejection.reason, str(rejection)
        if rejection.reason in REJECTED_BY_CONTENT:
            with context.writer(STAGES[key.stage].SCHEMA) as writer:
                writer.commit("rejected", reason=rejection.reason, message=str(rejection))
        raise
    return _accepted(commit, record)


def _accepted(commit: Commit, record: StageRecord) -> Commit:
    record.status, record.reason, record.message = commit.status, commit.reason, commit.message
    if commit.status == "rejected":
        raise VideoRejected(commit.reason, commit.message)
    return commit


def _compute(context: StageContext) -> Commit:
    """Run the stage; an input found damaged is thrown away and made again, once each."""
    mended: set[str] = set()
    while True:
        try:
            return STAGES[context.key.stage].run(context)
        except DamagedResult as damage:
            broken = [name for name in context.node.inputs if name not in mended and not _is_sound(context, name)]
            if not broken:
                raise
            log.warning("%s; computing %s again", damage, ", ".join(broken))
            for name in broken:
                mended.add(name)
                run_stage(context.resources, context.video, name, context.record, refresh=True)
                context.record.fingerprint = context.key.fingerprint


def _is_sound(context: StageContext, node_id: str) -> bool:
    commit = context.resources.store.find(context.keys[node_id])
    if commit is None:
        return False
    try:
        for _ in context.resources.store.batches(commit):
            pass
    except DamagedResult:
        return False
    return True


OnResult = Callable[[Node, PreparedVideo, Commit], None]
"""Called with each result that is found or made, from the thread that works."""


def run_graph(
    resources: RunResources,
    videos: Sequence[PreparedVideo],
    recorder: RunRecorder,
    *,
    refresh: bool = False,
    on_result: OnResult | None = None,
) -> dict[str, LavadError]:
    """Every stage of every video without an orchestrator: stage by stage, so that each model is loaded once and goes when
    its last stage is over; within a stage ``run.workers`` videos at once, so that one decodes while another is at the model.

    Args:
        refresh: compute what is in the store too, and replace it.

    Returns:
        By video name, what ended a video early; the other videos are complete.

    Raises:
        ModelError: a model cannot be loaded. Other errors that are not about one video likewise end the run.
    """
    failed: dict[str, LavadError] = {}
    resources.store.sweep()

    def work(node: Node, video: PreparedVideo) -> None:
        try:
            with recorder.stage(video.name, video.video_id, node.id) as record:
                commit = run_stage(resources, video, node.id, record, refresh=refresh)
        except (InputError, DeviceOutOfMemory, NotAsked) as error:
            if isinstance(error, ModelError) and resources.models.failed_to_load(node.role):
                raise
            failed[video.name] = error
        else:
            if on_result is not None:
                on_result(node, video, commit)

    with ThreadPoolExecutor(workers_of(resources.config)) as threads:
        for node in resources.graph.nodes:
            alive = [video for video in videos if video.name not in failed]
            try:
                for _ in threads.map(partial(work, node), alive):
                    pass
            except BaseException:
                resources.stop()  # what is in progress ends at its next frame or answer
                threads.shutdown(cancel_futures=True)
                raise
            resources.release_after(node.id)
    return failed
