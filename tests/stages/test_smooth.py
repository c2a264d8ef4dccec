"""Smoothing of scores over time: its arithmetic against published vectors and figures, and computations of a few lines."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.published_scores import INTERVAL, published_labels, published_scores, smoothed_figures

from lavad_core.config.smooth_fields import SmoothConfig
from lavad_core.errors import InternalError
from lavad_core.imports.listed import listed_sources
from lavad_core.recipes.temporal import centre_weight, ema, gaussian, half_gaussian, kernel, kernel_weights
from lavad_core.stages.smooth import smoothed_scores

DRAWN = np.random.default_rng(5).random(60)


@pytest.fixture(scope="module")
def vectors(shared: Path) -> dict[str, Any]:
    path = shared / "design/recipes_vectors.json"
    if not path.exists():
        pytest.skip("no ../shared/design/recipes_vectors.json: smoothing is not compared with its vectors")
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


@pytest.fixture(scope="module")
def data(shared: Path) -> Path:
    folder = shared / "data"
    if not (folder / "probe_vad/ucf_crime_scores.tar.xz").exists() or not (folder / "urf_ucf_crime").exists():
        pytest.skip("no ../shared/data/probe_vad and urf_ucf_crime: no published scores are smoothed")
    return folder


def smoothed(scores: Any, step_s: float | None = 1.0, **settings: Any) -> np.ndarray:
    """Of a video with a grid frame every 16 frames."""
    values = np.array(scores, np.float64)
    frames = np.arange(len(values)) * INTERVAL
    return smoothed_scores(SmoothConfig(**settings), values, frames, len(values) * INTERVAL, step_s)


@pytest.mark.parametrize(
    ("expected", "settings"),
    [
        pytest.param("vera_same", {"kind": "kernel", "kernel_size": 15, "sigma_steps": 10}, id="kernel"),
        pytest.param("scipy_sigma10", {"kind": "gaussian", "sigma_steps": 10}, id="gaussian"),
        pytest.param("scipy_sigma10", {"kind": "gaussian", "sigma_s": 5}, id="gaussian in seconds"),
        pytest.param("ema_0.2", {"kind": "ema", "alpha": 0.2}, id="exponential mean"),
    ],
)
def test_published_vectors(expected: str, settings: dict[str, Any], vectors: dict[str, Any]) -> None:
    np.testing.assert_allclose(smoothed(vectors["input40"], 0.5, **settings), vectors[expected], rtol=0, atol=2e-9)


@pytest.mark.parametrize(("size", "sigma"), [(15, 10), (9, 5)])
def test_published_kernels(size: int, sigma: float, vectors: dict[str, Any]) -> None:
    expected = vectors[f"vera_kernel_{size}_{sigma}"]["weights"]
    np.testing.assert_allclose(kernel_weights(size, sigma), expected, rtol=0, atol=6e-10)


def test_published_centre_weights(vectors: dict[str, Any]) -> None:
    found = centre_weight(np.array([0, 160, 320, 639]), 640)
    np.testing.assert_allclose(found, vectors["centre_weight_n640_frames_0_160_320_639"], rtol=0, atol=6e-9)


URF, REFINED = "urf_ucf_crime/scores_raw", "urf_ucf_crime/scores_refined"
PROBE, VALUES = "probe_vad/ucf_crime_scores", "probe_vad/ucf_crime_direct_11class_likelihood_promptfix"
MSAD = "probe_vad/msad_scores"
TEN = {"kind": "gaussian", "sigma_steps": 10}
CENTRED = {**TEN, "prior": "centre"}


@pytest.mark.parametrize(
    ("scores", "settings", "auc", "ap"),
    [
        (URF, {}, 71.16, 19.62),
        (URF, {"kind": "gaussian", "sigma_steps": 5}, 81.07, 34.73),
        (URF, TEN, 81.95, 34.80),
        (URF, {"kind": "ema", "alpha": 0.1}, 81.52, 32.61),
        (URF, {"kind": "ema", "alpha": 0.05}, 81.70, 30.56),
        (URF, {"kind": "half-gauss", "sigma_steps": 10}, 81.35, 32.82),
        (PROBE, TEN, 86.27, 39.48),
        (PROBE, {"kind": "gaussian"}, 86.27, 39.48),  # the default of 5.333 s
        (PROBE, {"kind": "ema", "alpha": 0.2}, 86.26, 40.60),
        (PROBE, {"kind": "ema", "alpha": 0.1}, 86.51, 39.45),
        (VALUES, TEN, 84.43, 40.26),
        (REFINED, TEN, 84.36, 36.16),
        (MSAD, TEN, 94.36, 81.21),
        (MSAD, {"kind": "ema", "alpha": 0.2}, 94.74, 83.39),
        (PROBE, CENTRED, 87.50, None),
        (REFINED, CENTRED, 85.42, None),
        (VALUES, CENTRED, 73.91, None),  # the weight ruins scores that never come down to 0
    ],
)
def test_published_figures(scores: str, settings: dict[str, Any], auc: float, ap: float | None, data: Path) -> None:
    labels = published_labels(data, "msad" if scores == MSAD else "ucf-crime")
    found = smoothed_figures(labels, published_scores(data / f"{scores}.tar.xz"), SmoothConfig(**settings))
    assert found[0] == pytest.approx(auc, abs=0.0051)  # printed to two decimals
    assert ap is None or found[1] == pytest.approx(ap, abs=0.0051)


def test_the_prior_alone_finds_something_in_ucf_crime(data: Path) -> None:
    labels = published_labels(data, "ucf-crime")
    constant = {name: np.full(-(-(video.frames or 0) // INTERVAL), 0.5) for name, video in labels.videos.items()}
    auc, _ = smoothed_figures(labels, constant, SmoothConfig(kind="ema", prior="centre"))
    assert auc == pytest.approx(61.9, abs=0.06)


@pytest.mark.parametrize("size", [1, 3, 9, 15])
def test_the_kernel_is_numpys_where_a_video_is_longer(size: int) -> None:
    np.testing.assert_allclose(kernel(DRAWN, size, 5), np.convolve(DRAWN, kernel_weights(size, 5), "same"), rtol=1e-12)


def test_a_video_that_is_shorter_than_the_kernel_keeps_its_length() -> None:
    padded = kernel(np.concatenate([DRAWN[:4], np.zeros(60)]), 15, 10)
    np.testing.assert_allclose(kernel(DRAWN[:4], 15, 10), padded[:4], rtol=1e-12)


def test_the_kernels_zeros_lower_the_ends_and_reflection_does_not() -> None:
    constant = np.full(60, 0.8)
    sunk = smoothed(constant, kind="kernel", sigma_steps=10)
    assert max(sunk[0], sunk[-1]) < 0.5
    np.testing.assert_allclose(sunk[10:-10], 0.8)
    for kind in ("gaussian", "ema", "half-gauss"):
        assert smoothed(constant, kind=kind, sigma_steps=10).tolist() == constant.tolist(), kind


def test_a_gaussian_of_a_few_lines() -> None:
    sigma, reach = 3.0, 12
    weights = np.exp(-(np.arange(-reach, reach + 1) ** 2) / (2 * sigma**2))
    padded = np.concatenate([DRAWN[:reach][::-1], DRAWN, DRAWN[-reach:][::-1]])
    expected = [padded[at : at + 2 * reach + 1] @ weights / weights.sum() for at in range(len(DRAWN))]
    np.testing.assert_allclose(gaussian(DRAWN, sigma), expected, rtol=1e-12)


def test_a_half_gaussian_of_a_few_lines() -> None:
    sigma, reach = 3.0, 12
    weights = [np.exp(-(back**2) / (2 * sigma**2)) for back in range(reach + 1)]
    expected = [
        sum(weight * DRAWN[max(at - back, 0)] for back, weight in enumerate(weights)) / sum(weights)
        for at in range(len(DRAWN))
    ]
    np.testing.assert_allclose(half_gaussian(DRAWN, sigma), expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("settings", "ahead"),
    [
        pytest.param({"kind": "ema"}, 0, id="exponential mean"),
        pytest.param({"kind": "half-gauss", "sigma_steps": 4}, 0, id="half a Gaussian"),
        pytest.param({"kind": "gaussian", "sigma_steps": 4}, 16, id="Gaussian"),
        pytest.param({"kind": "kernel", "kernel_size": 15, "sigma_steps": 4}, 7, id="kernel"),
    ],
)
def test_how_far_a_score_looks_ahead(settings: dict[str, Any], ahead: int) -> None:
    """A change of one score is seen that many scores before it, and no further."""
    changed = DRAWN.copy()
    changed[40] = 1 - changed[40]
    first = np.flatnonzero(smoothed(DRAWN, **settings) != smoothed(changed, **settings))[0]
    assert first == 40 - ahead


def test_the_order_is_smooth_round_weight() -> None:
    frames = np.arange(60) * INTERVAL
    smooth, weight = ema(DRAWN, 0.2), centre_weight(frames, 60 * INTERVAL)
    found = smoothed(DRAWN, kind="ema", decimals=1, prior="centre")
    np.testing.assert_allclose(found, np.round(smooth, 1) * weight, atol=1e-12)
    assert not np.allclose(found, np.round(smooth * weight, 1))
    assert not np.allclose(found, ema(np.round(DRAWN, 1), 0.2) * weight)
    assert not np.allclose(found, ema(np.round(DRAWN, 1) * weight, 0.2))


def test_seconds_are_grid_steps_of_the_videos_own_rate() -> None:
    at_30 = smoothed(DRAWN, INTERVAL / 30, kind="gaussian", sigma_s=160 / 30)
    at_15 = smoothed(DRAWN, INTERVAL / 15, kind="gaussian", sigma_s=160 / 30)
    assert at_30.tolist() == smoothed(DRAWN, kind="gaussian", sigma_steps=10).tolist()
    assert at_15.tolist() == smoothed(DRAWN, kind="gaussian", sigma_steps=5).tolist()


def test_equal_scores_stay_equal_and_reach_the_threshold_they_reached() -> None:
    for value in (0.1, 0.3, 0.5, 0.7, 1.0):
        assert set(smoothed([value] * 50, kind="gaussian", sigma_steps=3.7)) == {value}


@pytest.mark.parametrize("kind", ["gaussian", "kernel", "ema", "half-gauss"])
def test_one_score_is_as_it_was(kind: str) -> None:
    assert smoothed([0.7], None, kind=kind).tolist() == [0.7]
    assert smoothed_scores(SmoothConfig(kind=kind, prior="centre"), np.array([0.7]), np.array([0]), 1, None) == [0.7]


def test_a_score_that_is_not_a_number_is_no_score() -> None:
    with pytest.raises(InternalError, match="1 of 2 scores are not finite"):
        smoothed([0.5, np.nan], kind="ema")


def test_a_run_smooths_imported_scores_and_its_segments_are_of_them(
    make_bench: Callable[..., Any], tmp_path: Path
) -> None:
    """200 frames of 10 a second: a grid step is 1.6 s."""
    (tmp_path / "scores").mkdir()
    given = [0.0] * 5 + [1.0, 0.0] + [0.6] * 4 + [0.0] * 2
    values = dict(zip(range(0, 200, 16), given, strict=True))
    (tmp_path / "scores" / "street.json").write_text(json.dumps(values), encoding="utf-8")
    (tmp_path / "list.txt").write_text("street 0 199 7\n", encoding="utf-8")
    imports = {"list": tmp_path / "list.txt", "frame_rate": 10.0, "refined": tmp_path / "scores"}
    smooth = {"kind": "gaussian", "sigma_s": 1.6}
    resources = make_bench(imports=imports, run={"targets": ["detect"]}, smooth=smooth, detect={"threshold": 0.45})
    (source,) = listed_sources(resources.config.imports)
    video = resources.prepare(source)
    assert resources.run(video) == {}
    assert [node.id for node in resources.graph.nodes] == ["probe", "refine", "smooth", "detect"]
    rows = resources.rows(video, "smooth")
    np.testing.assert_allclose([row["score"] for row in rows], gaussian(np.array(given), 1.0), atol=1e-12)
    assert [row["time_s"] for row in rows] == pytest.approx([frame / 10 for frame in values])
    commit = resources.store.find(resources.graph.keys(video)["smooth"])
    assert commit.facts == {"step_s": pytest.approx(1.6), "sigma_steps": pytest.approx(1.0)}
    (segment,) = resources.rows(video, "detect")  # the lonely peak of 1.0 is gone, the plateau is not
    assert segment["peak_score"] == max(row["score"] for row in rows) < 0.7
