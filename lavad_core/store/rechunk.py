"""What rows may go into the store, and how they are cut, whatever pieces they come in."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc

from lavad_core.errors import InternalError
from lavad_core.plain_text import first_few

VIDEO_COLUMN = "video"

ROWS_PER_GROUP = 4096
"""Rows of a Parquet row group: what a writer and a reader hold at once. 16 MiB of 1024-number vectors."""


def stored_schema(schema: pa.Schema) -> pa.Schema:
    """The schema on disk: ``video`` in front, no metadata (pandas and others put paths and versions there).

    Raises:
        InternalError: a column is called ``video``, names repeat, or a type is not one that every reader knows.
    """
    names = list(schema.names)
    if VIDEO_COLUMN in names:
        raise InternalError(f"column {VIDEO_COLUMN!r} is written by the store; leave it out of the schema")
    if len(set(names)) != len(names):
        raise InternalError(f"column names repeat: {sorted(n for n in names if names.count(n) > 1)[:5]}")
    for field in schema:
        _check_type(field.name, field.type)
    fields = [pa.field(field.name, field.type, nullable=field.nullable) for field in schema]
    return pa.schema([pa.field(VIDEO_COLUMN, pa.string(), nullable=False), *fields])


def _check_type(name: str, kind: pa.DataType) -> None:
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        _check_type(name, kind.value_type)
    elif pa.types.is_struct(kind):
        for index in range(kind.num_fields):
            _check_type(f"{name}.{kind.field(index).name}", kind.field(index).type)
    elif not (
        pa.types.is_boolean(kind)
        or pa.types.is_integer(kind)
        or pa.types.is_floating(kind)
        or pa.types.is_string(kind)
        or pa.types.is_large_string(kind)
        or pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
        or pa.types.is_timestamp(kind)
    ):
        raise InternalError(
            f"column {name!r} has type {kind}; the store takes booleans, numbers, strings, bytes, time stamps, and lists "
            "and structs of them"
        )


class Rechunker:
    """Collects tables of one schema and gives them back in groups of :data:`ROWS_PER_GROUP` rows.

    The same rows give the same groups however they arrive, so the same bytes on disk.
    """

    def __init__(self, schema: pa.Schema, video: str) -> None:
        self._given = schema.remove_metadata()
        self.schema = stored_schema(schema)
        self._video = video
        self._waiting: list[pa.Table] = []
        self._rows = 0

    def add(self, batch: pa.RecordBatch | pa.Table) -> Iterator[pa.Table]:
        """Take rows; give the groups that are full.

        Raises:
            InternalError: columns, types or nulls are not as the schema says, or a float is NaN or infinite.
        """
        table = pa.Table.from_batches([batch]) if isinstance(batch, pa.RecordBatch) else batch
        self._check(table)
        video = pa.repeat(pa.scalar(self._video, pa.string()), table.num_rows)
        self._waiting.append(pa.Table.from_arrays([video, *table.columns], schema=self.schema))
        self._rows += table.num_rows
        if self._rows < ROWS_PER_GROUP:
            return
        joined = pa.concat_tables(self._waiting)
        start = 0
        while joined.num_rows - start >= ROWS_PER_GROUP:
            yield joined.slice(start, ROWS_PER_GROUP).combine_chunks()
            start += ROWS_PER_GROUP
        rest = joined.slice(start)
        self._waiting, self._rows = ([rest] if rest.num_rows else []), rest.num_rows

    def rest(self) -> pa.Table | None:
        """The last group, None if it would be empty."""
        waiting, self._waiting, self._rows = self._waiting, [], 0
        joined = pa.concat_tables(waiting) if waiting else None
        return joined.combine_chunks() if joined is not None and joined.num_rows else None

    def _check(self, table: pa.Table) -> None:
        if table.schema.names != self._given.names or table.schema.types != self._given.types:
            raise InternalError(
                f"rows have the columns {_columns(table.schema)}, the schema has {_columns(self._given)}; "
                "build batches with the schema that the writer was given"
            )
        for field, column in zip(self._given, table.columns, strict=True):
            if not field.nullable and column.null_count:
                raise InternalError(f"column {field.name!r} has {column.null_count} nulls and is declared without")
            for chunk in column.chunks:
                bad = _not_finite(chunk)
                if bad:
                    raise InternalError(
                        f"column {field.name!r} has {bad} NaN or infinite values; the store takes none: use null for an "
                        "unknown value"
                    )


def _columns(schema: pa.Schema) -> str:
    return "{" + first_few(list(schema), 8, lambda field: f"{field.name!r}: {field.type}") + "}"


def _not_finite(array: pa.Array) -> int:
    """Count of NaN and infinities among the values that are not null, at any depth."""
    kind = array.type
    if pa.types.is_floating(kind):
        values = array.cast(pa.float32()) if pa.types.is_float16(kind) else array
        finite = pc.sum(pc.is_finite(values)).as_py() or 0
        return int(len(array) - array.null_count - finite)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return _not_finite(array.flatten())
    if pa.types.is_struct(kind):
        return sum(_not_finite(child) for child in array.flatten())
    return 0
