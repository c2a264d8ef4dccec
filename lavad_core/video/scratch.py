"""The folder for what a run keeps on a local disk for its own time."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def default_scratch() -> Path:
    """``$TMPDIR`` where it is set, otherwise ``/var/tmp``, which is on a disk where ``/tmp`` often is in memory."""
    lasting = Path("/var/tmp")
    if "TMPDIR" not in os.environ and os.access(lasting, os.W_OK | os.X_OK):
        return lasting
    return Path(tempfile.gettempdir())
