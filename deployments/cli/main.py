"""The ``lavad`` command. Heavy imports (torch, Prefect) wait for the commands that need them."""

from __future__ import annotations

if __name__ == "__main__":
    from lavad.deployments.cli.early import install

    install()

import io
import logging
import os
import sys
from typing import Annotated, Any

import typer

import lavad_core
from lavad.deployments.cli import early, panels
from lavad.deployments.cli.commands.evaluate import dataset
from lavad.deployments.cli.commands.evaluate.compare import compare
from lavad.deployments.cli.commands.evaluate.evaluate import evaluate
from lavad.deployments.cli.commands.evaluate.threshold import threshold
from lavad.deployments.cli.commands.exchange.export import export
from lavad.deployments.cli.commands.exchange.import_ import import_
from lavad.deployments.cli.commands.look.overlay import overlay
from lavad.deployments.cli.commands.look.plot import plot
from lavad.deployments.cli.commands.look.report import report
from lavad.deployments.cli.commands.look.show import show_video
from lavad.deployments.cli.commands.look.status import status
from lavad.deployments.cli.commands.maintain import config, store
from lavad.deployments.cli.commands.maintain.doctor import doctor
from lavad.deployments.cli.commands.maintain.download import download
from lavad.deployments.cli.commands.run.demo import demo
from lavad.deployments.cli.commands.run.plan import plan
from lavad.deployments.cli.commands.run.run import retry, run
from lavad.deployments.cli.exits import EPILOG, Debug, Exit, Interrupted, Leave, flush, output_lost
from lavad.deployments.cli.terminal.text import OutputLost, escape, prepare_streams, say, show, to_stdout

app = typer.Typer(
    name="lavad",
    cls=panels.Panels,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    epilog=EPILOG,
    help="LAVAD: anomaly scores for the frames of videos, without training. Data goes to stdout, the rest to stderr.",
)
app.command("demo", rich_help_panel=panels.RUN)(demo)
app.command("plan", rich_help_panel=panels.RUN)(plan)
app.command("run", rich_help_panel=panels.RUN)(run)
app.command("retry", rich_help_panel=panels.RUN)(retry)
app.command("status", rich_help_panel=panels.LOOK)(status)
app.command("show", rich_help_panel=panels.LOOK)(show_video)
app.command("report", rich_help_panel=panels.LOOK)(report)
app.command("overlay", rich_help_panel=panels.LOOK)(overlay)
app.command("plot", rich_help_panel=panels.LOOK)(plot)
app.add_typer(dataset.app, name="dataset", rich_help_panel=panels.EVALUATE)
app.command("evaluate", rich_help_panel=panels.EVALUATE)(evaluate)
app.command("compare", rich_help_panel=panels.EVALUATE)(compare)
app.command("threshold", rich_help_panel=panels.EVALUATE)(threshold)
app.command("import", rich_help_panel=panels.EXCHANGE)(import_)
app.command("export", rich_help_panel=panels.EXCHANGE)(export)
app.command("doctor", rich_help_panel=panels.MAINTAIN)(doctor)
app.command("download", rich_help_panel=panels.MAINTAIN)(download)
app.add_typer(config.app, name="config", rich_help_panel=panels.MAINTAIN)
app.add_typer(store.app, name="store", rich_help_panel=panels.MAINTAIN)


def _version(wanted: bool) -> None:
    if wanted:
        show(lavad_core.__version__)
        flush()
        raise typer.Exit


OWN_SIGNALS = frozenset({"run", "retry", "demo", "download"})
"""Commands that have nothing to tidy: before they take signals themselves (:mod:`lavad.deployments.cli.signals`), or ever."""


@app.callback()
def root(
    context: typer.Context,
    debug: Annotated[bool, typer.Option("--debug", help="Tracebacks and debug messages on stderr.")] = False,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and stop.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    if context.invoked_subcommand not in OWN_SIGNALS:
        early.begin()
    Debug.on = debug or bool(os.environ.get("LAVAD_DEBUG"))
    log = logging.getLogger("lavad_core")
    log.setLevel(logging.DEBUG if Debug.on else logging.INFO)
    if not log.handlers:
        log.addHandler(_Stderr())


class _Stderr(logging.Handler):
    """Log records as lines on whatever stderr is at the moment; the flow's own are left to the progress display."""

    def emit(self, record: logging.LogRecord) -> None:
        if Debug.on or (record.levelno >= logging.WARNING and record.name != "lavad_core.flow"):
            say(f"{record.levelname.lower()}: {escape(record.getMessage())}")


def main() -> None:
    """Run the command that ``sys.argv`` names, and end the process."""
    code = _run()
    if Leave.at_once:
        early.flush_streams()
        os._exit(code)
    early.ends_with(code)
    sys.exit(code)


def _run() -> int:
    prepare_streams()
    try:
        with to_stdout():  # commands guard themselves; the help of typer does not
            code = app(prog_name="lavad", standalone_mode=False)
    except OutputLost as error:
        return output_lost(error)
    except Interrupted as stop:
        return 128 + stop.signal
    except typer.Abort:
        return Exit.INTERRUPTED
    except typer.Exit as end:
        return end.exit_code
    except USAGE_ERROR as error:  # shown as typer would, but for what the user typed: it may hold control characters
        text = io.StringIO()
        error.show(file=text)
        say(text.getvalue().rstrip("\n"))
        return int(error.exit_code)
    return code if isinstance(code, int) else Exit.OK


USAGE_ERROR: Any = next(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException")
"""The base class of usage errors in the click that typer uses, which may be one of its own."""


if __name__ == "__main__":
    main()
