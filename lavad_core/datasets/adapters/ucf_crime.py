"""UCF-Crime, the test set: Sultani et al., CVPR 2018."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from lavad_core.datasets.annotations import Annotation, read_annotations
from lavad_core.datasets.build import Paths, from_annotations, source_file
from lavad_core.datasets.lists import ListedVideo, read_list
from lavad_core.datasets.names import listed
from lavad_core.datasets.types import Dataset
from lavad_core.errors import InputError

FRAME_RATE = 30.0
"""Sec. 4 of the paper: the authors brought all videos to 30 frames a second."""

CLASSES = (
    "Abuse",
    "Arrest",
    "Arson",
    "Assault",
    "Burglary",
    "Explosion",
    "Fighting",
    "RoadAccidents",
    "Robbery",
    "Shooting",
    "Shoplifting",
    "Stealing",
    "Vandalism",
)
NORMAL = "Normal"
_LIST_LABELS = (*CLASSES[:7], NORMAL, *CLASSES[7:])
"""A label of the list with frame counts is a place in this alphabet, in which Normal is a class: 7."""


def read(paths: Paths) -> Dataset:
    """The temporal annotation, alone or with a list of videos.

    Raises:
        InputError: a file cannot be read, is of another form, or the two do not agree on which videos there are or which
            of them are normal.
    """
    annotation = paths.needed("annotation", "UCF-Crime's Temporal_Anomaly_Annotation_for_Testing_Videos.txt")
    annotations = read_annotations(annotation)
    files = [source_file("annotation", annotation)]
    names = None
    if paths.list_file is not None:
        names = read_list(paths.list_file)
        files.append(source_file("list", paths.list_file))
    videos, notes = from_annotations(annotations, names, _classes, paths.list_file)
    if names is not None and paths.list_file is not None:
        _check_labels(names, {name: video.classes for name, video in videos.items()}, paths.list_file)
    return Dataset("ucf-crime", "UCF-Crime", videos, tuple(files), FRAME_RATE, notes)


def _classes(name: str, annotation: Annotation) -> tuple[str, ...]:
    return () if annotation.class_name in ("", NORMAL) else (annotation.class_name,)


def _check_labels(names: Mapping[str, ListedVideo], classes: Mapping[str, tuple[str, ...]], path: Path) -> None:
    """The list says the class a second time; another project's numbering would say that another file was meant."""
    wrong = [
        name
        for name, found in names.items()
        if found.label is not None and (found.label == _LIST_LABELS.index(NORMAL)) != (not classes[name])
    ]
    if wrong:
        raise InputError(
            f"list of videos: {str(path)!r}: {len(wrong)} videos are normal (label 7) there and anomalous in the annotation, "
            f"or the other way round: {listed(wrong)}; are the two of the same data set?"
        )
