"""Gaussian smoothing of the scores of each video, and its σ in every unit: the same number of scores is another time where
scores are stored for other frames."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from lavad_core.errors import InputError
from lavad_core.evaluation.labelled_scores import EvaluatedVideo
from lavad_core.evaluation.ties import Array, settled

Unit = Literal["scores", "frames", "s"]

MOST = 10_000.0
"""The widest σ, in scores; the Gaussian reaches over four times as many."""

_FORM = re.compile(r"\s*([0-9.eE+-]+|nan|inf)\s*(s|f|frames|scores|seconds)?\s*", re.ASCII)
_UNITS: dict[str | None, Unit] = {
    None: "scores",
    "scores": "scores",
    "f": "frames",
    "frames": "frames",
    "s": "s",
    "seconds": "s",
}

Range = tuple[float, float]
"""Lowest and highest over the videos of a set."""


@dataclass(frozen=True)
class Sigma:
    """How wide a Gaussian is."""

    value: float
    """The standard deviation, above 0."""
    unit: Unit = "scores"
    """``scores`` (grid steps), ``frames``, or ``s`` (seconds)."""

    def __str__(self) -> str:
        return f"{self.value:g}" if self.unit == "scores" else f"{self.value:g} {self.unit}"


@dataclass(frozen=True)
class Width:
    """A σ in every unit, over the videos of a set."""

    scores: Range
    """σ in grid steps: lowest and highest of the videos."""
    frames: Range
    """σ in frames, likewise."""
    seconds: Range | None
    """σ in seconds, likewise; None where a video has no frame rate."""


def parse_sigma(text: str) -> Sigma:
    """Read a σ: ``10`` (scores), ``160f`` or ``160 frames``, ``5.3s``.

    Raises:
        InputError: the text has none of these forms.
    """
    match = _FORM.fullmatch(text)
    try:
        if match is None:
            raise ValueError
        return Sigma(float(match[1]), _UNITS[match[2]])
    except ValueError:
        raise InputError(
            f"{text!r} is not a σ: give a number of scores (10), of frames (160f) or of seconds (5.3s)"
        ) from None


def checked_sigma(given: float | Sigma) -> Sigma:
    """Check a σ; a number is one of scores.

    Raises:
        InputError: it is out of its range.
    """
    sigma = given if isinstance(given, Sigma) else Sigma(float(given))
    if not (math.isfinite(sigma.value) and sigma.value > 0) or (sigma.unit == "scores" and sigma.value > MOST):
        raise InputError(
            f"σ {sigma} does not smooth: give grid steps above 0, at most {MOST:g}, or frames (160f) or seconds (5s); the "
            "unsmoothed rows are there anyway"
        )
    return sigma


def in_scores(videos: Sequence[EvaluatedVideo], sigma: Sigma) -> list[float]:
    """σ of each video, in scores of that video.

    Raises:
        InputError: σ is in seconds and a video has no frame rate, or it is more scores than are smoothed over.
    """
    found = []
    for video in videos:
        frames = sigma.value
        if sigma.unit == "s":
            if not video.frame_rate:
                raise InputError(
                    f"σ {sigma}: nothing says how many frames a second video {video.labels.name!r} has; give σ in scores or "
                    "frames"
                )
            frames *= video.frame_rate
        found.append(sigma.value if sigma.unit == "scores" else frames / video.interval)
    if max(found) > MOST:
        raise InputError(f"σ {sigma} is {max(found):g} scores of a video; at most {MOST:g} are smoothed over")
    return found


def width_of(videos: Sequence[EvaluatedVideo], sigma: Sigma) -> Width:
    """A σ in every unit."""
    scores = np.array(in_scores(videos, sigma))
    frames = scores * [video.interval for video in videos]
    rates = [video.frame_rate for video in videos]
    known = [rate for rate in rates if rate]
    seconds = _range(frames / known) if len(known) == len(rates) else None
    return Width(_range(scores), _range(frames), seconds)


def smoothed(videos: Sequence[EvaluatedVideo], scores: Array, sigma: Sigma | None) -> Array:
    """Gaussian smoothing over the scores, float64, [n], of one video after the other; equal ones are equal afterwards."""
    if sigma is None:
        return scores
    from scipy.ndimage import gaussian_filter1d

    ends = np.cumsum([len(video.scores) for video in videos])[:-1]
    own = zip(np.split(scores, ends), in_scores(videos, sigma), strict=True)
    return settled(np.concatenate([gaussian_filter1d(part, width) for part, width in own]))


def _range(values: Array) -> Range:
    return float(values.min()), float(values.max())


def sigma_in_words(sigma: Sigma, width: Width | None, unit: str = "") -> str:
    """``10 (160 frames, 5.33 s)``: σ as it was given, ``unit`` after it, and in the other units as far as they are known."""
    given = f"{sigma} {unit}".rstrip()
    if width is None:
        return given
    others = {
        "scores": f"{_number(width.scores)} scores",
        "frames": f"{_number(width.frames)} frames",
        "s": None if width.seconds is None else f"{_number(width.seconds)} s",
    }
    return f"{given} ({', '.join(text for unit, text in others.items() if text and unit != sigma.unit)})"


def unlike(first: Width, second: Width) -> str:
    """How two σ differ, in a few words; empty if they are the same smoothing. Seconds that differ by less than a
    hundredth are the same: 29.97 frames a second are called 30."""
    if not _same(first.frames, second.frames, 1e-6):
        return f"{_number(first.frames)} and {_number(second.frames)} frames"
    if first.seconds is not None and second.seconds is not None and not _same(first.seconds, second.seconds, 0.01):
        return f"{_number(first.seconds)} and {_number(second.seconds)} s"
    return ""


def _same(first: Range, second: Range, part: float) -> bool:
    return all(math.isclose(one, other, rel_tol=part) for one, other in zip(first, second, strict=True))


def _number(values: Range) -> str:
    low, high = (f"{value:.3g}" if value < 1000 else f"{value:.0f}" for value in values)
    return low if low == high else f"{low}–{high}"
