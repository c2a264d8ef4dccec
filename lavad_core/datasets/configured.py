"""The labels that a configuration names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from lavad_core.config.schema import EvaluateConfig
from lavad_core.datasets.annotations import WHAT, Annotation, counts_from_1, read_annotations, without_folders
from lavad_core.datasets.build import source_file
from lavad_core.datasets.catalogue import open_dataset
from lavad_core.datasets.names import listed, match_key, says_normal
from lavad_core.datasets.types import Dataset, LabelledVideo, LabelReading
from lavad_core.errors import InputError
from lavad_core.plain_text import number_of
from lavad_core.remote_files import near


def configured(settings: EvaluateConfig) -> Dataset | None:
    """The data set of the ``evaluate.*`` settings; None if they name no labels.

    Raises:
        InputError: see :func:`open_labels`.
    """
    if settings.labels is None:
        return None
    reading = LabelReading(settings.first_frame, settings.frame_count_tolerance)
    return open_labels(settings.labels, settings.dataset, settings.list, reading=reading)


def check_labelled(settings: EvaluateConfig, names: Sequence[str]) -> None:
    """Check, before any work, that the labels which a run is to be evaluated against cover all of its videos.

    Raises:
        InputError: the labels cannot be read, or lack one of the videos.
    """
    dataset = configured(settings)
    if dataset is None:
        return
    known = {match_key(name) for name in (*dataset.videos, *dataset.unreadable)}
    if missing := [name for name in names if match_key(name) not in known]:
        raise InputError(
            f"labels {str(settings.labels)!r} have no line for {len(missing)} of {len(names)} videos: "
            f"{listed(missing, dataset.videos)}; names must agree, without the file ending. Add them (`NAME Normal -1 -1` is a "
            "normal video), give only videos that have labels, or run without evaluate.labels (--labels) and evaluate "
            "afterwards"
        )


def open_labels(
    labels: str | Path | None,
    adapter: str | None = None,
    list_file: str | Path | None = None,
    videos: str | Path | None = None,
    reading: LabelReading | None = None,
) -> Dataset:
    """The labels of a data set, as the ``evaluate.*`` settings, or the options of the same names, give them.

    Args:
        labels: ``evaluate.labels``; some adapters do without.
        adapter: ``evaluate.dataset``, a name of ``lavad dataset list``; None takes any temporal annotation as it is: with
            classes or without, of any set of videos.
        list_file: ``evaluate.list``.
        videos: folder of the data set's videos, for adapters that look at it.
        reading: what the user says about the files.

    Raises:
        InputError: see :func:`lavad_core.datasets.catalogue.open_dataset`.
    """
    labels, list_file, videos = (None if path is None else Path(path) for path in (labels, list_file, videos))
    if adapter is not None:
        return open_dataset(adapter, labels, list_file, videos=videos, reading=reading)
    if labels is None:
        raise InputError("a temporal annotation or the name of a data set's adapter is needed")
    labels = near(labels, "labels")
    reading = reading or LabelReading()
    try:
        found = without_folders(read_annotations(labels, reading.first_frame or 0), of_files_only=True)
    except InputError as error:
        raise InputError(
            f"{error}; for the files of a data set that is known give --dataset (evaluate.dataset)"
        ) from error
    labelled = {name: _as_written(name, annotation, labels) for name, annotation in found.items()}
    notes = () if reading.first_frame is not None else (counts_from_1(found),)
    notes = tuple(note for note in (*notes, _taken_for_normal(found)) if note)
    files = (source_file("annotation", labels),)
    return Dataset("annotation", "temporal annotation", labelled, files, notes=notes, reading=reading)


def _taken_for_normal(found: Mapping[str, Annotation]) -> str:
    """A sentence on videos that have a class of anomalies and no interval; empty where there is none."""
    bare = [
        name
        for name, annotation in found.items()
        if not annotation.intervals and not any(map(says_normal, (name, annotation.class_name)))
    ]
    bare = [name for name in bare if found[name].class_name not in ("", "A")]  # A is XD-Violence's word for it
    if not bare:
        return ""
    return (
        f"{number_of(len(bare), 'video', 'have')} a class that is not Normal and no interval, which is taken for normal: "
        f"{listed(bare)}"
    )


def _as_written(name: str, found: Annotation, path: Path) -> LabelledVideo:
    if found.intervals and says_normal(found.class_name):
        raise InputError(
            f"{WHAT}: {str(path)!r}, line {found.line}: {name!r} is of class {found.class_name!r} and has "
            f"{number_of(len(found.intervals), 'interval')}; a normal video has `-1 -1`"
        )
    classes = (found.class_name,) if found.class_name and found.intervals else ()
    return LabelledVideo(name, classes, found.intervals, found.frames)
