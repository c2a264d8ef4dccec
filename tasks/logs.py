"""What the library logs, in the logs of the runs.

``PREFECT_LOGGING_EXTRA_LOGGERS=lavad_core`` would do it for processes that set it before Prefect is imported, and only
for WARNING and above. A handler attached here does it always, for INFO, and only while a run is going on.
"""

from __future__ import annotations

import logging

from prefect.context import FlowRunContext, TaskRunContext
from prefect.logging.handlers import APILogHandler

from lavad_core.escape import escape
from lavad_core.masking import masked_text

LOGGER = "lavad_core"
MAX_LINE = 2000
"""Characters of one message; a longer one holds data, not words."""


class _RunLogs(APILogHandler):
    """Sends records to the run in whose context they were made; others go where they went before."""

    def emit(self, record: logging.LogRecord) -> None:
        if FlowRunContext.get() is not None or TaskRunContext.get() is not None:
            super().emit(record)

    def format(self, record: logging.LogRecord) -> str:
        return escape(masked_text(super().format(record)), limit=MAX_LINE)


def send_library_logs() -> None:
    """From now on ``lavad_core``'s INFO and above is in the logs of the run it belongs to."""
    logger = logging.getLogger(LOGGER)
    if not any(isinstance(handler, _RunLogs) for handler in logger.handlers):
        logger.addHandler(_RunLogs(level=logging.INFO))
    if not logger.isEnabledFor(logging.INFO):
        logger.setLevel(logging.INFO)
