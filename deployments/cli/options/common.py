"""Options that several commands share, and the configuration that they give."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lavad.deployments.cli.options import complete
from lavad_core.location import STORES, address_scheme, s3_home, shown, why_not_local

if TYPE_CHECKING:
    from lavad_core.config.load import LoadedConfig
    from lavad_core.video.types import VideoSource


def folder(text: str | Path) -> Path:
    """A path that was given, or a default. Not the path of nothing, which is the current folder: an unset variable would
    scatter results there."""
    if not str(text).strip():
        raise typer.BadParameter("the path is empty; is a variable not set? The current folder is '.'")
    return Path(text)


def place(text: str | Path) -> Path:
    """A path that was given, or the home of an ``s3://`` address."""
    if address_scheme(text) == "s3":
        try:
            return s3_home(text)
        except ValueError as error:
            raise typer.BadParameter(str(error)) from None
    return folder(text)


def store_folder(text: str | Path) -> Path:
    """The folder of a store, or the home of an ``s3://`` address."""
    if address_scheme(text) != "s3" and (why := why_not_local(text, STORES, "")):
        raise typer.BadParameter(why)
    return place(text)


Preset = Annotated[
    str | None,
    typer.Option(
        help="A preset of the package (`lavad config presets`).", metavar="NAME", autocompletion=complete.presets
    ),
]
ConfigFiles = Annotated[
    list[Path] | None,
    typer.Option(
        "--config", help="YAML file of settings; may be repeated, the later wins.", metavar="FILE", parser=place
    ),
]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", help="One setting, such as window.samples=5; wins over everything.", metavar="KEY=VALUE"),
]
StoreFolder = Annotated[
    Path | None,
    typer.Option(
        "--store",
        help="Folder of results, or s3://BUCKET/PREFIX; the same as --set store=DIR.",
        metavar="DIR",
        parser=store_folder,
    ),
]
RunId = Annotated[
    str | None,
    typer.Argument(
        metavar="RUN", help="Id or name of a run; the latest if not given.", autocompletion=complete.results
    ),
]
Video = Annotated[
    str,
    typer.Argument(
        metavar="VIDEO", help="Name of the video, as `lavad status` prints it.", autocompletion=complete.videos
    ),
]
Run = Annotated[
    str | None,
    typer.Option(
        "--run",
        help="A run or an import, by its id or name; the latest if not given.",
        metavar="RUN",
        autocompletion=complete.results,
    ),
]
RunName = Annotated[
    str | None,
    typer.Option("--name", help="A name for the run or import; it can be given wherever an id can.", metavar="NAME"),
]
Limit = Annotated[
    int | None,
    typer.Option("--limit", min=1, help="Only the first N of the videos.", metavar="N"),
]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON document on stdout in place of tables.")]
"""For every command that prints facts; :func:`lavad.deployments.cli.terminal.json_output.show_document` prints them."""


@dataclass(frozen=True)
class ConfigurationGroup:
    """A configuration: ``--store`` wins over everything else."""

    preset: Preset = None
    """Name of a preset."""
    config: ConfigFiles = None
    """Files of settings; later ones win."""
    set_: Overrides = None
    """``PATH=VALUE`` for single settings; they win over files."""
    store: StoreFolder = None
    """Folder of the store."""

    def load(self, *more: str, labels: Path | None = None) -> LoadedConfig:
        """The configuration, with origins; ``more`` are further settings, ``KEY=VALUE``. A message names those that have no
        effect.

        Raises:
            ConfigError: a key is unknown or a value not allowed.
        """
        from lavad_core.config.load import load

        paths = {"store": self.store, "evaluate.labels": labels}
        own = [f"{key}={path}" for key, path in paths.items() if path is not None]
        loaded = load(preset=self.preset, files=self.config or (), overrides=[*(self.set_ or ()), *more, *own])
        if self.config or self.set_:
            from lavad.deployments.cli.terminal.text import say
            from lavad_core.pipeline.unread_settings import captioners_of_both, without_effect

            for line in filter(None, (*without_effect(loaded), captioners_of_both(loaded))):
                say(line)
        return loaded


def limited(sources: Sequence[VideoSource], limit: int | None) -> Sequence[VideoSource]:
    """The first ``limit`` of the videos that were found, in the order of the search; a message counts those left out."""
    from lavad.deployments.cli.terminal.text import say

    if limit is not None and limit < len(sources):
        say(f"--limit: the first {limit} of {len(sources)} videos")
    return sources[:limit]


def store_root(store: Path | None) -> Path:
    """The store's folder for commands that only read it.

    Raises:
        StoreUnavailable: it is not there.
    """
    from lavad_core.config.load import load_config
    from lavad_core.errors import StoreUnavailable
    from lavad_core.store.presence import store_exists

    # The environment's other settings may belong to a kind of model that only a preset or file chooses: not looked at here.
    environ = {name: os.environ[name] for name in ("LAVAD_STORE",) if name in os.environ}
    root = load_config(overrides=[] if store is None else [f"store={store}"], environ=environ).store
    if not store_exists(root):
        raise StoreUnavailable(f"there is no store at {shown(root)!r}; name it with --store DIR or LAVAD_STORE")
    return root
