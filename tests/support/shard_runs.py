"""A store with a set in shards, of which some have a run, made without models and videos."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from lavad_core.config.load import load_config
from lavad_core.config.secrets import public_settings
from lavad_core.planning.sharding import ShardPlan, kept_plan, take_shard
from lavad_core.planning.shards import Shard, SizedVideo
from lavad_core.runs.manifest import VideoOutcome, new_run_id
from lavad_core.runs.recorder import RunRecorder
from lavad_core.runs.sets import ShardOfRun
from lavad_core.store.files import FileStore
from lavad_core.video.types import VideoSource

SET = "ab" * 16


class ShardRuns:
    """Attributes:
    shards: the plan's, three of two videos each, and a fourth without any.
    """

    def __init__(self, root: Path, *settings: str) -> None:
        self.root = root
        self.config = load_config(preset="tiny", overrides=[f"store={root}", *settings], environ={})
        names = [["v1", "v2"], ["v3", "v4"], ["v5", "v6"], []]
        self.shards = tuple(
            Shard(number, tuple(SizedVideo(VideoSource(name, root / f"{name}.mp4"), name, 3) for name in own))
            for number, own in enumerate(names, 1)
        )
        kept_plan(FileStore(root), ShardPlan(SET, self.shards, "cd", new_run_id()))

    def run(
        self, number: int, statuses: str = "ok ok", *, name: str = "", ends: str = "completed", over: str = ""
    ) -> str:
        """Record a run of a shard, which the run ``over`` a set has started; ``ends`` may be ``killed``. Its id."""
        shard, run_id = self.shards[number - 1], new_run_id()
        recorder = RunRecorder(self.root, run_id, config=public_settings(self.config), name=name or None)
        with recorder:
            take_shard(recorder, self.root, shard, ShardOfRun(SET, number, len(self.shards), over))
            reasons: Mapping[str, str] = {"rejected": "format", "failed": "ServiceUnavailable"}
            outcomes = [
                VideoOutcome(video.source.name, f"{int(video.source.name[1:]):032x}", status, reasons.get(status, ""))  # type: ignore[arg-type]
                for video, status in zip(shard.videos, statuses.split(), strict=False)
            ]
            recorder.finish("completed" if ends == "killed" else ends, outcomes)
        if ends == "killed":
            log = self.root / "runs" / f"{run_id}.jsonl"
            log.write_text("".join(line for line in log.read_text().splitlines(True) if '"kind": "end"' not in line))
            (self.root / "runs" / f"{run_id}.json").unlink()
        return run_id
