"""A server of our own: what is told of its log."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from lavad_core.models.chat.own_server import TAIL_CHARACTERS, OwnServer


def test_no_part_of_a_secret_is_in_its_last_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_KEY", "abcdefgh12345678")
    log = tmp_path / "log"
    log.write_text("begin " + "x" * 10**6 + " abcdefgh12345678 " + "y" * (TAIL_CHARACTERS - 9))
    own = OwnServer([sys.executable, "-c", ""], log, environ=os.environ, model="model", port=1)
    said = own.tail()
    own.kill()
    assert "5678" not in said
    assert "y" * 1000 in said
