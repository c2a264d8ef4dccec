"""How far a set in shards is: each of its videos has an outcome, whether its shard has a run yet or not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container
from dataclasses import dataclass
from pathlib import Path

from lavad_core.planning.sharding import read_plan
from lavad_core.runs.known_bad import as_known_now, known_contents
from lavad_core.runs.manifest import SCORED, RunManifest, VideoOutcome
from lavad_core.runs.sets import ShardOfRun
from lavad_core.runs.video_list import parts_of
from lavad_core.store.files import FileStore

_WHY = {
    "no-run": "its shard has no run yet",
    "running": "the run of its shard is going on",
    "interrupted": "the run of its shard was cut off before this video was done",
}
"""Reason to sentence, for videos of which no record says anything."""


@dataclass(frozen=True)
class SetVideo:
    """How it stands with a video of a set."""

    outcome: VideoOutcome
    """How it ended; ``not-run`` where no record knows the video."""
    run_id: str
    """Id of the run that says so; empty where its shard has none."""


@dataclass(frozen=True)
class SetState:
    """How far a set is."""

    shard: ShardOfRun
    """Which part of it the run is of that was asked for."""
    videos: tuple[SetVideo, ...]
    """Every video, in the order of the shards."""
    runs: tuple[RunManifest, ...]
    """The latest run of each shard, and the run over the set, if there is one and it was asked for."""
    without_run: tuple[int, ...]
    """Numbers of the shards that have videos and no run."""
    going: tuple[int, ...]
    """Numbers of those whose run is going on."""
    cut_off: tuple[int, ...]
    """Numbers of those whose run did not come to its end."""

    @property
    def whole(self) -> bool:
        """Whether every shard has a run that came to its end."""
        return not (self.without_run or self.going or self.cut_off)

    @property
    def scored(self) -> int:
        """How many videos have scores."""
        return sum(video.outcome.status in SCORED for video in self.videos)

    @property
    def others(self) -> dict[str, int]:
        """How many videos have none, by how they ended."""
        words = (video.outcome.word for video in self.videos if video.outcome.status not in SCORED)
        return dict(sorted(Counter(words).items()))


def set_state(
    store_root: Path, run: RunManifest, known_bad: Container[tuple[str, str]] | None = None
) -> SetState | None:
    """The set that a run of a shard, or a run over a set, belongs to; None for other runs.

    Args:
        store_root: the store's folder.
        run: the run.
        known_bad: content and reason of the videos that are known to be bad; read here if they are not given.

    Raises:
        DamagedResult: the plan of the set is not as it was written.
        StoreUnavailable: the store cannot be read.
    """
    if run.shard is None:
        return None
    parts = parts_of(store_root, run)
    by_shard = {part.shard.number: part for part in parts if part.shard is not None}
    plan = read_plan(FileStore(store_root), run.shard.set_id)
    wanted = [shard for shard in plan.shards if shard.videos] if plan is not None else []
    noted = known_contents(store_root) if known_bad is None else known_bad
    found: dict[str, SetVideo] = {}
    for part in parts:  # the run over the set comes last, and knows only what no shard's run does
        for outcome in as_known_now(part.videos, noted):
            found.setdefault(outcome.name, SetVideo(outcome, part.run_id))
    videos = [_told(found, video.source.name, by_shard.get(shard.number)) for shard in wanted for video in shard.videos]
    shards = {number: part for number, part in by_shard.items() if number}
    return SetState(
        run.shard,
        (*videos, *found.values()),
        tuple(parts),
        tuple(shard.number for shard in wanted if shard.number not in shards),
        tuple(number for number, part in shards.items() if not part.ended and part.status == "running"),
        tuple(number for number, part in shards.items() if not _came_to_its_end(part) and part.status != "running"),
    )


def _came_to_its_end(run: RunManifest) -> bool:
    return bool(run.ended) and run.status != "interrupted"


def _told(found: dict[str, SetVideo], name: str, run: RunManifest | None) -> SetVideo:
    """Take what a record says about a video; what is to be said where none knows it."""
    if name in found:
        return found.pop(name)
    reason = "no-run" if run is None else "running" if run.status == "running" else "interrupted"
    return SetVideo(VideoOutcome(name, "", "not-run", reason, _WHY[reason]), "" if run is None else run.run_id)
