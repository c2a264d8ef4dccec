"""Videos whose file is no longer at its place, in words."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from lavad.deployments.cli.terminal.set_lines import store_option
from lavad.deployments.cli.terminal.text import escape
from lavad_core.plain_text import first_few, number_of

if TYPE_CHECKING:
    from lavad_core.runs.manifest import RunManifest

GONE = "missing"
"""Reason of a rejection: no file of a video is at its place."""


def missing_files(manifest: RunManifest) -> str:
    """Where the run looked for videos whose file is gone, and the ways out: a retry looks at the same place. Empty if none is
    gone."""
    from lavad_core.config.load import load_recorded
    from lavad_core.errors import InputError, StoreError
    from lavad_core.location import shown
    from lavad_core.runs.video_list import load_sources

    names = {video.name for video in manifest.videos if video.reason == GONE}
    if not names:
        return ""
    paths: list[Path] = []
    try:
        listed = load_sources(load_recorded(manifest.config).store, manifest.run_id)
        paths = [source.path for source in (*listed.own, *listed.earlier) if source.name in names]
    except (InputError, StoreError):  # the names are in the table all the same
        pass
    where = f" ({first_few(paths, show=lambda path: escape(repr(shown(path))))})" if paths else ""
    return (
        f"{number_of(len(names), 'video', 'are')} missing at the place where this run looks{where}. Put back, "
        f"`lavad retry {manifest.run_id}{store_option(manifest)}` finds them; if they were moved, give `lavad run` the folder "
        "where they are now: results are found by content, and what is finished is not computed again"
    )
