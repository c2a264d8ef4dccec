"""Data sets that are refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from lavad_core.datasets.catalogue import open_dataset
from lavad_core.errors import InputError


def refused(adapter: str, annotation: Path | None, listing: Path | None = None) -> str:
    with pytest.raises(InputError) as caught:
        open_dataset(adapter, annotation, listing)
    message = str(caught.value)
    assert len(message) < 1200
    return message
