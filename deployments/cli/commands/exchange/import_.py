"""``lavad import``: somebody else's results as a set of results, or as settings of a run that goes on from them."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lavad.deployments.cli.exits import Exit, guarded
from lavad.deployments.cli.options import common as options
from lavad.deployments.cli.options.dataset import LabelGroup
from lavad.deployments.cli.options.group import grouped
from lavad.deployments.cli.terminal.json_output import show_document
from lavad.deployments.cli.terminal.text import escape, say, show, show_table
from lavad_core.location import shown
from lavad_core.plain_text import first_few
from lavad_core.stage_names import Until

if TYPE_CHECKING:
    from lavad_core.imports.per_video import ImportSources
    from lavad_core.results.record import RecordedImport

SHOWN = 20
"""Problems and notes that are printed; all are counted."""

PER_VIDEO = "folder or archive (.tar.xz, .tar.gz, .zip) with a file for each video, or one .json file of all"


@dataclass(frozen=True)
class SourceGroup:
    """Where the results are."""

    layout: Annotated[
        Path | None,
        typer.Option(
            "--layout", help="Folder in the layout of the authors' program.", metavar="DIR", parser=options.place
        ),
    ] = None
    scores: Annotated[
        Path | None,
        typer.Option(
            "--scores",
            help=f"Final scores: {PER_VIDEO}: `{{frame: score}}` (.json), .npy or .csv.",
            metavar="PATH",
            parser=options.place,
        ),
    ] = None
    raw_scores: Annotated[
        Path | None,
        typer.Option(
            "--raw-scores", help="The language model's own scores, the same way.", metavar="PATH", parser=options.place
        ),
    ] = None
    segments: Annotated[
        Path | None,
        typer.Option(
            "--segments",
            help="Segments in place of scores: CSV or JSON of video, start, end, score.",
            metavar="FILE",
            parser=options.place,
        ),
    ] = None
    captions: Annotated[
        list[str] | None,
        typer.Option(
            "--captions", help="Captions of a captioner, `{frame: text}`; may be repeated.", metavar="NAME=PATH"
        ),
    ] = None
    cleaned: Annotated[
        Path | None, typer.Option("--cleaned", help="Cleaned captions.", metavar="PATH", parser=options.place)
    ] = None
    summaries: Annotated[
        Path | None, typer.Option("--summaries", help="Summaries.", metavar="PATH", parser=options.place)
    ] = None

    def files(self) -> ImportSources:
        """What is named file by file, beside ``layout``."""
        from lavad_core.imports.per_video import ImportSources

        if self.scores is not None and self.segments is not None:
            raise typer.BadParameter("give --scores or --segments, not both")
        named: dict[str, Path] = {}
        for text in self.captions or ():
            name, equals, path = text.partition("=")
            if not (name.strip() and equals and path.strip()) or name in named:
                raise typer.BadParameter(
                    f"{escape(text)!r} is not NAME=PATH with a name of its own", param_hint="--captions"
                )
            named[name] = options.place(path)
        return ImportSources(self.scores, self.raw_scores, self.segments, named, self.cleaned, self.summaries)


@guarded
@grouped
def import_(
    *,
    given: SourceGroup,
    settings: Annotated[
        Path | None,
        typer.Option(
            "--settings",
            help="Import nothing, but print settings with which `lavad run --config FILE` goes on from the files of a folder "
            "in the authors' layout.",
            metavar="DIR",
        ),
    ] = None,
    until: Annotated[
        Until | None,
        typer.Option("--until", help="With --settings: leave out what comes after; the run computes it."),
    ] = None,
    labels: LabelGroup,
    interval: Annotated[
        int | None,
        typer.Option("--interval", min=1, help="Frames from one score to the next; as in the files if not given."),
    ] = None,
    interpolate: Annotated[
        bool,
        typer.Option(
            "--interpolate", help="Scores of fewer frames, such as every 32nd, are interpolated to --interval."
        ),
    ] = False,
    frame_rate: Annotated[
        float | None,
        typer.Option("--frame-rate", min=0.001, help="Frames a second, where the data set does not say."),
    ] = None,
    name: options.RunName = None,
    store: options.StoreFolder = None,
    json_: options.AsJson = False,
) -> None:
    """Read scores and texts that were made elsewhere, and check them against the videos of a data set. What is imported is
    listed by `lavad status --all`, and its id or name is a RUN for `lavad evaluate`, `lavad report` and `lavad export`."""
    from lavad_core.config.load import load_config
    from lavad_core.imports.layout import find_layout
    from lavad_core.results.record import record_import
    from lavad_core.runs.manifest import checked_name

    if settings is not None:
        from lavad_core.imports.run_settings import run_settings

        show(run_settings(settings, until, given.files()).rstrip())
        return
    if until is not None:
        raise typer.BadParameter("it belongs to --settings", param_hint="--until")
    if interpolate and interval is None:
        raise typer.BadParameter(
            "it needs --interval, the frames from one score to the next", param_hint="--interpolate"
        )
    if name is not None:
        checked_name(name)
    sources = given.files() if given.layout is None else find_layout(given.layout, given.files())
    dataset = labels.opened() if labels.any else None
    root = load_config(overrides=[] if store is None else [f"store={store}"]).store
    recorded = record_import(
        root,
        sources,
        dataset,
        videos=labels.videos,
        interval=interval,
        frame_rate=frame_rate,
        name=name,
        interpolate=interpolate,
    )
    _tell(recorded)
    if json_:
        show_document("import", _as_json(recorded))
    else:
        _table(recorded)
        where = f"--run {recorded.run.run_id} --store {escape(shlex.quote(shown(root)))}"
        say(f"import {recorded.run.run_id} is in {escape(shown(root))}: `lavad evaluate {where} --dataset …`")
    if recorded.report.problems or any(video.status == "failed" for video in recorded.run.videos):
        raise typer.Exit(Exit.SOME_FAILED)


def _tell(recorded: RecordedImport) -> None:
    """Problems and notes, on stderr."""
    missing = [video for video in recorded.run.videos if video.status == "failed"]
    for kind, lines in (("", recorded.report.problems), ("note: ", recorded.report.notes)):
        for line in lines[:SHOWN]:
            say(f"{kind}{escape(line)}")
        if len(lines) > SHOWN:
            say(f"{kind}… {len(lines) - SHOWN} more")
    if missing:
        named = first_few(missing, show=lambda video: escape(repr(video.name)))
        say(f"{len(missing)} of {len(recorded.run.videos)} videos have no scores, and are counted as unscored: {named}")


def _table(recorded: RecordedImport) -> None:
    show_table(
        ("source", "name", "files", "SHA-256"),
        [
            (role, source["name"], source["files"], str(source["sha256"])[:16])
            for role, source in recorded.report.sources.items()
        ],
        right=(2,),
    )
    counts, facts = recorded.commit.counts, recorded.commit.facts
    say(
        f"{counts['videos_scored']} of {counts['videos_expected']} videos, {counts['frames']} frames, a score for every "
        f"{facts['interval']}; digest {recorded.commit.key.fingerprint}"
    )


def _as_json(recorded: RecordedImport) -> dict[str, Any]:
    from lavad_core.results.imported import video_digests

    return {
        "run": recorded.run.run_id,
        "digest": recorded.commit.key.fingerprint,
        **{name: recorded.commit.facts[name] for name in ("interval", "frame_rate", "captioners", "dataset")},
        **recorded.commit.counts,
        "sources": recorded.report.sources,
        "unscored": {video.name: video.message for video in recorded.run.videos if video.status == "failed"},
        "problems": recorded.report.problems,
        "notes": recorded.report.notes,
        "videos": video_digests(recorded.commit),
    }
