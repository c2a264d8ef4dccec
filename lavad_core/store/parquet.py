"""Parquet files: the only place that reads and writes them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import suppress
from io import BufferedIOBase
from pathlib import Path
from typing import BinaryIO, Self

import pyarrow as pa
import pyarrow.parquet as pq

from lavad_core.errors import DamagedResult
from lavad_core.location import shown
from lavad_core.store.commits import part_name
from lavad_core.store.faults import store_errors
from lavad_core.store.types import PartFile


class _Digesting:
    """A file that is only appended to, whose SHA-256 is known when it is closed."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.digest = hashlib.sha256()
        self.bytes = 0
        self.closed = False
        self.abandoned = False

    def write(self, data: bytes | memoryview) -> int:
        if self.abandoned:
            return len(data)
        self._file.write(data)
        self.digest.update(data)
        self.bytes += len(data)
        return len(data)

    def tell(self) -> int:
        return self.bytes

    def flush(self) -> None:
        if not self.abandoned:
            self._file.flush()

    def close(self) -> None:
        self.closed = True

    def readable(self) -> bool:
        return False

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return False


class PartWriter:
    """Writes one part to a temporary file, a row group at a time; the same groups give the same bytes.

    zstd; a CRC for each page; statistics; dictionaries for text only (vectors do not repeat). A context manager that
    closes the file.
    """

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self.path = path
        self._schema = schema
        self._rows = 0
        with store_errors("write", path):
            self._file = open(path, "xb")  # noqa: SIM115 (closed by finish and __exit__)
        self._sink = _Digesting(self._file)
        texts = [f.name for f in schema if pa.types.is_string(f.type) or pa.types.is_large_string(f.type)]
        try:
            with store_errors("write", path):
                self._writer = pq.ParquetWriter(
                    self._sink,
                    schema,
                    compression="zstd",
                    use_dictionary=texts,
                    write_page_checksum=True,
                    write_statistics=True,
                    store_schema=True,
                    version="2.6",
                    data_page_version="1.0",
                )
        except BaseException:
            self._file.close()
            raise

    def write(self, group: pa.Table) -> None:
        """Write one row group."""
        with store_errors("write", self.path):
            self._writer.write_table(group, row_group_size=max(1, group.num_rows))
        self._rows += group.num_rows

    def finish(self) -> PartFile:
        """Close the file, sync it, and say what it is."""
        with store_errors("write", self.path):
            self._writer.close()
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
        sha256 = self._sink.digest.hexdigest()
        schema = {field.name: str(field.type) for field in self._schema}
        return PartFile(part_name(sha256), self._sink.bytes, sha256, self._rows, schema)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file.closed:
            return
        # The file is thrown away: its writer and its buffer must still be emptied, into nothing and without complaint.
        self._sink.abandoned = True
        with suppress(OSError, pa.ArrowException):
            self._writer.close()
        with suppress(OSError):
            self._file.close()


def sha256_of(file: BufferedIOBase, name: Path) -> str:
    """SHA-256 of a whole file, which is left at its beginning."""
    with store_errors("read", name):
        file.seek(0)
        found = hashlib.file_digest(file, "sha256").hexdigest()
        file.seek(0)
    return found


def read_batches(
    file: BufferedIOBase, part: PartFile, name: Path, columns: list[str] | None, rows: int
) -> Iterator[pa.RecordBatch]:
    """The rows of a part, at most ``rows`` at a time (one empty batch if there are none); page checksums are verified.

    Raises:
        DamagedResult: not the Parquet file that the commit describes.
        StoreUnavailable: the system could not read it.
    """
    seen = 0
    try:
        with pq.ParquetFile(file, page_checksum_verification=True, pre_buffer=False) as parquet:
            for batch in parquet.iter_batches(batch_size=rows, columns=columns, use_threads=False):
                seen += batch.num_rows
                yield batch.select(columns) if columns is not None else batch
            if not seen and not part.rows:
                schema = parquet.schema_arrow
                names = schema.names if columns is None else columns
                yield pa.RecordBatch.from_pylist([], schema=pa.schema([schema.field(name) for name in names]))
    except (pa.ArrowException, OSError) as error:
        # Arrow says "corrupt" with an OSError too; one of the system has an errno.
        if isinstance(error, OSError) and error.errno is not None:
            with store_errors("read", name):
                raise
        raise DamagedResult(f"{shown(name)!r} is not the Parquet file that was committed: {error}") from error
    if seen != part.rows:
        raise DamagedResult(f"{shown(name)!r} has {seen} rows, its commit says {part.rows}")
