"""Several threads that look models of the user's own up at once."""

from __future__ import annotations

import ast
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from lavad_core.config.models import PythonEncoderConfig
from lavad_core.models.python_model import find_source


def test_one_source_is_parsed_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two at once can end in a SystemError on Python 3.11."""
    (tmp_path / "mine.py").write_text("def load():\n    return None\n")
    config = PythonEncoderConfig(model=f"{tmp_path}/mine.py:load")
    at_work, most, guard, parse = 0, 0, threading.Lock(), ast.parse

    def slowly(*arguments: Any, **more: Any) -> Any:
        nonlocal at_work, most
        with guard:
            at_work += 1
            most = max(most, at_work)
        time.sleep(0.02)
        try:
            return parse(*arguments, **more)
        finally:
            with guard:
                at_work -= 1

    monkeypatch.setattr(ast, "parse", slowly)
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda _: find_source(config), range(8)))
    assert set(found) == {tmp_path / "mine.py"}
    assert most == 1
