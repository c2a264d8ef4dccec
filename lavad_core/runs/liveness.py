"""Whether a run is still going, from this machine or from another that sees the store."""

from __future__ import annotations

import errno
import fcntl
import os
import platform
import time
from datetime import UTC, datetime
from pathlib import Path

from lavad_core.plain_text import duration_text
from lavad_core.store.faults import store_errors

RECENT_S = 600.0
"""A run of another machine whose last record is younger than this counts as going. Most stages of a video take less."""

LOCK_TRIES = 100
"""Tries, ten milliseconds apart, to get the lock from somebody who is only looking whether it is held."""


def hold_lock(descriptor: int) -> None:
    """Show that the process lives, until it closes the run's log. Where there are no locks the run looks interrupted to others
    while it goes on, and nothing else is lost."""
    for _ in range(LOCK_TRIES):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(0.01)
        except OSError:
            return
        else:
            return


def is_locked(log_path: Path) -> bool:
    """Whether a living process holds the lock on a run's log. Where the file system has no locks, or those of another machine
    are not seen, none does.

    Raises:
        StoreUnavailable: the log cannot be read.
    """
    with store_errors("read", log_path):
        try:
            descriptor = _opened(log_path)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:  # no locks here
            return False
        finally:
            os.close(descriptor)
    return False


def _opened(path: Path) -> int:
    """For writing, where that is allowed: NFS refuses an exclusive lock on a file that is only read."""
    try:
        return os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except PermissionError:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        if error.errno != errno.EROFS:
            raise
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)


def unlocked_state(host: object, last: str) -> tuple[str, str]:
    """Status and message of a run that has not ended and whose lock nobody holds here.

    Args:
        host: name of the machine that recorded it; a lock of another one may not be seen here.
        last: time of its last record, ISO 8601.
    """
    if host in (None, platform.node()):
        return "interrupted", ""
    try:
        silent_s = max(0.0, (datetime.now(UTC) - datetime.fromisoformat(last)).total_seconds())
    except (ValueError, TypeError):  # no time, or one without a zone
        return "interrupted", ""
    ago = duration_text(silent_s)
    if silent_s < RECENT_S:
        return "running", f"it is recorded on {host}; its last record is {ago} old"
    return (
        "interrupted",
        f"it was recorded on {host}, and not for {ago}; a process that still works there is not seen here",
    )
