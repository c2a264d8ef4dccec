"""Values that take the place of a stage's own work in a run."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from lavad_core.config.schema import LavadConfig
from lavad_core.errors import InputError
from lavad_core.imports.neighbours import averaged
from lavad_core.imports.scores import GivenScores
from lavad_core.imports.values import (
    Nested,
    parse_ranked_similarities,
    parse_score_file,
    parse_scores,
    parse_texts,
    parse_windows,
    read_file_of,
)


def import_folders(config: LavadConfig) -> dict[str, Path]:
    """Node id to folder of imported values."""
    given = config.imports
    others = {"clean": given.cleaned, "summarise": given.summaries, "score": given.scores, "refine": given.refined}
    folders = {f"caption:{name}": folder for name, folder in given.captions.items()}
    return folders | {node_id: folder for node_id, folder in others.items() if folder is not None}


def read_for_stage(
    node_id: str, folder: Path, video: str, similarities: Path | None = None
) -> tuple[Mapping[int, str] | Mapping[int, float], str]:
    """The values of a video that a stage needs, from ``<folder>/<video>.json``.

    Args:
        node_id: the stage's node: texts for ``caption:…``, ``clean`` and ``summarise``, scores for ``score`` and ``refine``.
        similarities: folder of those of the neighbours, where refined scores are given by neighbour.

    Returns:
        Values by frame; and the SHA-256 of what they were read from, hexadecimal.

    Raises:
        InputError: a file is missing or damaged, or has values of another kind.
    """
    content, where = read_file_of(folder, video)
    sha256 = hashlib.sha256(content).hexdigest()
    stage = node_id.partition(":")[0]
    if stage == "score":
        return parse_scores(content, where), sha256
    if stage == "clean":
        return _joined(parse_windows(content, where), where), sha256
    if stage == "refine":
        return _refined(content, where, video, similarities, sha256)
    return parse_texts(content, where), sha256


def _joined(windows: Nested[str], where: str) -> dict[int, str]:
    """Frame to text of all windows; a frame that several have must have the same text in them."""
    texts: dict[int, str] = {}
    for centre, window in windows.items():
        for frame, text in window.items():
            if texts.setdefault(frame, text) != text:
                raise InputError(
                    f"imported values: {where!r}: frame {frame} has another text in the window of {centre}"
                )
    return texts


def _refined(
    content: bytes, where: str, video: str, similarities: Path | None, sha256: str
) -> tuple[Mapping[int, float], str]:
    found = parse_score_file(content, where)
    if not any(isinstance(value, dict) for value in found.values()):
        return found, sha256  # type: ignore[return-value]
    alike: Nested[float] | None = None
    if similarities is not None:
        beside, beside_where = read_file_of(similarities, video)
        alike = parse_ranked_similarities(beside, beside_where)
        sha256 = hashlib.sha256(f"{sha256} {hashlib.sha256(beside).hexdigest()}".encode()).hexdigest()
    given = GivenScores(where, np.empty(0), np.array(list(found), np.int64), found)  # type: ignore[arg-type]
    values, _ = averaged(given, alike, None)
    return dict(zip(found, values.tolist(), strict=True)), sha256
