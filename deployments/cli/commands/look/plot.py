"""``lavad plot``: pictures for papers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from lavad.deployments.cli.exits import guarded
from lavad.deployments.cli.options import common as options
from lavad.deployments.cli.options import complete
from lavad.deployments.cli.options.dataset import LabelGroup
from lavad.deployments.cli.options.group import grouped
from lavad.deployments.cli.options.metrics import Sigmas, sigmas
from lavad.deployments.cli.options.shown import THRESHOLD, ShownGroup, Threshold, writing
from lavad.deployments.cli.terminal.text import escape, say, show
from lavad_core.location import shown

if TYPE_CHECKING:
    from lavad_core.evaluation.smoothing import Sigma
    from lavad_core.evaluation.types import Curve
    from lavad_core.reports.pictures import VideoCard
    from lavad_core.reports.reported_set import ReportedSet


@guarded
@grouped
def plot(
    *,
    output: Annotated[Path, typer.Option("--output", "-o", help="The file: .png, .svg or .pdf.", parser=options.place)],
    videos_: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[VIDEO]…", help="Names of videos whose curves are wanted.", autocompletion=complete.videos
        ),
    ] = None,
    roc: Annotated[bool, typer.Option("--roc", help="The ROC curve of all frames.")] = False,
    pr: Annotated[bool, typer.Option("--pr", help="Precision and recall of all frames.")] = False,
    curve: Annotated[bool, typer.Option("--curve", help="Scores over time, one row per VIDEO; the default.")] = False,
    runs: Annotated[
        list[str] | None,
        typer.Option(
            "--run",
            help="A run or an import; the latest if not given. With --roc and --pr it may be repeated, and a name for the "
            "legend put before it.",
            metavar="[NAME=]RUN",
            autocompletion=complete.legends,
        ),
    ] = None,
    frames: Annotated[int, typer.Option("--frames", min=0, max=8, help="Key frames of a video.")] = 5,
    at: Annotated[
        list[str] | None,
        typer.Option(
            "--at",
            help="In place of key frames: the scored frame at this moment (12.5, 1:07.3) or with this number (160f); up to 8.",
            metavar="MOMENT",
        ),
    ] = None,
    text: Annotated[
        Literal["scored", "caption", "both"],
        typer.Option("--text", help="Below a frame: what was scored (the summary), the caption before it, or both."),
    ] = "scored",
    labels: LabelGroup,
    sigma: Sigmas = None,
    threshold: Threshold = THRESHOLD,
    store: options.StoreFolder = None,
) -> None:
    """Draw scores over time with key frames and shaded labels, or ROC, or precision and recall of one or several runs."""
    from lavad_core.remote_files import written
    from lavad_core.reports.plots import check_format, plot_rates, plot_videos
    from lavad_core.results.find import scored_name

    if roc + pr + curve > 1:
        raise typer.BadParameter("give one of --roc, --pr and --curve")
    if at and len(videos_ or ()) != 1:
        raise typer.BadParameter("--at are moments of one video")
    if (roc or pr) == bool(videos_):
        raise typer.BadParameter("--roc and --pr are of all videos; a curve over time needs the names of some")
    if not (roc or pr) and len(runs or ()) > 1:
        raise typer.BadParameter("a curve over time is of one run")
    check_format(output)
    given: list[tuple[str, str | None]] = [_named(run) for run in runs or ()] or [("", None)]
    sets = {name: ShownGroup(run=run, labels=labels, threshold=threshold, store=store).open() for name, run in given}
    if roc or pr:
        kind: Literal["roc", "pr"] = "roc" if roc else "pr"
        curves, prevalence = _rates(sets, kind, sigmas(sigma))
        with writing(), written(output, "replace") as file:
            plot_rates(curves, kind, file, prevalence)
    else:
        reported = next(iter(sets.values()))
        cards = [_card(reported, scored_name(reported.results, name), frames, at or ()) for name in videos_ or ()]
        with writing(), written(output, "replace") as file:
            plot_videos(cards, file, text)
    show(f"plot: {escape(shown(output))}")


def _named(run: str) -> tuple[str, str | None]:
    """Name for the legend, and id."""
    name, equals, run_id = run.rpartition("=")
    return (name, run_id) if equals else (run, run)


def _rates(
    sets: dict[str, ReportedSet], kind: Literal["roc", "pr"], sigmas: tuple[Sigma, ...]
) -> tuple[dict[str, Curve], float]:
    """Legend to curve; and the labelled part of the frames of the first."""
    from lavad_core.errors import InputError
    from lavad_core.evaluation.compute import evaluate
    from lavad_core.evaluation.options import EvaluationOptions

    curves: dict[str, Curve] = {}
    prevalence = []
    for name, reported in sets.items():
        if reported.dataset is None:
            raise InputError(f"there are no labels for {reported.results.set_id}: give --dataset and --labels")
        found = evaluate(reported.dataset, reported.results, EvaluationOptions(sigmas=sigmas, resamples=0))
        own = found.roc if kind == "roc" else found.precision_recall
        final = found.rows[0].name
        for row, drawn in own.items():
            if len(sets) == 1:
                curves[row] = drawn
            elif row.startswith(final):  # of several runs the final scores only, by the runs' names
                curves[f"{name}{row.removeprefix(final)}"] = drawn
        prevalence.append(found.header.positive / max(found.header.frames, 1))
    return curves, prevalence[0]


def _card(reported: ReportedSet, name: str, frames: int, at: Sequence[str]) -> VideoCard:
    """A video with its key frames, as far as it is at hand."""
    from lavad_core.errors import InputError
    from lavad_core.reports.pictures import VideoCard, video_card
    from lavad_core.reports.video import frames_at, key_frames

    report = reported.report(name)
    wanted = frames_at(report, at) if at else key_frames(report, frames) if frames else []
    try:
        return video_card(report, reported.video(name, report.frames), wanted) if wanted else VideoCard(report)
    except InputError as error:
        say(f"without key frames: {escape(error)}")
        return VideoCard(report)
