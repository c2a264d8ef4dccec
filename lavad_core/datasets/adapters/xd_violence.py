"""XD-Violence, the test set: Wu et al., ECCV 2020."""

from __future__ import annotations

import re
from pathlib import Path

from lavad_core.datasets.annotations import WHAT, Annotation, read_annotations, without_folders
from lavad_core.datasets.build import DatasetPaths, merged, select, source_file
from lavad_core.datasets.lines import LABEL_IN_NAME
from lavad_core.datasets.names import listed, match
from lavad_core.datasets.types import Dataset, LabelledVideo
from lavad_core.errors import InputError
from lavad_core.plain_text import number_of
from lavad_core.video.discover import discover

FRAME_RATE = 24.0
"""Sec. 5.1 of the paper: all videos were brought to 24 frames a second. Names hold the times that a clip was cut at, and the
last annotated frames agree with that rate."""

CLASSES = {
    "B1": "Fighting",
    "B2": "Shooting",
    "B4": "Riot",
    "B5": "Abuse",
    "B6": "Car accident",
    "G": "Explosion",
}
"""Codes in names, and the paper's words for them. A is a normal video, 0 fills up to three codes."""

_NORMAL = "A"
_CODES = re.compile(r"(?:A|Normal|(?:B[12456]|G|0)(?:-(?:B[12456]|G|0)){0,2})")


def read(paths: DatasetPaths) -> Dataset:
    """Any of the published forms of the annotation; normal videos come from a list or from the folder of videos.

    * ``name start end …``: ``annotations.txt``, which has the 500 violent videos only;
    * ``name class start end … -1``, with normal videos or without;
    * ``name class start end class start end …``: a class for each interval.

    Raises:
        InputError: a file cannot be read, is of another form, or a violent video has no interval; says which.
    """
    path = paths.labels("annotations.txt, or a file with lines of `name class start end …`")
    labelled = {
        name: _video(name, found, path)
        for name, found in without_folders(read_annotations(path, paths.first_frame or 0)).items()
    }
    videos, lists, notes = select(labelled, paths.list_file, _is_normal)
    if paths.list_file is None and paths.videos is not None:
        videos = _with_normal(videos, paths.videos)
    if not any(not video.is_anomalous for video in videos.values()):
        notes = (
            *notes,
            "there is no normal video: annotations.txt has the violent ones only; name the others with a list or the folder of "
            "videos (--list, --videos)",
        )
    return Dataset("xd-violence", "XD-Violence", videos, (source_file("annotation", path), *lists), FRAME_RATE, notes)


def _video(name: str, found: Annotation, path: Path) -> LabelledVideo:
    where = f"{WHAT}: {str(path)!r}, line {found.line}"
    written = _codes(name) or found.class_name
    if not _CODES.fullmatch(written):
        raise InputError(
            f"{where}: {name!r} has the class {written!r}; expected is a name that ends in "
            f"{LABEL_IN_NAME}A (normal) or in up to three of {', '.join(CLASSES)}, as {LABEL_IN_NAME}B1-0-0, or a column of "
            "them"
        )
    codes = [code for code in written.split("-") if code in CLASSES]
    if bool(codes) != bool(found.intervals):
        raise InputError(
            f"{where}: {name!r} is of class {written} and has {number_of(len(found.intervals), 'interval')}; "
            "a violent video has some, a normal one (A) has none"
        )
    return LabelledVideo(
        name, tuple(f"{CLASSES[code]} ({code})" for code in codes), merged(found.intervals), found.frames
    )


def _codes(name: str) -> str:
    return name.rpartition(LABEL_IN_NAME)[2] if LABEL_IN_NAME in name else ""


def _is_normal(name: str) -> bool:
    return _codes(name) == _NORMAL


def _with_normal(labelled: dict[str, LabelledVideo], folder: Path) -> dict[str, LabelledVideo]:
    """The labelled videos, and those of a folder whose name says that they are normal."""
    names = [source.name for source in discover([folder])]
    extra = match(labelled, names, f"videos in {str(folder)!r}").extra
    unlabelled = [name for name in extra if not _is_normal(name) and LABEL_IN_NAME in name]
    if unlabelled:
        raise InputError(
            f"videos in {str(folder)!r}: {len(unlabelled)} are violent by their name and have no annotation: "
            f"{listed(unlabelled, labelled)}"
        )
    return {**labelled, **{name: LabelledVideo(name) for name in extra if _is_normal(name)}}
