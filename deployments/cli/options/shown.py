"""What `lavad report`, `lavad overlay` and `lavad plot` share: options, and from these to the results that they show."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lavad.deployments.cli.options import common as options
from lavad.deployments.cli.options.dataset import LabelGroup
from lavad.deployments.cli.terminal.text import OutputLost, escape, is_terminal, say

if TYPE_CHECKING:
    from lavad_core.datasets.types import Dataset
    from lavad_core.reports.reported_set import ReportedSet
    from lavad_core.results.types import ResultSet
    from lavad_core.video.types import VideoSource

Threshold = Annotated[
    float,
    typer.Option("--threshold", help="An import's segments: a score of at least this is anomalous. A run has its own."),
]

THRESHOLD = 0.5


@dataclass(frozen=True, kw_only=True)
class ShownGroup:
    """A run or an import, and what stands beside its scores."""

    run: options.Run = None
    """Id or name of a run or import."""
    labels: LabelGroup
    """The labels beside its scores."""
    threshold: Threshold = THRESHOLD
    """A score of at least this is anomalous."""
    store: options.StoreFolder = None
    """Folder of the store."""

    def open(self) -> ReportedSet:
        """The results that the options name, with their labels and videos as far as these are at hand.

        Raises:
            InputError: there is no such run, or the labels cannot be read.
            StoreUnavailable: there is no store.
        """
        from lavad_core.method.detection import SegmentRule
        from lavad_core.reports.reported_set import ReportedSet
        from lavad_core.results.open import open_results

        root = options.store_root(self.store)
        results = open_results(root, self.run)
        videos = _videos(root, results, self.labels.videos)
        return ReportedSet(results, _labels(results, self.labels), videos, root, SegmentRule(self.threshold))


def _labels(results: ResultSet, given: LabelGroup) -> Dataset | None:
    """The labels that are given; otherwise those that a run was evaluated against, if they are still there."""
    from lavad_core.datasets.configured import configured
    from lavad_core.errors import InputError

    if given.any:
        return given.dataset()
    if results.config is None:
        return None
    try:
        return configured(results.config.evaluate)
    except InputError as error:  # they were somewhere else when the run was made; what it found is there
        say(f"without labels: {escape(error)}")
        return None


def _videos(root: Path, results: ResultSet, videos: Path | None) -> dict[str, VideoSource]:
    """Name to video: of the folder that is given; otherwise where a run found them."""
    from lavad_core.errors import InputError
    from lavad_core.runs.video_list import load_sources
    from lavad_core.video.discover import discover

    if videos is not None:
        return {source.name: source for source in discover([videos])}
    if results.origin == "import":
        return {}
    try:
        listed = load_sources(root, results.set_id)
    except InputError:  # the run ended before it knew its videos
        return {}
    return {source.name: source for source in (*listed.earlier, *listed.own)}


@contextmanager
def counting_bar(total: int, what: str) -> Iterator[Callable[[object], None]]:
    """A bar on a terminal's stderr; call what it gives for each piece that is done."""
    if not is_terminal(sys.stderr):
        yield lambda piece: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True, redirect_stdout=False) as bars:
        task = bars.add_task(what, total=total)
        yield lambda piece: bars.advance(task)


@contextmanager
def writing() -> Iterator[None]:
    """Around the writing of a file that was asked for.

    Raises:
        OutputLost: it cannot be written.
    """
    try:
        yield
    except OSError as error:
        where = f" ({escape(error.filename)})" if error.filename else ""
        raise OutputLost(f"{error.strerror or error}{where}") from error
