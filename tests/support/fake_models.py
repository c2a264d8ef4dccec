"""Models without weights that satisfy the Protocols: quick, deterministic, and meaningful enough to assert on.

An image's meaning is its mean grey level; a caption names it; vectors point at it. So a dark frame's caption is nearest to
dark frames, whoever wrote it.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from lavad_core.models.protocols import ChatAnswer, ChatRequest, Image, Vectors
from lavad_core.video.types import Geometry


def level_of(image: Image) -> int:
    """Mean grey level in tens: 0 … 25."""
    return int(image.mean() // 10)


def vector_of(level: float) -> np.ndarray:
    angle = level / 26 * math.pi
    return np.array([math.cos(angle), math.sin(angle), 0, 0], np.float32)


IDENTITIES = {"captioner:first": "1", "captioner:second": "2", "encoder": "e", "chat": "c"}
"""Role to identity, where a test does not look for models."""


class FakeCaptioner:
    """Says ``<name> sees level N``."""

    geometry = Geometry("square", 16)

    def __init__(self, name: str) -> None:
        self.name = name
        self.calls: list[int] = []
        self.closed = False

    def caption(self, images: Sequence[Image]) -> list[str]:
        self.calls.append(len(images))
        return [f"{self.name} sees level {level_of(image)}" for image in images]

    def close(self) -> None:
        self.closed = True


class FakeEncoder:
    """Levels to directions; texts by the last number in them."""

    dimension = 4
    image_geometry = Geometry("short_side", 16)
    clip_geometry = Geometry("short_side", 16)
    views_per_clip = 3

    def __init__(self) -> None:
        self.images = self.clips = 0
        self.texts: list[str] = []
        self.closed = False

    def embed_images(self, images: Sequence[Image]) -> Vectors:
        self.images += len(images)
        return np.stack([vector_of(level_of(image)) for image in images])

    def embed_texts(self, texts: Sequence[str]) -> Vectors:
        self.texts += texts
        numbers = [[int(word) for word in text.split() if word.isdigit()] or [0] for text in texts]
        return np.stack([vector_of(found[-1]) for found in numbers])

    def embed_clips(self, clips: Sequence[tuple[Image, Image]]) -> Vectors:
        self.clips += len(clips)
        return np.stack([(vector_of(level_of(a)) + vector_of(level_of(b))) / 2 for a, b in clips])

    def close(self) -> None:
        self.closed = True


class FakeChat:
    """Summarises with the last caption; rates a summary by its level, brighter is more anomalous."""

    context_tokens = 4096

    def __init__(self, answers: dict[str, str] | None = None) -> None:
        self.asked: list[ChatRequest] = []
        self.answers = answers or {}
        self.closed = False

    def count_tokens(self, messages: Sequence[tuple[str, str]]) -> int:
        return sum(len(text.split()) for _, text in messages)

    def answer(self, requests: Sequence[ChatRequest]) -> Iterator[tuple[int, ChatAnswer]]:
        for position, request in enumerate(requests):
            self.asked.append(request)
            yield position, ChatAnswer(self._text(request), "stop", 10, 5, self._distribution(request))

    def _text(self, request: ChatRequest) -> str:
        said = request.messages[-1][1]
        if "rate the scene" not in request.messages[0][1]:
            return f"Here is a summary:\n\n{said.splitlines()[-1].strip()}"
        if said in self.answers:
            return self.answers[said]
        level = int(said.rstrip(".").split()[-1])
        return "[0]" if level < 2 else f"[{min(10, level // 2) / 10:.1f}]"

    def _distribution(self, request: ChatRequest) -> dict[str, float] | None:
        if not request.distribution:
            return None
        return {choice.strip(): math.log(1 / 11) for choice in request.choices or ()}

    def close(self) -> None:
        self.closed = True


class FakePool:
    """Stands in for ``models.pool.ModelPool``."""

    def __init__(self, *, answers: dict[str, str] | None = None) -> None:
        self.encoder_model = FakeEncoder()
        self.chat_model = FakeChat(answers)
        self.captioners: dict[str, FakeCaptioner] = {}
        self.released: list[str] = []
        self.lock = threading.Lock()

    def captioner(self, name: str) -> tuple[FakeCaptioner, Any]:
        return self.captioners.setdefault(name, FakeCaptioner(name)), self.lock

    def encoder(self) -> tuple[FakeEncoder, Any]:
        return self.encoder_model, self.lock

    def chat(self) -> tuple[FakeChat, Any]:
        return self.chat_model, self.lock

    def failed_to_load(self, role: str) -> bool:
        return False

    def release(self, role: str) -> None:
        self.released.append(role)

    def close(self) -> None:
        self.released.append("*")
