"""Options of the commands that evaluate, and what they give."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lavad.deployments.cli.terminal.text import OutputLost, say

if TYPE_CHECKING:
    from lavad_core.evaluation.smoothing import Sigma

Sigmas = Annotated[
    list[str] | None,
    typer.Option(
        "--sigma",
        help="Rows with Gaussian smoothing beside the unsmoothed ones; may be repeated. A number is one of scores, which are "
        "another time where scores are stored for other frames: `160f` is frames, `5.3s` seconds.",
        metavar="SIGMA",
        show_default=False,
    ),
]
Resamples = Annotated[
    int, typer.Option("--resamples", help="Of the bootstrap over videos; 0 for no intervals.", metavar="N", min=0)
]
Seed = Annotated[int, typer.Option("--seed", help="Of the bootstrap.", metavar="N", min=0)]
Output = Annotated[
    Path | None,
    typer.Option("--output", help="Write the JSON there too.", metavar="FILE", show_default=False),
]

LowThreshold = Annotated[
    float | None,
    typer.Option(
        "--low-threshold",
        help="Events: a segment goes on while scores stay at or above this.",
        metavar="SCORE",
        show_default=False,
    ),
]
MinLength = Annotated[
    int, typer.Option("--min-length", help="Events: shorter segments are left out, frames.", metavar="N", min=1)
]
MaxGap = Annotated[
    int, typer.Option("--max-gap", help="Events: gaps up to this are closed, frames.", metavar="N", min=0)
]

RESAMPLES = 1000


def sigmas(given: list[str] | None) -> tuple[Sigma, ...]:
    """The smoothings that :data:`Sigmas` gave.

    Raises:
        InputError: one is none.
    """
    from lavad_core.evaluation.smoothing import parse_sigma

    return tuple(parse_sigma(text) for text in given or ())


def write_output(path: Path, text: str) -> None:
    """Write a file that the user named, and say so.

    Raises:
        OutputLost: it cannot be written.
    """
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise OutputLost(f"{str(path)!r}: {error.strerror or error}") from error
    say(f"written: {path}")
