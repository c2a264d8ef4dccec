"""Configurations that no environment variable changes, files of them, and what is said of wrong ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lavad_core.config.load import load_config
from lavad_core.errors import ConfigError


def written(folder: Path, text: str, name: str = "a.yaml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def config(**sources: Any) -> Any:
    return load_config(**{"environ": {}, **sources})


def refused(**sources: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        config(**sources)
    return str(caught.value)
