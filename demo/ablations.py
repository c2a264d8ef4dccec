"""What each part of the method is worth in the small world: the paper's Tables 3 and 6 and Fig. 6 on the demonstration's clips,
beside scores that need no model and captions of the wrong clips.

Every row is a run of the pipeline with the demonstration's own settings and store, so that only what its settings change is
computed. It writes no run of its own into the store: ``lavad status`` and ``lavad show`` keep the demonstration's.

Usage: python -m lavad.demo.ablations build/demo [--only components …] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from lavad.demo.baselines import trivial_metrics
from lavad.demo.world import read_truth
from lavad_core.config.load import load_config
from lavad_core.config.schema import LavadConfig
from lavad_core.config.secrets import public_settings
from lavad_core.datasets.annotations import read_annotations
from lavad_core.datasets.intervals import labels_from_intervals
from lavad_core.errors import InputError, LavadError
from lavad_core.escape import escape
from lavad_core.pipeline.execute import run_graph
from lavad_core.pipeline.graph import random_models
from lavad_core.pipeline.resources import RunResources
from lavad_core.plain_text import aligned
from lavad_core.run_metrics import evaluate_run
from lavad_core.runs.manifest import new_run_id
from lavad_core.runs.recorder import RunRecorder
from lavad_core.runs.work import CAPTIONS_MADE, LLM_CACHED, LLM_REQUESTS
from lavad_core.stages.node import PreparedVideo
from lavad_core.video.discover import discover
from lavad_core.video.types import VideoSource

FULL = "full"
"""Group of the first row, which the others are compared with."""

GROUPS = {
    "components": "without a component (Table 3)",
    "captioners": "one captioner (Table 6)",
    "neighbours": "K of the refinement (Fig. 6)",
    "shuffled": "captions of other clips",
    "trivial": "without any model",
}
"""Groups of rows and their headings."""

NEIGHBOURS = range(1, 11)

SHUFFLES = range(3)
"""Seeds of who gets whose captions: with 24 clips one exchange alone is off chance by some hundredths."""

CHANCE = 0.1
"""How far from 0.5 ROC AUC may be and still count as about chance."""

METRICS = {"roc_auc": "ROC AUC", "average_precision": "AP"}

Settings = Mapping[str, Any]


@dataclass(frozen=True)
class Variant:
    """A row to be measured."""

    group: str
    """Heading that the row is under."""
    name: str
    """What the row is."""
    settings: tuple[Settings, ...]
    """Nested settings over the demonstration's own, for each run; of several the row is the mean."""


@dataclass(frozen=True)
class AblationRow:
    """A measured row."""

    group: str
    """Heading that the row is under."""
    name: str
    """What the row is."""
    runs: tuple[Mapping[str, float], ...]
    """``roc_auc`` and ``average_precision`` over the frames of all clips, of each run."""
    work: Mapping[str, int] = field(default_factory=dict)
    """Counted work of its runs (``lavad_core.runs.work``), zeros left out."""
    seconds: float = 0.0
    """Wall time of its runs."""

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
    needed = ("videos", "labels.txt", "truth.json", "lavad.yaml", "store")
    if missing := [name for name in needed if not (output / name).exists()]:
        raise InputError(f"no demonstration in {str(output)!r}: it lacks {', '.join(missing)}; `make demo` makes one")
    config = _config(output, {})
    if random := random_models(config):
        tell(f"THE NUMBERS MEAN NOTHING: these models are random: {', '.join(random)}")
    sources = discover([output / "videos"])
    if (given := {source.name for source in sources}) != (known := {truth.name for truth in read_truth(output)}):
        raise InputError(
            f"videos/ and truth.json of {str(output)!r} differ in {sorted(given ^ known)[:5]}; render it again"
        )
    rows: list[AblationRow] = []

    def measure(variant: Variant) -> None:
        rows.append(_measured(output, sources, variant))
        made = ", ".join(
            f"{rows[-1].work.get(name, 0)} {name.replace('_', ' ')}"
            for name in (CAPTIONS_MADE, LLM_REQUESTS, LLM_CACHED)
        )
        tell(f"{variant.name}: {rows[-1].seconds:.1f} s, {made}")

    measure(Variant(FULL, f"all {len(config.captioners)} captioners, K = {config.refine.neighbours}", ({},)))
    for variant in variants(config, groups):
        measure(variant)
    if "shuffled" in groups:
        for variant in _shuffled(output, config, sources):
            measure(variant)
    return rows + (_trivial(output) if "trivial" in groups else [])


def variants(config: LavadConfig, groups: Sequence[str]) -> list[Variant]:
    """The rows that settings alone make."""
    found: list[Variant] = []
    captioners = public_settings(config)["captioners"]
    off = {name: {name: {"enabled": False}} for name in ("clean", "summarise", "refine")}
    if "components" in groups:
        first = next(iter(config.captioners))
        each = tuple({**off["clean"], "captioners": [one]} for one in captioners)
        found += [
            # Nothing but the first captioner is read then: which one that is makes a row of its own worth.
            Variant("components", f"without cleaning: captions of {first}", (off["clean"],)),
            Variant("components", "without cleaning: each captioner's, mean", each),
            Variant("components", "without summaries", (off["summarise"],)),
            Variant("components", "without refinement", (off["refine"],)),
        ]
    if "captioners" in groups:
        found += [Variant("captioners", next(iter(one)), ({"captioners": [one]},)) for one in captioners]
    if "neighbours" in groups:
        found += [Variant("neighbours", f"K = {k}", ({"refine": {"neighbours": k}},)) for k in NEIGHBOURS]
    return found


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
    return found or ["Every other row is below the full method."]


_VERDICT = {
    "components": "this component does not help",
    "captioners": "the other captioners do not help",
    "trivial": "THE METHOD DOES NOT BEAT IT",
}


def _against(row: AblationRow, full: AblationRow) -> str:
    """The metrics in which a row is as good as the full method or better."""
    return ", ".join(
        f"{shown} {row.mean(metric):.3f} against {full.mean(metric):.3f} of the full method"
        for metric, shown in METRICS.items()
        if row.mean(metric) >= full.mean(metric)
    )


def _config(output: Path, settings: Settings) -> LavadConfig:
    """The demonstration's configuration with other settings; wanted is what metrics need, and no segments."""
    own = {
        "store": str(output / "store"),
        "evaluate": {"labels": str(output / "labels.txt")},
        "run": {"targets": ["refine"]},
    }
    return load_config(files=[output / "lavad.yaml"], settings={**own, **settings})


def _measured(output: Path, sources: Sequence[VideoSource], variant: Variant) -> AblationRow:
    start = time.monotonic()
    runs: list[Mapping[str, float]] = []
    work: dict[str, int] = {}
    for settings in variant.settings:
        metrics, totals = _run(_config(output, settings), sources)
        runs.append(metrics)
        work = {name: work.get(name, 0) + totals.get(name, 0) for name in {**work, **totals}}
    return AblationRow(variant.group, variant.name, tuple(runs), work, time.monotonic() - start)


def _run(config: LavadConfig, sources: Sequence[VideoSource]) -> tuple[dict[str, float], dict[str, int]]:
    """Metrics and counted work of one run of the pipeline."""
    bench = RunResources(config)
    try:
        videos = [bench.prepare(source) for source in sources]
        with (
            tempfile.TemporaryDirectory() as records,
            RunRecorder(Path(records), new_run_id(), config=public_settings(config)) as recorder,
        ):
            failed = run_graph(bench, videos, recorder)
            work = recorder.totals()
        if failed:
            name, error = next(iter(failed.items()))
            raise InputError(f"{len(failed)} of {len(videos)} clips have no scores, first {name!r}: {error}")
        commit = evaluate_run(bench, videos)
        assert commit is not None  # there are labels
        if commit.message:
            raise InputError(f"the metrics are undefined: {commit.message}")
        return {metric: commit.facts[metric] for metric in METRICS}, work
    finally:
        bench.close()


def _shuffled(output: Path, config: LavadConfig, sources: Sequence[VideoSource]) -> list[Variant]:
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
            folder = output / "captions-of-other-clips" / str(seed) / captioner
            folder.mkdir(parents=True, exist_ok=True)
            for clip, texts in clips.items():
                (folder / f"{clip}.json").write_text(json.dumps(texts), encoding="utf-8")
            folders[captioner] = str(folder)
        imports.append({"imports": {"captions": folders}})
    unseen = {name: {"enabled": False} for name in ("clean", "refine")}
    return [
        Variant("shuffled", "captions of other clips", tuple(imports)),
        Variant(
            "shuffled",
            "captions of other clips, no cleaning, no refinement",
            tuple({**settings, **unseen} for settings in imports),
        ),
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
                "work": dict(row.work),
                "seconds": round(row.seconds, 1),
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
