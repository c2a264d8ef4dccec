"""A run that smooths its scores: whatever reads results has the smoothed curve, and says so."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.filled_store import GRID, SCORES, SMOOTHED, fill
from support.sets import dataset

from lavad.deployments.cli.options.metrics import ProtocolGroup
from lavad_core.config.load import load_config
from lavad_core.config.smooth_fields import SmoothConfig
from lavad_core.datasets.types import LabelledVideo
from lavad_core.errors import InputError
from lavad_core.evaluation.compare import compare_results
from lavad_core.evaluation.compute import evaluate
from lavad_core.evaluation.leaderboard import own_rows
from lavad_core.evaluation.options import EvaluationOptions
from lavad_core.evaluation.published import against_published
from lavad_core.evaluation.regression import TOLERANCES, against_evaluation, against_results
from lavad_core.evaluation.smoothing import Sigma
from lavad_core.evaluation.threshold import choose_threshold, parse_rule, threshold_warnings
from lavad_core.exports import tables
from lavad_core.exports.dataframes import scores_table
from lavad_core.exports.layout_writer import write_layout
from lavad_core.imports.layout import REFINED
from lavad_core.method.detection import SegmentRule
from lavad_core.pipeline.graph import build_graph
from lavad_core.reports.score_curve import Colours, draw_curve
from lavad_core.reports.video import video_report
from lavad_core.results.open import open_results
from lavad_core.results.recipe import in_short
from lavad_core.results.types import ResultSet
from lavad_core.stages.node import PreparedVideo

WORDS = "ema, α 0.5"
LABELS = dataset(LabelledVideo("a", ("Fire",), ((16, 31),), 40), LabelledVideo("b", frames=40), frame_rate=25)
NONE = EvaluationOptions(resamples=0)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs: ``plain``, and ``smooth`` over the same results."""
    root = tmp_path_factory.mktemp("store")
    fill(root, "a", "b", name="plain")
    fill(root, "a", "b", name="smooth", more=("smooth.kind=ema", "smooth.alpha=0.5"))
    return root


@pytest.fixture(scope="module")
def plain(store: Path) -> ResultSet:
    return open_results(store, "plain")


@pytest.fixture(scope="module")
def smooth(store: Path) -> ResultSet:
    return open_results(store, "smooth")


def nodes(*overrides: str) -> dict[str, str]:
    config = load_config(preset="tiny", overrides=overrides, environ={})
    identities = {role: f"model of {role}" for role in config.models}
    keys = build_graph(config, identities).keys(PreparedVideo("v", "/v.mp4", "file", "0" * 32))
    return {node: key.fingerprint for node, key in keys.items()}


@pytest.mark.parametrize(
    "changed",
    ["smooth.alpha=0.7", "smooth.sigma_s=2", "smooth.prior=centre", "smooth.decimals=1", "smooth.kernel_size=9"],
)
def test_where_nothing_is_smoothed_nothing_is_another(changed: str) -> None:
    assert "smooth" not in nodes()
    assert nodes(changed) == nodes()


def test_smoothing_changes_itself_and_what_reads_final_scores() -> None:
    before, after = nodes(), nodes("smooth.kind=gaussian")
    assert {name for name in after if after[name] != before.get(name)} == {"smooth", "detect"}


@pytest.mark.parametrize(
    ("targets", "last"),
    [("[smooth]", "smooth"), ("[refine]", "refine"), ("[evaluate]", "smooth")],
)
def test_targets(targets: str, last: str, tmp_path: Path) -> None:
    labels = tmp_path / "labels.txt"
    labels.write_text("v  Fire  1  2  -1  -1\n", encoding="utf-8")
    more = (f"evaluate.labels={labels}",) if "evaluate" in targets else ()
    assert [*nodes("smooth.kind=ema", f"run.targets={targets}", *more)][-1] == last
    assert [*nodes(f"run.targets={targets}", *more)][-1] == "refine"


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"kind": "none", "prior": "centre"}, ""),
        ({"kind": "gaussian"}, "gaussian, σ 5.333 s"),
        ({"kind": "gaussian", "sigma_steps": 10}, "gaussian, σ 10 grid steps"),
        (
            {"kind": "kernel", "sigma_steps": 10, "decimals": 1, "prior": "centre"},
            "kernel, 15 grid steps long, σ 10 grid steps, rounded to 1 decimals, centre weight (a data-set prior)",
        ),
    ],
)
def test_in_words(settings: dict[str, Any], words: str) -> None:
    assert SmoothConfig(**settings).in_words == words


@pytest.mark.parametrize(
    "wrong", ["sigma_s=0", "sigma_s=nan", "sigma_steps=-1", "alpha=0", "alpha=1.1", "kernel_size=0"]
)
def test_values_that_smooth_nothing_are_refused(wrong: str) -> None:
    with pytest.raises(InputError, match="smooth"):
        load_config(overrides=["smooth.kind=gaussian", f"smooth.{wrong}"], environ={})


def test_another_kind_keeps_what_was_given_for_the_one_before() -> None:
    given = ["smooth.sigma_steps=10", "smooth.kind=gaussian", "smooth.prior=centre", "smooth.kind=half-gauss"]
    config = load_config(settings={"smooth": {"decimals": 1}}, overrides=given, environ={})
    assert config.smooth.in_words == (
        "half-gauss, σ 10 grid steps, rounded to 1 decimals, centre weight (a data-set prior)"
    )


def test_the_scores_are_the_smoothed_ones(smooth: ResultSet, plain: ResultSet) -> None:
    found, before = smooth.scores("a"), plain.scores("a")
    assert found.scores.tolist() == SMOOTHED
    assert found.unsmoothed is not None
    assert found.unsmoothed.tolist() == before.scores.tolist() == SCORES
    assert before.unsmoothed is None
    np.testing.assert_array_equal(found.raw_scores, before.raw_scores)
    assert (found.smoothing, smooth.smoothing, before.smoothing, plain.smoothing) == (WORDS, WORDS, "", "")
    assert smooth.reference["smoothing"] == WORDS
    assert f"smoothing of scores: {WORDS}" in in_short(smooth.recipe)
    assert "smoothing" not in in_short(plain.recipe)


def test_scores_that_were_not_refined(tmp_path: Path) -> None:
    fill(tmp_path, "a", more=("refine.enabled=false", "smooth.kind=ema"))
    results = open_results(tmp_path)
    found = results.scores("a")
    assert (found.raw_scores, found.scores.tolist()) == (None, SMOOTHED)
    assert found.own_scores is not None
    assert found.own_scores.tolist() == SCORES
    assert [row.name for row in evaluate(LABELS, results, NONE).rows if row.ours] == ["smoothed", "scores"]


def test_the_evaluation_has_rows_of_all_and_its_events_are_of_the_final_ones(
    smooth: ResultSet, plain: ResultSet
) -> None:
    found, before = evaluate(LABELS, smooth, NONE), evaluate(LABELS, plain, NONE)
    assert [row.name for row in found.rows if row.ours] == ["smoothed", "refined", "raw"]
    assert [row.metrics for row in found.rows if row.ours][1:] == [row.metrics for row in before.rows if row.ours]
    assert {video.max_score for video in found.videos} == {max(SMOOTHED)}
    assert {row.found for row in found.events} == {0}  # the smoothed peak is below 0.5
    assert {row.found for row in before.events} == {2}
    assert found.header.smoothing == f"by the run, {WORDS}; none in the rows of its other scores"
    assert before.header.smoothing == "none"


def test_nothing_is_smoothed_twice_without_being_told(smooth: ResultSet, plain: ResultSet) -> None:
    twice = EvaluationOptions((Sigma(10),), resamples=0)
    told = EvaluationOptions((Sigma(10),), resamples=0, smooth_again=True)
    for call in (
        lambda: evaluate(LABELS, smooth, twice),
        lambda: compare_results(LABELS, smooth, plain, twice),
        lambda: compare_results(LABELS, plain, smooth, twice),
    ):
        with pytest.raises(InputError, match=r"smoothed already .* --smooth-again"):
            call()
    found = evaluate(LABELS, smooth, told)
    assert [row.name for row in found.rows if row.ours] == ["smoothed", "smoothed", "refined", "refined", "raw", "raw"]
    assert found.header.smoothing.endswith("once more")
    evaluate(LABELS, plain, twice)
    assert ProtocolGroup(["10"], smooth_again=True, resamples=0).options(*told.events) == told


def test_a_threshold_is_of_the_smoothed_scores_and_says_so(smooth: ResultSet, plain: ResultSet) -> None:
    chosen = choose_threshold(LABELS, smooth, parse_rule("f1"))
    assert chosen.threshold == 0.4
    assert chosen.results["smoothing"] == WORDS
    (fitted,) = threshold_warnings(chosen, LABELS, smooth)
    assert "fitted on 2 of the 2" in fitted
    other = threshold_warnings(chosen, LABELS, plain)[-1]
    assert f"were smoothed ({WORDS}), and these are not smoothed" in other


def test_tables_have_both_curves(smooth: ResultSet, plain: ResultSet, tmp_path: Path) -> None:
    table = scores_table(smooth)
    assert table.columns.tolist() == ["video", "frame", "time_s", "score", "unsmoothed_score", "raw_score"]
    assert table["score"].tolist() == SMOOTHED * 2
    assert table["unsmoothed_score"].tolist() == SCORES * 2
    assert "unsmoothed_score" not in scores_table(plain)
    tables.write_csv(smooth, tmp_path / "a.csv", frames=True)
    rows = list(csv.DictReader((tmp_path / "a.csv").open(encoding="utf-8")))
    assert (rows[16]["score"], rows[16]["unsmoothed_score"]) == ("0.4", "0.7")
    tables.write_json(smooth, tmp_path / "a.json")
    document = json.loads((tmp_path / "a.json").read_text())
    assert document["smoothing"] == WORDS
    assert document["videos"][0]["rows"][1]["score"] == SMOOTHED[1]


def test_the_authors_layout_has_the_smoothed_scores_without_neighbours(smooth: ResultSet, tmp_path: Path) -> None:
    written = write_layout(smooth, tmp_path / "layout")
    assert (written.ranks, written.notes[0]) == (0, f"scores are smoothed ({WORDS}) and no means of their neighbours")
    scores = json.loads((tmp_path / "layout" / REFINED / "a.json").read_text())
    assert scores == dict(zip(map(str, GRID), SMOOTHED, strict=True))


def test_pages_and_plots_say_so(smooth: ResultSet, plain: ResultSet) -> None:
    from matplotlib.figure import Figure

    axes = Figure().add_subplot()
    report = video_report(smooth["a"], None, SegmentRule())
    assert report.notes[0] == f"Scores are smoothed over time: {WORDS}."
    assert [(at.score, at.unsmoothed) for at in report.grid] == list(zip(SMOOTHED, SCORES, strict=True))
    draw_curve(axes, report, Colours())
    assert axes.get_xlabel() == "seconds; scores are smoothed"
    draw_curve(axes, video_report(plain["a"], None, SegmentRule()), Colours())
    assert axes.get_xlabel() == "seconds"


def test_published_figures_are_compared_unsmoothed(smooth: ResultSet, plain: ResultSet) -> None:
    labels = dataset(*LABELS.videos.values())
    found, before = (
        evaluate(type(labels)("ucf-crime", "UCF-Crime", labels.videos, labels.files), results, NONE)
        for results in (smooth, plain)
    )
    assert against_published(found).ours.metrics == against_published(before).ours.metrics
    assert against_published(found).ours.name == "refined"
    assert [(row.method, row.smoothing) for row in own_rows(found)] == [(f"run {smooth.set_id}", WORDS)]
    assert [row.smoothing for row in own_rows(before)] == ["none"]


def test_a_baseline_that_is_smoothed_in_another_way_is_named(smooth: ResultSet, plain: ResultSet) -> None:
    told = f"scores are smoothed by the run: now {WORDS}, the baseline's not at all; the numbers are of other curves"
    assert told in against_results(LABELS, smooth, plain, NONE, TOLERANCES).notes
    now, before = (evaluate(LABELS, results, NONE) for results in (smooth, plain))
    assert told in against_evaluation(now, before, "before", TOLERANCES).notes
    assert against_evaluation(now, now, "now", TOLERANCES).notes == ()
