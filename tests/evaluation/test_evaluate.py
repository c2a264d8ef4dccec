"""Every metric on a case that is computed by hand, the header, and what goes wrong."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter1d
from support.sets import dataset, random_set, results, scored

from lavad_core.datasets.types import LabelledVideo
from lavad_core.errors import InputError
from lavad_core.evaluation.compute import evaluate
from lavad_core.evaluation.curves import POINTS, thinned
from lavad_core.evaluation.frame_metrics import frame_auc
from lavad_core.evaluation.options import EvaluationOptions
from lavad_core.evaluation.trivial import centre_prior
from lavad_core.evaluation.types import METRIC_TITLES, Evaluation, Metric
from lavad_core.method.detection import SegmentRule
from lavad_core.results.types import ScoredVideo, results_of_values

BARE = EvaluationOptions(resamples=0)


def by_hand() -> Evaluation:
    """Three videos of 3 + 2 + 2 scores, each of 10 frames but for the last ones of 5::

    a  0.2 (10 normal)  0.8 (10 anomalous)  0.4 (5 normal)      Fire
    b  0.8 (10 normal)  0.2 (5 normal)                          normal
    c  0.4 (10 anomalous)  0.4 (5 anomalous)                    Fire, Smoke; anomalous all through
    """
    data = dataset(
        LabelledVideo("a", ("Fire",), ((10, 19),)),
        LabelledVideo("b"),
        LabelledVideo("c", ("Fire", "Smoke"), ((0, 99),)),
    )
    found = results(
        scored("a", 25, [0.2, 0.8, 0.4], 10), scored("b", 15, [0.8, 0.2], 10), scored("c", 15, [0.4, 0.4], 10)
    )
    return evaluate(data, found, BARE)


def test_metrics_over_all_frames() -> None:
    """25 anomalous frames: 10 at 0.8, 15 at 0.4; 30 normal ones: 10 at 0.8, 5 at 0.4, 15 at 0.2."""
    metrics = by_hand().rows[0].metrics
    # pairs in order: at 0.8 10 × (10/2 + 20), at 0.4 15 × (5/2 + 15)
    assert metrics["auc"].value == pytest.approx((10 * 25 + 15 * 17.5) / (25 * 30))
    # precision 10/20 at recall 0.4, 25/40 at recall 1
    assert metrics["average_precision"].value == pytest.approx(0.4 * 0.5 + 0.6 * 0.625)
    assert metrics["pr_auc_trapezoid"].value == pytest.approx(0.4 * (1 + 0.5) / 2 + 0.6 * (0.5 + 0.625) / 2)
    # without b: at 0.8 10 × 15, at 0.4 15 × (5/2 + 10), of 25 × 15
    assert metrics["auc_anomalous"].value == pytest.approx((10 * 15 + 15 * 12.5) / (25 * 15))
    # a alone has both kinds: all 10 × 15 pairs in order
    assert metrics["auc_macro"] == Metric(1.0, n=1)


def test_metrics_over_videos() -> None:
    """Highest 0.8, 0.4 against 0.8: half a pair of two. Mean 7/15, 0.4 against 0.5: none."""
    metrics = by_hand().rows[0].metrics
    assert metrics["auc_video_max"].value == 0.25
    assert metrics["auc_video_mean"].value == 0
    assert [(v.name, v.max_score, v.mean_score) for v in by_hand().videos] == [
        ("a", 0.8, pytest.approx(1.4 / 3)),
        ("b", 0.8, 0.5),
        ("c", 0.4, 0.4),
    ]
    assert [v.auc.value for v in by_hand().videos] == [1, None, None]
    assert by_hand().videos[2].auc.reason == "all 15 frames are labelled anomalous"


def test_classes_in_both_conventions_and_a_video_of_two_counts_for_each() -> None:
    fire, smoke = by_hand().classes
    assert (fire.name, fire.videos, fire.positive, fire.normal_videos) == ("Fire", 2, 25, 1)
    assert fire.within["auc"].value == by_hand().rows[0].metrics["auc_anomalous"].value
    assert fire.with_normal["auc"].value == by_hand().rows[0].metrics["auc"].value
    assert fire.with_normal["average_precision"].value == by_hand().rows[0].metrics["average_precision"].value
    assert (smoke.name, smoke.videos, smoke.positive) == ("Smoke", 1, 15)
    assert smoke.within["auc"] == Metric(None, "all 15 frames are labelled anomalous")
    # 15 at 0.4 against b: above 5 of 15 frames
    assert smoke.with_normal["auc"].value == pytest.approx(5 / 15)
    assert smoke.with_normal["average_precision"].value == pytest.approx(15 / 25)


def test_rows_without_a_model() -> None:
    trivial = {row.name: row for row in by_hand().rows if not row.ours}
    assert list(trivial) == ["video-label oracle", "constant", "clip-centre prior"]
    # the oracle: 25 anomalous frames tie with 15 normal ones of a, and are above the 15 of b
    assert trivial["video-label oracle"].metrics["auc"].value == pytest.approx(22.5 / 30)
    assert trivial["video-label oracle"].metrics["auc_video_max"].value == 1
    assert trivial["constant"].metrics["auc"].value == 0.5
    assert trivial["constant"].metrics["average_precision"].value == pytest.approx(25 / 55)
    assert trivial["clip-centre prior"].metrics["auc_macro"].value == 1


@pytest.mark.parametrize(
    ("count", "expected"), [(5, [0, 0.5, 1, 0.5, 0]), (2, [0, 0]), (1, [0])], ids=["odd", "two", "one"]
)
def test_centre_prior_is_1_in_the_middle_and_0_at_the_ends(count: int, expected: list[float]) -> None:
    assert centre_prior(count).tolist() == expected


def test_smoothing_is_scipys_over_each_videos_own_scores() -> None:
    data, found = random_set(3, 12)
    row = evaluate(data, found, dataclasses.replace(BARE, sigmas=(2.5,))).rows[1]
    by_itself = {
        name: dataclasses.replace(found.scores(name), scores=gaussian_filter1d(found.scores(name).scores, 2.5))
        for name in found.names
    }
    assert (row.name, row.sigma, row.label) == ("refined", 2.5, "refined σ2.5 (40 frames, 1.6 s)")
    assert row.metrics == evaluate(data, results_of_values(by_itself), BARE).rows[0].metrics


def test_order_of_rows_and_their_curves() -> None:
    data, found = random_set(3, 12)
    evaluation = evaluate(data, found, dataclasses.replace(BARE, sigmas=(10, 2, 10)))
    smooth = ["", " σ10 (160 frames, 6.4 s)", " σ2 (32 frames, 1.28 s)"]
    own = [f"{kind}{row}" for kind in ("refined", "raw") for row in smooth]
    assert [row.label for row in evaluation.rows if row.ours] == own
    assert list(evaluation.roc) == list(evaluation.precision_recall) == own
    assert all(set(row.metrics) == set(METRIC_TITLES) for row in evaluation.rows)
    for row in evaluation.rows[:6]:
        roc, curve = evaluation.roc[row.label], evaluation.precision_recall[row.label]
        assert (roc.x[0], roc.y[0], roc.x[-1], roc.y[-1]) == pytest.approx((0, 0, 1, 1))
        assert (curve.x[0], curve.y[0], curve.x[-1]) == pytest.approx((0, 1, 1))
        assert np.trapezoid(roc.y, roc.x) == pytest.approx(row.metrics["auc"].value, abs=1e-3)
        assert np.trapezoid(curve.y, curve.x) == pytest.approx(row.metrics["pr_auc_trapezoid"].value, abs=1e-3)


def test_a_thinned_curve_has_the_area_of_the_whole_one() -> None:
    x = np.linspace(0, 1, 100_000)
    curve = thinned(x, x**0.25)
    assert len(curve.x) <= POINTS
    assert (curve.x[0], curve.x[-1]) == (0, 1)
    assert np.trapezoid(curve.y, curve.x) == pytest.approx(0.8, abs=1e-4)


@pytest.mark.parametrize(
    ("word", "intervals", "undefined"),
    [
        (
            "all normal",
            (),
            {
                "auc": "all 32 frames are labelled normal",
                "auc_anomalous": "there are no frames",
                "auc_macro": "no video has both anomalous and normal frames",
                "auc_video_max": "all 1 video is labelled normal",
            },
        ),
        (
            "all anomalous",
            ((0, 31),),
            {
                "average_precision": "all 32 frames are labelled anomalous",
                "auc_anomalous": "all 32 frames are labelled anomalous",
                "auc_video_mean": "all 1 video is labelled anomalous",
            },
        ),
    ],
)
def test_what_is_undefined_is_none_with_a_reason(
    word: str, intervals: tuple[tuple[int, int], ...], undefined: dict[str, str]
) -> None:
    evaluation = evaluate(dataset(LabelledVideo("v", (), intervals)), results(scored("v", 32, [0.1, 0.9])))
    for row in evaluation.rows:
        for key, reason in undefined.items():
            metric = row.metrics[key]
            assert (metric.value, metric.reason, metric.low) == (None, reason, None)
    assert evaluation.roc == evaluation.precision_recall == {}


def test_header_says_what_was_evaluated() -> None:
    data = dataset(
        LabelledVideo("Fire #1", ("Fire",), ((10, 99),), 32),
        LabelledVideo("caf\u00e9", (), (), 20),
        LabelledVideo("gone", ("Smoke",), ((1, 2),)),
        LabelledVideo("never"),
        notes=("the list is short",),
    )
    found = results(
        scored("never seen", 16, [0.5]), scored("cafe\u0301.mp4", 20, [0.1, 0.2]), scored("Fire #1", 33 - 1, [0, 1]),
        gone="rejected: no-video",
    )  # fmt: skip
    header = evaluate(data, found, dataclasses.replace(BARE, sigmas=(10,))).header
    assert (header.dataset, header.adapter, header.listed, header.scored) == ("Own", "own", 4, 2)
    assert header.files == ({"role": "annotation", "name": "labels.csv", "sha256": "ab" * 32},)
    assert header.unscored == {"gone": "rejected: no-video", "never": "not in the import"}
    assert header.unlabelled == ("never seen",)
    assert (header.frames, header.positive, header.clipped_intervals, header.interval) == (52, 22, 1, 16)
    assert header.results == {"id": "made", "origin": "import"}
    assert "Gaussian of 10 grid steps" in header.smoothing
    assert header.weighting == "none"
    said = "\n".join(header.warnings)
    for part in ("the list is short", "2 of 4 videos have no scores: 'gone', 'never'", "no video of 'Smoke' has scores",
                 "1 scored video is not in the data set and left out: 'never seen' (nearest: 'never')"):  # fmt: skip
        assert part in said
    assert len(header.warnings) == 4


@pytest.mark.parametrize(
    ("word", "videos", "found", "warning"),
    [
        (
            "other frame count, same grid",
            [LabelledVideo("v", (), ((0, 3),), 30)],
            [scored("v", 31, [0, 1])],
            "1 video has another frame count in the results than in the data set's list, which is used: 'v'",
        ),
        (
            "class without interval",
            [LabelledVideo("v", ("Fire",))],
            [scored("v", 32, [0, 1])],
            "a class but no interval",
        ),
        (
            "different grids",
            [LabelledVideo("v"), LabelledVideo("w")],
            [scored("v", 32, [0, 1]), scored("w", 32, [0, 0, 0, 1], 8)],
            "not all videos have the same number of frames",
        ),
        (
            "raw scores of some",
            [LabelledVideo("v"), LabelledVideo("w")],
            [scored("v", 32, [0, 1]), scored("w", 32, [0, 1], raw=True)],
            "only 1 of 2 videos have raw scores",
        ),
        (
            "normalised",
            [LabelledVideo(f"v{number}") for number in range(6)],
            [scored(f"v{number}", 48, [0, number / 10, 1]) for number in range(6)],
            "normalised video by video",
        ),
    ],
)
def test_warnings(word: str, videos: list[LabelledVideo], found: list[ScoredVideo], warning: str) -> None:
    (said,) = evaluate(dataset(*videos), results(*found), BARE).header.warnings
    assert warning in said


def test_scores_of_a_method_that_are_not_normalised_are_not_warned_of() -> None:
    videos = [LabelledVideo(f"v{number}") for number in range(6)]
    found = [scored(f"v{number}", 48, [0, number / 10, 1 if number < 5 else 0.9]) for number in range(6)]
    assert evaluate(dataset(*videos), results(*found), BARE).header.warnings == ()


def test_one_kind_of_scores_is_not_called_refined() -> None:
    data = dataset(LabelledVideo("v", (), ((0, 15),)))
    assert evaluate(data, results(scored("v", 32, [0, 1])), BARE).rows[0].name == "scores"
    rows = evaluate(data, results(scored("v", 32, [0, 1], raw=True)), BARE).rows
    assert [(row.name, row.metrics["auc"].value) for row in rows[:2]] == [("refined", 0), ("raw", 1)]


@pytest.mark.parametrize(
    ("word", "video", "found", "parts"),
    [
        ("too few", LabelledVideo("long"), scored("long", 48, [0, 1]), ["'long'", "2 scores", "48", "every 16th", "3"]),
        ("too many", LabelledVideo("v"), scored("v", 32, [0, 1, 0]), ["'v'", "3 scores", "makes 2"]),
        ("two scores more than the list", LabelledVideo("v", (), (), 16), scored("v", 40, [0, 1, 0]), ["'v'", "list has 16"]),
        ("longer in the list", LabelledVideo("v", (), (), 33), scored("v", 32, [0, 1]), ["'v'", "list has 33"]),
        ("not a number", LabelledVideo("v"), scored("v", 32, [0, math.nan]), ["'v'", "1 of its scores", "finite"]),
        ("no frames", LabelledVideo("v", (), (), 0), scored("v", 0, []), ["'v' has 0 frames"]),
        ("another name", LabelledVideo("Fire_001"), scored("Fire001", 32, [0, 1]),
         ["none of the 1 scored videos", "'Fire001'", "nearest: 'Fire_001'", "without the ending"]),
    ],
)  # fmt: skip
def test_scores_that_cannot_be_evaluated_are_named(
    word: str, video: LabelledVideo, found: ScoredVideo, parts: list[str]
) -> None:
    with pytest.raises(InputError) as caught:
        evaluate(dataset(video), results(found))
    assert [part for part in parts if part not in str(caught.value)] == []


def test_raw_scores_must_cover_the_video_too() -> None:
    short = dataclasses.replace(scored("v", 32, [0, 1]), raw_scores=np.zeros(1))
    with pytest.raises(InputError, match="1 raw scores do not cover"):
        evaluate(dataset(LabelledVideo("v")), results(short))


def test_no_scores_at_all() -> None:
    with pytest.raises(InputError, match="'made' has no scored video"):
        evaluate(dataset(LabelledVideo("v")), results())


@pytest.mark.parametrize(
    ("word", "options", "message"),
    [
        ("σ 0", {"sigmas": (0,)}, "σ 0 does not smooth"),
        ("σ below", {"sigmas": (-1,)}, "σ -1"),
        ("σ not a number", {"sigmas": (math.nan,)}, "σ nan"),
        ("resamples", {"resamples": -1}, "-1 resamples"),
        ("too many", {"resamples": 10**9}, "to 100000"),
        ("seed", {"seed": -1}, "seed -1"),
        ("seconds", {"events": (SegmentRule(min_length_s=1),)}, "in frames"),
    ],
)
def test_options_out_of_range(word: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        EvaluationOptions(**options)


def test_auc_alone_is_that_of_all_metrics() -> None:
    assert frame_auc(np.array([True, False]), np.array([0.2, 0.1]), np.array([3.0, 4.0])) == (1.0, "")
    assert frame_auc(np.array([True, False]), np.array([0.2, 0.1]), np.array([3.0, 0.0]))[0] is None


def test_videos_whose_labels_cannot_be_read_are_unscored() -> None:
    data = dataclasses.replace(dataset(LabelledVideo("a", (), ((0, 9),))), unreadable={"b": "masks: damaged"})
    header = evaluate(data, results(scored("a", 20, [0.1, 0.2], 10), scored("b.mp4", 20, [0.1, 0.2], 10)), BARE).header
    assert (header.listed, header.scored, header.unscored, header.unlabelled) == (2, 1, {"b": "masks: damaged"}, ())
    assert any("1 of 2 videos have no scores: 'b'" in warning for warning in header.warnings)
