"""MSAD, the multi-scenario anomaly data set: Zhu et al., NeurIPS 2024 (data sets and benchmarks)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from lavad_core.datasets.annotations import WHAT, read_annotations, without_folders
from lavad_core.datasets.build import DatasetPaths, select, source_file
from lavad_core.datasets.lines import base_name
from lavad_core.datasets.names import says_normal, without_ending
from lavad_core.datasets.table_files import TableRow, has_columns, read_csv
from lavad_core.datasets.types import Dataset, LabelledVideo, LabelReading
from lavad_core.errors import InputError

COLUMNS = ("name", "total frames", "starting frame of anomaly", "ending frame of anomaly")
"""The columns of anomaly_annotation.csv, which has only the anomalous videos."""

FIRST_FRAME = 1
"""In the CSV and in text files: ends equal the number of frames. Of the 120 intervals of a published text file 68 do, 28
begin in frame 1 and none in frame 0."""


def read(paths: DatasetPaths) -> Dataset:
    """``anomaly_annotation.csv``, or lines of ``name class start end``; the list says which videos are tested on.

    Raises:
        InputError: a file cannot be read, is of another form, or a listed video has no labels and is not called normal.
    """
    path = paths.labels("anomaly_annotation.csv, or a file with lines of `name class start end`")
    first_frame = FIRST_FRAME if paths.first_frame is None else paths.first_frame
    table = has_columns(path, WHAT, COLUMNS)
    labelled = (_from_csv if table else _from_text)(path, first_frame)
    videos, lists, notes = select(labelled, paths.list_file, says_normal)
    if paths.list_file is None:
        notes = (*notes, "there is no list: these are all labelled videos, of training and test together")
    # The CSV says it by its columns; text files that were read as 0-based give other stored results.
    reading = LabelReading() if table and paths.first_frame is None else LabelReading(first_frame)
    return Dataset("msad", "MSAD", videos, (source_file("annotation", path), *lists), notes=notes, reading=reading)


def _from_text(path: Path, first_frame: int) -> Mapping[str, LabelledVideo]:
    videos = {}
    for name, found in without_folders(read_annotations(path, first_frame)).items():
        if (says_normal(name) or says_normal(found.class_name)) == bool(found.intervals):
            raise InputError(
                f"{WHAT}: {str(path)!r}, line {found.line}: {name!r} of class {found.class_name!r} has {len(found.intervals)} "
                "intervals; an anomalous video has some, one that is called normal has `-1 -1`"
            )
        classes = (found.class_name,) if found.intervals and found.class_name else ()
        videos[name] = LabelledVideo(name, classes, found.intervals, found.frames)
    return videos


def _from_csv(path: Path, first_frame: int) -> Mapping[str, LabelledVideo]:
    videos: dict[str, LabelledVideo] = {}
    lines: dict[str, TableRow] = {}
    for row in read_csv(path, WHAT, COLUMNS):
        name = without_ending(base_name(row.text("name")))
        row.unique(name, lines)
        frames = row.frames(COLUMNS[1])
        first, last = (row.integer(column, least=first_frame) for column in COLUMNS[2:])
        if last < first:
            row.fail(f"the anomaly ends in frame {last}, before its start in {first}")
        # Assault_14: the class is the name without its number.
        videos[name] = LabelledVideo(
            name, (name.rpartition("_")[0] or name,), ((first - first_frame, last - first_frame),), frames
        )
    return videos
