"""CUHK Avenue, the test set: Lu et al., ICCV 2013."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

from lavad_core.datasets.build import (
    DatasetPaths,
    needed_folder,
    read_each,
    select,
    set_aside,
    source_folder,
    visible_files,
)
from lavad_core.datasets.masks import read_cell_masks
from lavad_core.datasets.types import Dataset
from lavad_core.errors import InputError

_NAME = re.compile(r"([0-9]{1,4})_label\.mat", re.ASCII)
_read_marks = partial(read_cell_masks, variable="volLabel")


def read(paths: DatasetPaths) -> Dataset:
    """``testing_label_mask``: ``N_label.mat`` with the cell ``volLabel``, a mask for each frame of ``testing_videos/0N.avi``.

    Raises:
        InputError: the folder or a file cannot be read.
    """
    folder = needed_folder(paths.labels("the folder testing_label_mask with 1_label.mat, 2_label.mat, …"), "masks")
    found: dict[int, Path] = {}
    for path in visible_files(folder, "*.mat"):
        if (part := _NAME.fullmatch(path.name)) is None:
            continue
        other = found.setdefault(int(part[1]), path)
        if other is not path:
            raise InputError(
                f"masks: {str(folder)!r}: {other.name!r} and {path.name!r} are of the same video; keep one of them"
            )
    if not found:
        raise InputError(f"masks: {str(folder)!r} holds no N_label.mat; expected is the folder testing_label_mask")
    labelled, unreadable = read_each({f"{number:02d}": path for number, path in sorted(found.items())}, _read_marks)
    videos, lists, notes = select(labelled, paths.list_file)
    files = (source_folder("masks", folder, found.values()), *lists)
    return set_aside(Dataset("avenue", "CUHK Avenue", videos, files, notes=notes), unreadable)
