"""Text for terminals and files: nothing that a user's names contain is ever interpreted."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Literal

from lavad_core.escape import escape as escape
from lavad_core.escape import escape_cell
from lavad_core.masking import masked_text
from lavad_core.plain_text import MAX_WIDTH, aligned, cell


class OutputLost(Exception):
    """stdout cannot be written (its reader is there, but the disk is full or has failed)."""


@contextmanager
def to_stdout() -> Iterator[None]:
    """Around everything that writes to stdout: an error of it is not taken for one of the program.

    Raises:
        OutputLost: it cannot be written.
        BrokenPipeError: nobody reads it any more.
    """
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputLost(error.strerror or str(error)) from error


def say(text: str) -> None:
    """A line for people, on stderr. Whatever is in it, it shows no secret, moves no cursor and turns no text around."""
    print(escape(masked_text(text), keep_lines=True), file=sys.stderr, flush=True)


def show(text: str) -> None:
    """A line of data, on stdout."""
    with to_stdout():
        print(text)


def show_lines(lines: Sequence[tuple[str, object]], width: int = 0) -> None:
    """Facts on stdout, a ``name: text`` each; the texts begin in one column, at least ``width`` from the left."""
    width = max(width, *(len(name) + 2 for name, _ in lines))
    for name, text in lines:
        show(f"{escape(name) + ':':<{width}}{escape(text)}")


def prepare_streams() -> None:
    """Characters that a terminal's encoding lacks are escaped, not fatal."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def is_terminal(stream: object = None) -> bool:
    """Whether ``stream`` (stdout) is a terminal that understands more than lines."""
    stream = sys.stdout if stream is None else stream
    isatty = getattr(stream, "isatty", None)
    return bool(isatty is not None and isatty())


def show_table(
    headers: Sequence[str], rows: Iterable[Sequence[object]], *, right: Iterable[int] = (), omit_empty: bool = False
) -> None:
    """A table on stdout: drawn on a terminal, aligned columns with all that is in the cells elsewhere.

    Args:
        headers: one word per column.
        rows: their values, see :func:`lavad_core.plain_text.cell`; longer ones are folded on a terminal.
        right: columns to align to the right.
        omit_empty: leave out the columns that hold nothing in any of the rows.
    """
    numbers = frozenset(right)
    if omit_empty:
        rows = [*rows]
        kept = [at for at in range(len(headers)) if not rows or any(cell(row[at]) for row in rows)]
        headers, rows = [headers[at] for at in kept], [[row[at] for at in kept] for row in rows]
        numbers = frozenset(new for new, at in enumerate(kept) if at in numbers)
    if not is_terminal():
        show(aligned(headers, rows, right=numbers))
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for number, header in enumerate(headers):
        most = MAX_WIDTH if number < len(headers) - 1 else None
        justify: Literal["left", "right"] = "right" if number in numbers else "left"
        table.add_column(Text(header), justify=justify, overflow="fold", max_width=most)
    for row in rows:
        table.add_row(*(Text(cell(value)) for value in row))
    with to_stdout():
        Console(file=sys.stdout, highlight=False, markup=False, emoji=False).print(table)


def show_csv(headers: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A CSV table on stdout; text is escaped, with a ``'`` before what a spreadsheet would compute."""
    writer = csv.writer(sys.stdout, lineterminator="\n")
    with to_stdout():
        writer.writerow(headers)
        for row in rows:
            writer.writerow([escape_cell(value) for value in row])


def size(count: float) -> str:
    """Bytes for people."""
    for unit in ("B", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.0f} {unit}"
        count /= 1024
    return f"{count:.2f} GiB"
