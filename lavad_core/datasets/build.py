"""What the adapters share: from annotations, masks and a list to a data set."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lavad_core.datasets.intervals import intervals_from_labels
from lavad_core.datasets.lists import ListedVideo, read_list
from lavad_core.datasets.names import listed, match, match_key
from lavad_core.datasets.types import Dataset, Interval, LabelledVideo, SourceFile
from lavad_core.digest import file_sha256
from lavad_core.errors import InputError
from lavad_core.plain_text import first_few, number_of
from lavad_core.remote_files import near
from lavad_core.video.identity import files_digest


@dataclass(frozen=True)
class DatasetPaths:
    """What the user points at; an adapter says which of them it needs."""

    annotation: Path | None = None
    """File of labels, or folder of masks."""
    list_file: Path | None = None
    """File that lists the videos, with their lengths or without."""
    videos: Path | None = None
    """Folder of the videos."""
    first_frame: int | None = None
    """Number that a text file of intervals gives the first frame, 0 or 1; None: as the data set is published."""

    def labels(self, what: str) -> Path:
        """:attr:`annotation`.

        Raises:
            InputError: it is not given; ``what`` says what it should be.
        """
        if self.annotation is None:
            raise InputError(f"there are no labels: give {what}")
        return self.annotation


def source_file(role: str, path: Path) -> SourceFile:
    """A file that was read, with its digest.

    Raises:
        InputError: it cannot be read any more.
    """
    try:
        return SourceFile(role, path.name, file_sha256(path))
    except OSError as error:
        raise InputError(f"{role}: {str(path)!r} cannot be read: {error.strerror}") from error


def source_folder(role: str, path: Path, files: Iterable[Path]) -> SourceFile:
    """A folder of which ``files`` were read, with the digest of their names and content; what else is in it does not count.

    Raises:
        InputError: one cannot be read any more.
    """
    try:
        return SourceFile(role, path.resolve().name, files_digest(path, files))
    except OSError as error:
        raise InputError(f"{role}: {str(path)!r} cannot be read: {error.strerror}") from error


def visible_files(folder: Path, pattern: str) -> list[Path]:
    """The files of a folder that match, sorted; without what systems and archives put beside them: hidden ones (``._a.npy`` of
    macOS), ``__MACOSX`` and ``@eaDir``. ``pattern`` is that of :meth:`pathlib.Path.glob`."""
    return sorted(
        path
        for path in folder.glob(pattern)
        if not any(part.startswith((".", "@", "__MACOSX")) for part in path.relative_to(folder).parts)
        and path.is_file()
    )


def needed_folder(path: Path, what: str) -> Path:
    """``path``, which must be a folder.

    Raises:
        InputError: it is not.
    """
    path = near(path, what)
    if not path.is_dir():
        found = "is not a folder" if path.exists() else "does not exist"
        raise InputError(f"{what}: {str(path)!r} {found}")
    return path


def merged(intervals: Iterable[Interval]) -> tuple[Interval, ...]:
    """Intervals in order, those that overlap or follow each other without a gap as one: of objects or classes at once."""
    result: list[Interval] = []
    for first, last in sorted(intervals):
        if result and first <= result[-1][1] + 1:
            result[-1] = (result[-1][0], max(result[-1][1], last))
        else:
            result.append((first, last))
    return tuple(result)


def read_each(
    paths: Mapping[str, Path], read_marks: Callable[[Path], NDArray[np.bool_]]
) -> tuple[dict[str, LabelledVideo], dict[str, str]]:
    """The videos whose labels are in files of their own. A damaged one does not stop the others.

    Args:
        paths: where the files are, by video.
        read_marks: from a file to a bool [M]: which frames are anomalous; raises InputError.

    Returns:
        videos by name, those with a damaged file without labels; and why, for :func:`set_aside`.

    Raises:
        InputError: none can be read; says why of the first.
    """
    videos: dict[str, LabelledVideo] = {}
    unreadable: dict[str, str] = {}
    for name, path in paths.items():
        try:
            marked = read_marks(path)
            videos[name] = LabelledVideo(name, (), intervals_from_labels(marked), len(marked))
        except InputError as error:
            videos[name] = LabelledVideo(name)
            unreadable[name] = str(error)
    if unreadable and len(unreadable) == len(videos):
        raise InputError(next(iter(unreadable.values())))
    return videos, unreadable


def set_aside(dataset: Dataset, unreadable: Mapping[str, str]) -> Dataset:
    """The data set without the videos whose labels cannot be read: they are unscored, and a note says so."""
    why = {match_key(name): reason for name, reason in unreadable.items()}
    found = {name: why[match_key(name)] for name in dataset.videos if match_key(name) in why}
    if not found:
        return dataset
    note = (
        f"the labels of {len(found)} of {len(dataset.videos)} videos cannot be read, and these videos are unscored: "
        f"{first_few(found.values(), 1)}"
    )
    videos = {name: video for name, video in dataset.videos.items() if name not in found}
    return replace(dataset, videos=videos, unreadable=found, notes=(note, *dataset.notes))


def select(
    videos: Mapping[str, LabelledVideo],
    list_file: Path | None,
    normal: Callable[[str], bool] = lambda name: False,
) -> tuple[dict[str, LabelledVideo], tuple[SourceFile, ...], tuple[str, ...]]:
    """The labelled videos that a list names, in its order and with its frame counts.

    Args:
        list_file: None takes all videos as they are.
        normal: whether a video that the list names and the labels lack is normal by its name. None is taken for normal
            without such a sign.

    Returns:
        videos by name; the list as a source; notes on labelled videos that it leaves out.

    Raises:
        InputError: the list cannot be read, names a video without labels, or says another number of frames than the labels.
    """
    if list_file is None:
        return dict(videos), (), ()
    names = read_list(list_file, videos)
    matched = match(names, videos)
    unlabelled = [name for name in matched.missing if not normal(name)]
    if unlabelled:
        lines = ", ".join(str(names[name].line) for name in unlabelled[:3])
        raise InputError(
            f"list of videos: {str(list_file)!r}, line {lines}: {len(unlabelled)} of {len(names)} videos have no labels: "
            f"{listed(unlabelled, matched.extra)}; are list and labels of the same data set?"
        )
    result, notes = {}, []
    for name, found in names.items():
        video = videos[matched.pairs[name]] if name in matched.pairs else LabelledVideo(name)
        if found.frames is not None and video.frames not in (None, found.frames):
            raise InputError(
                f"list of videos: {str(list_file)!r}: {name!r} has {found.frames} frames there, and {video.frames} in the "
                "labels"
            )
        result[name] = replace(video, name=name, frames=found.frames or video.frames)
    if note := _contradicted(result, names):
        notes.append(note)
    if matched.extra:
        notes.append(f"the list leaves out {number_of(len(matched.extra), 'labelled video')}: {listed(matched.extra)}")
    return result, (source_file("list", list_file),), tuple(notes)


def _contradicted(videos: Mapping[str, LabelledVideo], listed_as: Mapping[str, ListedVideo]) -> str:
    """A sentence where a column of 0 and 1 in the list is not about the videos being anomalous; otherwise empty.

    A column with one value says nothing, and other values are numbers of classes.
    """
    said = {name: found.labels[0] for name, found in listed_as.items() if len(found.labels) == 1}
    if set(said.values()) != {"0", "1"}:
        return ""
    wrong = [name for name, label in said.items() if (label == "1") != videos[name].is_anomalous]
    if not wrong or len(wrong) == len(said):  # 1 is normal, then
        return ""
    return (
        f"the list says 0 and 1, and {len(wrong)} of {len(said)} videos are the other in the "
        f"labels: {listed(wrong)}; the labels count"
    )
