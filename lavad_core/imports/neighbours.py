"""Refined scores of the authors' program: the scores and similarities of each frame's neighbours, averaged here."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lavad_core.errors import InputError
from lavad_core.imports.per_video import ExpectedNames, ImportReport, ImportSources, read_values
from lavad_core.imports.scores import GivenScores
from lavad_core.imports.types import Neighbours
from lavad_core.imports.values import Nested, parse_ranked_frames, parse_ranked_similarities
from lavad_core.method.refinement import weighted_mean

PADDING = -2.0
"""A cosine is at least -1; the authors' program fills up with -3.4e38 where a video has fewer neighbours than K."""


class NeighbourFiles:
    """Similarities and frames of neighbours, read where there are any; raises InputError where a folder cannot be read."""

    def __init__(self, sources: ImportSources, names: ExpectedNames, report: ImportReport) -> None:
        self._similarities = read_values(sources.similarities, "similarities", names, parse_ranked_similarities, report)
        self._frames = read_values(sources.neighbours, "neighbours", names, parse_ranked_frames, report)

    def averaged(self, name: str, given: GivenScores) -> tuple[NDArray[np.float64], Neighbours]:
        """See :func:`averaged`, for one of the videos."""
        return averaged(given, self._similarities.get(name), self._frames.get(name))


def averaged(
    given: GivenScores, similarities: Nested[float] | None, frames: Nested[int] | None
) -> tuple[NDArray[np.float64], Neighbours]:
    """The refined scores of a video, float64 of the frames that are given, and what they are averages of (Eq. 5).

    Args:
        given: the scores of each frame's neighbours by rank.
        similarities: the same shape. frames: those of the neighbours, if a file names them.

    Raises:
        InputError: there are no similarities, or they are not those of these neighbours.
    """
    if similarities is None:
        raise InputError(
            f"{given.where!r} has the scores of each frame's neighbours, and their mean needs the similarities: a file of the "
            "folder `similarity` beside `scores`"
        )
    found = Neighbours([], [], [])
    for frame, by_rank in (given.ranked or {}).items():
        alike = similarities.get(frame, {})
        if by_rank.keys() != alike.keys():
            raise InputError(f"{given.where!r}: frame {frame} has other neighbours than its similarities")
        kept = [rank for rank in by_rank if alike[rank] > PADDING]
        if not kept or max(alike[rank] for rank in kept) > -PADDING:
            raise InputError(f"{given.where!r}: the similarities of frame {frame} are not cosines")
        found.scores.append([by_rank[rank] for rank in kept])
        found.similarities.append([alike[rank] for rank in kept])
        if frames is not None:
            of_frame = frames.get(frame, {})
            if not of_frame.keys() >= set(kept):
                raise InputError(f"{given.where!r}: frame {frame} has other neighbours than its file of names")
            found.frames.append([of_frame[rank] for rank in kept])
    return _means(found), found


def _means(found: Neighbours) -> NDArray[np.float64]:
    """Lists of different lengths are filled up with what has no weight."""
    longest = max(len(row) for row in found.scores)
    scores = np.array([row + row[:1] * (longest - len(row)) for row in found.scores], np.float64)
    alike = np.array([row + [-np.inf] * (longest - len(row)) for row in found.similarities], np.float32)
    return weighted_mean(scores, alike)
