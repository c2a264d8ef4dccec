"""Files of labels and what is read of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from lavad_core.datasets.catalogue import open_dataset
from lavad_core.datasets.types import Dataset, LabelReading
from lavad_core.errors import InputError

Content = tuple[str, tuple[str, ...], tuple[tuple[int, int], ...], int | None]


def written(path: Path, text: str) -> Path:
    path.write_bytes(text.encode())
    return path


def contents(found: Dataset) -> list[Content]:
    return [(video.name, video.classes, video.intervals, video.frames) for video in found.videos.values()]


def refusal(adapter: str, labels: Path, listing: Path | None = None, reading: LabelReading | None = None) -> str:
    with pytest.raises(InputError) as caught:
        open_dataset(adapter, labels, listing, reading=reading)
    return str(caught.value)


XD = "Bad.Boys.1995__#01-11-55_01-12-40_label_G-B2-B6"
