"""The labels that a configuration names."""

from __future__ import annotations

from pathlib import Path

from lavad_core.datasets.annotations import read_annotations
from lavad_core.datasets.build import source_file
from lavad_core.datasets.registry import open_dataset
from lavad_core.datasets.types import Dataset, LabelledVideo
from lavad_core.errors import InputError


def labelled_by(
    labels: Path | None, adapter: str | None = None, list_file: Path | None = None, videos: Path | None = None
) -> Dataset:
    """What the ``evaluate.*`` settings, or the options of the same names, name.

    Args:
        labels: ``evaluate.labels``; some adapters do without.
        adapter: ``evaluate.dataset``; None takes any temporal annotation as it is: with classes or without, of any set of
            videos.
        list_file: ``evaluate.list``.
        videos: folder of the data set's videos, for adapters that look at it.

    Raises:
        InputError: see :func:`lavad_core.datasets.registry.open_dataset`.
    """
    if adapter is not None:
        return open_dataset(adapter, labels, list_file, videos=videos)
    if labels is None:
        raise InputError("a temporal annotation or the name of a data set's adapter is needed")
    labelled = {
        name: LabelledVideo(name, (found.class_name,) if found.class_name and found.intervals else (), found.intervals)
        for name, found in read_annotations(labels).items()
    }
    return Dataset("annotation", "temporal annotation", labelled, (source_file("annotation", labels),))
