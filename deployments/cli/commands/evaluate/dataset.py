"""``lavad dataset``: what a data set's files hold, and what is missing, before a long run."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lavad.deployments.cli.exits import Exit, guarded
from lavad.deployments.cli.options import common as options
from lavad.deployments.cli.options.dataset import FirstFrame, ListFile, Videos
from lavad.deployments.cli.terminal.json_output import show_document, show_json
from lavad.deployments.cli.terminal.text import escape, say, show, show_table
from lavad_core.plain_text import number_of

if TYPE_CHECKING:
    from lavad_core.datasets.findings import CheckReport
    from lavad_core.errors import VideoRejected
    from lavad_core.video.types import VideoSource

app = typer.Typer(no_args_is_help=True, help="Data sets: which can be read, and whether yours is complete.")

PROGRESS_EVERY = 25
"""Videos counted from one line of progress to the next."""

FIGURES = {
    "videos": "videos",
    "anomalous": "anomalous videos",
    "classes": "classes",
    "intervals": "annotated intervals",
    "frames": "frames",
    "positive": "labelled frames",
    "clipped": "intervals past the end",
}


@app.command("list", short_help="The data sets that can be read, and which files each needs.")
@guarded
def list_(json_: options.AsJson = False) -> None:
    """The data sets that can be read, which files each needs, and where they are published."""
    from lavad_core.datasets.catalogue import ADAPTERS

    rows = [
        {
            "adapter": name,
            "title": adapter.title,
            "labels": adapter.labels,
            "list": adapter.list_file,
            "published": adapter.published,
        }
        for name, adapter in ADAPTERS.items()
    ]
    if json_:
        show_json(rows)
        return
    show_table(("adapter", "data set", "labels", "list", "published"), [tuple(row.values()) for row in rows])


@app.command("check", short_help="Compare files with published figures, and with videos.")
@guarded
def check(
    adapter: Annotated[str, typer.Argument(metavar="ADAPTER", help="A name of `lavad dataset list`.")],
    paths: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="PATH",
            help="File of labels or folder of masks, then the list, if there is one.",
            parser=options.place,
        ),
    ] = None,
    list_file: ListFile = None,
    first_frame: FirstFrame = None,
    videos: Videos = None,
    count: Annotated[
        bool, typer.Option("--count/--no-count", help="Decode the videos and count their frames, as a run does.")
    ] = True,
    store: Annotated[
        Path | None,
        typer.Option(
            "--store",
            help="Keep the counts in this store; a run with it does not count again.",
            metavar="DIR",
            parser=options.store_folder,
        ),
    ] = None,
    json_: options.AsJson = False,
) -> None:
    """Compare a data set's files with the published figures, and with the videos. Exit code 1 if something is missing."""
    from lavad_core.datasets.catalogue import open_dataset
    from lavad_core.datasets.check import check_dataset
    from lavad_core.datasets.types import LabelReading

    given = [*(paths or [])]
    if len(given) > 2 or (len(given) == 2 and list_file is not None):
        raise typer.BadParameter("labels and one list, no more", param_hint="PATH")
    labels = given[0] if given else None
    if adapter == "folder" and videos is None:
        videos = labels
    reading = LabelReading(first_frame)
    dataset = open_dataset(adapter, labels, given[1] if len(given) == 2 else list_file, videos=videos, reading=reading)
    if videos is None:
        report = check_dataset(dataset)
    else:
        from lavad_core.video.discover import discover

        sources = discover([videos])
        if not count:
            report = check_dataset(dataset, sources)
        elif store is None:
            report = check_dataset(dataset, sources, _counter(len(sources), _decoded()))
        else:
            report = check_dataset(dataset, sources, *_with_store(len(sources), store))
    if json_:
        show_document("dataset-check", {**dataclasses.asdict(report), "ok": report.ok})
    else:
        _show(report)
    errors = sum(finding.level == "error" for finding in report.findings)
    warnings = number_of(len(report.findings) - errors, "warning")
    say(f"{escape(report.title)}: {number_of(errors, 'error')}, {warnings}")
    if not report.ok:
        raise typer.Exit(Exit.SOME_FAILED)


def _show(report: CheckReport) -> None:
    here = dataclasses.asdict(report.here)
    headers = ["", "here"]
    rows = [[words, _count(here[key])] for key, words in FIGURES.items()]
    if report.part:
        headers.append(f"published ({report.part})")
        for row, key in zip(rows, FIGURES, strict=True):
            row.append(_count(report.published.get(key)))
    show_table(headers, rows, right=(1, 2))
    show("")
    show_table(
        ("file", "name", "SHA-256"),
        [(file["role"], file["name"], file["sha256"]) for file in report.files]
        + [("labels", "(names and intervals)", report.labels_sha256)],
    )
    if report.findings:
        show("")
    for finding in report.findings:
        show(f"{finding.level}: {escape(finding.message)}")


def _count(value: int | None) -> str:
    return "?" if value is None else f"{value:,}"


def _counter(total: int, frames_of: Callable[[VideoSource], int]) -> Callable[[VideoSource], int]:
    """Counts a video's frames and says how far it is."""
    counted = 0
    say(f"counting the frames of up to {number_of(total, 'video')}; --no-count leaves that out")

    def frames(source: VideoSource) -> int:
        nonlocal counted
        counted += 1
        if not counted % PROGRESS_EVERY:
            say(f"{counted} of up to {total}")
        return frames_of(source)

    return frames


def _decoded() -> Callable[[VideoSource], int]:
    from lavad_core.video.decoder import probe

    video = options.ConfigurationGroup().load().config.video
    return lambda source: probe(source, video.limits, video.folder_frame_rate).frames


def _with_store(
    total: int, store: Path
) -> tuple[Callable[[VideoSource], int], Callable[[VideoSource, VideoRejected], bool]]:
    """Counts frames through the stage that a run begins with, so that a run finds its result; says which videos are known to be
    bad."""
    from lavad_core.errors import VideoRejected
    from lavad_core.pipeline.execute import run_stage
    from lavad_core.pipeline.resources import RunResources
    from lavad_core.runs.known_bad import is_known
    from lavad_core.runs.records import StageRecord

    config = options.ConfigurationGroup(store=store).load().config
    # Probing needs no model: which ones a run will have does not matter to its result's name.
    resources = RunResources(config, dict.fromkeys(config.models, "?"))

    def frames(source: VideoSource) -> int:
        return int(
            run_stage(resources, resources.prepare(source), "probe", StageRecord(source.name, "", "probe", "")).facts[
                "frames"
            ]
        )

    def is_bad(source: VideoSource, error: VideoRejected) -> bool:
        try:
            return is_known(resources.store, resources.prepare(source).video_id, error)
        except VideoRejected:  # its content cannot be read at all
            return False

    return _counter(total, frames), is_bad
