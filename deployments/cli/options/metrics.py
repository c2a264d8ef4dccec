"""Options of the commands that evaluate, and what they give."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lavad.deployments.cli.options import common as options
from lavad.deployments.cli.terminal.text import OutputLost, say, show
from lavad_core.location import shown

if TYPE_CHECKING:
    from lavad_core.evaluation.options import EvaluationOptions
    from lavad_core.evaluation.smoothing import Sigma
    from lavad_core.method.detection import SegmentRule

Sigmas = Annotated[
    list[str] | None,
    typer.Option(
        "--sigma",
        help="Rows with Gaussian smoothing beside the unsmoothed ones; may be repeated. A number is one of scores, which are "
        "another time where scores are stored for other frames: `160f` is frames, `5.3s` seconds.",
        metavar="SIGMA",
    ),
]


def sigmas(given: list[str] | None) -> tuple[Sigma, ...]:
    """The smoothings that :data:`Sigmas` gave.

    Raises:
        InputError: one of them cannot be read.
    """
    from lavad_core.evaluation.smoothing import parse_sigma

    return tuple(parse_sigma(text) for text in given or ())


@dataclass(frozen=True)
class ProtocolGroup:
    """How results are evaluated: smoothing, and the bootstrap."""

    sigma: Sigmas = None
    """Widths of the Gaussian, each with its unit."""
    smooth_again: Annotated[
        bool, typer.Option("--smooth-again", help="Let --sigma smooth scores that their run has smoothed already.")
    ] = False
    resamples: Annotated[
        int,
        typer.Option(
            "--resamples", help="Resamples of the bootstrap over videos; 0 for no intervals.", metavar="N", min=0
        ),
    ] = 1000
    seed: Annotated[int, typer.Option("--seed", help="Seed of the bootstrap.", metavar="N", min=0)] = 0

    def options(self, *events: SegmentRule) -> EvaluationOptions:
        """With the rules of events; one of threshold 0.5 if none is given.

        Raises:
            InputError: a value is out of its range.
        """
        from lavad_core.evaluation.options import EvaluationOptions, event_rules

        return EvaluationOptions(
            sigmas(self.sigma), events or event_rules(), self.resamples, self.seed, self.smooth_again
        )


@dataclass(frozen=True)
class SegmentGroup:
    """How scores become segments, beside the threshold; lengths are in frames."""

    low_threshold: Annotated[
        float | None,
        typer.Option(
            "--low-threshold", help="Events: a segment goes on while scores stay at or above this.", metavar="SCORE"
        ),
    ] = None
    min_length: Annotated[
        int, typer.Option("--min-length", help="Events: shorter segments are left out, frames.", metavar="N", min=1)
    ] = 1
    max_gap: Annotated[
        int, typer.Option("--max-gap", help="Events: gaps up to this are closed, frames.", metavar="N", min=0)
    ] = 0

    def rules(self, *thresholds: float) -> tuple[SegmentRule, ...]:
        """A rule for each threshold, 0.5 if none is given.

        Raises:
            InputError: the lower threshold is above one of them.
        """
        from lavad_core.evaluation.options import event_rules

        return event_rules(thresholds, self.low_threshold, self.min_length, self.max_gap)


@dataclass(frozen=True)
class AnswerGroup:
    """Where a document goes: to stdout, a file, both, or neither."""

    json_: options.AsJson = False
    """Whether to print JSON."""
    output: Annotated[
        Path | None,
        typer.Option("--output", help="Write the JSON there too.", metavar="FILE", parser=options.place),
    ] = None

    def wants_tables(self, document: str) -> bool:
        """Write the document to where it was asked for; whether stdout is still free, for tables.

        Raises:
            OutputLost: the file cannot be written.
        """
        from lavad_core.remote_files import written

        if self.output is not None:
            try:
                with written(self.output, "replace") as file:
                    file.write_text(document, encoding="utf-8")
            except OSError as error:
                raise OutputLost(f"{shown(self.output)!r}: {error.strerror or error}") from error
            say(f"written: {shown(self.output)}")
        if self.json_:
            show(document.rstrip("\n"))
        return not self.json_
