"""Fixtures of all tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent

pytest_plugins = ["support.prefect_fixture", "support.vllm_fixture"]

# No test may reach for a hub or report usage; set before any library reads them.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRANSFORMERS_OFFLINE", "1")
os.environ.setdefault("DO_NOT_TRACK", "1")


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the checkout."""
    return REPOSITORY


@pytest.fixture(scope="session")
def shared() -> Path:
    """Golden outputs and real data beside the checkout; tests that need them are skipped where they are absent."""
    folder = REPOSITORY.parent / "shared"
    if not (folder / "golden" / "README.md").exists():
        pytest.skip("no ../shared/golden beside the checkout: the comparison with the authors' outputs is not made")
    return folder
