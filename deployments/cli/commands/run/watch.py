"""``lavad watch``: files are scored as they arrive, and what is found is told."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lavad.deployments.cli.exits import SAME_AGAIN, flush, guarded
from lavad.deployments.cli.options import common as options
from lavad.deployments.cli.options.group import grouped
from lavad.deployments.cli.terminal.text import escape, say, show
from lavad_core.plain_text import number_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lavad_core.watching.notices import Due
    from lavad_core.watching.receivers import Receiver


@guarded
@grouped
def watch(
    given: options.ConfigurationGroup,
    inputs: Annotated[
        list[str],
        typer.Argument(metavar="FOLDER|FILE…", help="Folders of this machine, and files that may still grow."),
    ],
    webhook: Annotated[
        list[str] | None,
        typer.Option(
            "--webhook",
            help="Address to which each notice is POSTed as JSON, or @FILE that holds it; may be repeated.",
            metavar="ADDRESS",
        ),
    ] = None,
    program: Annotated[
        list[str] | None,
        typer.Option(
            "--program",
            help="Program that is started for each notice and reads it from its standard input: its path, or a list with its "
            "arguments ([/usr/local/bin/tell, --urgent]); no shell is involved. May be repeated.",
            metavar="PATH|LIST",
        ),
    ] = None,
    settle_s: Annotated[
        float,
        typer.Option(
            "--settle-s", help="A file that has not changed for so long is at rest, seconds.", min=0, max=86_400
        ),
    ] = 5.0,
    every_s: Annotated[
        float, typer.Option("--every-s", help="Seconds from one look to the next.", min=0.05, max=3600)
    ] = 2.0,
    most_at_once: Annotated[
        int,
        typer.Option(
            "--most-at-once",
            help="Files that are scored together at most; what was found is told when all of them are.",
            min=1,
            max=10_000,
        ),
    ] = 16,
    keep_models: Annotated[
        bool,
        typer.Option(
            "--keep-models",
            help="Keep the models of this process loaded: the encoder, the chat model and one captioner must fit together.",
        ),
    ] = False,
    pages: Annotated[
        Path | None,
        typer.Option("--pages", help="Folder of the pages; cache/reports of the store if not given.", metavar="DIR"),
    ] = None,
    pages_address: Annotated[
        str, typer.Option("--pages-address", help="Where a web server shows that folder, for links.", metavar="URL")
    ] = "",
    state: Annotated[
        Path | None,
        typer.Option(
            "--state",
            help="File that remembers what is done and told, on a local disk; cache/watch.sqlite of the store if not given.",
            metavar="FILE",
        ),
    ] = None,
    skip_existing: Annotated[
        bool,
        typer.Option("--skip-existing", help="Leave out the files that exist at the start and are not known yet."),
    ] = False,
    once: Annotated[bool, typer.Option("--once", help="Stop when all files are at rest, scored and told.")] = False,
) -> None:
    """Score videos as they come to rest in a folder, and tell what is found: a line of JSON on stdout, a webhook, a program.
    Once for each event, also over restarts."""
    from lavad.deployments.cli.signals import interruptible
    from lavad_core.local_run import check_ahead
    from lavad_core.pipeline.graph import random_models
    from lavad_core.pipeline.resources import RunResources
    from lavad_core.watching.arrivals import Arrivals
    from lavad_core.watching.notices import NoticeBook
    from lavad_core.watching.watcher import Watcher, watchable

    config = watchable(given.load().config)
    arrivals = Arrivals(inputs, settle_s)
    receivers = _receivers(webhook or (), program or ())
    if random := random_models(config):
        say(f"THE SCORES WILL MEAN NOTHING: these models are random: {', '.join(random)}")
    check_ahead(RunResources(config), [])  # what does not fit is said now, not when the first file has arrived
    book_file = config.store / "cache" / "watch.sqlite" if state is None else state
    with interruptible(go_on=SAME_AGAIN), NoticeBook(book_file) as book:
        watcher = Watcher(
            config,
            arrivals,
            book,
            receivers,
            pages=pages,
            pages_address=pages_address,
            most_at_once=most_at_once,
            keep_models=keep_models,
            told=_say_told,
            scored=_say_scored,
        )
        if skip_existing:
            there = Arrivals(inputs, 0.0).at_rest()
            watcher.skip(new := book.waiting(there))
            say(f"left out, since they exist already: {number_of(len(new), 'file')}")
        say(f"watching {', '.join(escape(one) for one in inputs)}; state in {escape(str(book_file))}")
        try:
            while True:
                if not watcher.step():
                    if once and watcher.idle:
                        return
                    time.sleep(every_s)
        finally:
            watcher.close()
            if told := sorted(watcher.latencies_s):
                say(
                    f"told {number_of(len(told), 'time')}; from the end of a file to that: "
                    f"median {told[len(told) // 2]:.1f} s, longest {told[-1]:.1f} s"
                )


def _receivers(webhooks: Sequence[str], programs: Sequence[str]) -> list[Receiver]:
    from lavad_core.config.reading import read_yaml
    from lavad_core.errors import InputError
    from lavad_core.user_files import read_text
    from lavad_core.watching.receivers import Lines, Program, Webhook

    def line(text: str) -> None:
        show(text)
        flush()

    found: list[Receiver] = [Lines(line)]
    for given in webhooks:
        address = read_text(Path(given[1:]), "address of a webhook", 4096).strip() if given.startswith("@") else given
        found.append(Webhook(address))
    for text in programs:
        arguments = read_yaml(text, "--program").value if text.lstrip().startswith("[") else [text]
        found.append(Program([str(one) for one in arguments]))
        if shutil.which(str(arguments[0])) is None:
            raise InputError(
                f"--program: {arguments[0]!r} is not an executable file; arguments go into a list, [PATH, ARGUMENT, …]"
            )
    return found


def _say_scored(name: str, events: int) -> None:
    if not events:  # what was found is told
        say(f"scored {escape(name)}: nothing found")


def _say_told(due: Due, seconds: float) -> None:
    body = due.notice.body
    if due.receiver != "lines":
        say(
            f"told {due.receiver.split()[0]}: {escape(body['video'])}, {body['kind']}, {seconds:.1f} s after the file's end"
        )
