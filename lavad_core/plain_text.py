"""Tables, lists and durations as plain text, for terminals, files, pages and papers."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from itertools import islice
from typing import TypeVar

from lavad_core.escape import escape, escape_latex, fixed

T = TypeVar("T")

MAX_WIDTH = 60
"""Characters of a column: longer cells stand out of line."""


def cell(value: object) -> str:
    """A value as it stands in a table: None is empty, floats have three decimals, texts are escaped."""
    if value is None:
        return ""
    return fixed(value, 3) if isinstance(value, float) else escape(value)


def first_few(items: Collection[T], most: int = 5, show: Callable[[T], str] = str) -> str:
    """The first ``most`` of some items for a message, and how many more there are.

    Args:
        items: what is listed, between commas.
        most: this many are named.
        show: the text of an item; it is not asked for those that are left out.
    """
    more = f" … {len(items) - most} more" if len(items) > most else ""
    return ", ".join(map(show, islice(items, most))) + more


def numbered(thing: str, numbers: Sequence[int], most: int = 5) -> str:
    """``shard 2``, ``shards 1 and 2``, ``shards 1, 2, 3 and 97 more``: things by their numbers, at most ``most`` of them."""
    named = [str(number) for number in numbers[:most]]
    if len(numbers) > most:
        return f"{thing}s {', '.join(named)} and {len(numbers) - most} more"
    return f"{thing} {named[0]}" if len(named) == 1 else f"{thing}s {', '.join(named[:-1])} and {named[-1]}"


_OF_ONE = {"have": "has", "are": "is", "were": "was", "belong": "belongs", "hold": "holds"}


def number_of(count: int, thing: str, verb: str = "") -> str:
    """``1 video has``, ``2 videos have``: how many of what has a regular plural, and what they do
    (a word of :data:`_OF_ONE`)."""
    if count == 1:
        return f"1 {thing} {_OF_ONE[verb]}" if verb else f"1 {thing}"
    return f"{count} {thing}{'es' if thing.endswith('s') else 's'}" + (f" {verb}" if verb else "")


def aligned(headers: Sequence[str], rows: Iterable[Sequence[object]], *, right: Iterable[int] = ()) -> str:
    """A table of aligned columns, one line per row, with everything that is in the cells.

    One long name does not push the other columns off the screen: its own line is then out of step, and nothing is lost.

    Args:
        headers: one word per column.
        rows: their values, see :func:`cell`.
        right: columns to align to the right.
    """
    lines = [list(headers), *([cell(value) for value in row] for row in rows)]
    numbers = frozenset(right)
    lengths = [[len(line[number]) for line in lines] for number in range(len(headers))]
    widths = [max((length for length in own if length <= MAX_WIDTH), default=0) for own in lengths]
    return "\n".join(
        "  ".join(
            text.rjust(width) if number in numbers else text.ljust(width)
            for number, (text, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def latex_table(
    headers: Sequence[str], rows: Iterable[Sequence[str]], *, right: Iterable[int], comments: Iterable[str] = ()
) -> str:
    """A ``tabular`` for booktabs.

    Args:
        headers: one word per column.
        rows: their texts.
        right: columns to align to the right.
        comments: texts in front of it, as comments.
    """
    numbers = frozenset(right)
    columns = "".join("r" if number in numbers else "l" for number in range(len(headers)))
    head, *body = (" & ".join(map(escape_latex, line)) + r" \\" for line in (headers, *rows))
    return "\n".join(
        [
            *(f"% {line}" for text in comments for line in text.splitlines()),
            f"\\begin{{tabular}}{{{columns}}}",
            "\\toprule",
            head,
            "\\midrule",
            *body,
            "\\bottomrule",
            "\\end{tabular}",
        ]
    )


def duration_text(value: float) -> str:
    """A duration for people."""
    if value < 60:
        return f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d} h" if hours else f"{minutes}:{rest:02d} min"
