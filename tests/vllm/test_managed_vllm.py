"""``chat.server: managed`` with a real vLLM: started for a chat model, asked, ended. 20 to 60 s to start."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import psutil
import pytest
from support.vllm_server import PYTHON

from lavad.deployments.vllm_server import ENVIRONMENT, FLAGS
from lavad_core.config.models import VllmChatConfig
from lavad_core.config.schema import LavadConfig
from lavad_core.method.prompts import SCORE_CHOICES
from lavad_core.models.protocols import ChatRequest
from lavad_core.pipeline.resources import RunResources

pytestmark = [pytest.mark.vllm, pytest.mark.slow]


def test_a_run_s_own_vllm(
    vllm_environment: None, tiny_llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    chat = VllmChatConfig(
        model="tiny",
        server="managed",
        server_command=(str(PYTHON), "-P", "-m", "vllm.entrypoints.openai.api_server", "--model"),
        server_model=str(tiny_llama),
        server_args=(*FLAGS[2:], "--max-model-len=2048"),
        server_start_s=600,
    )
    others = {"captioners": {"a": {"model": "random:blip2-opt"}}, "encoder": {"kind": "clip", "model": "random:clip"}}
    config = LavadConfig(store=tmp_path / "store", chat=chat, run={"targets": ["summarise", "score"]}, **others)
    scored = ChatRequest((("user", "a dog."),), 8, 0.0, 1.0, 7, choices=SCORE_CHOICES)
    with closing(RunResources(config, record=True)) as resources:
        assert resources.graph.identities["chat"].startswith("served:tiny@unstated")
        model, _ = resources.models.chat()
        ((_, answer),) = model.answer([scored])
        assert answer.text in SCORE_CHOICES
        server = psutil.Process(resources.models._servers["chat"]._process.pid)
        family = [server, *server.children(recursive=True)]
        key = server.environ()["VLLM_API_KEY"]
        resources.release_after("score")
        assert psutil.wait_procs(family, timeout=30)[1] == []
    said = resources.models.server_log.read_text()
    assert "vllm" in said.lower()
    assert key not in said
