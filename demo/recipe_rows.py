"""The recipes of ``make ablations``: each preset that is a way from frames to scores of its own, with the demonstration's
models in the place of the preset's; and what a row took."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lavad_core.config.header import lookahead_s
from lavad_core.config.load import presets
from lavad_core.config.reading import read_yaml
from lavad_core.config.schema import LavadConfig
from lavad_core.pipeline.resources import RunResources
from lavad_core.runs import work
from lavad_core.runs.manifest import list_runs
from lavad_core.runs.records import StageRecord
from lavad_core.runs.run_log import load_records
from lavad_core.studies.study_file import StudyRow
from lavad_core.video.types import VideoSource

Settings = Mapping[str, Any]

MODELS = ("captioners", "encoder", "chat", "about")
"""Sections that a row has from the demonstration, and not from its preset."""

_HERE = Path(__file__).absolute().parent

_BANK = {"bank": {"file": str(_HERE / "bank.yaml"), "anomalous_prefix": "", "normal_prefix": ""}}
"""Sentences in the words that the demonstration's encoder knows; it does not know those of the prefixes."""

_TAGS = {"rescore": {"tags": "import"}, "imports": {"tags": str(_HERE / "tags.json")}}
"""No model of the demonstration names what looks suspicious, and what is known to happen there would be no test: the file
has no tags, and a clip in doubt says so."""

_QUESTIONS = {"chat": {"kind": "transformers", "model": str(_HERE / "models/llama-questions"), "batch_size": 64}}
"""The language model that can say yes and no."""

_EYES = {"chat": {"kind": "python", "model": f"{_HERE / 'eyes.py'}:load"}}
"""In the place of a model that takes pictures: a captioner, and that language model."""

WITH: Mapping[str, Settings] = {
    **dict.fromkeys(("bank", "nova", "flashback"), _BANK),
    "urf": _TAGS,
    "ordinal": _QUESTIONS,
    "definitions": {**_QUESTIONS, "definitions": {"file": str(_HERE / "definitions.yaml")}},
    **dict.fromkeys(("probe-vad", "llava"), _EYES),
}
"""Preset to settings over its own, where it takes more than the demonstration's models in the place of its own."""

LEFT_OUT = {
    "ucf-crime": "the full method itself",
    "xd-violence": "the full method itself, with one captioner",
    "zero-shot-clip": "the demonstration's one encoder is an ImageBind: zero-shot-imagebind is its row",
}
"""Recipe that has no row to why."""


def recipe_rows() -> list[StudyRow]:
    """A row for each preset that names its origin, in the order of their names."""
    rows = []
    for name, text in presets().items():
        tree: dict[str, Any] = read_yaml(text, name).value
        if "origin" in tree.get("about", {}) and name not in LEFT_OUT:
            own = {section: value for section, value in tree.items() if section not in MODELS}
            rows.append(StudyRow(name=name, settings=own, runs=(dict(WITH.get(name, {})),)))
    return rows


@dataclass(frozen=True)
class RowCost:
    """What the results of a row took when they were made, whichever row or run made them."""

    lookahead_s: float
    """The largest time after t that the score at t depends on; infinite for the whole video."""
    captions: int | None
    """Captions that were made; None, as the next two, where the records of a result are gone."""
    requests: int | None
    """Distinct questions of each clip to the language model."""
    seconds: float | None
    """Time of all stages and clips, added up. Some clips are in progress at once, so that a run takes less."""


RecordOf = Mapping[tuple[str, str], StageRecord]
"""Digest of a video and fingerprint of a result to the record of the work that made it."""


def records_of_results(folders: Sequence[Path]) -> dict[tuple[str, str], StageRecord]:
    """Which work made the results of a demonstration, as the records of runs in some folders have it."""
    found: dict[tuple[str, str], StageRecord] = {}
    for folder in folders:
        for run_id in list_runs(folder):
            passes: dict[str, StageRecord] = {}
            for record in load_records(folder, run_id):
                one = record.video_id, record.fingerprint
                if not record.cached:
                    found[one] = record
                    if record.work[work.VIEWS_ENCODED]:
                        passes[record.video_id] = record
                elif record.node in ("embed_frames", "embed_windows") and record.video_id in passes:
                    found.setdefault(one, passes[record.video_id])  # two results of one pass
    return found


def cost_of_row(config: LavadConfig, sources: Sequence[VideoSource], records: RecordOf) -> RowCost:
    """What a row took.

    Args:
        config: what its one run is told.
        sources: the clips.
        records: what :func:`records_of_results` found.
    """
    own = RunResources(config)  # a row may import values, which are a part of its keys
    keys = [key for source in sources for key in own.graph.keys(own.prepare(source)).values()]
    made = [records.get((key.video_id, key.fingerprint)) for key in keys]
    ahead = lookahead_s(config)
    known = {id(record): record for record in made if record is not None}.values()
    if None in made:
        return RowCost(ahead, None, None, None)
    return RowCost(
        lookahead_s=ahead,
        captions=sum(record.work[work.CAPTIONS_MADE] for record in known),
        requests=sum(record.work[work.LLM_REQUESTS] + record.work[work.LLM_CACHED] for record in known),
        seconds=sum(record.seconds or 0.0 for record in known),
    )


def cost_as_json(cost: RowCost) -> dict[str, Any]:
    """For a file; null is a look-ahead over the whole video, too."""
    return {**asdict(cost), "lookahead_s": None if math.isinf(cost.lookahead_s) else cost.lookahead_s}
