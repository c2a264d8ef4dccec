"""Scores by a bank of sentences, without a language model: how much nearer a picture's vector is to sentences for what is
anomalous than to those for what is normal. The margin rule is NOVA's (arXiv 2609.06360), the neighbour rule Flashback's
(arXiv 2505.15205).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, softmax

Floats = NDArray[np.float64]


def similarities(vectors: NDArray[np.floating], sentences: NDArray[np.floating]) -> Floats:
    """Cosine similarity of each vector to each sentence's.

    Args:
        vectors: unit vectors, [n, dimension].
        sentences: unit vectors, [m, dimension].

    Returns:
        float64 [n, m].
    """
    found: Floats = vectors.astype(np.float64) @ sentences.astype(np.float64).T
    return found


def top_mean(values: Floats, share: float) -> Floats:
    """Mean of the largest values of each row.

    Args:
        values: float64 [n, m], m at least 1.
        share: how many of the m, above 0, at most 1; rounded up.

    Returns:
        float64 [n].
    """
    kept = math.ceil(round(share * values.shape[1], 9))  # 0.1 · 30 is a little over 3
    found: Floats = np.partition(values, -kept, axis=1)[:, -kept:].mean(axis=1)
    return found


def margin_scores(
    to_anomalous: Sequence[Floats],
    to_normal: Sequence[Floats],
    *,
    alpha: float,
    temperature: float,
    top: float,
    to_anchor: Floats | None = None,
) -> Floats:
    """s_c = sigmoid((α u⁺ − u⁻) / T) of each category, where u is the mean of the most similar sentences of a side. The score
    is the largest of them.

    Args:
        to_anomalous, to_normal: cosine similarities to a category's sentences, float64 [n, its sentences], by category.
        alpha: α.
        temperature: T, above 0.
        top: the share of a side's sentences that u is the mean of.
        to_anchor: similarities to a vector that joins the normal sentences of every category, float64 [n].

    Returns:
        float64 [n, categories], 0 … 1.
    """
    found = []
    for anomalous, normal in zip(to_anomalous, to_normal, strict=True):
        pool = normal if to_anchor is None else np.column_stack([normal, to_anchor])
        found.append(expit((alpha * top_mean(anomalous, top) - top_mean(pool, top)) / temperature))
    return np.stack(found, axis=1)


def normal_anchor(vectors: NDArray[np.floating], scores: Floats, temperature: float) -> Floats:
    """What is normal in a video, by its beginning: the mean of vectors, weighted by softmax(−score / temperature), at length 1.

    Args:
        vectors: unit vectors of its first frames, [n, dimension].
        scores: their scores without an anchor, float64 [n].
        temperature: above 0.

    Returns:
        float64 [dimension].
    """
    mean: Floats = softmax(-scores / temperature) @ vectors.astype(np.float64)
    return mean / np.linalg.norm(mean)


def neighbour_scores(
    to_anomalous: Sequence[Floats],
    to_normal: Sequence[Floats],
    *,
    alpha: float,
    temperature: float,
    neighbours: int,
) -> Floats:
    """The weight of each category's anomalous sentences among the K most similar of all. The score is the sum of them.

    Args:
        to_anomalous, to_normal: cosine similarities to a category's sentences, float64 [n, its sentences], by category.
        alpha: what similarities to anomalous sentences are multiplied by.
        temperature: what their similarities are divided by before the softmax, above 0.
        neighbours: K; all sentences where there are fewer.

    Returns:
        float64 [n, categories], 0 … 1; a row's sum is at most 1.
    """
    every = np.hstack([*(alpha * values for values in to_anomalous), *to_normal])
    nearest = np.argsort(-every, axis=1, kind="stable")[:, :neighbours]
    weights = np.zeros_like(every)
    chosen = np.take_along_axis(every, nearest, axis=1)
    np.put_along_axis(weights, nearest, softmax(chosen / temperature, axis=1), axis=1)
    ends = np.cumsum([values.shape[1] for values in to_anomalous])
    parts = np.split(weights, ends, axis=1)[:-1]
    return np.stack([part.sum(axis=1) for part in parts], axis=1)
