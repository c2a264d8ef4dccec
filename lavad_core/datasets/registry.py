"""The data sets that can be read, by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lavad_core.config.suggest import nearest
from lavad_core.datasets.adapters import ucf_crime
from lavad_core.datasets.build import Paths
from lavad_core.datasets.types import Dataset
from lavad_core.errors import InputError


@dataclass(frozen=True)
class Adapter:
    """How a data set's files are read.

    Attributes:
        title: as papers call the data set.
        read: from paths to the data set; raises InputError.
        annotation: what the file or folder of labels is; empty if there is none.
        list_file: what the list is, and whether it is needed; empty if there is none.
        published: where the files are.
    """

    title: str
    read: Callable[[Paths], Dataset]
    annotation: str
    list_file: str
    published: str


ADAPTERS: dict[str, Adapter] = {
    "ucf-crime": Adapter(
        "UCF-Crime",
        ucf_crime.read,
        "Temporal_Anomaly_Annotation_for_Testing_Videos.txt",
        "optional: lines of `name first last label`; gives frame counts",
        "https://www.crcv.ucf.edu/projects/real-world/",
    ),
}
"""By the name that ``--dataset`` takes."""


def open_dataset(
    adapter: str, annotation: Path | None = None, list_file: Path | None = None, *, videos: Path | None = None
) -> Dataset:
    """Read a data set's published files.

    Args:
        adapter: key of :data:`ADAPTERS`.
        annotation: file of labels, or folder of masks.
        list_file: which videos, and where it says so how long they are; some adapters do without.
        videos: folder of the videos, for adapters that take names from it. Nothing is decoded.

    Raises:
        InputError: there is no such adapter, a file that it needs is not given, cannot be read, is of another form, or two of
            them contradict each other; says which, where and what is expected.
    """
    found = ADAPTERS.get(adapter)
    if found is None:
        near = nearest(adapter, ADAPTERS)
        meant = f"; do you mean {near!r}?" if near else ""
        raise InputError(f"there is no data set {adapter!r}{meant}; there are {', '.join(ADAPTERS)}")
    return found.read(Paths(annotation, list_file, videos))
