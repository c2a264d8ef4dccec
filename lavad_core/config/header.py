"""What the numbers of a configuration are to be read with: where it comes from, what was fitted, how far it looks ahead."""

from __future__ import annotations

import math

from lavad_core.config.schema import LavadConfig
from lavad_core.recipes.temporal import REACH

USUAL_RATE = 30.0
"""Frames per second at which grid steps are counted in seconds where no video is at hand."""

LOOKS_AHEAD, FITTED = "looks ahead", "fitted on the test set"
"""Names of two texts of a header."""

TO_THE_END = "to the end of the video"
"""The text of an infinite look-ahead."""


def lookahead_s(config: LavadConfig) -> float:
    """The largest time after t, seconds, that the score at t depends on; infinite where it is all of the video.

    Scores that are filled in for want of an answer look at the next answer; that is not counted. Grid steps are counted at
    the rate of ``imports.frame_rate``, otherwise at :data:`USUAL_RATE`.
    """
    return _scores_lookahead_s(config) + _smoothing_lookahead_s(config)


def _scores_lookahead_s(config: LavadConfig) -> float:
    half = 0.0 if config.window.align == "past" else config.window.duration_s / 2
    if config.rescore.enabled:  # which part of a video is the most suspicious, all of it says
        return math.inf
    if config.score.method == "direct":
        return 0.0
    if config.score.method == "clips":
        between = (config.clips.stride - 1) * _step_s(config)  # the next clip that is asked about counts too
        return between + (half if config.clips.most_frames > 1 else 0.0)
    if config.score.method == "events":  # among the boundaries of the whole video
        return math.inf
    if config.score.method == "zero-shot":
        return half if config.zero_shot.vector == "window" else 0.0
    if config.score.method == "bank":
        anchored = config.bank.normal_anchor != "none"  # the score of the first frame depends on all of the beginning
        beginning = (config.bank.anchor_frames - 1) * _step_s(config) if anchored else 0.0
        return beginning + (half if config.bank.vector == "window" else 0.0)
    if config.refine.enabled or config.clean.enabled:  # among the captions and summaries of the whole video
        return math.inf
    return half if config.summarise.enabled else 0.0


def looks_ahead(config: LavadConfig) -> str:
    """:func:`lookahead_s`, for people."""
    ahead = lookahead_s(config)
    return TO_THE_END if math.isinf(ahead) else f"{ahead:g} s"


def _smoothing_lookahead_s(config: LavadConfig) -> float:
    own = config.smooth
    if own.kind == "none":
        return 0.0
    if own.prior == "centre":  # how long the video is decides
        return math.inf
    if own.kind == "gaussian":
        return REACH * (own.sigma_s if own.sigma_steps is None else own.sigma_steps * _step_s(config))
    return (own.kernel_size - 1) // 2 * _step_s(config) if own.kind == "kernel" else 0.0


def _step_s(config: LavadConfig) -> float:
    return config.video.frame_interval / (config.imports.frame_rate or USUAL_RATE)


def threshold_note(config: LavadConfig) -> str:
    """What to mind about segments whose threshold was never chosen for their scores, as ratings of a language model are spread
    over 0 … 1 and similarities to texts are not; empty where it was set, or is not needed."""
    method = config.score.method
    given = config.detect.threshold != type(config.detect).model_fields["threshold"].default
    if (
        method not in ("bank", "zero-shot")
        or config.imports.scores is not None
        or config.imports.refined is not None
        or given
    ):
        return ""
    return (
        f"detect.threshold {config.detect.threshold:g} is the default and was not chosen for scores of {method!r}, so that "
        "there may be far too many segments or none: choose one on labelled videos (lavad threshold), or look at the curves"
    )


def header_of(config: LavadConfig) -> dict[str, str]:
    """Name to text, for plans, evaluations and reports; empty where no preset says anything."""
    about = config.about
    if not about.origin:
        return {}
    return {
        "origin": about.origin,
        LOOKS_AHEAD: looks_ahead(config),
        FITTED: ", ".join(about.tuned_on_test) or "nothing, as far as is known",
        "expected": about.expected or "no figure is published",
    }
