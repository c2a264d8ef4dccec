"""Options of the commands that read a data set's labels, and the data set that they give."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from lavad_core.datasets.types import Dataset

DatasetName = Annotated[
    str | None,
    typer.Option("--dataset", help="Whose labels (`lavad dataset list`).", metavar="ADAPTER", show_default=False),
]
Labels = Annotated[
    Path | None,
    typer.Option(
        "--labels", help="The data set's file of labels, or its folder of masks.", metavar="PATH", show_default=False
    ),
]
ListFile = Annotated[
    Path | None,
    typer.Option(
        "--list",
        help="The data set's list of videos, with frame counts or without.",
        metavar="FILE",
        show_default=False,
    ),
]
Videos = Annotated[
    Path | None,
    typer.Option("--videos", help="Folder of the data set's videos.", metavar="DIR", show_default=False),
]


def opened(name: str, labels: Path | None, list_: Path | None, videos: Path | None = None) -> Dataset:
    """The data set that the options give; what a user should know of its files goes to stderr.

    Raises:
        InputError: see :func:`lavad_core.datasets.registry.open_dataset`.
    """
    from deployments.cli.text import inert, say
    from lavad_core.datasets.registry import open_dataset

    dataset = open_dataset(name, labels, list_, videos=videos)
    for note in dataset.notes:
        say(f"{inert(dataset.title)}: {inert(note)}")
    return dataset
