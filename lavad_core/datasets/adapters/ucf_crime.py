"""UCF-Crime, the test set: Sultani et al., CVPR 2018."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from lavad_core.datasets.annotations import WHAT, Annotation, read_annotations, without_folders
from lavad_core.datasets.build import DatasetPaths, select, source_file
from lavad_core.datasets.lists import ListedVideo, read_list
from lavad_core.datasets.names import listed, says_normal
from lavad_core.datasets.types import Dataset, LabelledVideo
from lavad_core.errors import InputError
from lavad_core.plain_text import number_of

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


def read(paths: DatasetPaths) -> Dataset:
    """The temporal annotation, alone or with a list of videos.

    Raises:
        InputError: a file cannot be read, is of another form, or the two do not agree on which videos there are or what is in
            them.
    """
    path = paths.labels("Temporal_Anomaly_Annotation_for_Testing_Videos.txt")
    annotations = without_folders(read_annotations(path, paths.first_frame or 0))
    labelled = {name: _video(name, found, path) for name, found in annotations.items()}
    videos, lists, notes = select(labelled, paths.list_file)
    if paths.list_file is not None:
        _check_labels(videos, read_list(paths.list_file, labelled), paths.list_file)
    return Dataset("ucf-crime", "UCF-Crime", videos, (source_file("annotation", path), *lists), FRAME_RATE, notes)


def _video(name: str, found: Annotation, path: Path) -> LabelledVideo:
    class_name = found.class_name or _class_in(name)
    classes = () if class_name == "" or says_normal(class_name) else (class_name,)
    if bool(classes) != bool(found.intervals):
        raise InputError(
            f"{WHAT}: {str(path)!r}, line {found.line}: {name!r} is of class {class_name!r} and has "
            f"{number_of(len(found.intervals), 'interval')}; an anomalous video has some, a {NORMAL} one has `-1 -1`"
        )
    return LabelledVideo(name, classes, tuple(sorted(found.intervals)), found.frames)


def _class_in(name: str) -> str:
    """The class that a video is called by (``Abuse028_x264``), where no column says it."""
    word = re.match(r"[A-Za-z]*", name)
    return next((found for found in (*CLASSES, NORMAL) if word is not None and found == word[0]), "")


def _check_labels(videos: Mapping[str, LabelledVideo], listed_as: Mapping[str, ListedVideo], path: Path) -> None:
    """The list says the class a second time: if it is another one, list and annotation do not belong together.

    Numbers are places in one of the alphabets that lists use, or 0 and 1 for normal and anomalous: one of them must fit all
    videos. A column with one value says nothing.

    Raises:
        InputError: none fits.
    """
    said = {name: found for name, found in listed_as.items() if found.labels}
    if len(said) > 1 and len({found.labels for found in said.values()}) == 1:
        return
    own = {name: (videos[name].classes or (NORMAL,))[0] for name in said}
    wrong = min(([name for name in said if not fits(said[name].labels, own[name])] for fits in _NUMBERINGS), key=len)
    if wrong:
        lines = ", ".join(str(said[name].line) for name in wrong[:3])
        raise InputError(
            f"list of videos: {str(path)!r}: {len(wrong)} of {len(videos)} videos have another class there than in "
            f"the annotation (0 is {_LABELS[0]}, 7 is {NORMAL}, 13 is {_LABELS[13]}): {listed(wrong)} (line {lines}); are the "
            "two of the same data set?"
        )


def _by_place(alphabet: Sequence[str]) -> Callable[[Sequence[str], str], bool]:
    """Whether labels are the number of a class, or its name."""

    def fits(labels: Sequence[str], own: str) -> bool:
        for label in labels:
            if label.isdecimal():
                if int(label) < len(alphabet) and alphabet[int(label)] == own:
                    return True
            elif (says_normal(label) and own == NORMAL) or label.lower() == own.lower():
                return True
        return False

    return fits


def _binary(labels: Sequence[str], own: str) -> bool:
    normal = own == NORMAL
    return list(labels) in (["0"], ["-1"]) if normal else list(labels) == ["1"]


_NUMBERINGS = (_by_place(_LABELS), _by_place((NORMAL, *CLASSES)), _by_place((*CLASSES, NORMAL)), _binary)
