"""The stages: the one list from which names, versions, tasks, settings' ``affects`` and the graph are derived.

A name here is that of a file in :mod:`lavad_core.stages`, which says everything else about the stage (docs/stages.md).
"""

from __future__ import annotations

from typing import Literal, get_args

StageName = Literal[
    "probe",
    "caption",
    "embed_captions",
    "embed_frames",
    "find_events",
    "embed_windows",
    "score_zero_shot",
    "score_bank",
    "clean",
    "summarise",
    "summarise_events",
    "score",
    "rate_events",
    "score_direct",
    "score_clips",
    "score_definitions",
    "score_events",
    "rescore",
    "embed_summaries",
    "refine",
    "smooth",
    "detect",
]
"""In the order in which they run, each over all videos: inputs before those who read them, and stages that share a model
beside each other, so that each model is loaded once."""

STAGE_NAMES: tuple[StageName, ...] = get_args(StageName)

ScoreMethod = Literal["lavad", "zero-shot", "direct", "clips", "bank", "events", "definitions"]
"""How a grid frame gets its raw score: ``lavad`` is the paper's own way, by the stage ``score``; any other ``some-name`` is the
stage ``score_some_name`` (docs/design/recipes.md)."""

OF_SUMMARIES: tuple[ScoreMethod, ...] = ("lavad", "definitions")
"""The methods that score the summary of each grid frame: what comes before and after is the paper's own way."""

Affected = Literal[StageName, "evaluate"]
"""What a setting can affect: a stage of a video, or the metrics of a set of videos."""

Until = Literal["captions", "cleaned", "summaries", "scores"]
"""The last step whose results a run takes from files made elsewhere (``lavad import --settings DIR --until STEP``)."""
