"""The labels that a configuration names."""

from __future__ import annotations

from pathlib import Path

from lavad_core.datasets.annotations import read_annotations
from lavad_core.datasets.build import source_file
from lavad_core.datasets.registry import open_dataset
from lavad_core.datasets.types import Dataset, LabelledVideo


def labelled_by(labels: Path, adapter: str | None = None, list_file: Path | None = None) -> Dataset:
    """What the ``evaluate.*`` settings name.

    Args:
        labels: ``evaluate.labels``.
        adapter: ``evaluate.dataset``; None takes any temporal annotation as it is: with classes or without, of any set of
            videos.
        list_file: ``evaluate.list``.

    Raises:
        InputError: see :func:`lavad_core.datasets.registry.open_dataset`.
    """
    if adapter is not None:
        return open_dataset(adapter, labels, list_file)
    videos = {
        name: LabelledVideo(name, (found.class_name,) if found.class_name and found.intervals else (), found.intervals)
        for name, found in read_annotations(labels).items()
    }
    return Dataset("annotation", "temporal annotation", videos, (source_file("annotation", labels),))
