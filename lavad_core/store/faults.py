"""What the operating system says about a store, as the library's own errors."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lavad_core.errors import StoreUnavailable
from lavad_core.object_storage import S3Error

_NEEDS = {
    errno.ENOSPC: "free space on that file system, then run again: what is committed stays",
    errno.EDQUOT: "a larger quota on that file system, then run again: what is committed stays",
    errno.EFBIG: "a file system (or a limit of this process) that allows larger files",
    errno.EACCES: "permission to use that path, or a store elsewhere (`store` in the configuration)",
    errno.EPERM: "permission, and a file system with hard links, or a store elsewhere (`store` in the configuration)",
    errno.EROFS: "a file system mounted for writing, or a store elsewhere (`store` in the configuration)",
    errno.EIO: "a healthy device: the system could not read or write it; see its log",
    errno.ENOTDIR: "a folder where a file is",
    errno.EISDIR: "a file where a folder is",
    errno.ENAMETOOLONG: "a shorter path to the store",
    errno.EMFILE: "a higher limit of open files (ulimit -n)",
    errno.ENFILE: "fewer open files on this machine",
    errno.ESTALE: "the network file system to be mounted again",
    errno.ENOTSUP: "a file system with hard links and locks",
}


@contextmanager
def store_errors(action: str, path: Path) -> Iterator[None]:
    """Turn an ``OSError`` of the body into :class:`StoreUnavailable`.

    Args:
        action: what was tried, as a verb: "write", "read", "remove".
        path: named in the message if the error itself names none. Control characters are escaped.
    """
    try:
        yield
    except OSError as error:
        raise unavailable(action, path, error) from error


def unavailable(action: str, path: Path, error: OSError) -> StoreUnavailable:
    """The error to raise for a failed operation."""
    named = error.filename if isinstance(error.filename, str) else str(path)
    cause = error.strerror or str(error)
    need = _NEEDS.get(error.errno or 0, "that path to be readable and writable")
    if isinstance(error, S3Error):
        need = error.needs
    return StoreUnavailable(f"cannot {action} {named!r}: {cause}; it needs {need}")
