"""The records of a run on their way to an object storage while it is at work."""

from __future__ import annotations

import logging
import threading
from pathlib import Path

from lavad_core.errors import StoreUnavailable
from lavad_core.store import mirror

log = logging.getLogger(__name__)

SEND_S = 15.0
"""How often records that have changed are sent."""


class RecordSender:
    """Sends a log while it grows, so that other machines see what the run does. For a store in a folder it does nothing.

    An outage costs a warning: the log is on the disk, and is sent when the storage is back, at the end, or when the next
    process of this machine reads it.

    Args:
        root: the store's folder or home.
        path: the log.
    """

    def __init__(self, root: Path, path: Path) -> None:
        self._root, self._path = root, path
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None
        if mirror.is_mirrored(root):
            self._thread = threading.Thread(target=self._run, name="lavad-records", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        is_told, sent_bytes = False, 0
        while not self._closed.wait(SEND_S):
            try:
                size = self._path.stat().st_size
                if size != sent_bytes:
                    mirror.send(self._root, self._path)
                is_told, sent_bytes = False, size
            except StoreUnavailable as error:
                if not is_told:
                    log.warning("the records of the run are not sent for now: %s", error)
                is_told = True

    def close(self) -> None:
        """Send no more by itself."""
        self._closed.set()
