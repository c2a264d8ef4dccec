"""A store with a finished run, made without models: the commits and the manifest that a run would leave."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa

from lavad_core.config.load import load_config
from lavad_core.config.schema import LavadConfig
from lavad_core.config.secrets import public_settings
from lavad_core.pipeline.resources import RunResources
from lavad_core.runs.manifest import VideoOutcome, new_run_id
from lavad_core.runs.recorder import RunRecorder
from lavad_core.stages import detect, probe, refine, smooth, summarise
from lavad_core.stages.node import PreparedVideo

FRAMES, INTERVAL = 40, 16
GRID = [0, 16, 32]
SCORES = [0.1, 0.7, 0.25]
SMOOTHED = [0.1, 0.4, 0.3]
SUMMARIES = ["A man walks.", '=HYPERLINK("x")', "Two men\nfight \x1b[31mnow."]
CAPTION = "a man\x1b[31m in a street"
SEGMENT = (0, 16, 31, 0.64, 1.28, 0.7, 16, SUMMARIES[1], CAPTION)
EVIL = 'evil\x1b[2J\u202e<b>,"=1\n'
"""A name that tries terminals, tables and spreadsheets."""


def commit(
    resources: RunResources,
    recorder: RunRecorder,
    video: PreparedVideo,
    node: str,
    schema: pa.Schema,
    columns: dict[str, Any],
    **facts: Any,
) -> None:
    if not resources.graph.has(node):
        return
    key, provenance = resources.graph.keys(video)[node], resources.graph.provenances(video)[node]
    with recorder.stage(video.name, video.video_id, node) as record:
        record.fingerprint = key.fingerprint
        record.work["texts_encoded"] += 3 if node == "refine" else 0
    with resources.store.writer(key, video=video.name, schema=schema, provenance=provenance) as writer:
        writer.write(pa.Table.from_pydict(columns, schema=schema))
        writer.commit(counts=facts.pop("counts", {}), facts=facts)


def score(resources: RunResources, recorder: RunRecorder, name: str, video_id: str) -> None:
    """The results that ``lavad show`` reads."""
    video = PreparedVideo(name, "/nowhere.mp4", "file", video_id)
    times = [frame / 25 for frame in range(FRAMES)]
    numbers = list(range(FRAMES))
    timeline = {"frame": numbers, "pts": numbers, "time_s": times, "decoded": [True] * FRAMES, "packet": numbers}
    commit(resources, recorder, video, "probe", probe.SCHEMA, timeline, frames=FRAMES, duration_s=times[-1])
    said = {"frame": GRID, "summary": SUMMARIES, "sampled_frames": [GRID] * 3, "captions_left_out": [0] * 3}
    commit(resources, recorder, video, "summarise", summarise.SCHEMA, said)
    refined = {
        "frame": GRID,
        "time_s": [times[frame] for frame in GRID],
        "score": SCORES,
        "raw_score": [0.0, 1.0, 0.5],
        "neighbour_frames": [GRID] * 3,
        "neighbour_similarities": [[0.5, 0.5, 0.5]] * 3,
    }
    commit(resources, recorder, video, "refine", refine.SCHEMA, refined)
    smoothed = {"frame": GRID, "time_s": refined["time_s"], "score": SMOOTHED}
    commit(resources, recorder, video, "smooth", smooth.SCHEMA, smoothed)
    segment = {name: [value] for name, value in zip(detect.SCHEMA.names, SEGMENT, strict=True)}
    commit(
        resources,
        recorder,
        video,
        "detect",
        detect.SCHEMA,
        segment,
        counts={"segments": 1},
        peak_score=0.7,
        peak_frame=16,
    )


def fill(
    root: Path, *names: str, more: tuple[str, ...] = (), name: str = "", limit: int | None = None
) -> tuple[str, LavadConfig]:
    """A store whose one run scored ``names``, rejected ``bad`` and lost the server for ``lost``; its id and configuration."""
    config = load_config(preset="tiny", overrides=[f"store={root}", "chat.seed=7", *more], environ={})
    resources = RunResources(config)
    run_id = new_run_id()
    outcomes = []
    with RunRecorder(root, run_id, config=public_settings(config), name=name or None) as recorder:
        recorder.limited(limit)
        for number, video in enumerate(names):
            video_id = f"{number + 1:032x}"
            score(resources, recorder, video, video_id)
            outcomes.append(VideoOutcome(video, video_id, "ok"))
        outcomes.append(VideoOutcome("bad", "f" * 32, "rejected", "no-video", "an audio file"))
        outcomes.append(VideoOutcome("lost", "", "failed", "ServiceUnavailable", "no connection"))
        message, metrics = (
            "2 of 4 videos have no scores",
            {"roc_auc": 0.75, "pr_auc_trapezoid": None, "videos_scored": 2},
        )
        recorder.finish("PartiallyFailed", outcomes, message=message, metrics=metrics)
    return run_id, config
