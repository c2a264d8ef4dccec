"""Named files of a store, without what they mean. Layout and commits are built on this alone.

There are two implementations: files (``local.py``) and objects of an S3-compatible storage (``s3.py``). The interface asks
nothing that such a storage cannot do: whole objects, a conditional put, no rename, no lock that has to hold for results to be
right.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from io import BufferedIOBase
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True)
class BlobInfo:
    """What is known about a blob without reading it."""

    name: str
    """Relative to the store, with ``/``."""
    bytes: int
    """Size of the blob."""
    version: str
    """Changes when the content is replaced (inode and time of change; an ETag)."""
    modified_s: float
    """When it was changed last, seconds since the epoch."""
    sha256: str = ""
    """SHA-256, hexadecimal, that the storage itself keeps of the content and compares; empty where it keeps none."""


class Blobs(Protocol):
    """Blobs by name. Names are made by the store from checked parts, never from user text.

    Every method raises StoreUnavailable for what the storage refuses.
    """

    grace_s: float
    """How long parts without a commit are left alone after they were put, seconds: where no lock holds other writers off, one
    of them may be about to commit the same part. 0 where :meth:`exclusive` holds them off."""

    def put(self, name: str, source: Path) -> None:
        """Make the content of a local file the blob ``name``, in place of any other; durable on return.

        ``source`` is finished and on disk; it may be gone afterwards.
        """
        ...

    def put_if_absent(self, name: str, source: Path) -> bool:
        """Like :meth:`put`, but only if there is no such blob: exactly one of many callers gets True."""
        ...

    def open(self, name: str, *, again: bool = False) -> BufferedIOBase | None:
        """The content, seekable; None if there is no such blob.

        Args:
            again: whatever copy is at hand does not count: from the storage itself.
        """
        ...

    def stat(self, name: str) -> BlobInfo | None:
        """Size and version; None if there is no such blob."""
        ...

    def list(self, prefix: str = "") -> Iterator[BlobInfo]:
        """All blobs below a folder (``""``: the store), by name; temporary files are not blobs."""
        ...

    def leftovers(self) -> Iterator[BlobInfo]:
        """Temporary blobs of processes that may have died. Those of writers' folders, whose locks tell, are not among them."""
        ...

    def delete(self, name: str) -> None:
        """Remove a blob; a missing one is not an error."""
        ...

    def exclusive(self, name: str) -> AbstractContextManager[None]:
        """Hold off other writers of ``name``. Results are right without it; it only lets a writer tidy up at once, and may do
        nothing."""
        ...
