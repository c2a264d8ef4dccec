"""Requests for chat models, and the answers in their order."""

from __future__ import annotations

import dataclasses
from typing import Any

from lavad_core.method import prompts
from lavad_core.models.protocols import ChatAnswer, ChatModel, ChatRequest

BOTH = tuple(spelling for choice in prompts.SCORE_CHOICES for spelling in (choice, " " + choice))
"""Every score, without and with a space before it."""

SCENES = [
    "a man walks through the parking lot at night.",
    "smoke rises from the back of a building.",
    "a dog.",
    "two people stand near the entrance of a shop. a car drives down the empty street. a child plays in the yard.",
    "übung – 車 [0.5] </s>",
]


def summary_of(scene: str, **fields: Any) -> ChatRequest:
    messages = (("system", prompts.SUMMARY), ("user", scene))
    return dataclasses.replace(ChatRequest(messages, 30, 0.0, 1.0, 0), **fields)


def score_of(scene: str, **fields: Any) -> ChatRequest:
    messages = (("system", prompts.CONTEXT["plain"] + " " + prompts.FORMAT), ("user", scene))
    return dataclasses.replace(ChatRequest(messages, 12, 0.0, 1.0, 0, BOTH), **fields)


def answers_of(model: ChatModel, requests: list[ChatRequest]) -> list[ChatAnswer]:
    """Each request is answered once."""
    found = list(model.answer(requests))
    assert sorted(number for number, _ in found) == list(range(len(requests)))
    return [answer for _, answer in sorted(found, key=lambda pair: pair[0])]
