"""Made-up stages, and a store for their results."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.fake_stages import FakeStages


@pytest.fixture
def stages(monkeypatch: pytest.MonkeyPatch) -> FakeStages:
    return FakeStages(monkeypatch)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "store"
