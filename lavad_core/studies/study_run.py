"""Running a study, with and without an orchestrator, and its record in the store."""

from __future__ import annotations

import os
import re
import tempfile
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from lavad_core.config.schema import LavadConfig
from lavad_core.config.secrets import public_settings
from lavad_core.config.section import NAME_PATTERN
from lavad_core.datasets.configured import configured
from lavad_core.datasets.names import match_key
from lavad_core.datasets.types import Dataset
from lavad_core.errors import ConfigError, InputError
from lavad_core.evaluation.leaderboard import made_by
from lavad_core.evaluation.options import EvaluationOptions
from lavad_core.local_run import check_ahead
from lavad_core.location import shown
from lavad_core.pipeline.side_by_side import Participant, SharedStep, SideBySide
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


class StudyRun:
    """A study at work: after :meth:`take` the steps of :attr:`beside` are done, here or by a flow; then :meth:`table` measures.

    Attributes:
        beside: the configurations of all rows.
        recorder: records what is done.
    """

    def __init__(
        self,
        name: str,
        study: Study,
        rows: Sequence[PlannedRow],
        beside: SideBySide,
        recorder: RunRecorder,
        options: EvaluationOptions,
    ) -> None:
        self.beside, self.recorder = beside, recorder
        self._name, self._study, self._rows, self._options = name, study, rows, options
        self._started, self._begin = now_text(), time.monotonic()
        self._configs, self._places = placed(rows)
        self._dataset = labels_of(self._configs[0])
        self._sources: Sequence[VideoSource] = ()
        self._found = 0

    def rows_of(self, places: Collection[int]) -> list[str]:
        """Names of the rows of which a configuration at one of these places is a run."""
        wanted = {*places}
        return [row.row.name for row, own in zip(self._rows, self._places, strict=True) if not wanted.isdisjoint(own)]

    def take(self, sources: Sequence[VideoSource], limit: int | None = None) -> None:
        """Learn the content of the videos, and which models are needed, before anything is computed.

        Args:
            sources: the videos.
            limit: take only this many, the first ones; the table says so.

        Raises:
            InputError: the labels lack a video, or the models, imports or prompts of a row do not fit.
            ModelError: a model cannot be found.
        """
        self._found, sources = len(sources), sources[:limit]
        self._sources = sources
        for part in self.beside.parts:
            check_ahead(part.resources, sources)
        for part in self.beside.parts:
            part.take(sources)
        self.beside.share_models()
        for part in self.beside.parts:
            part.resources.keep_server_log(self.recorder.run_id)

    def table(self) -> StudyTable:
        """The table of what was done, which is also recorded in the store."""
        found = [
            _row_results(row, [self.beside.parts[at] for at in own], self._dataset)
            for row, own in zip(self._rows, self._places, strict=True)
        ]
        unreadable = set(map(match_key, self._dataset.unreadable))
        videos = sum(match_key(source.name) not in unreadable for source in self._sources)
        measured = measured_rows(self._study, found, self._dataset, videos, self._options)
        records, taken = self.recorder.records, len(self._sources)
        made = sum(not record.cached and record.status in ("ok", "ok_with_gaps") for record in records)
        table = StudyTable(
            study=self._name,
            title=self._study.title,
            stands_for=self._study.stands_for,
            reference=self._study.reference,
            metrics=self._study.metrics,
            rows=measured,
            dataset=self._dataset.title,
            adapter=self._dataset.adapter,
            source=source_of(self._study),
            intervals=self._options.intervals,
            notes=(
                *notes_of(self._study, measured, self._dataset),
                *(row.note for row in self._rows if row.note),
                *(
                    [f"the first {taken} of {self._found} videos; --limit {self._found} takes all"]
                    if taken < self._found
                    else []
                ),
            ),
            started=self._started,
            seconds=round(time.monotonic() - self._begin, 1),
            work={counter: amount for counter, amount in self.recorder.totals().items() if amount},
            loads=dict(self.beside.loads),
            axes=self._study.axes,
            results={"made": made, "found": sum(record.cached for record in records)},
        )
        save_table(self._configs[0].store, table, self.recorder.run_id)
        return table


@contextmanager
def open_study(
    name: str,
    study: Study,
    rows: Sequence[PlannedRow],
    *,
    run_id: str | None = None,
    options: EvaluationOptions | None = None,
    listeners: Sequence[Listener] = (),
    records: Path | None = None,
) -> Iterator[StudyRun]:
    """Begin a study; models go at the end. Arguments as :func:`run_study`.

    Args:
        run_id: id under which its table is recorded; a new one if not given.

    Raises:
        InputError: the configuration names no labels, or they cannot be read.
    """
    configs = distinct_configs(rows)
    settings = public_settings(configs[0])
    # Not in the store's own records: `lavad status` and `lavad show` keep the user's latest run.
    with (
        tempfile.TemporaryDirectory() as folder,
        SideBySide(configs) as beside,
        RunRecorder(records or Path(folder), run_id or new_run_id(), config=settings, listeners=listeners) as recorder,
    ):
        yield StudyRun(name, study, rows, beside, recorder, options or EvaluationOptions())


def run_study(
    name: str,
    study: Study,
    rows: Sequence[PlannedRow],
    sources: Sequence[VideoSource],
    *,
    options: EvaluationOptions | None = None,
    listener: Listener | None = None,
    on_step: OnStep | None = None,
    records: Path | None = None,
) -> StudyTable:
    """Run all rows of a study without an orchestrator, and measure them. What is in the store is not computed again, what rows
    share is computed once, and each model is loaded once over all rows. Killed, it goes on where it was.

    A video that fails does not end the study: the rows that lack it say so.

    Args:
        name: the study's name, under which the table is recorded.
        study: the table.
        rows: its rows on a configuration (:func:`lavad_core.studies.study_runs.planned_rows`).
        sources: the videos.
        options: the bootstrap of the intervals.
        listener: called with each stage of each video when it starts and when it has ended, from the thread that works.
        on_step: called before each step.
        records: folder that keeps the record of the work, as a store keeps those of runs; it is thrown away if not given.

    Returns:
        the table, which is also recorded in the store.

    Raises:
        InputError: the configuration names no labels, they lack a video, or its models, imports or prompts do not fit.
        ModelError: a model cannot be found or loaded.
        ServiceError: a model server does not answer; the study goes on when it is run again.
        StoreError: the store cannot be written or read.
    """
    listeners = () if listener is None else (listener,)
    with open_study(name, study, rows, options=options, listeners=listeners, records=records) as work:
        work.take(sources)
        work.beside.run(work.recorder, on_step)
        return work.table()


def distinct_configs(rows: Sequence[PlannedRow]) -> list[LavadConfig]:
    """The configurations of all rows, each once."""
    return placed(rows)[0]


def placed(rows: Sequence[PlannedRow]) -> tuple[list[LavadConfig], list[list[int]]]:
    """The configurations of all rows, each once, and for each row the places of its runs among them."""
    found: list[LavadConfig] = []
    alike: dict[str, list[int]] = {}  # by their text, which lacks secrets: those of one text are compared

    def place_of(config: LavadConfig) -> int:
        places = alike.setdefault(repr(config), [])
        for place in places:
            if found[place] == config:
                return place
        places.append(len(found))
        found.append(config)
        return places[-1]

    return found, [[place_of(config) for config in row.configs] for row in rows]


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


def _row_results(row: PlannedRow, parts: Sequence[Participant], dataset: Dataset) -> RowResults:
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
    return RowResults(row.row, runs, failed, tuple(sorted(bad)), row.at, made_by(row.configs))


def save_table(store: Path, table: StudyTable, run_id: str) -> Path:
    """Record a study in a store; `lavad study show` finds the latest of each name."""
    folder = _folder(store, table.study)
    path = folder / f"{PREFIX}{run_id}.json"
    with store_errors("write", path):
        make_folders(folder)
        with replacing(path) as draft, draft.open("w", encoding="ascii") as file:
            file.write(STUDY.text(table))
            file.flush()
            os.fsync(file.fileno())
            mirror.send(store, path, draft)
        sync_folder(folder)
    return path


def table_of_run(store: Path, name: str, run_id: str) -> StudyTable | None:
    """The table that a run of a study has recorded; None while there is none."""
    path = _folder(store, name) / f"{PREFIX}{run_id}.json"
    return STUDY.read(path) if path.is_file() else None


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
