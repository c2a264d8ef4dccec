"""The store as the rest of the library sees it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import pyarrow as pa

Status = Literal["ok", "ok_with_gaps", "rejected"]


@dataclass(frozen=True, order=True)
class Key:
    """Where one result lives: ``<store>/<stage>/<video_id>/<fingerprint>/``."""

    stage: str
    """Name of the stage."""
    video_id: str
    """Hexadecimal digest of the video's content, never of user text."""
    fingerprint: str
    """Hexadecimal digest of everything the result depends on (see ``stages.node``)."""


@dataclass(frozen=True)
class PartFile:
    """One Parquet file of a result, as its commit names it."""

    name: str
    """Its file name."""
    bytes: int
    """Its size, bytes."""
    sha256: str
    """SHA-256 of its bytes, hexadecimal."""
    rows: int
    """How many rows it has."""
    schema: Mapping[str, str]
    """Column to type."""


@dataclass(frozen=True)
class Commit:
    """The truth about one finished result. The same work gives the same bytes: no clock, host or path in it."""

    key: Key
    """Where the result is."""
    video: str
    """The user's name of the video; bytes of it that are not UTF-8 are written as ``\\udc…``."""
    status: Status
    """``rejected`` results have no files."""
    reason: str = ""
    """A word for ``rejected`` (see ``video.types.REJECTIONS``), otherwise empty."""
    message: str = ""
    """A sentence for people."""
    counts: Mapping[str, int] = field(default_factory=dict)
    """Integers for tables (rows, gaps, unparsed answers, …)."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """Small JSON values that later stages need without opening a file."""
    provenance: Mapping[str, Any] = field(default_factory=dict)
    """What the fingerprint was made of (stage version, configuration slice, models, inputs)."""
    files: tuple[PartFile, ...] = ()
    """The Parquet files."""


class ResultWriter(Protocol):
    """Collects one result; nothing is visible to readers before :meth:`commit` returns."""

    def write(self, batch: pa.RecordBatch | pa.Table) -> None:
        """Append rows. All batches of a result share one schema. Memory stays bounded: rows go to disk in groups."""
        ...

    def commit(
        self,
        status: Status = "ok",
        *,
        reason: str = "",
        message: str = "",
        counts: Mapping[str, int] | None = None,
        facts: Mapping[str, Any] | None = None,
    ) -> Commit:
        """Make the result durable. If another writer was first, its commit is returned and this one's files go."""
        ...


class Store(Protocol):
    """Results by key."""

    def find(self, key: Key) -> Commit | None:
        """The commit, if it parses, is for this key, and its files exist with their sizes; otherwise None."""
        ...

    def writer(
        self, key: Key, *, video: str, schema: pa.Schema, provenance: Mapping[str, Any], replace: bool = False
    ) -> AbstractContextManager[ResultWriter]:
        """A writer; leaving the context without a commit removes what was written.

        Args:
            schema: columns of the rows. A column ``video`` (string) with the user's name is put in front by the writer.
            replace: put the new result in place of a committed one (``refresh``); new is durable before old goes.
        """
        ...

    def read(self, commit: Commit, columns: list[str] | None = None) -> pa.Table:
        """All rows. Raises DamagedResult if bytes and commit differ (SHA-256 and Parquet page checksums).

        A ``rejected`` result has no files and gives a table without rows and columns.
        """
        ...

    def batches(self, commit: Commit, columns: list[str] | None = None, rows: int = 4096) -> Iterator[pa.RecordBatch]:
        """The rows in order, a bounded number at a time, after the same checks; one empty batch if there are none."""
        ...

    def is_whole(self, commit: Commit) -> bool:
        """Whether all its parts have the SHA-256 that it names. Bytes are read once for each process and version of a file."""
        ...

    def discard(self, commit: Commit) -> None:
        """Remove a commit found damaged, so that the stage runs again. A result that has taken its place stays."""
        ...
