"""A chat model for ``kind: python`` that reads, sees and never thinks: what it says follows from the request alone."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence

from lavad_core.models.protocols import ChatAnswer, ChatRequest

HERE = f"{__file__}:load"
"""What ``chat.model`` is set to."""

TAGS = '["a bright light"]'
"""Its answer to a question about pictures that leaves it free."""


class SeeingChat:
    """Texts are answered by a sentence, choices by one of them."""

    context_tokens = 4096
    sees_pictures = True

    def count_tokens(self, messages: Sequence[tuple[str, str]]) -> int:
        return sum(len(text.split()) for _, text in messages)

    def answer(self, requests: Sequence[ChatRequest]) -> Iterator[tuple[int, ChatAnswer]]:
        for position, request in enumerate(requests):
            drawn = int(hashlib.sha256(repr((request.messages, request.pictures)).encode()).hexdigest()[:8], 16)
            yield position, self._said(request, drawn)

    def _said(self, request: ChatRequest, drawn: int) -> ChatAnswer:
        if request.choices is None:
            text = TAGS if request.pictures else f"A man walks past {drawn % 7} cars."
            return ChatAnswer(text, "stop", 10, 5)
        choices = sorted({choice.strip() for choice in request.choices})
        chosen = choices[drawn % len(choices)]
        weights = {choice: 3.0 if choice == chosen else 1.0 for choice in choices}
        logs = {choice: math.log(weight / sum(weights.values())) for choice, weight in weights.items()}
        return ChatAnswer(chosen, "stop", 10, 1, logs if request.distribution else None)

    def close(self) -> None:
        pass


def load() -> SeeingChat:
    """The model."""
    return SeeingChat()
