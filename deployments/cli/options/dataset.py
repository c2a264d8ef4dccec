"""Options of the commands that read a data set's labels, and the data set that they give."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lavad.deployments.cli.options import common as options

if TYPE_CHECKING:
    from lavad_core.datasets.types import Dataset

DatasetName = Annotated[
    str | None,
    typer.Option("--dataset", help="Whose labels (`lavad dataset list`).", metavar="ADAPTER"),
]
Labels = Annotated[
    Path | None,
    typer.Option(
        "--labels", help="The data set's file of labels, or its folder of masks.", metavar="PATH", parser=options.place
    ),
]
ListFile = Annotated[
    Path | None,
    typer.Option(
        "--list",
        help="The data set's list of videos, with frame counts or without.",
        metavar="FILE",
        parser=options.place,
    ),
]
Videos = Annotated[
    Path | None,
    typer.Option("--videos", help="Folder of the data set's videos.", metavar="DIR", parser=options.place),
]
FirstFrame = Annotated[
    int | None,
    typer.Option(
        "--first-frame",
        min=0,
        max=1,
        help="What a file of intervals calls the first frame; as the data set is published if not given.",
        metavar="0|1",
    ),
]


@dataclass(frozen=True)
class LabelGroup:
    """A data set's files, and how they are read."""

    adapter: DatasetName = None
    """Key of the data set."""
    labels: Labels = None
    """File of its labels."""
    list_: ListFile = None
    """List of its videos."""
    first_frame: FirstFrame = None
    """Number of a video's first frame in the labels, 0 or 1; None as it is published."""
    tolerance: Annotated[
        int,
        typer.Option(
            "--frame-count-tolerance",
            min=0,
            max=15,  # config.schema.MAX_FRAME_COUNT_TOLERANCE, without importing it
            help="The list may count this many frames more than the scores of a video cover; they are left out, and the "
            "protocol says so.",
            metavar="N",
        ),
    ] = 0
    videos: Videos = None
    """Folder of its videos."""

    @property
    def any(self) -> bool:
        """Whether labels are given at all."""
        return self.adapter is not None or self.labels is not None or self.list_ is not None

    def dataset(self) -> Dataset:
        """The data set that the options give, by an adapter or of a temporal annotation alone; its notes are among the
        evaluation's warnings.

        Raises:
            InputError: see :func:`lavad_core.datasets.catalogue.open_dataset`.
        """
        from lavad_core.datasets.configured import open_labels
        from lavad_core.datasets.types import LabelReading

        if self.adapter is None and self.labels is None:
            raise typer.BadParameter(
                "whose labels? Give --dataset ADAPTER (`lavad dataset list`), or --labels with a temporal annotation alone",
                param_hint="--dataset",
            )
        if self.adapter is None and self.list_ is not None:
            raise typer.BadParameter("a list is read by a data set's adapter: give --dataset", param_hint="--list")
        reading = LabelReading(self.first_frame, self.tolerance)
        return open_labels(self.labels, self.adapter, self.list_, self.videos, reading)

    def opened(self) -> Dataset:
        """:meth:`dataset`; what a user should know about its files goes to stderr."""
        from lavad.deployments.cli.terminal.text import escape, say

        dataset = self.dataset()
        for note in dataset.notes:
            say(f"{escape(dataset.title)}: {escape(note)}")
        return dataset
