"""Loading models without transformers' own progress bars and notes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from transformers.utils import logging

_LOGGING: Any = logging


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """No progress bars and no warnings of transformers meanwhile; errors still show.

    Its notes while loading are about choices that the callers check for themselves (which weights were missing or
    tied), and its bars would end up among the lines of a log.
    """
    verbosity, bar = _LOGGING.get_verbosity(), _LOGGING.is_progress_bar_enabled()
    _LOGGING.set_verbosity_error()
    _LOGGING.disable_progress_bar()
    try:
        yield
    finally:
        _LOGGING.set_verbosity(verbosity)
        if bar:
            _LOGGING.enable_progress_bar()


def save_quietly(folder: Path, *parts: Any) -> None:
    """Write a model and what prepares its inputs to a folder, in transformers' own form."""
    with quiet_transformers():
        for part in parts:
            part.save_pretrained(folder)
