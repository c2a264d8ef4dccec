"""Scores without a model: what a metric of real scores has to be compared with."""

from __future__ import annotations

import numpy as np

from lavad_core.evaluation.labelled_scores import LabelledScores
from lavad_core.evaluation.ties import Array, settled

ORACLE, CONSTANT, CENTRE = "video-label oracle", "constant", "clip-centre prior"


def trivial_scores(labelled: LabelledScores) -> dict[str, Array]:
    """Trivial scores by name, float64, [n].

    * video-label oracle: 1 in anomalous videos, 0 in the others; what knowing each video's label is worth.
    * constant: chance.
    * clip-centre prior: where events lie when clips are cut around them.
    """
    return {
        ORACLE: labelled.anomalous[labelled.weights.video].astype(np.float64),
        CONSTANT: np.full(len(labelled.weights.video), 0.5),
        CENTRE: settled(np.concatenate([centre_prior(len(video.scores)) for video in labelled.videos])),
    }


def centre_prior(count: int) -> Array:
    """1 in the middle of ``count`` scores, falling to 0 at both ends."""
    return 1 - np.abs(np.linspace(-1, 1, count))
