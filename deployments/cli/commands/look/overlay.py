"""``lavad overlay``: a video with its scores."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lavad.deployments.cli.exits import guarded
from lavad.deployments.cli.options import common as options
from lavad.deployments.cli.options.group import grouped
from lavad.deployments.cli.options.shown import ShownGroup, counting_bar, writing
from lavad.deployments.cli.terminal.text import escape, show
from lavad_core.location import shown


@guarded
@grouped
def overlay(
    *,
    video: options.Video,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The file, .mp4; replaced if it exists.", parser=options.place)
    ],
    given: ShownGroup,
) -> None:
    """Write a video with its scores: its frames, below them what the score is of, and the curve with the current moment.

    Labelled events are shaded. It has as many frames as the source, each at its own time; H.264 in MP4.
    """
    from lavad_core.remote_files import written
    from lavad_core.reports.overlay import write_overlay
    from lavad_core.results.find import scored_name

    if output.suffix.lower() != ".mp4":
        raise typer.BadParameter(f"{str(output)!r}: an overlay is an .mp4 file", param_hint="--output")
    reported = given.open()
    found = reported.report(scored_name(reported.results, video))
    own = reported.video(found.name, found.frames)
    if output == own.source.path or (output.exists() and output.samefile(own.source.path)):
        raise typer.BadParameter(f"{str(output)!r} is the video itself", param_hint="--output")
    with writing(), written(output, "replace") as file, counting_bar(found.frames, "frames") as done:
        write_overlay(found, own, file, done)
    show(f"overlay: {escape(shown(output))}")
