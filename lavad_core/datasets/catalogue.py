"""The data sets that can be read, by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from lavad_core.datasets.adapters import (
    avenue,
    folder,
    msad,
    own,
    ped2,
    shanghaitech,
    ubnormal,
    ucf_crime,
    xd_violence,
)
from lavad_core.datasets.build import DatasetPaths
from lavad_core.datasets.check import published_findings
from lavad_core.datasets.types import Dataset, LabelReading
from lavad_core.errors import InputError
from lavad_core.remote_files import near
from lavad_core.suggest import nearest


@dataclass(frozen=True)
class Adapter:
    """How a data set's files are read."""

    title: str
    """Name of the data set in papers."""
    read: Callable[[DatasetPaths], Dataset]
    """Reads the data set from its paths; raises InputError."""
    labels: str
    """What the file or folder of labels is, in a few words."""
    list_file: str
    """What a list of videos is needed for, in a few words."""
    published: str = ""
    """Where the files are published; empty for a user's own."""
    intervals: bool = True
    """Whether labels can be given as frame numbers, so that a user may have to say which number the first frame has."""


ADAPTERS: dict[str, Adapter] = {
    "ucf-crime": Adapter(
        "UCF-Crime",
        ucf_crime.read,
        "Temporal_Anomaly_Annotation_for_Testing_Videos.txt",
        "optional; `name first last label` gives frame counts",
        "https://www.crcv.ucf.edu/projects/real-world/",
    ),
    "xd-violence": Adapter(
        "XD-Violence",
        xd_violence.read,
        "annotations.txt, or lines of `name class start end …`",
        "needed for the normal videos (rgb_test.list, or names); or --videos",
        "https://roc-ng.github.io/XD-Violence/",
    ),
    "msad": Adapter(
        "MSAD",
        msad.read,
        "anomaly_annotation.csv, or lines of `name class start end`",
        "needed for the test set (MSAD_I3D_WS_Test.list, or names)",
        "https://msad-dataset.github.io",
    ),
    "ubnormal": Adapter(
        "UBnormal",
        ubnormal.read,
        "folder with Scene1, Scene2, … (…_tracks.txt), or lines of `name class start end …`",
        "needed for the test set: abnormal_ and normal_test_video_names.txt in one file",
        "https://github.com/lilygeorgescu/UBnormal",
    ),
    "shanghaitech": Adapter(
        "ShanghaiTech Campus",
        shanghaitech.read,
        "folder testing/test_frame_mask (a .npy a video)",
        "optional; may name normal videos of the training part",
        "https://svip-lab.github.io/dataset/campus_dataset.html",
        intervals=False,
    ),
    "avenue": Adapter(
        "CUHK Avenue",
        avenue.read,
        "folder testing_label_mask (N_label.mat)",
        "optional",
        "https://www.cse.cuhk.edu.hk/leojia/projects/detectabnormal/dataset.html",
        intervals=False,
    ),
    "ped2": Adapter(
        "UCSD Ped2",
        ped2.read,
        "UCSDped2.m, or folder UCSDped2/Test (TestNNN, TestNNN_gt)",
        "optional",
        "http://www.svcl.ucsd.edu/projects/anomaly/dataset.html",
        intervals=False,
    ),
    "own": Adapter(
        "your own",
        own.read,
        "CSV or JSON: video, start, end, unit, class, frames, frame_rate",
        "optional",
    ),
    "folder": Adapter("videos without labels", folder.read, "folder of videos", "optional", intervals=False),
}
"""By the name that ``--dataset`` takes."""


def open_dataset(
    adapter: str,
    annotation: Path | None = None,
    list_file: Path | None = None,
    *,
    videos: Path | None = None,
    reading: LabelReading | None = None,
) -> Dataset:
    """Read a data set's published files; :attr:`Dataset.notes` say what is not as published.

    Args:
        adapter: key of :data:`ADAPTERS`.
        annotation: file of labels, or folder of masks.
        list_file: which videos, and where it says so how long they are; some adapters do without.
        videos: folder of the videos, for adapters that take names from it. Nothing is decoded.
        reading: what the user says about the files.

    Raises:
        InputError: there is no such adapter, a file that it needs is not given, cannot be read, is of another form, or two of
            them contradict each other; says which, where and what is expected.
    """
    found = ADAPTERS.get(adapter)
    if found is None:
        similar = nearest(adapter, ADAPTERS)
        meant = f"; do you mean {similar!r}?" if similar else ""
        raise InputError(f"there is no data set {adapter!r}{meant}; there are {', '.join(ADAPTERS)}")
    reading = reading or LabelReading()
    if reading.first_frame is not None and not found.intervals:
        raise InputError(
            f"--first-frame (evaluate.first_frame) is of files of intervals, and {adapter!r} has none: leave it out"
        )
    if annotation is not None and (videos is not None or adapter != "folder"):  # otherwise it names the videos
        annotation = near(annotation, "labels")
    list_file = None if list_file is None else near(list_file, "list of videos")
    dataset = found.read(DatasetPaths(annotation, list_file, videos, reading.first_frame))
    if reading.first_frame is None:
        reading = replace(reading, first_frame=dataset.reading.first_frame)
    notes = (*dataset.notes, *(finding.message for finding in published_findings(dataset)))
    return replace(dataset, notes=notes, reading=reading)
