"""What of a run is in the store already: all videos and stages in one pass over the commits, before any work."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from lavad_core.errors import InputError
from lavad_core.pipeline.pace import workers_of
from lavad_core.pipeline.resources import RunResources
from lavad_core.runs.known_bad import is_known_bad
from lavad_core.stages.node import PreparedVideo
from lavad_core.store.types import Commit, Key
from lavad_core.video.types import VideoSource

log = logging.getLogger(__name__)

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class FoundResult:
    """A whole result in the store; without its provenance, of which a data set has megabytes."""

    fingerprint: str
    """The fingerprint of its key."""
    status: str
    """``ok`` or ``ok_with_gaps``; ``rejected`` only of a video that is known to be bad."""
    message: str
    """What its stage said about it."""
    frames: int | None
    """Frames of the video, where the stage is ``probe``."""
    reason: str = ""
    """Why it is rejected, in a word."""


def found_result(commit: Commit) -> FoundResult:
    """What a run needs to know about a commit."""
    return FoundResult(commit.key.fingerprint, commit.status, commit.message, commit.facts.get("frames"), commit.reason)


def prepare_all(resources: RunResources, sources: Sequence[VideoSource]) -> dict[str, PreparedVideo | InputError]:
    """Name to video whose content is known, or to what is wrong with it.

    Raises:
        Interrupted: the run is being stopped.
    """

    def prepared(source: VideoSource) -> PreparedVideo | InputError:
        resources.check_stop()
        try:
            return resources.prepare(source)
        except InputError as error:
            return error

    return dict(zip((source.name for source in sources), _each(resources, prepared, sources), strict=True))


def results_there(resources: RunResources, keys: Mapping[str, Mapping[str, Key]]) -> dict[str, dict[str, FoundResult]]:
    """Video to node id to result, for those results that a stage would take as they are. A rejection is not among them: its
    stage is asked, and says so, unless the video is known to be bad.

    Args:
        keys: video to node id to the key of the result.

    Raises:
        Interrupted: the run is being stopped.
        StoreUnavailable: the store cannot be read.
    """
    found = dict(zip(keys, _each(resources, partial(_of_video, resources), list(keys.values())), strict=True))
    results, wanted = sum(map(len, found.values())), sum(map(len, keys.values()))
    whole = sum(len(found[name]) == len(own) for name, own in keys.items())
    log.info("%d of %d results are in the store; %d of %d videos have all of theirs", results, wanted, whole, len(keys))
    return found


def _of_video(resources: RunResources, keys: Mapping[str, Key]) -> dict[str, FoundResult]:
    resources.check_stop()
    there: dict[str, FoundResult] = {}
    for node_id, key in keys.items():
        commit = resources.store.find(key)
        if commit is None or not resources.store.is_whole(commit):
            continue
        if commit.status != "rejected" or is_known_bad(resources.store, key.video_id, commit.reason):
            there[node_id] = found_result(commit)
    return there


def _each(resources: RunResources, work: Callable[[T], R], items: Sequence[T]) -> list[R]:
    """``work`` on every item, in the threads of a run. A failure ends what is not begun; only a signal stops the run itself,
    whose record would call it interrupted otherwise, and not say by what it failed."""
    with ThreadPoolExecutor(workers_of(resources.config)) as threads:
        try:
            return list(threads.map(work, items))
        except BaseException as error:
            if not isinstance(error, Exception):
                resources.stop()
            threads.shutdown(cancel_futures=True)
            raise
