"""A vLLM that dies with requests in flight. Each test starts servers of its own, 20 to 60 s each."""

from __future__ import annotations

import os
import signal
from collections import Counter
from pathlib import Path

import pytest
from support.vllm_server import VllmServer, free_port

from lavad_core.config.models import VllmChatConfig
from lavad_core.errors import ServiceError
from lavad_core.models.chat.cached import CachedAnswers
from lavad_core.models.chat.one_server import Server
from lavad_core.models.chat.openai_server import ServedChat
from lavad_core.models.protocols import ChatAnswer, ChatRequest
from lavad_core.store.answers import AnswerCache

pytestmark = [pytest.mark.vllm, pytest.mark.slow]

REQUESTS = [ChatRequest((("user", f"a dog and {number} cars."),), 60, 1.0, 1.0, number) for number in range(60)]
CONCURRENCY = 8


@pytest.mark.parametrize(
    "death", [pytest.param(signal.SIGKILL, id="killed"), pytest.param(signal.SIGTERM, id="terminated")]
)
def test_only_what_was_in_flight_is_asked_again(
    death: signal.Signals,
    vllm_environment: None,
    tiny_llama: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sent: Counter[bytes] = Counter()
    once = Server.once

    async def counted(
        self: Server, method: str, url: str, content: bytes | None, timeout_s: float
    ) -> dict[str, object]:
        if content is not None and url.endswith("chat/completions"):
            sent[content] += 1
        return await once(self, method, url, content, timeout_s)

    monkeypatch.setattr(Server, "once", counted)
    port = free_port()

    def connect() -> ServedChat:
        # A terminated server may hold its connections open for ever: the time limit ends that.
        return ServedChat(
            VllmChatConfig(
                model="tiny",
                base_url=f"http://127.0.0.1:{port}/v1",
                concurrency=CONCURRENCY,
                retries=1,
                max_backoff_s=0.2,
                timeout_s=10,
            )
        )

    server = VllmServer(tiny_llama, tmp_path / "first.log", port=port)
    model, cache = connect(), AnswerCache(tmp_path / "answers.sqlite")
    before: dict[int, ChatAnswer] = {}
    with pytest.raises(ServiceError):  # noqa: PT012
        for number, answer in CachedAnswers(model, REQUESTS, cache, "tiny"):
            before[number] = answer
            if len(before) == 20:
                os.killpg(server._process.pid, death)
    model.close()
    cache.close()
    server.kill()
    assert 20 <= len(before) < len(REQUESTS)

    tried = set(sent)
    server = VllmServer(tiny_llama, tmp_path / "second.log", port=port)
    model = connect()
    asking = CachedAnswers(model, REQUESTS, AnswerCache(tmp_path / "answers.sqlite"), "tiny")
    after = dict(asking)
    model.close()
    server.stop()
    assert sorted(after) == list(range(len(REQUESTS)))
    assert {number: after[number] for number in before} == before
    assert (asking.from_cache, asking.asked) == (len(before), len(REQUESTS) - len(before))
    # What was sent before and was not answered is at most what the client had in hand.
    assert len(tried) - len(before) <= 2 * CONCURRENCY
    assert all(answer.finish_reason in ("stop", "length") for answer in after.values())
