"""UCF-Crime, the test set: Sultani et al., CVPR 2018."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from lavad_core.datasets.annotations import read_annotations
from lavad_core.datasets.build import Paths, select, source_file
from lavad_core.datasets.lists import read_list
from lavad_core.datasets.names import listed
from lavad_core.datasets.types import Dataset, LabelledVideo
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
_LABELS = (*CLASSES[:7], NORMAL, *CLASSES[7:])
"""A label of the list is a place in this alphabet, in which Normal is a class: 7. Checked against the real list."""


def read(paths: Paths) -> Dataset:
    """The temporal annotation, alone or with a list of videos.

    Raises:
        InputError: a file cannot be read, is of another form, or the two do not agree on which videos there are or what is in
            them.
    """
    path = paths.labels("Temporal_Anomaly_Annotation_for_Testing_Videos.txt")
    labelled = {}
    for name, found in read_annotations(path).items():
        classes = () if found.class_name in ("", NORMAL) else (found.class_name,)
        if bool(classes) != bool(found.intervals):
            raise InputError(
                f"temporal annotation: {str(path)!r}: {name!r} is of class {found.class_name!r} and has "
                f"{len(found.intervals)} intervals; an anomalous video has some, a {NORMAL} one has `-1 -1`"
            )
        labelled[name] = LabelledVideo(name, classes, tuple(sorted(found.intervals)))
    videos, lists, notes = select(labelled, paths.list_file)
    if paths.list_file is not None:
        _check_labels(videos, paths.list_file)
    return Dataset("ucf-crime", "UCF-Crime", videos, (source_file("annotation", path), *lists), FRAME_RATE, notes)


def _check_labels(videos: Mapping[str, LabelledVideo], path: Path) -> None:
    """The list says the class a second time: if it is another one, list and annotation do not belong together."""
    wrong = []
    for name, found in read_list(path).items():
        if found.label is None:
            continue
        said = _LABELS[found.label] if 0 <= found.label < len(_LABELS) else str(found.label)
        if said != (videos[name].classes or (NORMAL,))[0]:
            wrong.append(name)
    if wrong:
        raise InputError(
            f"list of videos: {str(path)!r}: {len(wrong)} of {len(videos)} videos have another class there than in the "
            f"annotation (0 is {_LABELS[0]}, 7 is {NORMAL}, 13 is {_LABELS[13]}): {listed(wrong)}; are the two of the same "
            "data set?"
        )
