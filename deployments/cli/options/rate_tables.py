"""Options of the commands that plan: which rates hours are computed from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lavad.deployments.cli.options import common as options
from lavad.deployments.cli.options import complete

if TYPE_CHECKING:
    from lavad_core.config.schema import LavadConfig
    from lavad_core.planning.rates import RateTable


@dataclass(frozen=True)
class RatesGroup:
    """Rates: the user's table before a run's before the package's."""

    rates: Annotated[
        Path | None,
        typer.Option(
            "--rates", help="Your own table of rates (docs/planning.md).", metavar="FILE", parser=options.place
        ),
    ] = None
    """File of the user's table."""
    rates_from: Annotated[
        str | None,
        typer.Option(
            "--rates-from",
            help="Rates as measured by an earlier run of the store.",
            metavar="RUN",
            autocompletion=complete.runs,
        ),
    ] = None
    """Id or name of a run."""

    def table(self, config: LavadConfig) -> RateTable:
        """The rates for a configuration, in whose store the run is.

        Raises:
            InputError: there is no such run, or the file cannot be read.
        """
        from lavad_core.planning.rates import packaged_rates, rates_of_run, read_rates
        from lavad_core.runs.manifest import load_run

        table = packaged_rates()
        if self.rates_from is not None:
            table = rates_of_run(load_run(config.store, self.rates_from, "run")).over(table)
        return table if self.rates is None else read_rates(self.rates).over(table)


def three_figures(hours: float | None) -> str:
    """Three figures that count; nothing where there are no hours."""
    return "" if hours is None else f"{hours:.3g}" if hours < 100 else f"{hours:.0f}"
