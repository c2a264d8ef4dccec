"""Rows of CSV and JSON files of labels, each of which knows where it stands."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from lavad_core.datasets.names import match_key
from lavad_core.datasets.types import MAX_FRAMES
from lavad_core.errors import InputError
from lavad_core.plain_text import number_of
from lavad_core.user_files import parse_json, read_text

MAX_BYTES = 64 * 2**20

_INTEGER = re.compile(r"[0-9]{1,15}")


@dataclass(frozen=True)
class TableRow:
    """A row of a table."""

    values: Mapping[str, str] = field(repr=False)
    """The values, by column, as texts; an empty one is left out."""
    place: str
    """The place of the row in its file: ``line 3``, ``entry 2``."""
    path: Path
    """The path of the file."""
    what: str
    """What the file is, for errors."""

    def fail(self, problem: str) -> NoReturn:
        """Raises InputError that says where."""
        raise InputError(f"{self.what}: {str(self.path)!r}, {self.place}: {problem}")

    def text(self, column: str) -> str:
        """A text that must be there."""
        value = self.values.get(column)
        if value is None:
            self.fail(f"{column!r} is empty")
        return value

    def integer(self, column: str, least: int = 0, most: int = 10**15) -> int:
        """A whole number that must be there."""
        value = self.text(column)
        if not _INTEGER.fullmatch(value) or not least <= int(value) <= most:
            self.fail(f"{column!r} is {value[:60]!r}; expected is a whole number from {least} to {most:,}")
        return int(value)

    def frames(self, column: str) -> int:
        """The length of a video, which must be there."""
        return self.integer(column, least=1, most=MAX_FRAMES)

    def number(self, column: str) -> float:
        """A finite number from 0 that must be there."""
        value = self.text(column)
        try:
            found = float(value)
        except ValueError:
            found = math.nan
        if not (math.isfinite(found) and found >= 0):
            self.fail(f"{column!r} is {value[:60]!r}; expected is a number from 0")
        return found

    def unique(self, name: str, seen: dict[str, TableRow]) -> None:
        """Remember the row under a name; raises InputError if another has it."""
        other = seen.setdefault(match_key(name), self)
        if other is not self:
            self.fail(f"{name!r} appears twice, first in {other.place}; keep one of them")


def read_csv(path: Path, what: str, needed: Sequence[str]) -> list[TableRow]:
    """Rows of a CSV file with a line of column names.

    Commas, semicolons or tabs separate; byte order mark, CRLF and blank lines are fine; case and spaces around a column's name
    do not count.

    Raises:
        InputError: the file cannot be read, lacks one of the ``needed`` columns, has no row or a row of another length.
    """
    return _csv_rows(path, what, read_text(path, what, MAX_BYTES), needed)


def has_columns(path: Path, what: str, columns: Sequence[str]) -> bool:
    """Whether a file's first line names these columns, among others: then it is a table, whatever its ending.

    Raises:
        InputError: the file cannot be read.
    """
    header = read_text(path, what, MAX_BYTES).lstrip().partition("\n")[0].lower()
    separator = max(",;\t", key=header.count)
    found = {cell.strip().strip('"') for cell in header.split(separator)}
    return len(found & set(columns)) > 1


def _csv_rows(path: Path, what: str, text: str, needed: Sequence[str]) -> list[TableRow]:
    separator = max(",;\t", key=text.lstrip().partition("\n")[0].count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    rows: list[TableRow] = []
    columns: list[str] = []
    try:
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            if not columns:
                columns = [cell.strip().lower() for cell in cells]
                _check_columns(columns, needed, path, what)
                continue
            row = TableRow(_filled(zip(columns, cells, strict=False)), f"line {reader.line_num}", path, what)
            if len(cells) > len(columns) and any(cell.strip() for cell in cells[len(columns) :]):
                row.fail(f"there are {number_of(len(cells), 'cell')}, and {number_of(len(columns), 'column')}")
            rows.append(row)
    except csv.Error as error:
        raise InputError(f"{what}: {str(path)!r}, line {reader.line_num}: {error}") from error
    if not rows:
        raise InputError(f"{what}: {str(path)!r} has no row; expected are columns {', '.join(needed)}, and rows")
    return rows


_NAMES = "path name video video_name video_path file filename file_name feature features feature_path clip"
_LABELS = "label labels class class_name category type anomaly is_anomaly anomalous"
_FRAMES = "frames num_frames n_frames nframes frame_count total_frames frame_num"
_COLUMNS = {"name": _NAMES.split(), "label": _LABELS.split(), "frames": _FRAMES.split()}
"""What lists call their columns."""


def read_headed(path: Path, text: str, what: str) -> list[tuple[int, dict[str, str]]] | None:
    """Rows of a list of videos whose first line names its columns, as ``path,label``, by ``name``, ``label`` and ``frames``.

    Columns of other names are left out.

    Returns:
        line and values of each row; None where the first line has no name for a column of names beside another column.

    Raises:
        InputError: two columns are of one kind, or a row has no name or another length.
    """
    header = text.lstrip("\n\r ").partition("\n")[0]
    separator = max(",;\t", key=header.count)
    columns = [cell.strip().strip('"').lower().replace(" ", "_") for cell in header.split(separator)]
    kinds = {column: kind for kind, names in _COLUMNS.items() for column in columns if column in names}
    if len(columns) < 2 or "name" not in kinds.values():
        return None
    for kind in _COLUMNS:
        named = [column for column in columns if kinds.get(column) == kind]
        if len(named) > 1:
            raise InputError(
                f"{what}: {str(path)!r}: several columns may be the {kind}: {', '.join(named)}; keep one of them"
            )
    rows = []
    for row in _csv_rows(path, what, text, ()):
        values = {kinds[key]: value for name, value in row.values.items() if (key := name.replace(" ", "_")) in kinds}
        if "name" not in values:
            row.fail("there is no name of a video")
        rows.append((int(row.place.removeprefix("line ")), values))
    return rows


def read_json_rows(path: Path, what: str, needed: Sequence[str]) -> list[TableRow]:
    """Rows of a JSON file: a list of objects.

    Raises:
        InputError: the file cannot be read, is not JSON, is another thing, or an object lacks one of the ``needed`` keys.
    """
    found = parse_json(read_text(path, what, MAX_BYTES), f"{what}: {str(path)!r}")
    expected = f"a list of objects with {', '.join(needed)}"
    if not isinstance(found, list) or not found:
        raise InputError(f"{what}: {str(path)!r} holds {_kind(found)}; expected is {expected}")
    rows = []
    for number, entry in enumerate(found, start=1):
        if not isinstance(entry, dict):
            raise InputError(f"{what}: {str(path)!r}, entry {number} is {_kind(entry)}; expected is {expected}")
        for key, value in entry.items():
            if isinstance(value, dict | list | bool):
                raise InputError(
                    f"{what}: {str(path)!r}, entry {number} is an object whose {key[:60]!r} is {_kind(value)}; values are "
                    f"texts and numbers, leave other keys out; expected is {expected}"
                )
        values = _filled((key.strip().lower(), "" if value is None else str(value)) for key, value in entry.items())
        row = TableRow(values, f"entry {number}", path, what)
        if not all(value.isascii() or value.encode("utf-8", "replace").decode() == value for value in values.values()):
            row.fail("a text has half a surrogate pair, and could not be written down again")
        rows.append(row)
    _check_columns(sorted({column for row in rows for column in row.values}), needed, path, what)
    return rows


def _filled(cells: Any) -> dict[str, str]:
    return {column: value.strip() for column, value in cells if value.strip()}


def _check_columns(columns: Sequence[str], needed: Sequence[str], path: Path, what: str) -> None:
    missing = [column for column in needed if column not in columns]
    if missing or len(set(columns)) < len(columns):
        found = ", ".join(columns)
        raise InputError(
            f"{what}: {str(path)!r} has the columns {found[:200]!r}; "
            + (f"missing: {', '.join(missing)}" if missing else "one of them appears twice")
        )


def _kind(value: Any) -> str:
    if isinstance(value, list):
        return "a list" if value else "an empty list"
    return "an object" if isinstance(value, dict) else repr(value)[:60]
