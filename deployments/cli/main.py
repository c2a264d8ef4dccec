"""The ``lavad`` command. Heavy imports (torch, Prefect) wait for the commands that need them."""

from __future__ import annotations

if __name__ == "__main__":
    from lavad.deployments.cli.early import install

    install()

import io
import logging
import os
import sys
from collections.abc import Callable
from typing import Annotated, Any

import typer

import lavad_core
from lavad.deployments.cli import early, panels
from lavad.deployments.cli.commands.evaluate import dataset, study
from lavad.deployments.cli.commands.evaluate.compare import compare
from lavad.deployments.cli.commands.evaluate.evaluate import evaluate
from lavad.deployments.cli.commands.evaluate.leaderboard import leaderboard
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
from lavad.deployments.cli.commands.run.watch import watch
from lavad.deployments.cli.exits import EPILOG, Debug, Exit, QuickExit, SignalReceived, flush, output_lost
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
COMMANDS: dict[str, dict[str, tuple[Callable[..., Any] | typer.Typer, str]]] = {
    panels.RUN: {
        "demo": (demo, "Render clips of a small world, and score them."),
        "plan": (plan, "What a run would cost, without loading a model."),
        "run": (run, "Score videos."),
        "watch": (watch, "Score videos as they arrive in a folder, and tell what is found."),
        "retry": (retry, "Try the videos of a run again that have no scores."),
    },
    panels.LOOK: {
        "status": (status, "How runs ended, and each of their videos."),
        "show": (show_video, "The scores, texts or segments of a video."),
        "report": (report, "Write pages about a run or an import."),
        "overlay": (overlay, "Write a video with its scores below it."),
        "plot": (plot, "Draw score curves with key frames, ROC or precision-recall."),
    },
    panels.EVALUATE: {
        "dataset": (dataset.app, "Data sets: which can be read, and whether yours is complete."),
        "evaluate": (evaluate, "Metrics of results against labels, with intervals."),
        "compare": (compare, "Whether one set of results is better than another."),
        "leaderboard": (leaderboard, "Published results on a data set, with yours among them."),
        "study": (study.app, "The paper's tables, and tables of your own, each by one command."),
        "threshold": (threshold, "Choose the threshold of segments on labelled videos."),
    },
    panels.EXCHANGE: {
        "import": (import_, "Read scores and texts that were made elsewhere."),
        "export": (export, "Write results for other programs."),
    },
    panels.MAINTAIN: {
        "doctor": (doctor, "Whether the configured run would work here."),
        "download": (download, "Fetch the models of the configuration."),
        "config": (config.app, "Show the configuration, its schema and the presets."),
        "store": (store.app, "List, verify and tidy the stored results."),
    },
}
"""Panel to command to what runs it, and what ``lavad --help`` says about it in one line."""

for _panel, _commands in COMMANDS.items():
    for _name, (_does, _help) in _commands.items():
        if isinstance(_does, typer.Typer):
            app.add_typer(_does, name=_name, short_help=_help, rich_help_panel=_panel)
        else:
            app.command(_name, short_help=_help, rich_help_panel=_panel)(_does)


def _version(wanted: bool) -> None:
    if wanted:
        show(lavad_core.__version__)
        flush()
        raise typer.Exit


OWN_SIGNALS = frozenset({"run", "watch", "retry", "demo", "download", "study"})
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
    if not any(isinstance(handler, _Stderr) for handler in log.handlers):
        log.addHandler(_Stderr())


class _Stderr(logging.Handler):
    """Log records as lines on whatever stderr is at the moment; the flow's own are left to the progress display."""

    def emit(self, record: logging.LogRecord) -> None:
        if Debug.on or (record.levelno >= logging.WARNING and record.name != "lavad_core.flow"):
            say(f"{record.levelname.lower()}: {escape(record.getMessage())}")


def main() -> None:
    """Run the command that ``sys.argv`` names, and end the process."""
    code = _run()
    if QuickExit.at_once:
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
    except SignalReceived as stop:
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
