"""An answer of a reasoning model, from the server's bytes to a summary and a score: nothing of the thought is in them."""

from __future__ import annotations

from typing import Any

import pytest
from support.scripted_server import Reply, chat_body, scripted
from support.served import served

from lavad_core.config.load import load_config
from lavad_core.models.chat.read_answer import ReadAnswer, read_answers
from lavad_core.models.protocols import ChatRequest
from lavad_core.stages.score import read_answer
from lavad_core.stages.summarise import read_summary

CONFIG = load_config(preset="tiny", settings={"score": {"answer": "free-text", "expected": False}}, environ={})
THOUGHT = "Is it [0.9]? The police\nshould come."
ASKED = ChatRequest((("user", "What?"),), 64, 0.0, 1.0, 7)


def said(content: Any, finish_reason: str = "stop", **message: Any) -> dict[str, Any]:
    body = chat_body("", finish_reason)
    body["choices"][0]["message"] |= {"content": content, **message}
    return body


def read(body: dict[str, Any]) -> ReadAnswer:
    with scripted(Reply(body=body)) as server, served(server) as model:
        (reading,) = read_answers([answer for _, answer in model.answer([ASKED])])
    return reading


ANSWERED = {
    "tags": lambda text: said(f"<think>\n{THOUGHT}\n</think>\n\n{text}"),
    "tags with attributes": lambda text: said(f'<think type="deep" n=3>{THOUGHT}</think>{text}'),
    "nested": lambda text: said(f"<think>a<think>{THOUGHT}</think>[0.8]</think>{text}"),
    "several": lambda text: said(f"<think>{THOUGHT}</think><reasoning>[0.8]</reasoning>{text}"),
    "opened in the prompt": lambda text: said(f"{THOUGHT}\n</think>\n\n{text}"),
    "switched off": lambda text: said(f"<think>\n\n</think>\n\n{text}"),
    "a field": lambda text: said(text, reasoning_content=THOUGHT),
    "a field, by vLLM's name": lambda text: said(text, reasoning=THOUGHT),
    "parts": lambda text: said([{"type": "thinking", "thinking": THOUGHT}, {"type": "text", "text": text}]),
}


@pytest.mark.parametrize("form", ANSWERED.values(), ids=ANSWERED)
def test_the_answer_behind_a_thought_is_all_that_is_read(form: Any) -> None:
    summary, score = read(form("A man walks.")), read(form("[0.1]"))
    assert (summary.fault, score.fault) == (None, None)
    assert read_summary(CONFIG, summary) == "A man walks."
    assert read_answer(CONFIG, score) == 0.1


UNANSWERED = {
    "unfinished": said(f"<think>\n{THOUGHT}", "length"),
    "without its end": said(f"<think>\n{THOUGHT}"),
    "nested, one end": said(f"<think>a<think>b</think>{THOUGHT}", "length"),
    "nothing behind it": said(f"<think>{THOUGHT}</think>\n"),
    "a field alone": said(None, "length", reasoning_content=THOUGHT),
    "a field alone, by vLLM's name": said("", reasoning=THOUGHT),
    "a part alone": said([{"type": "thinking", "thinking": THOUGHT}]),
}


@pytest.mark.parametrize("body", UNANSWERED.values(), ids=UNANSWERED)
def test_a_thought_alone_is_no_answer(body: dict[str, Any]) -> None:
    reading = read(body)
    assert reading.fault == "only_thought"
    assert read_summary(CONFIG, reading) == ""
    assert read_answer(CONFIG, reading) is None
