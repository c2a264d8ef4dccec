"""UBnormal: Acsintoae et al., CVPR 2022."""

from __future__ import annotations

from pathlib import Path

from lavad_core.datasets.annotations import read_annotations, without_folders
from lavad_core.datasets.build import (
    DatasetPaths,
    merged,
    needed_folder,
    select,
    source_file,
    source_folder,
    visible_files,
)
from lavad_core.datasets.names import listed
from lavad_core.datasets.types import Dataset, Interval, LabelledVideo, SourceFile
from lavad_core.errors import InputError
from lavad_core.user_files import read_text
from lavad_core.video.discover import VIDEO_SUFFIXES

FRAME_RATE = 30.0
"""The authors' own script makes minutes of frames by it."""

MAX_BYTES = 2**20
"""Largest file of tracks that is read; it has a line for each anomalous object."""

_TRACKS = "_tracks.txt"
_EXPECTED = "lines of `object,first,last`, frames 0-based and both inclusive"


def read(paths: DatasetPaths) -> Dataset:
    """The folder of the data set (``SceneN/NAME_annotations/NAME_tracks.txt``), or a file of ``name class start end …``.

    A video is normal or anomalous by its name. Which ones are tested on the list says, made of the authors'
    ``abnormal_test_video_names.txt`` and ``normal_test_video_names.txt`` one after the other.

    Raises:
        InputError: a file cannot be read, is of another form, or an anomalous video has no track.
    """
    path = paths.labels("the folder of the data set with Scene1, Scene2, …, or a file of intervals")
    if path.is_dir():
        if paths.first_frame:
            raise InputError("tracks count from 0: leave --first-frame (evaluate.first_frame) out")
        labelled, source = _from_tracks(path)
    else:
        labelled = {
            name: LabelledVideo(name, (), tuple(sorted(found.intervals)), found.frames)
            for name, found in without_folders(read_annotations(path, paths.first_frame or 0)).items()
        }
        source = source_file("annotation", path)
    videos, lists, notes = select(labelled, paths.list_file, _is_normal)
    wrong = [name for name, video in videos.items() if _is_normal(name) == video.is_anomalous]
    if wrong:
        raise InputError(
            f"{str(path)!r}: {len(wrong)} of {len(videos)} videos are anomalous by their name and have no anomaly, or the "
            f"other way round: {listed(wrong)}"
        )
    if not lists:
        notes = (
            *notes,
            "there is no list: these are the videos of all parts of the data set that are here, not only the test set",
        )
    return Dataset("ubnormal", "UBnormal", videos, (source, *lists), FRAME_RATE, notes)


def _is_normal(name: str) -> bool:
    return name.startswith("normal_")


def _from_tracks(folder: Path) -> tuple[dict[str, LabelledVideo], SourceFile]:
    needed_folder(folder, "tracks")
    videos: dict[str, LabelledVideo] = {}
    places: dict[str, Path] = {}
    for path in visible_files(folder, f"**/*{_TRACKS}"):
        name = path.name.removesuffix(_TRACKS)
        if name in places:
            raise InputError(
                f"tracks: {name!r} appears twice, in {str(places[name])!r} and {str(path)!r}; keep one of them"
            )
        places[name] = path
        videos[name] = LabelledVideo(name, (), _tracks(path))
    if not videos:
        raise InputError(
            f"tracks: {str(folder)!r} holds no NAME{_TRACKS}; expected is the folder with Scene1, Scene2, …"
        )
    for path in visible_files(folder, "**/*"):
        if path.suffix.lower() in VIDEO_SUFFIXES and path.stem not in videos:
            videos[path.stem] = LabelledVideo(path.stem)
    return videos, source_folder("tracks", folder, places.values())


def _tracks(path: Path) -> tuple[Interval, ...]:
    """Frames with at least one anomalous object."""
    intervals = []
    for number, line in enumerate(read_text(path, "tracks", MAX_BYTES).split("\n"), start=1):
        if not line.strip():
            continue
        try:
            _, first, last = (float(word) for word in line.split(","))  # NumPy wrote some of them as 1.0e+00
            if not (0 <= first <= last < 1e9 and first.is_integer() and last.is_integer()):
                raise ValueError
        except ValueError as problem:
            raise InputError(
                f"tracks: {str(path)!r}, line {number}: {line.strip()[:60]!r}; expected are {_EXPECTED}"
            ) from problem
        intervals.append((int(first), int(last)))
    return merged(intervals)
