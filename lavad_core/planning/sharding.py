"""From the videos of a set to its shards, as the store has them: what is not probed is probed, and the first plan stays.

Several processes may plan the same set at once, each for a shard of its own: they take the probes of one another, and the plan
of the first. Nothing of it needs a server.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from lavad_core.config.schema import LavadConfig
from lavad_core.config.section import leaves
from lavad_core.digest import digest
from lavad_core.errors import InputError
from lavad_core.location import local_path, shown
from lavad_core.method.sampling import grid
from lavad_core.pipeline.execute import run_stage
from lavad_core.pipeline.look import prepare_all
from lavad_core.pipeline.pace import workers_of
from lavad_core.pipeline.resources import RunResources
from lavad_core.plain_text import number_of
from lavad_core.planning.shards import Shard, SizedVideo, shards_of
from lavad_core.runs.beside import warn_of_runs_beside
from lavad_core.runs.recorder import RunRecorder, now_text
from lavad_core.runs.records import StageRecord
from lavad_core.runs.sets import FOLDER, ShardOfRun
from lavad_core.runs.video_list import decode_input, encode_input, save_sources
from lavad_core.stages.node import PreparedVideo
from lavad_core.store.files import FileStore
from lavad_core.store.local import TEMPORARY, make_folders, try_lock
from lavad_core.store.notes import put_note, read_note
from lavad_core.video.types import VideoSource

log = logging.getLogger(__name__)

PROBE = "probe"

LOOK_AGAIN_S = 0.2
"""How long a process that has nothing but the others' probes to wait for does so before it looks again."""

FORMAT = 1
"""Version of a plan's note."""


@dataclass(frozen=True)
class ShardPlan:
    """The shards of a set."""

    set_id: str
    """Digest of the set's videos, of the number of its shards and of the configuration."""
    shards: tuple[Shard, ...]
    """The shards, each with its videos."""
    configuration: str
    """Digest of the settings that results depend on."""
    made_by: str
    """Id of the run that made the plan."""

    @property
    def unprobed(self) -> list[SizedVideo]:
        """Videos whose length is not known; each has a shard all the same."""
        return [video for shard in self.shards for video in shard.videos if video.grid_frames is None]


def plan_shards(
    config: LavadConfig, sources: Sequence[VideoSource], count: int, run_id: str, *, first: float = 0.0
) -> ShardPlan:
    """The shards of a set of videos, probed as far as they are not.

    Args:
        config: no model of it is needed.
        sources: the videos.
        count: how many shards.
        run_id: the run that wants to know.
        first: where in the list to begin, 0 to 1, so that several processes do not begin with the same video.

    Raises:
        StoreError: the store cannot be read or written.
    """
    resources = RunResources(config, dict.fromkeys(config.models, "?"))  # the key of a probe knows no models
    try:
        return _planned(resources, list(sources), count, run_id, int(first * len(sources)))
    except BaseException:
        resources.stop()  # its threads end at their next frame
        raise


def kept_plan(store: FileStore, plan: ShardPlan) -> ShardPlan:
    """The plan that a store has of a set: this one, if it has none yet."""
    if put_note(store, _name(plan.set_id), _document(plan)):
        return plan
    found = read_plan(store, plan.set_id)
    assert found is not None, "the note that was in the way is there"
    return found


def read_plan(store: FileStore, set_id: str) -> ShardPlan | None:
    """The plan that a store has of a set; None if it has none.

    Raises:
        DamagedResult: it is not as it was written.
    """
    document = read_note(store, _name(set_id))
    if document is None:
        return None
    shards = tuple(_shard(number, rows) for number, rows in enumerate(document["shards"], 1))
    return ShardPlan(document["set_id"], shards, document["configuration"], document["made_by"])


def read_shard(store_root: Path, set_id: str, number: int) -> Shard:
    """One shard of a set that was planned; of the others' videos nothing is made, however many there are.

    Raises:
        InputError: there is no such plan, or it has no such shard.
        DamagedResult: it is not as it was written.
    """
    document = read_note(FileStore(store_root), _name(set_id))
    if document is None:
        raise InputError(
            f"store {shown(store_root)!r} has no plan of a set {set_id!r}: `lavad run --shards N` makes one"
        )
    shards = document["shards"]
    if not 1 <= number <= len(shards):
        raise InputError(f"set {set_id} has {number_of(len(shards), 'shard')}, and none of number {number}")
    return _shard(number, shards[number - 1])


def take_shard(recorder: RunRecorder, store_root: Path, own: Shard, part: ShardOfRun) -> list[VideoSource]:
    """The videos of a shard, noted with the run that works on it; a warning names another one at work on the same."""
    sources = [video.source for video in own.videos]
    recorder.part_of(part)
    save_sources(store_root, recorder.run_id, sources)
    warn_of_runs_beside(store_root, recorder.run_id, shard=part)
    log.info("%s of set %s: %d videos, %d grid frames", part, part.set_id, len(sources), own.grid_frames)
    return sources


def configuration_digest(config: LavadConfig) -> str:
    """The digest of the settings that results depend on."""
    read = [[".".join(path), _plain(value)] for path, stages, value in leaves(config) if stages]
    return digest(sorted(read, key=lambda item: str(item[0])))


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(name): _plain(below) for name, below in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(below) for below in value]
    return value if isinstance(value, str | int | float | bool | None) else encode_input(str(value))


def _planned(resources: RunResources, sources: list[VideoSource], count: int, run_id: str, first: int) -> ShardPlan:
    threads = workers_of(resources.config)
    order = sources[first:] + sources[:first]
    with ThreadPoolExecutor(threads) as pool:
        try:
            prepared = prepare_all(resources, order)
            known = [prepared[source.name] for source in sources]
            made_with = configuration_digest(resources.config)
            set_id = _set_id(sources, known, count, made_with)
            if (found := read_plan(resources.store, set_id)) is not None:
                return found
            # Of equal videos the first is the one whose name is in the results, as in a run over all of them.
            firsts: dict[str, PreparedVideo] = {}
            for video in known:
                if isinstance(video, PreparedVideo):
                    firsts.setdefault(_content(video), video)
            wanted = [
                video
                for video in prepared.values()
                if isinstance(video, PreparedVideo) and firsts[_content(video)] is video
            ]
            sizes = _probed(resources, wanted, pool)
        except BaseException:
            resources.stop()
            pool.shutdown(cancel_futures=True)
            raise
    videos = [
        SizedVideo(source, _content(video), *sizes[firsts[_content(video)].name])
        if isinstance(video, PreparedVideo)
        else SizedVideo(source, "", None, str(video))
        for source, video in zip(sources, known, strict=True)
    ]
    return kept_plan(resources.store, ShardPlan(set_id, shards_of(videos, count), made_with, run_id))


def _content(video: PreparedVideo) -> str:
    return digest([video.video_id, sorted(video.imports.items())]) if video.imports else video.video_id


def _set_id(
    sources: Sequence[VideoSource], known: Sequence[PreparedVideo | InputError], count: int, made_with: str
) -> str:
    videos = [
        [
            encode_input(source.name),
            encode_input(shown(source.path.absolute())),
            _content(video) if isinstance(video, PreparedVideo) else "",
        ]
        for source, video in zip(sources, known, strict=True)
    ]
    return digest({"videos": videos, "shards": count, "configuration": made_with})


def _probed(
    resources: RunResources, videos: list[PreparedVideo], pool: ThreadPoolExecutor
) -> dict[str, tuple[int | None, str]]:
    """Name to grid frames, or to why there are none."""
    found: dict[str, tuple[int | None, str]] = {}
    made: list[str] = []
    left = videos
    while left:
        for video, size in zip(left, pool.map(partial(_probe, resources, made.append), left), strict=True):
            if size is not None:
                found[video.name] = size
        left = [video for video in left if video.name not in found]
        if left:
            time.sleep(LOOK_AGAIN_S)
    log.info("the set has %d videos; this process probed %d of them", len(videos), len(made))
    return found


def _probe(resources: RunResources, made: Callable[[str], None], video: PreparedVideo) -> tuple[int | None, str] | None:
    """Grid frames, or why there are none; None where somebody else is just probing it. ``made`` is told what is probed here."""
    resources.check_stop()
    key = resources.graph.keys(video).get(PROBE)
    if key is None:
        return None, "nothing of this configuration needs to know how long it is"
    commit = resources.store.find(key)
    if commit is None:
        with _claim(resources.store.root, video.video_id) as ours:
            if not ours:
                return None
            record = StageRecord(video.name, video.video_id, PROBE, now_text())
            try:
                commit = run_stage(resources, video, PROBE, record)
            except InputError as error:
                return None, str(error)
            finally:
                if not record.cached:
                    made(video.name)
    if commit.status == "rejected":
        return None, commit.message
    return len(grid(int(commit.facts["frames"]), resources.config.video.frame_interval)), ""


@contextmanager
def _claim(root: Path, video_id: str) -> Iterator[bool]:
    """Whether nobody else probes a video of these first two digits: a lock of the kernel, gone with its process. Where there
    are no locks everybody may, and the first result stays."""
    try:
        make_folders(root / TEMPORARY)
        lock = try_lock(root / TEMPORARY / f"probe-{video_id[:2]}.lock")
    except OSError:
        yield True
        return
    if lock is None:
        yield False
        return
    with open(lock, "rb"):
        yield True


def _name(set_id: str) -> str:
    return f"{FOLDER}/{set_id}/shards.json"


def _document(plan: ShardPlan) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "set_id": plan.set_id,
        "configuration": plan.configuration,
        "made_by": plan.made_by,
        "grid_frames": [shard.grid_frames for shard in plan.shards],
        "shards": [
            [
                {
                    "name": video.source.name,
                    "path": encode_input(shown(video.source.path.absolute())),
                    "kind": video.source.kind,
                    "content": video.content,
                    "grid_frames": video.grid_frames,
                    "why": video.why,
                }
                for video in shard.videos
            ]
            for shard in plan.shards
        ],
    }


def _shard(number: int, rows: list[dict[str, Any]]) -> Shard:
    return Shard(
        number,
        tuple(
            SizedVideo(
                VideoSource(row["name"], local_path(decode_input(row["path"])), row["kind"]),
                row["content"],
                row["grid_frames"],
                row["why"],
            )
            for row in rows
        ),
    )
