"""MSAD, the multi-scenario anomaly data set: Zhu et al., NeurIPS 2024 (data sets and benchmarks)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from lavad_core.datasets.annotations import read_annotations
from lavad_core.datasets.build import Paths, select, source_file
from lavad_core.datasets.names import without_ending
from lavad_core.datasets.tables import Row, read_csv
from lavad_core.datasets.types import Dataset, LabelledVideo

COLUMNS = ("name", "total frames", "starting frame of anomaly", "ending frame of anomaly")
"""Of anomaly_annotation.csv, which has the anomalous videos only. Frames are 1-based there: ends equal the number of frames."""

_NORMAL = "normal"


def read(paths: Paths) -> Dataset:
    """``anomaly_annotation.csv``, or lines of ``name class start end``; the list says which videos are tested on.

    Raises:
        InputError: a file cannot be read, is of another form, or a listed video has no labels and is not called normal.
    """
    path = paths.labels("anomaly_annotation.csv, or a file with lines of `name class start end`")
    labelled = _from_csv(path) if path.suffix.lower() == ".csv" else _from_text(path)
    videos, lists, notes = select(labelled, paths.list_file, lambda name: _NORMAL in name.lower())
    if paths.list_file is None:
        notes = (*notes, "there is no list: these are all labelled videos, of training and test together")
    return Dataset("msad", "MSAD", videos, (source_file("annotation", path), *lists), notes=notes)


def _from_text(path: Path) -> Mapping[str, LabelledVideo]:
    return {
        name: LabelledVideo(name, (found.class_name,) if found.intervals and found.class_name else (), found.intervals)
        for name, found in read_annotations(path).items()
    }


def _from_csv(path: Path) -> Mapping[str, LabelledVideo]:
    videos: dict[str, LabelledVideo] = {}
    lines: dict[str, Row] = {}
    for row in read_csv(path, "temporal annotation", COLUMNS):
        name = without_ending(row.text("name"))
        row.unique(name, lines)
        frames = row.frames(COLUMNS[1])
        first, last = row.integer(COLUMNS[2], least=1), row.integer(COLUMNS[3], least=1)
        if last < first:
            row.fail(f"the anomaly ends in frame {last}, before its start in {first}")
        # Assault_14: the class is the name without its number.
        videos[name] = LabelledVideo(name, (name.rpartition("_")[0] or name,), ((first - 1, last - 1),), frames)
    return videos
