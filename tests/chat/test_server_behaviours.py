"""The served chat model against servers that behave as public bug reports say."""

from __future__ import annotations

import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import suppress
from pathlib import Path

import pytest

from lavad_core.config.models import VllmChatConfig
from lavad_core.method.prompts import SCORE_CHOICES
from lavad_core.models.chat.optional import estimated_tokens
from lavad_core.models.kinds import load_model
from lavad_core.models.protocols import ChatRequest
from lavad_core.models.served import known_models
from lavad_core.models.served.known_models import ServedModels
from lavad_core.ports import free_port

DIALOG = (("system", "Rate it."), ("user", "a dog."))
MODES = (
    *("tok400", "tok401", "tok403", "tok501", "tokhtml", "toktokens"),
    *("nolist", "models403", "lora", "ollama", "maxtok", "sysrole", "nousage", "tgi"),
)
CONTEXT = {"lora": 400}


@pytest.mark.parametrize("mode", MODES)
def test_it_is_used(mode: str, shared: Path, tmp_path: Path) -> None:
    script, port = shared / "cases" / "openai_server_behaviours.py", free_port()
    server = subprocess.Popen([sys.executable, str(script), str(port), mode, str(tmp_path / "seen")])
    try:
        config = VllmChatConfig(
            model="m", base_url=f"http://127.0.0.1:{port}/v1", retries=2, max_backoff_s=0.05, timeout_s=10
        )
        _wait(port)
        known_models._met.clear()
        suffix = ServedModels(tmp_path / "servers.json").suffix(config)
        assert suffix == (";system=fold" if mode == "sysrole" else "")
        model = load_model(config, random_folder=lambda name: pytest.fail(name))
        try:
            assert model.context_tokens == CONTEXT.get(mode, 4096)
            assert model.count_tokens(DIALOG) == estimated_tokens(DIALOG)
            free = ChatRequest(DIALOG, 50, 0.6, 0.9, 7)
            choice = ChatRequest(DIALOG, 8, 0.0, 1.0, 7, SCORE_CHOICES)
            answers = dict(model.answer([free, choice]))
            assert [answers[number].text for number in (0, 1)] == ["A man walks.", SCORE_CHOICES[1]]
        finally:
            model.close()
    finally:
        server.kill()
        server.wait(10)
        known_models._met.clear()


def _wait(port: int) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with suppress(OSError):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5)
            except urllib.error.HTTPError:
                return
        time.sleep(0.05)
    raise AssertionError("the scripted server did not start")
