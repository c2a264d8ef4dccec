"""The segments of a set of results, and the files of other programs that take them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lavad_core.escape import escape
from lavad_core.exports.target import new_file, new_folder
from lavad_core.method.detection import Segment, SegmentRule
from lavad_core.results.types import ResultSet, ScoredVideo, VideoTexts

CLASS = "Anomaly"
NORMAL = "Normal"
"""What a segment is and what a video without one is, where a format wants a word and scores name no kind of anomaly."""


def _all(results: ResultSet, rule: SegmentRule) -> Iterator[tuple[ScoredVideo, list[Segment]]]:
    for name in results.names:
        video = results.scores(name)
        yield video, video.segments(rule)


def _class(video: ScoredVideo, segment: Segment) -> str:
    return video.kind_of(segment) or CLASS


def write_intervals(results: ResultSet, target: Path, rule: SegmentRule) -> None:
    """Lines of ``name class start end start end …`` as UCF-Crime's temporal annotation: 0-based, both inclusive, at least two
    pairs, ``-1 -1`` for none. Where scores have kinds, the class is that of the segment with the highest score, in
    one word.

    Raises:
        InputError: the file exists, or see :meth:`~lavad_core.results.types.ScoredVideo.segments`.
        OSError: it cannot be written.
        DamagedResult: results are gone from the store.
    """
    with new_file(target) as path, open(path, "w", encoding="utf-8", newline="\n") as file:
        for video, found in _all(results, rule):
            pairs = [(segment.start_frame, segment.end_frame) for segment in found]
            pairs += [(-1, -1)] * (2 - len(pairs))
            numbers = "  ".join(f"{first}  {last}" for first, last in pairs)
            highest = max(found, key=lambda segment: segment.peak_score, default=None)
            word = NORMAL if highest is None else "-".join(escape(_class(video, highest)).split())
            file.write(f"{escape(video.name)}  {word}  {numbers}  \n")


def write_fiftyone(results: ResultSet, target: Path, rule: SegmentRule) -> None:
    """A folder with ``labels.json`` of FiftyOne's ``FiftyOneTemporalDetectionDataset``; errors as :func:`write_intervals`.

    Its frames begin with 1, and both ends of ``support`` are part of it. The videos, called by their names, belong in
    ``data/`` beside it, or are named by ``data_path`` (docs.voxel51.com, user guide, "Importing datasets").
    """
    labels: dict[str, list[dict[str, Any]]] = {}
    classes: dict[str, int] = {}
    for video, found in _all(results, rule):
        texts = results[video.name].texts if found else VideoTexts()
        said = texts.reasons or texts.summaries
        labels[video.name] = [
            {
                "label": classes.setdefault(_class(video, segment), len(classes)),
                "support": [segment.start_frame + 1, segment.end_frame + 1],
                "confidence": segment.peak_score,
                "attributes": {
                    "peak_frame": segment.peak_frame + 1,
                    "summary": said.get(segment.peak_frame, ""),
                },
            }
            for segment in found
        ]
    with new_folder(target) as folder:
        text = json.dumps({"classes": [*classes] or [CLASS], "labels": labels}, indent=2, allow_nan=False)
        (folder / "labels.json").write_text(text + "\n", encoding="ascii")
