"""Zero-shot scores (paper Sec. 4.1): which of two texts a picture's or a window's vector is nearer to."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def cosines(vectors: NDArray[np.floating], text: NDArray[np.floating]) -> NDArray[np.float64]:
    """Cosine similarity of each vector to a text's.

    Args:
        vectors: unit vectors, [n, dimension].
        text: unit vector, [dimension].

    Returns:
        float64 [n]. Not rounded to float32: a model's temperature of 0.01 would make 100 times the error of it.
    """
    return vectors.astype(np.float64) @ text.astype(np.float64)


def anomalous_probability(
    to_normal: NDArray[np.float64], to_anomalous: NDArray[np.float64], temperature: float
) -> NDArray[np.float64]:
    """The second value of softmax([to_normal, to_anomalous] / temperature).

    That is the logistic function of their difference over the temperature. So it rises with the difference whatever the
    temperature is: ROC AUC and average precision are the same for all temperatures, and thresholds are not.

    Args:
        to_normal, to_anomalous: cosine similarities to the two texts, float64 [n].
        temperature: above 0.

    Returns:
        float64 [n], 0 … 1.
    """
    return np.exp(-np.logaddexp(0.0, (to_normal - to_anomalous) / temperature))
