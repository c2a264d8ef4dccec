"""Exit codes, and which error gives which."""

from __future__ import annotations

import functools
import os
import sys
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from enum import IntEnum
from pathlib import Path
from typing import ParamSpec

import typer

from lavad.deployments.cli.terminal.text import OutputLost, escape, say, to_stdout
from lavad_core.errors import InputError, InternalError, LavadError, ModelError, RequestRejected, StoreError
from lavad_core.location import COPY_THERE, refuse_address

P = ParamSpec("P")


class Exit(IntEnum):
    """What the process tells its caller."""

    OK = 0
    SOME_FAILED = 1
    USAGE = 2
    NOTHING_DONE = 3
    STORE = 4
    OUTPUT = 5
    INTERRUPTED = 130
    BROKEN_PIPE = 141
    TERMINATED = 143


MEANING = {
    Exit.OK: "everything asked for is done",
    Exit.SOME_FAILED: "some videos failed or were rejected (`lavad status` says which), or a check found something",
    Exit.USAGE: "the command line, the configuration or an input list is wrong",
    Exit.NOTHING_DONE: "nothing could be done: a model, a device or a service is missing or down",
    Exit.STORE: "the store cannot be read or written, or holds damaged results",
    Exit.OUTPUT: "the output could not be written (a full disk, for one); what was computed is in the store",
    Exit.INTERRUPTED: "stopped by SIGINT (Ctrl-C)",
    Exit.BROKEN_PIPE: "the reader of the output went away",
    Exit.TERMINATED: "stopped by SIGTERM",
}


GO_ON = (
    "lavad: to go on, give the same command again, or `lavad retry` with the same --store; "
    "what is finished is not computed again"
)
"""Said when a run has been stopped."""

SAME_AGAIN = "lavad: to go on, give the same command again; what is finished is not computed again"
"""Said when something has been stopped that `lavad retry` does not know."""

SHARDS_GO_ON = (
    "lavad: the shards that workers have been given go on there, those in the queue too: flow runs named `shard I/N of RUN` "
    "(`prefect flow-run ls --flow-name score-shard --output json`; `prefect flow-run cancel ID` ends one). The same command "
    "again gives out every shard again, so cancel them first, or let them end: what is finished is not computed again"
)
"""Said when a run over a set has been stopped that waited for its shards."""

EPILOG = "Exit codes: " + "; ".join(f"{code.value} {meaning}" for code, meaning in MEANING.items()) + "."


class Debug:
    """Whether tracebacks are wanted; set by ``lavad --debug``."""

    on = False


class QuickExit:
    """Whether the process ends without the handlers that libraries have put to its end: one of them waits for a server that
    has gone."""

    at_once = False


class AlreadyReported:
    """Whether a stopped run has said how to go on."""

    go_on = False


class SignalReceived(BaseException):
    """A signal asks the process to stop.

    Attributes:
        signal: its number.
        go_on: how what had begun can go on; empty if nothing had.
    """

    def __init__(self, signal: int, go_on: str = GO_ON) -> None:
        super().__init__(signal)
        self.signal = signal
        self.go_on = go_on


def code_of(error: BaseException) -> Exit:
    """The exit code for an error."""
    if isinstance(error, StoreError):
        return Exit.STORE
    if isinstance(error, InputError) and not isinstance(error, ModelError | RequestRejected):
        return Exit.USAGE
    return Exit.NOTHING_DONE


def guarded(function: Callable[P, None]) -> Callable[P, None]:
    """The process edge: errors become one paragraph on stderr and an exit code."""

    @functools.wraps(function)
    def command(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            try:
                _refuse_addresses(kwargs)
                function(*args, **kwargs)
            except typer.Exit:
                flush()
                raise
            flush()
        except BrokenPipeError:
            _forget_stdout()
            raise typer.Exit(Exit.BROKEN_PIPE) from None
        except OutputLost as error:
            raise typer.Exit(output_lost(error)) from None
        except KeyboardInterrupt:
            raise typer.Exit(Exit.INTERRUPTED) from None
        except SignalReceived as stop:
            if stop.go_on:
                AlreadyReported.go_on = True
                say(stop.go_on)
            raise typer.Exit(128 + stop.signal) from None
        except LavadError as error:
            _report(error, bug=isinstance(error, InternalError))
            raise typer.Exit(code_of(error)) from None
        except typer.Exit:
            raise
        except Exception as error:  # the edge: whatever it is, it is reported in words
            if type(error).__module__.startswith(("typer", "click")):
                raise  # wrong use of the command line; typer says it
            _report(error, bug=True)
            raise typer.Exit(Exit.NOTHING_DONE) from None

    return command


def _refuse_addresses(given: Mapping[str, object]) -> None:
    """No option that takes a path takes an address."""
    for name, value in given.items():
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, Path):
                refuse_address(one, name.rstrip("_").replace("_", "-"), way=COPY_THERE if name == "output" else None)


def flush() -> None:
    """Write what is still buffered, while there is somebody who can say that it fails."""
    with to_stdout():
        sys.stdout.flush()


def output_lost(error: OutputLost) -> Exit:
    """Report that the output cannot be written, and return the exit code."""
    _forget_stdout()
    say(f"lavad: the output could not be written: {error}")
    return Exit.OUTPUT


def _report(error: BaseException, *, bug: bool) -> None:
    if Debug.on:
        say(escape("".join(traceback.format_exception(error)), keep_lines=True))
    from lavad_core.remote_files import in_addresses

    what = in_addresses(f"{type(error).__name__}: {error}" if bug else str(error))
    say(f"lavad: {escape(what)}")
    if bug and not Debug.on:
        say("lavad: this is a fault of the program; `lavad --debug …` shows where it happened")


def _forget_stdout() -> None:
    """Send what is still buffered nowhere, so that Python does not complain about it at its end."""
    with suppress(OSError, ValueError, AttributeError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
