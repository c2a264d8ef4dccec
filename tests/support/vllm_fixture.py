"""The session's vLLM server, for every test that asks for ``vllm_server``. Loaded by conftest.py."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.vllm_server import VllmServer, missing


@pytest.fixture(scope="session")
def vllm_environment() -> None:
    """Skips where the environment was not built; tests that start a server of their own ask for this."""
    reason = missing()
    if reason:
        pytest.skip(reason)


@pytest.fixture(scope="session")
def tiny_llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a random Llama with a Llama-2-shaped tokenizer and template."""
    from lavad_core.models.random_models import random_folder

    return random_folder("llama", tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="session")
def vllm_server(
    vllm_environment: None, tiny_llama: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[VllmServer]:
    """A real server of ``tiny_llama``, one for the session: 17 to 40 s to start."""
    server = VllmServer(tiny_llama, tmp_path_factory.mktemp("vllm") / "server.log")
    yield server
    server.stop()
