"""ShanghaiTech Campus, the test set: Liu et al., CVPR 2018."""

from __future__ import annotations

import re

from lavad_core.datasets.build import (
    DatasetPaths,
    needed_folder,
    read_each,
    select,
    set_aside,
    source_folder,
    visible_files,
)
from lavad_core.datasets.masks import read_frame_mask
from lavad_core.datasets.types import Dataset
from lavad_core.errors import InputError

_TRAINING = re.compile(r"[0-9]{2}_[0-9]{3}", re.ASCII)
"""Videos of the training part (``01_001``) are all normal; those of the test part are called ``01_0014``."""


def read(paths: DatasetPaths) -> Dataset:
    """``testing/test_frame_mask``: a ``.npy`` of 0 and 1 for each frame of each test video.

    A list may name other videos of the training part, as the split for weakly supervised methods does: they are normal.

    Raises:
        InputError: the folder or a file cannot be read, or the list names a test video that has no mask.
    """
    folder = needed_folder(paths.labels("the folder test_frame_mask with a .npy for each test video"), "frame masks")
    masks = {path.stem: path for path in visible_files(folder, "*.npy")}
    if not masks:
        raise InputError(
            f"frame masks: {str(folder)!r} holds no .npy; expected is one for each test video, as 01_0014.npy"
        )
    labelled, unreadable = read_each(masks, read_frame_mask)
    videos, lists, notes = select(labelled, paths.list_file, lambda name: bool(_TRAINING.fullmatch(name)))
    files = (source_folder("masks", folder, masks.values()), *lists)
    return set_aside(Dataset("shanghaitech", "ShanghaiTech Campus", videos, files, notes=notes), unreadable)
