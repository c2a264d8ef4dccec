"""Smooth: the refined scores smoothed over time, where ``smooth.kind`` says how."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lavad_core.config.schema import LavadConfig
from lavad_core.config.smooth_fields import SmoothConfig
from lavad_core.errors import InternalError
from lavad_core.method.detection import mean_rate
from lavad_core.recipes.temporal import Scores, centre_weight, ema, gaussian, half_gaussian, kernel
from lavad_core.stages.context import StageContext
from lavad_core.stages.node import Condition, Node, Reads, settings_of
from lavad_core.stages.units import ROWS, Work
from lavad_core.stages.video_frames import FrameTimes, grid_of, load_probe
from lavad_core.store.types import Commit

VERSION = 1
DESCRIPTION = "Scores smoothed over time."
SCHEMA = pa.schema(
    [
        pa.field("frame", pa.int64(), nullable=False),
        pa.field("time_s", pa.float64(), nullable=False),
        pa.field("score", pa.float64(), nullable=False),
    ]
)

DIGITS = 12
"""Decimals that are kept: sums of the same scores in another order differ behind them, which must not decide whether a score
reaches a threshold or is equal to another one."""

READ_IF: dict[str, Condition] = {
    "smooth.sigma_s": lambda config: config.smooth.has_sigma and config.smooth.sigma_steps is None,
    "smooth.sigma_steps": lambda config: config.smooth.has_sigma,
    "smooth.alpha": lambda config: config.smooth.kind == "ema",
    "smooth.kernel_size": lambda config: config.smooth.kind == "kernel",
}


def reads(config: LavadConfig) -> list[Reads]:
    """The refined scores, or those that ``refine`` passes on."""
    return [Reads(("probe", "refine"), settings_of(config, "smooth", READ_IF))]


def costs(config: LavadConfig, node: Node, video: FrameTimes) -> Work:
    """No model: a row for each grid frame."""
    return {ROWS: len(grid_of(config, video))}


def run(context: StageContext) -> Commit:
    """Commit one row per grid frame: its time and its smoothed score. Facts hold the mean seconds of a grid step, and σ in grid
    steps where there is one."""
    probe, own = load_probe(context), context.config.smooth
    times, interval = probe.times_s, context.config.video.frame_interval
    refined = context.table("refine", ["frame", "score"])
    frames, scores = refined["frame"].to_numpy(), refined["score"].to_numpy()
    rate = mean_rate(times)
    step_s = interval / rate if rate else None
    facts = {"step_s": step_s, **({"sigma_steps": sigma_in_steps(own, step_s)} if own.has_sigma else {})}
    columns = {
        "frame": frames,
        "time_s": times[frames],
        "score": smoothed_scores(own, scores, frames, probe.frames, step_s),
    }
    with context.writer(SCHEMA) as writer:
        writer.write(pa.Table.from_pydict(columns, schema=SCHEMA))
        return writer.commit(facts=facts)


def sigma_in_steps(own: SmoothConfig, step_s: float | None) -> float | None:
    """σ in grid steps; None where it is in seconds and the video has one frame, so that nothing says how long a step is."""
    if own.sigma_steps is not None:
        return own.sigma_steps
    return None if step_s is None else own.sigma_s / step_s


def smoothed_scores(
    own: SmoothConfig, scores: Scores, frames: NDArray[np.int64], total: int, step_s: float | None
) -> Scores:
    """The scores of a video as ``smooth`` says: smoothed, then rounded, then weighted (VERA's order). A single score is not
    smoothed: there is nothing beside it.

    Args:
        own: how.
        scores: float64, [n], of the grid frames in order.
        frames: int64, [n], their indices.
        total: how many frames the video has.
        step_s: mean time from one grid frame to the next, seconds; None for a video of one frame.

    Returns:
        float64, [n], to :data:`DIGITS` decimals.

    Raises:
        InternalError: a score is not a finite number; a mean would carry it to all others.
    """
    if not np.isfinite(scores).all():
        raise InternalError(f"{np.count_nonzero(~np.isfinite(scores))} of {len(scores)} scores are not finite numbers")
    sigma = sigma_in_steps(own, step_s) if own.has_sigma else None
    if len(scores) > 1:
        if own.kind == "ema":
            scores = ema(scores, own.alpha)
        elif sigma is not None:
            match own.kind:
                case "gaussian":
                    scores = gaussian(scores, sigma)
                case "kernel":
                    scores = kernel(scores, own.kernel_size, sigma)
                case "half-gauss":
                    scores = half_gaussian(scores, sigma)
    if own.decimals is not None:
        scores = np.round(scores, own.decimals)
    if own.prior == "centre":
        scores = scores * centre_weight(frames, total)
    return np.round(scores, DIGITS)
