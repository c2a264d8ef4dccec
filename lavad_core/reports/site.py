"""A report of a set: a folder with one page for the whole set and one per video, which need nothing but each other.

Video after video is read, drawn and written; what is kept of each is its row in the table.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from markupsafe import Markup

from lavad_core.errors import InputError, StoreError
from lavad_core.evaluation.leaderboard import HEADERS, Leaderboard, cells, leaderboard, leaderboard_datasets, own_rows
from lavad_core.evaluation.smoothing import sigma_in_words
from lavad_core.evaluation.ties import means
from lavad_core.evaluation.types import METRIC_TITLES, Evaluation, Metric, ScoreRow, VideoRow
from lavad_core.location import COPY_THERE, refuse_address
from lavad_core.remote_files import REPORT
from lavad_core.reports import facts, html
from lavad_core.reports.charts import SPARK_WIDTH, chart
from lavad_core.reports.pictures import VideoCard, video_card
from lavad_core.reports.reported_set import ReportedSet
from lavad_core.reports.video import GridFrame, ReplacedCaption, VideoReport, key_frames

VIDEOS = "videos"
"""The folder of the pages of videos."""

PUBLISHED = "leaderboard.html"
"""The page of published results."""

KEY_FRAMES = 8
"""That a video's page shows."""

MAX_ROWS = 1000
"""Scored frames, and changed captions, that a page lists: 70 bytes and a sentence each. An hour at 30 a second has 6750."""

SLOWEST = 10
"""Videos in that table."""

WORKERS = 2
"""Videos at a time: each waits for a process that decodes, for the most part."""


@dataclass(frozen=True)
class IndexRow:
    """A video in the table of all."""

    name: str
    """Name of the video."""
    href: str
    """Address of its page."""
    spark: Markup = field(repr=False)
    """The video's curve, small."""
    classes: str
    """The classes of its labels."""
    kind: Literal["anomalous", "normal", "unlabelled"]
    """What the table is filtered by."""
    numbers: Sequence[tuple[float | None, str, bool]]
    """Value, format, and whether the column is hidden on a phone."""
    seconds: float | None
    """How long the run worked on it, seconds."""


@dataclass(frozen=True)
class IndexPage:
    """The page of the whole."""

    title: str
    """The headline."""
    warnings: Sequence[str]
    """Sentences below the headline."""
    tiles: Sequence[facts.Tile]
    """The set in short."""
    facts: Sequence[tuple[str, str]]
    """Name and value of each fact on the set."""
    evaluation: Evaluation | None
    """The evaluation; None without labels."""
    rows: Sequence[IndexRow]
    """The videos with a page."""
    trouble: Mapping[str, str]
    """Name to reason, for videos without scores or page."""
    published: str = ""
    """Address of the page of published results; empty where there is none."""

    @property
    def metric_names(self) -> Mapping[str, str]:
        """Key to heading."""
        return METRIC_TITLES

    @staticmethod
    def sigma(row: ScoreRow) -> str:
        """A row's smoothing in every unit; 0 for none."""
        return sigma_in_words(row.smoothing, row.width) if row.smoothing else "0"

    @property
    def slowest(self) -> Sequence[IndexRow]:
        """The longest first."""
        timed = [row for row in self.rows if row.seconds is not None]
        return sorted(timed, key=lambda row: -(row.seconds or 0))[:SLOWEST]

    @property
    def prevalence_line(self) -> str:
        """Precision of chance in the chart of precision and recall."""
        assert self.evaluation is not None
        header = self.evaluation.header
        return f"M0 {100 - 100 * header.positive / max(header.frames, 1):.2f}H100"

    @property
    def reasons(self) -> Mapping[str, Sequence[str]]:
        """Table to why numbers of it are undefined."""
        assert self.evaluation is not None
        rows, classes, events = self.evaluation.rows, self.evaluation.classes, self.evaluation.events
        return {
            "rows": _reasons(metric for row in rows for metric in row.metrics.values()),
            "classes": _reasons(
                metric for row in classes for metric in (*row.within.values(), *row.with_normal.values())
            ),
            "events": _reasons(
                metric for row in events for metric in (row.precision, row.recall, row.f1, row.false_alarms_per_hour)
            ),
            "kinds": _reasons(metric for row in self.evaluation.kinds for metric in (row.precision, row.recall)),
        }


def write_report(
    reported: ReportedSet,
    evaluation: Evaluation | None,
    output: Path,
    warnings: Sequence[str] = (),
    progress: Callable[[str], None] = lambda name: None,
) -> IndexPage:
    """Write a report, and return what the page of the whole says.

    Args:
        reported, evaluation: the videos, and their evaluation; None without labels.
        output: folder, made if it does not exist; a report in it is replaced.
        warnings: what a reader must know about the run, one sentence for each.
        progress: called with each video's name when its page is there.

    Raises:
        InputError: ``output`` holds something else.
        OSError: it cannot be written.
    """
    _make_room(output)
    title = facts.title(reported, evaluation)
    names = reported.names
    links = [(name, page_name(number, name)) for number, name in enumerate(names, 1)]
    by_name = {row.name: row for row in evaluation.videos} if evaluation is not None else {}
    rows: list[IndexRow] = []
    trouble = dict(evaluation.header.unscored if evaluation is not None else reported.results.unscored)

    def write(number: int) -> IndexRow | str:
        try:
            labelled = reported.labelled(names[number])
            row = by_name.get(labelled.name) if labelled is not None else None
            return _write_video(reported, title, links, number, row, output / VIDEOS)
        except (StoreError, InputError) as error:  # of this one; the others have their pages
            values = {"set_title": title, "name": names[number], "why": str(error)}
            (output / VIDEOS / links[number][1]).write_text(html.render("absent", page=values), encoding="utf-8")
            return str(error)

    with ThreadPoolExecutor(WORKERS) as threads:
        try:
            for name, made in zip(names, threads.map(write, range(len(names))), strict=True):
                if isinstance(made, IndexRow):
                    rows.append(made)
                else:
                    trouble[name] = made
                progress(name)
        except BaseException:
            threads.shutdown(wait=False, cancel_futures=True)
            raise
    page = IndexPage(
        title=title,
        warnings=[*warnings, *(evaluation.header.warnings if evaluation is not None else ())],
        tiles=facts.tiles(evaluation, len(rows), len(trouble)),
        facts=facts.facts(reported, evaluation),
        evaluation=evaluation,
        rows=rows,
        trouble=trouble,
        published=_write_leaderboard(evaluation, output),
    )
    (output / "index.html").write_text(html.render("index", page=page), encoding="utf-8")
    return page


def leaderboard_page(board: Leaderboard) -> str:
    """The HTML of published results."""
    rows = [(row.figures == "ours", cells(row)) for row in board.rows]
    return html.render("leaderboard", dataset=board.dataset, headers=HEADERS, rows=rows, notes=board.notes)


def _write_leaderboard(evaluation: Evaluation | None, output: Path) -> str:
    """The name of the page of published results; empty if there are none on this data set, which needs no page."""
    (output / PUBLISHED).unlink(missing_ok=True)
    if evaluation is None or evaluation.header.adapter not in leaderboard_datasets():
        return ""
    board = leaderboard(evaluation.header.adapter, own_rows(evaluation))
    (output / PUBLISHED).write_text(leaderboard_page(board), encoding="utf-8")
    return PUBLISHED


def page_name(number: int, name: str) -> str:
    """File of a video's page: the number makes it unique, the name is for people and safe in any file system and link."""
    return f"{number:04d}-{re.sub(r'[^A-Za-z0-9_-]+', '_', name)[:60]}.html"


def _write_video(
    reported: ReportedSet, title: str, links: Sequence[tuple[str, str]], number: int, row: VideoRow | None, folder: Path
) -> IndexRow:
    name, href = links[number]
    video = reported.report(name)
    card, notes = _card(reported, video)
    page = {
        "set_title": title,
        "video": video,
        "before": links[number - 1] if number else None,
        "next": links[number + 1] if number + 1 < len(links) else None,
        "facts": facts.of_video(video, row),
        "key_frames": card.key_frames,
        "pictures": card.pictures,
        "rows": _highest(video.grid),
        "changes": _highest_changes(video.changes or ()),
        "notes": [*notes, *video.notes],
    }
    (folder / href).write_text(html.render("video", page=page), encoding="utf-8")
    scores = [at.score for at in video.grid]
    labelled = reported.labelled(name)
    return IndexRow(
        name=name,
        href=f"{VIDEOS}/{href}",
        spark=html.part("spark", video, chart(video, SPARK_WIDTH)),
        classes=", ".join(labelled.classes) if labelled is not None else "",
        kind="unlabelled" if video.truth is None else "anomalous" if video.truth else "normal",
        numbers=[
            (video.frames, "%d", True),
            (None if row is None else row.positive, "%d", True),
            (None if row is None else row.auc.value, "%.3f", False),
            (max(scores), "%.3f", False),
            (float(means([np.array(scores)])[0]), "%.3f", True),
            (video.overlap, "%.2f", True),
        ],
        seconds=reported.seconds(name),
    )


def _card(reported: ReportedSet, video: VideoReport) -> tuple[VideoCard, list[str]]:
    """The video with its key frames, and why they have no pictures."""
    try:
        return video_card(video, reported.video(video.name, video.frames), key_frames(video, KEY_FRAMES)), []
    except (InputError, StoreError) as error:
        return VideoCard(video, key_frames(video, KEY_FRAMES)), [f"No pictures: {error}."]


def _highest(grid: Sequence[GridFrame]) -> Sequence[GridFrame]:
    kept = sorted(grid, key=lambda at: -at.score)[:MAX_ROWS]
    return sorted(kept, key=lambda at: at.frame)


def _highest_changes(changes: Sequence[ReplacedCaption]) -> Sequence[ReplacedCaption]:
    kept = sorted(changes, key=lambda change: -change.at.score)[:MAX_ROWS]
    return sorted(kept, key=lambda change: change.at.frame)


def _reasons(metrics: Iterable[Metric]) -> Sequence[str]:
    return list(dict.fromkeys(metric.reason for metric in metrics if metric.value is None and metric.reason))


def _make_room(output: Path) -> None:
    """An empty folder, marked as ours."""
    refuse_address(output, "the folder of the report", way=COPY_THERE)
    if output.exists() and not output.is_dir():
        raise InputError(f"{str(output)!r} is not a folder; --output names the folder of the report")
    output.mkdir(parents=True, exist_ok=True)
    if not (output / REPORT).exists() and any(output.iterdir()):
        raise InputError(
            f"the folder {str(output)!r} holds something that is not a report; name one that is empty or new"
        )
    (output / REPORT).touch()
    # The old index goes first: what is half made has none.
    (output / "index.html").unlink(missing_ok=True)
    if (output / VIDEOS).exists():
        shutil.rmtree(output / VIDEOS)
    (output / VIDEOS).mkdir()
