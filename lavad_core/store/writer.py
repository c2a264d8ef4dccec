"""Collecting the rows of one result in a writer's folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import pyarrow as pa

from lavad_core.errors import InternalError
from lavad_core.store.commits import storable
from lavad_core.store.parquet import PartWriter
from lavad_core.store.rechunk import Rechunker
from lavad_core.store.staging import WriterFolder
from lavad_core.store.types import Commit, Key, PartFile, Status

_ROWS_FILE = "rows.parquet"

Publish = Callable[[Commit, Sequence[Path]], Commit]
"""Puts finished files in place; gives the commit that is now there."""


class RowsWriter:
    """Implements :class:`lavad_core.store.types.ResultWriter`; one thread at a time."""

    def __init__(
        self,
        workfolder: WriterFolder,
        key: Key,
        video: str,
        schema: pa.Schema,
        provenance: Mapping[str, Any],
        publish: Publish,
    ) -> None:
        self._key = key
        self._video = storable(video)
        self._provenance = provenance
        self._publish = publish
        self._rows = Rechunker(schema, self._video)
        self._path = workfolder.file(_ROWS_FILE)
        self._part: PartWriter | None = None
        self._over = False

    def write(self, batch: pa.RecordBatch | pa.Table) -> None:
        """See :meth:`lavad_core.store.types.ResultWriter.write`.

        Raises:
            InternalError: rows do not fit the schema, or hold NaN or infinities; or the writer is done.
            StoreUnavailable: the disk does not take them.
        """
        self._check_open()
        for group in self._rows.add(batch):
            self._open_part().write(group)

    def commit(
        self,
        status: Status = "ok",
        *,
        reason: str = "",
        message: str = "",
        counts: Mapping[str, int] | None = None,
        facts: Mapping[str, Any] | None = None,
    ) -> Commit:
        """See :meth:`lavad_core.store.types.ResultWriter.commit`. ``rejected`` drops the rows written so far."""
        self._check_open()
        self._over = True
        if status == "rejected" and not reason:
            raise InternalError(f"result {self._key} is rejected without a reason")
        files: tuple[PartFile, ...] = ()
        if status != "rejected":
            rest = self._rows.rest()
            part = self._open_part()
            if rest is not None:
                part.write(rest)
            files = (part.finish(),)
        commit = Commit(
            key=self._key,
            video=self._video,
            status=status,
            reason=reason,
            message=message,
            counts=counts or {},
            facts=facts or {},
            provenance=self._provenance,
            files=files,
        )
        return self._publish(commit, [self._path] if files else [])

    def _open_part(self) -> PartWriter:
        if self._part is None:
            self._part = PartWriter(self._path, self._rows.schema)
        return self._part

    def _check_open(self) -> None:
        if self._over:
            raise InternalError(f"the writer of {self._key} is done: it has committed or was left")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._over = True
        if self._part is not None:
            self._part.__exit__()
