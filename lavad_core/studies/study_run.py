"""Running a study without an orchestrator, and its record in the store."""

from __future__ import annotations

import os
import re
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from lavad_core.config.schema import LavadConfig
from lavad_core.config.secrets import public_settings
from lavad_core.config.section import NAME_PATTERN
from lavad_core.datasets.configured import configured
from lavad_core.datasets.names import match_key
from lavad_core.datasets.types import Dataset
from lavad_core.errors import ConfigError, InputError
from lavad_core.evaluation.options import EvaluationOptions
from lavad_core.local_run import check_ahead
from lavad_core.location import shown
from lavad_core.pipeline.side_by_side import SharedStep, SideBySide
from lavad_core.results.run import results_of_keys
from lavad_core.results.types import ResultSet
from lavad_core.runs.known_bad import is_known
from lavad_core.runs.manifest import FOLDER, new_run_id
from lavad_core.runs.recorder import Listener, RunRecorder, now_text
from lavad_core.store import mirror
from lavad_core.store.faults import store_errors
from lavad_core.store.local import make_folders, sync_folder
from lavad_core.studies.study_file import Study
from lavad_core.studies.study_runs import PlannedRow
from lavad_core.studies.study_table import (
    STUDY,
    RowResults,
    StudyTable,
    measured_rows,
    notes_of,
    source_of,
)
from lavad_core.user_files import replacing
from lavad_core.video.types import VideoSource

STUDIES = "studies"
"""Folder of the tables of studies, beside the records of runs."""

PREFIX = "table-"
"""Begins the name of a table's file, so that it is not taken for the record of a run."""

OnStep = Callable[[SharedStep, int], None]
"""Called before each step of a study with how many results it looks for or makes."""


def run_study(
    name: str,
    study: Study,
    rows: Sequence[PlannedRow],
    sources: Sequence[VideoSource],
    *,
    options: EvaluationOptions | None = None,
    listener: Listener | None = None,
    on_step: OnStep | None = None,
) -> StudyTable:
    """Run all rows of a study, and measure them. What is in the store is not computed again, what rows share is computed once,
    and each model is loaded once over all rows. Killed, it goes on where it was.

    A video that fails does not end the study: the rows that lack it say so.

    Args:
        name: the study's name, under which the table is recorded.
        study: the table.
        rows: its rows on a configuration (:func:`lavad_core.studies.study_runs.planned_rows`).
        sources: the videos.
        options: the bootstrap of the intervals.
        listener: called with each stage of each video when it starts and when it has ended, from the thread that works.
        on_step: called before each step.

    Returns:
        the table, which is also recorded in the store.

    Raises:
        InputError: the configuration names no labels, they lack a video, or its models, imports or prompts do not fit.
        ModelError: a model cannot be found or loaded.
        ServiceError: a model server does not answer; the study goes on when it is run again.
        StoreError: the store cannot be written or read.
    """
    started, begin = now_text(), time.monotonic()
    options = options or EvaluationOptions()
    configs = distinct_configs(rows)
    dataset = labels_of(configs[0])
    listeners = () if listener is None else (listener,)
    with SideBySide(configs) as beside, tempfile.TemporaryDirectory() as folder:
        for part in beside.parts:
            check_ahead(part.resources, sources)
        for source in sources:
            for part in beside.parts:
                part.add(source)
        beside.share_models()
        # Not in the store's own records: `lavad status` and `lavad show` keep the user's latest run.
        settings = public_settings(configs[0])
        with RunRecorder(Path(folder), new_run_id(), config=settings, listeners=listeners) as recorder:
            beside.run(recorder, on_step)
            work, records = recorder.totals(), recorder.records
        found = [_row_results(row, beside, configs, dataset) for row in rows]
        unreadable = set(map(match_key, dataset.unreadable))
        videos = sum(match_key(source.name) not in unreadable for source in sources)
        measured = measured_rows(study, found, dataset, videos, options)
        made = sum(not record.cached and record.status in ("ok", "ok_with_gaps") for record in records)
        table = StudyTable(
            study=name,
            title=study.title,
            stands_for=study.stands_for,
            reference=study.reference,
            metrics=study.metrics,
            rows=measured,
            dataset=dataset.title,
            source=source_of(study),
            intervals=options.intervals,
            notes=(*notes_of(study, measured, dataset), *(row.note for row in rows if row.note)),
            started=started,
            seconds=round(time.monotonic() - begin, 1),
            work={counter: amount for counter, amount in work.items() if amount},
            loads=dict(beside.loads),
            results={"made": made, "found": sum(record.cached for record in records)},
        )
    save_table(configs[0].store, table)
    return table


def distinct_configs(rows: Sequence[PlannedRow]) -> list[LavadConfig]:
    """The configurations of all rows, each once."""
    found: list[LavadConfig] = []
    for row in rows:
        found += [config for config in row.configs if config not in found]
    return found


def labels_of(config: LavadConfig) -> Dataset:
    """The data set of a study.

    Raises:
        InputError: the configuration names no labels, or they cannot be read.
    """
    dataset = configured(config.evaluate)
    if dataset is None:
        raise InputError(
            "a study needs labels: give --labels (evaluate.labels), with --dataset and --list for a data set's own"
        )
    return dataset


def _row_results(row: PlannedRow, beside: SideBySide, configs: Sequence[LavadConfig], dataset: Dataset) -> RowResults:
    parts = [beside.parts[configs.index(config)] for config in row.configs]
    unreadable = set(map(match_key, dataset.unreadable))
    runs: list[ResultSet] = []
    failed: dict[str, str] = {}
    bad: set[str] = set()
    for part in parts:
        scored = {one.name: part.keys[one.name] for one in part.scored if match_key(one.name) not in unreadable}
        runs.append(results_of_keys(part.resources.store, part.resources.config, scored))
        failed |= {name: str(error) for name, error in part.failed.items() if name not in failed}
        bad |= {
            video.name
            for video in part.videos
            if match_key(video.name) not in unreadable
            and is_known(part.resources.store, video.video_id, part.failed.get(video.name))
        }
    return RowResults(row.row, runs, failed, tuple(sorted(bad)))


def save_table(store: Path, table: StudyTable) -> Path:
    """Record a study in a store; `lavad study show` finds the latest of each name."""
    folder = _folder(store, table.study)
    path = folder / f"{PREFIX}{new_run_id()}.json"
    with store_errors("write", path):
        make_folders(folder)
        with replacing(path) as draft, draft.open("w", encoding="ascii") as file:
            file.write(STUDY.text(table))
            file.flush()
            os.fsync(file.fileno())
            mirror.send(store, path, draft)
        sync_folder(folder)
    return path


def saved_table(store: Path, name: str) -> StudyTable:
    """The latest table of a study in a store.

    Raises:
        InputError: it was never run there, or its record cannot be read or was changed.
    """
    folder = _folder(store, name)
    with store_errors("list", folder):
        here = {path.name for path in folder.glob(f"{PREFIX}*.json")}
    names = here | {one for one in mirror.names(store, f"{FOLDER}/{STUDIES}/{name}") if one.startswith(PREFIX)}
    if not names:
        raise InputError(
            f"store {shown(store)!r} has no table of study {name!r} yet; `lavad study run {name}` makes one"
        )
    path = folder / max(names)
    mirror.fetch(store, path)
    return STUDY.read(path)


def _folder(store: Path, name: str) -> Path:
    if not re.fullmatch(NAME_PATTERN, name):
        raise ConfigError(
            f"{name!r} cannot be the name of a study, which is that of its file: at most 64 letters, digits and . _ + -, a "
            "letter or digit first; rename the file"
        )
    return store / FOLDER / STUDIES / name
