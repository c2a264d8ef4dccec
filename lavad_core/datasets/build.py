"""What the adapters share: from annotations and a list to a data set."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from lavad_core.datasets.annotations import Annotation
from lavad_core.datasets.lists import ListedVideo
from lavad_core.datasets.names import listed, match
from lavad_core.datasets.types import LabelledVideo, SourceFile
from lavad_core.errors import InputError


@dataclass(frozen=True)
class Paths:
    """What the user points at; an adapter says which of them it needs.

    Attributes:
        annotation: file of labels, or folder of masks.
        list_file: which videos, and how long they are.
        videos: folder of the videos.
    """

    annotation: Path | None = None
    list_file: Path | None = None
    videos: Path | None = None

    def needed(self, role: str, what: str) -> Path:
        """The path of a role.

        Raises:
            InputError: it is not given; ``what`` says what it should be.
        """
        path: Path | None = getattr(self, role)
        if path is None:
            raise InputError(f"{what} is needed, and not given")
        return path


def source_file(role: str, path: Path) -> SourceFile:
    """A file that was read, with its digest.

    Raises:
        InputError: it cannot be read any more.
    """
    try:
        with path.open("rb") as stream:
            return SourceFile(role, path.name, hashlib.file_digest(stream, "sha256").hexdigest())
    except OSError as error:
        raise InputError(f"{role}: {str(path)!r} cannot be read: {error.strerror}") from error


def from_annotations(
    annotations: Mapping[str, Annotation],
    names: Mapping[str, ListedVideo] | None,
    classes_of: Callable[[str, Annotation], tuple[str, ...]],
    list_path: Path | None,
) -> tuple[dict[str, LabelledVideo], tuple[str, ...]]:
    """Videos of the list with the labels of the annotation, and notes on what only one of them has.

    Args:
        annotations: by name.
        names: of the list, which decides what is evaluated; None takes every annotated video.
        classes_of: of a video, by its name and annotation; empty for a normal one.
        list_path: for errors.

    Raises:
        InputError: the list names a video that has no annotation.
    """
    if names is None:
        return {
            name: LabelledVideo(name, classes_of(name, found), tuple(sorted(found.intervals)))
            for name, found in annotations.items()
        }, ()
    matched = match(names, annotations)
    if matched.missing:
        raise InputError(
            f"list of videos: {str(list_path)!r}: {len(matched.missing)} of {len(names)} videos have no annotation: "
            f"{listed(matched.missing, matched.extra)}; are the two of the same data set?"
        )
    videos = {}
    for name, written in matched.pairs.items():
        found = annotations[written]
        videos[name] = LabelledVideo(
            name, classes_of(written, found), tuple(sorted(found.intervals)), names[name].frames
        )
    notes: tuple[str, ...] = ()
    if matched.extra:
        notes = (f"the list leaves out {len(matched.extra)} annotated videos: {listed(matched.extra)}",)
    return videos, notes
