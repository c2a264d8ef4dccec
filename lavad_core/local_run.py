"""Scoring a set of videos in this process, without an orchestrator; and what a run under one shares with it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lavad_core.config.schema import LavadConfig
from lavad_core.config.secrets import public_settings
from lavad_core.datasets.configured import check_labelled
from lavad_core.errors import InputError
from lavad_core.imports.listed import listed_sources
from lavad_core.models.pool import ModelPool
from lavad_core.pipeline.execute import run_graph
from lavad_core.pipeline.ledger import ENDINGS, Ledger, run_ending
from lavad_core.pipeline.prepare import check_imports
from lavad_core.pipeline.resources import RunResources
from lavad_core.planning.prompt_check import check_prompts
from lavad_core.results import ResultSet, open_results
from lavad_core.run_metrics import evaluate_run, metrics_of
from lavad_core.runs.beside import warn_of_runs_beside
from lavad_core.runs.known_bad import is_known
from lavad_core.runs.manifest import new_run_id
from lavad_core.runs.recorder import Listener, RunRecorder
from lavad_core.runs.video_list import save_sources
from lavad_core.stages.node import Node, PreparedVideo
from lavad_core.store.types import Commit
from lavad_core.video.discover import discover
from lavad_core.video.types import VideoSource

log = logging.getLogger(__name__)

STOPPED = "stopped before its end; what was finished is in the store"
"""The message of an interrupted run."""


def sources_of(config: LavadConfig, inputs: Sequence[str | Path]) -> list[VideoSource]:
    """The videos of a run: those that ``inputs`` name, or those of the configuration's list (``imports.list``).

    Raises:
        InputError: an input names nothing, the list cannot be read, or there are both.
    """
    if config.imports.list is None:
        return discover(inputs)
    if inputs:
        raise InputError("imports.list names the videos: give no other inputs beside it, or no list")
    return listed_sources(config.imports)


def first_sources(
    recorder: RunRecorder, store: Path, sources: list[VideoSource], limit: int | None
) -> list[VideoSource]:
    """The first ``limit`` of the videos that a run was given, or all, noted with the run so that a later one can do the failed
    ones again."""
    recorder.limited(limit if limit is not None and limit < len(sources) else None)
    save_sources(store, recorder.run_id, sources[:limit])
    return sources[:limit]


def check_ahead(resources: RunResources, sources: Sequence[VideoSource]) -> None:
    """Raise what would stop a run on its way, before a video is read.

    Raises:
        InputError: the labels lack a video, imported values are not there, a model cannot be found, or a prompt does not fit.
    """
    check_labelled(resources.config.evaluate, [source.name for source in sources])
    check_imports(resources.config)
    _ = resources.graph  # asks for the identity of every model
    check_prompts(resources.config)


def score_videos(
    config: LavadConfig,
    videos: Sequence[str | Path] = (),
    *,
    name: str | None = None,
    limit: int | None = None,
    refresh: bool = False,
    listener: Listener | None = None,
    models: ModelPool | None = None,
) -> ResultSet:
    """Score videos as ``lavad run`` does: stage by stage over all videos, so that each model is loaded once, in
    ``run.workers`` threads. What is in the store is not computed again. The run is recorded there, where ``lavad status`` and
    ``lavad show`` find it.

    A video that cannot be scored does not stop the others: it is in :attr:`ResultSet.unscored` with the reason. A failed
    service is not tried again here, beyond what its client does: call again when it is back, and the run goes on.

    Args:
        config: from :func:`lavad_core.load_config`; ``store`` is the folder of the results.
        videos: files, folders of videos, folders of numbered frames, globs, and lists (``list.txt``).
        name: the run's name, which stands for its id everywhere; None for none.
        limit: score only this many of the videos, the first ones, at least 1; None for all.
        refresh: compute what is in the store too, and replace it.
        listener: called with each stage of each video when it starts and when it has ended, from the thread that works.
        models: a pool that lives longer than the run, whose models in this process stay loaded; None for one of the run's own,
            which frees each model when its stage is over. After an error it is not used again, but closed.

    Returns:
        the results of the run; ``results.record`` is its record.

    Raises:
        InputError: an input names nothing, ``name`` or ``limit`` cannot be one, or the configuration's labels, imports or
            prompts do not fit.
        ModelError: a model cannot be found or loaded.
        ServiceError: a model server does not answer.
        StoreError: the store cannot be written or read.
    """
    if limit is not None and limit < 1:
        raise InputError(f"limit is {limit}; at least 1 video is scored, or all with None")
    store = config.store.absolute()
    settings = public_settings(config)
    listeners = () if listener is None else (listener,)
    with (
        RunRecorder(store, new_run_id(), config=settings, listeners=listeners, name=name) as recorder,
        closing(RunResources(config, record=True, run_id=recorder.run_id, models=models)) as resources,
    ):
        run = _Run(resources, recorder)
        try:
            warn_of_runs_beside(store, recorder.run_id)
            run.score(sources_of(config, videos), limit, refresh)
        except BaseException as error:  # written down and passed on, whatever it is
            failed = isinstance(error, Exception)
            if failed:
                run.ledger.cut_off(error)
            message = f"{type(error).__name__}: {error}" if failed else STOPPED
            recorder.finish("failed" if failed else "interrupted", run.ledger.outcomes(), message=message)
            raise
        word, message = run_ending(run.ledger.outcomes())
        recorder.finish(ENDINGS[word], run.ledger.outcomes(), message=message, metrics=run.metrics)
    return open_results(store, recorder.run_id)


@dataclass
class _Run:
    """A run of this process."""

    resources: RunResources
    recorder: RunRecorder
    ledger: Ledger = field(default_factory=lambda: Ledger([]))
    metrics: dict[str, Any] | None = None

    def score(self, sources: list[VideoSource], limit: int | None, refresh: bool) -> None:
        if not sources:
            raise InputError("no videos are given: name files or folders, or a list (imports.list)")
        sources = first_sources(self.recorder, self.resources.store.root, sources, limit)
        self.ledger = Ledger(sources)
        check_ahead(self.resources, sources)
        for source in sources:
            try:
                self.ledger.prepared(self.resources.prepare(source))
            except InputError as error:
                self._failed(source.name, error)
        live = self.ledger.live
        failed = run_graph(self.resources, live, self.recorder, refresh=refresh, on_result=self._result)
        for name, reason in failed.items():
            self._failed(name, reason)
        self.ledger.all_stages_done()
        scored, unscored = self.ledger.to_evaluate()
        if scored and (commit := evaluate_run(self.resources, scored, unscored)) is not None:
            self.metrics = metrics_of(commit)

    def _failed(self, name: str, error: Exception) -> None:
        video = self.ledger.entries[name].video
        known = is_known(self.resources.store, "" if video is None else video.video_id, error)
        self.ledger.failed(name, error, known_bad=known)
        log.warning("%r leaves the run: %s", name, self.ledger.entries[name].message)

    def _result(self, node: Node, video: PreparedVideo, commit: Commit) -> None:
        self.ledger.result(video.name, node.stage, commit.status, commit.message, commit.facts.get("frames"))
        if node.id == self.resources.graph.nodes[-1].id:
            for outcome in self.ledger.done(video.name):
                self.recorder.outcome(outcome)
