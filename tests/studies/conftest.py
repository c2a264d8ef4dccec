"""A small study, run once."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from support.small_demonstration import write_demonstration
from support.small_study import run

from lavad_core.studies.study_table import StudyTable


@pytest.fixture(scope="session")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A demonstration whose store is still empty."""
    return write_demonstration(tmp_path_factory.mktemp("demonstration"))


@pytest.fixture(scope="session")
def ran(empty: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, StudyTable]:
    """A copy of it, and the study that was run there."""
    folder = shutil.copytree(empty, tmp_path_factory.mktemp("ran") / "copy")
    return folder, run(folder)
