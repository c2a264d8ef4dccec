"""What each part of the method is worth in the small world: the studies of Table 3 and Fig. 6, each captioner alone and each
recipe on the demonstration's clips, beside scores that need no model and captions of the wrong clips.

All rows are one study (:mod:`lavad_core.studies`) on the demonstration's own settings and store.

Usage: python -m lavad.demo.ablations build/demo [--only components …] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from lavad.demo.baselines import trivial_metrics
from lavad.demo.configuration import Demonstration, demonstration
from lavad.demo.recipe_rows import RowCost, cost_as_json, cost_of_row, recipe_rows, records_of_results
from lavad.demo.world import read_truth
from lavad_core.config.schema import LavadConfig
from lavad_core.datasets.annotations import read_annotations
from lavad_core.datasets.intervals import labels_from_intervals
from lavad_core.errors import InputError, LavadError
from lavad_core.escape import escape
from lavad_core.evaluation.options import EvaluationOptions
from lavad_core.pipeline.graph import random_models
from lavad_core.pipeline.resources import RunResources
from lavad_core.plain_text import aligned
from lavad_core.stages.node import PreparedVideo
from lavad_core.studies.study_file import Study, StudyRow, shipped_studies
from lavad_core.studies.study_run import run_study
from lavad_core.studies.study_runs import PlannedRow, StudyBase, planned_rows
from lavad_core.video.discover import discover
from lavad_core.video.types import VideoSource

FULL = "full"
"""Group of the first row, which the others are compared with."""

GROUPS = {
    "components": "without a component (Table 3)",
    "captioners": "one captioner (Table 6)",
    "neighbours": "K of the refinement (Fig. 6)",
    "methods": "another way to scores (each recipe)",
    "shuffled": "captions of other clips",
    "trivial": "without any model",
}
"""Groups of rows and their headings."""

SHUFFLES = range(3)
"""Seeds of who gets whose captions: with 24 clips one exchange alone is off chance by some hundredths."""

CHANCE = 0.1
"""How far from 0.5 ROC AUC may be and still count as about chance."""

METRICS = {"roc_auc": ("auc", "ROC AUC"), "average_precision": ("average_precision", "AP")}
"""Metric to its key in studies and its title."""

Settings = dict[str, Any]


@dataclass(frozen=True)
class AblationRow:
    """A measured row."""

    group: str
    """Heading that the row is under."""
    name: str
    """What the row is."""
    runs: tuple[Mapping[str, float], ...]
    """``roc_auc`` and ``average_precision`` over the frames of all clips, of each run."""
    cost: RowCost | None = None
    """What it took, of the full method and of recipes."""

    def mean(self, metric: str) -> float:
        """Over the runs."""
        return fmean(run[metric] for run in self.runs)


def _tell(text: str) -> None:
    print(escape(text), file=sys.stderr, flush=True)


def ablations(
    output: Path, groups: Sequence[str] = tuple(GROUPS), tell: Callable[[str], None] = _tell
) -> list[AblationRow]:
    """Measure the full method, then the rows of some groups.

    Args:
        output: folder of a demonstration: ``videos/``, ``labels.txt``, ``truth.json``, ``lavad.yaml`` and ``store/``. What the
            store lacks of the full method is computed.
        groups: some of :data:`GROUPS`.
        tell: told in a line what each row took.

    Raises:
        InputError: that is not a demonstration, a group is not known, a clip has no scores, or all frames have the same label.
        LavadError: as a run raises.
    """
    if unknown := [group for group in groups if group not in GROUPS]:
        raise InputError(f"there are no rows {unknown[0]!r}; there are {', '.join(GROUPS)}")
    demo = demonstration(output)
    config = _config(demo)
    if random := random_models(config):
        tell(f"THE NUMBERS MEAN NOTHING: these models are random: {', '.join(random)}")
    sources = discover([demo.videos])
    if (given := {source.name for source in sources}) != (known := {truth.name for truth in read_truth(output)}):
        raise InputError(
            f"videos/ and truth.json of {str(output)!r} differ in {sorted(given ^ known)[:5]}; render it again"
        )
    full = StudyRow(name=f"all {len(config.captioners)} captioners, K = {config.refine.neighbours}")
    chosen = [(FULL, full), *((group, row) for group in groups for row in settings_rows(config, group))]
    rows = _measured(demo, sources, chosen, tell)
    if "shuffled" in groups:
        exchanges = [("shuffled", row) for row in _shuffled(demo, config, sources)]
        rows += _measured(demo, sources, [(FULL, full), *exchanges], tell)[1:]
    return rows + (_trivial(output) if "trivial" in groups else [])


def settings_rows(config: LavadConfig, group: str) -> list[StudyRow]:
    """The rows of a group that settings alone make."""
    if group == "captioners":
        return [StudyRow(name=name, captioners=(name,)) for name in config.captioners]
    if group == "methods":
        return recipe_rows()
    shipped = shipped_studies().get({"components": "table3", "neighbours": "fig6"}.get(group, ""))
    if shipped is None:
        return []
    kept = [row for row in shipped.rows if group == "neighbours" or row.name != shipped.reference]
    return [row.model_copy(update={"paper": None}) for row in kept]  # the paper's numbers are not of these clips


def exchanged(
    captions: Mapping[str, Mapping[str, Mapping[int, str]]], seed: int
) -> dict[str, dict[str, dict[int, str]]]:
    """The captions of another clip for each clip, all captioners' from the same one.

    They begin anywhere in it and go round, so that they keep their order, but not their place in the clip.

    Args:
        captions: captioner to clip to grid frame to caption.
        seed: decides who gets whose.

    Raises:
        InputError: there is one clip only.
    """
    clips = sorted(next(iter(captions.values())))
    if len(clips) < 2:
        raise InputError(f"captions of {len(clips)} clip cannot be exchanged: at least two are needed")
    random = np.random.default_rng(seed)
    ring = random.permutation(len(clips))  # each gets the next one's: nobody keeps his own
    giver = {clips[ring[at]]: clips[ring[(at + 1) % len(ring)]] for at in range(len(ring))}
    start = {clip: int(random.integers(2**31)) for clip in clips}
    result: dict[str, dict[str, dict[int, str]]] = {}
    for captioner, own in captions.items():
        result[captioner] = {}
        for clip in clips:
            given = list(own[giver[clip]].values())
            result[captioner][clip] = {
                frame: given[(start[clip] + at) % len(given)] for at, frame in enumerate(own[clip])
            }
    return result


def remarks(rows: Sequence[AblationRow]) -> list[str]:
    """What a reader must not miss: parts of the method that do not help, scores that it does not beat, and the controls."""
    full, found = rows[0], []
    best = max((row for row in rows if row.group == "neighbours"), key=lambda row: row.mean("roc_auc"), default=full)
    if best.mean("roc_auc") > full.mean("roc_auc"):
        found.append(f"{best.name} is the best K: {_against(best, full)}.")
    for row in rows[1:]:
        if row.group == "shuffled":
            auc = row.mean("roc_auc")
            verdict = "about chance" if abs(auc - 0.5) <= CHANCE else "NOT chance"
            found.append(f"{row.name}: ROC AUC {auc:.3f}, {verdict}.")
        elif row.group in _VERDICT and (as_good := _against(row, full)):
            found.append(f"{row.name}: {as_good}: {_VERDICT[row.group]}.")
        elif row.group == "methods":
            found.append(f"{row.name}: it does not help here.")
    return found or ["Every other row is below the full method."]


_VERDICT = {
    "components": "this component does not help",
    "captioners": "the other captioners do not help",
    "methods": "THE METHOD DOES NOT BEAT IT",
    "trivial": "THE METHOD DOES NOT BEAT IT",
}


def _against(row: AblationRow, full: AblationRow) -> str:
    """The metrics in which a row is as good as the full method or better."""
    return ", ".join(
        f"{shown} {row.mean(metric):.3f} against {full.mean(metric):.3f} of the full method"
        for metric, (_, shown) in METRICS.items()
        if row.mean(metric) >= full.mean(metric)
    )


def _planned(demo: Demonstration, study: Study) -> list[PlannedRow]:
    overrides = [f"store={demo.store}", f"evaluate.labels={demo.labels}"]
    return planned_rows("ablations", study, StudyBase(None, [demo.file], overrides, own_preset=False))


def _study(rows: Sequence[StudyRow]) -> Study:
    metrics = tuple(key for key, _ in METRICS.values())
    return Study(title="Ablations", reference=rows[0].name, metrics=metrics, rows=tuple(rows))


def _config(demo: Demonstration) -> LavadConfig:
    """The demonstration's configuration, with what metrics need and no segments wanted."""
    (row,) = _planned(demo, _study([StudyRow(name=FULL)]))
    return row.configs[0]


def _measured(
    demo: Demonstration,
    sources: Sequence[VideoSource],
    rows: Sequence[tuple[str, StudyRow]],
    tell: Callable[[str], None],
) -> list[AblationRow]:
    study = _study([row for _, row in rows])
    planned = _planned(demo, study)
    kept, options = demo.folder / "ablations", EvaluationOptions(resamples=0)
    table = run_study("ablations", study, planned, sources, options=options, records=kept)
    tell(f"{len(rows)} rows: {table.seconds:.1f} s, {table.results['made']} results made")
    records = records_of_results([demo.store, kept])
    taken = [one for (group, _), one in zip(rows, planned, strict=True) if group in (FULL, "methods")]
    costs = {one.row.name: cost_of_row(one.configs[0], sources, records) for one in taken}
    found = []
    for (group, _), row in zip(rows, table.rows, strict=True):
        if row.failed:
            name, why = next(iter(row.failed.items()))
            raise InputError(f"{len(row.failed)} of {row.videos} clips have no scores, first {name!r}: {why}")
        runs = []
        for run in row.runs:
            values = {name: run[key] for name, (key, _) in METRICS.items()}
            if None in values.values():
                raise InputError(f"the metrics are undefined: {row.cells['auc'].reason}")
            runs.append({name: value for name, value in values.items() if value is not None})
        found.append(AblationRow(group, row.name, tuple(runs), costs.get(row.name)))
    return found


def _shuffled(demo: Demonstration, config: LavadConfig, sources: Sequence[VideoSource]) -> list[StudyRow]:
    """Rows with the captions of other clips, written to files beside the store.

    Cleaning and refinement look at the pictures, and may still find the caption that fits among a wrong clip's. So there is
    also a row without them.
    """
    bench = RunResources(config)
    videos = [bench.prepare(source) for source in sources]
    captions = {
        captioner: {video.name: _captions(bench, video, captioner) for video in videos}
        for captioner in config.captioners
    }
    imports: list[Settings] = []
    for seed in SHUFFLES:
        folders: dict[str, str] = {}
        for captioner, clips in exchanged(captions, seed).items():
            folder = demo.folder / "captions-of-other-clips" / str(seed) / captioner
            folder.mkdir(parents=True, exist_ok=True)
            for clip, texts in clips.items():
                (folder / f"{clip}.json").write_text(json.dumps(texts), encoding="utf-8")
            folders[captioner] = str(folder)
        imports.append({"imports": {"captions": folders}})
    unseen = {name: {"enabled": False} for name in ("clean", "refine")}
    return [
        StudyRow(name="captions of other clips", runs=tuple(imports)),
        StudyRow(name="captions of other clips, no cleaning, no refinement", settings=unseen, runs=tuple(imports)),
    ]


def _captions(bench: RunResources, video: PreparedVideo, captioner: str) -> dict[int, str]:
    commit = bench.store.find(bench.graph.keys(video)[f"caption:{captioner}"])
    assert commit is not None  # the full method has run
    table = bench.store.read(commit, ["frame", "caption"])
    return dict(zip(table["frame"].to_pylist(), table["caption"].to_pylist(), strict=True))


def _trivial(output: Path) -> list[AblationRow]:
    truths = read_truth(output)
    annotations = read_annotations(output / "labels.txt")
    labels = np.concatenate([labels_from_intervals(annotations[t.name].intervals, t.frames)[0] for t in truths])
    rows = []
    for name, metrics in trivial_metrics(output, truths, labels).items():
        area, precision = metrics["roc_auc"], metrics["average_precision"]
        assert area is not None  # as the full method's over the same labels
        assert precision is not None
        rows.append(AblationRow("trivial", name, ({"roc_auc": area, "average_precision": precision},)))
    return rows


def _show(rows: Sequence[AblationRow]) -> None:
    full = rows[0]
    lines: list[tuple[object, ...]] = []
    group = FULL
    for row in rows:
        if row.group != group:
            lines.append((GROUPS[row.group], *[None] * 5))
            group = row.group
        name = row.name if row is full else f"  {row.name}"
        cells: list[object] = []
        for metric in METRICS:
            cells += [row.mean(metric), None if row is full else f"{row.mean(metric) - full.mean(metric):+.3f}"]
        runs = " ".join(f"{run['roc_auc']:.3f}" for run in row.runs) if len(row.runs) > 1 else None
        lines.append((name, *cells, runs))
    headers = ("", "ROC AUC", "difference", "AP", "difference", "ROC AUC of each run")
    print(aligned(headers, lines, right=(1, 2, 3, 4)))
    costs = [(row, row.cost) for row in rows if row.cost]
    if len(costs) > 1:
        print("", aligned(COST_HEADERS, [_cost_line(row, cost) for row, cost in costs], right=range(1, 7)), sep="\n")


COST_HEADERS = ("", *(title for _, title in METRICS.values()), "captions", "requests", "seconds", "looks ahead")
"""Requests are to the language model."""


def _cost_line(row: AblationRow, cost: RowCost) -> list[str]:
    """Numbers of a row with what they cost; a question mark where no record says it."""
    took = [cost.captions, cost.requests, None if cost.seconds is None else round(cost.seconds)]
    ahead = "whole clip" if math.isinf(cost.lookahead_s) else f"{cost.lookahead_s:g} s"
    return [
        row.name,
        *(f"{row.mean(metric):.3f}" for metric in METRICS),
        *("?" if value is None else str(value) for value in took),
        ahead,
    ]


def ablations_as_json(rows: Sequence[AblationRow]) -> dict[str, Any]:
    """All that is printed, and what each row took."""
    full = rows[0]
    return {
        "rows": [
            {
                "group": row.group,
                "name": row.name,
                **{metric: row.mean(metric) for metric in METRICS},
                **{f"{metric}_difference": row.mean(metric) - full.mean(metric) for metric in METRICS},
                "runs": [dict(run) for run in row.runs],
                **({"cost": cost_as_json(row.cost)} if row.cost else {}),
            }
            for row in rows
        ],
        "remarks": remarks(rows),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="What each part of the method is worth on the demonstration's clips.")
    parser.add_argument("output", type=Path, help="folder of the demonstration: build/demo")
    parser.add_argument("--only", nargs="+", choices=list(GROUPS), default=list(GROUPS), help="groups of rows")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers there too")
    given = parser.parse_args()
    try:
        rows = ablations(given.output, given.only)
    except LavadError as error:
        raise SystemExit(f"ablations: {error}") from None
    _show(rows)
    print("", *remarks(rows), sep="\n")
    if given.json:
        given.json.write_text(json.dumps(ablations_as_json(rows), indent=2, allow_nan=False) + "\n", encoding="utf-8")
        print(f"written: {given.json}", file=sys.stderr)


if __name__ == "__main__":
    main()
