"""Videos without labels: what a run would be of, and nothing to evaluate against."""

from __future__ import annotations

from lavad_core.datasets.build import DatasetPaths, needed_folder, select
from lavad_core.datasets.types import Dataset, LabelledVideo
from lavad_core.errors import InputError
from lavad_core.video.discover import discover


def read(paths: DatasetPaths) -> Dataset:
    """The videos of a folder, as ``lavad run`` finds them.

    Raises:
        InputError: no folder is given, or it holds no video.
    """
    given = paths.videos or paths.annotation
    if given is None:
        raise InputError("there are no videos: give their folder")
    folder = needed_folder(given, "videos")
    found = {source.name: LabelledVideo(source.name) for source in discover([folder])}
    videos, lists, notes = select(found, paths.list_file)
    return Dataset(
        "folder",
        folder.resolve().name,
        videos,
        lists,
        notes=(*notes, "these videos have no labels; nothing can be measured against them"),
    )
