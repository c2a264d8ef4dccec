"""Φ_C: a vision-language model behind an OpenAI-compatible server, asked with a prompt."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from lavad_core.config.models import OpenAICaptionerConfig
from lavad_core.errors import ContentRefused, RequestRejected
from lavad_core.models.chat.control import MOST_WORDS, Control
from lavad_core.models.chat.http import Call, JsonPool, Post
from lavad_core.models.chat.optional import LIMIT, NEWER_LIMIT
from lavad_core.models.chat.read_answer import caption_of, read_answers
from lavad_core.models.chat.replies import checked_length, parse_chat_answer, token_counts
from lavad_core.models.picture_parts import blank, data_uri, picture_part
from lavad_core.models.protocols import ChatAnswer, Image
from lavad_core.video.types import Geometry

_SEED = 0
"""The seed of the sampling, without effect at temperature 0 on servers that are exact there."""


class ServedCaptioner:
    """One request per image, many in flight. Safe to use from several threads.

    Attributes:
        geometry: the short side that is sent; the model's own preprocessing on the server may resize again.
    """

    def __init__(self, config: OpenAICaptionerConfig, place: str = "captioners.NAME") -> None:
        """``place`` is where the configuration has it, for messages.

        Raises:
            ConfigError: ``base_url`` is not an HTTP address.
        """
        self._config, self._limit = config, LIMIT
        self.geometry = Geometry("short_side", config.image_side)
        self._control = Control(config.model)
        self._pool = JsonPool.configured(config, f"{place}.api_key")

    def caption(self, images: Sequence[Image]) -> list[str]:
        """One caption for each image, in one line; empty where the model says nothing.

        Raises:
            ServiceError: after the configured retries.
            RequestRejected: the server refuses a request.
            ModelError: it does not serve the model.
        """
        return [caption_of(reading) for reading in read_answers(self.answers(images))]

    def answers(self, images: Sequence[Image]) -> list[ChatAnswer]:
        """The server's answers in order, so that those without a caption can be told apart; errors as :meth:`caption`."""

        def job(image: Image) -> Callable[[Post], Awaitable[ChatAnswer]]:
            return lambda post: self._ask(image, post)

        found = dict(self._pool.run(job(image) for image in images))
        return [found[position] for position in range(len(images))]

    def close(self) -> None:
        self._pool.close()

    async def _posted(self, image: Image, post: Post) -> dict[str, Any]:
        body = self._body(image)
        try:
            return await post(Call("chat/completions", body, check=self._check))
        except RequestRejected as refusal:
            if refusal.field != self._limit or self._limit == NEWER_LIMIT:
                raise
            body[NEWER_LIMIT] = body.pop(self._limit)
            answer = await post(Call("chat/completions", body, check=self._check))
            self._limit = NEWER_LIMIT
            return answer

    async def _asked_control(self, post: Post) -> tuple[int, int]:
        """The tokens that captioning a blank picture takes."""
        return token_counts(await self._posted(blank(self._config.image_side), post))

    async def _ask(self, image: Image, post: Post) -> ChatAnswer:
        try:
            answer = await self._posted(image, post)
        except ContentRefused:
            return ChatAnswer("", "refused", 0, 0)
        except RequestRejected as refusal:
            await self._control.blame(refusal, "picture", lambda: self._asked_control(post))
            return ChatAnswer(refusal.words[:MOST_WORDS], "refused", 0, 0)
        text, finish_reason = parse_chat_answer(answer)
        return ChatAnswer("" if finish_reason == "refused" else text, finish_reason, 0, 0)

    def _check(self, answer: dict[str, Any], attempt: int, attempts: int) -> None:
        """Only a whole answer counts: a stopping server gives half ones with status 200 and finish_reason ``abort``."""
        text, _ = parse_chat_answer(answer)
        checked_length(text, self._config.max_new_tokens)

    def _body(self, image: Image) -> dict[str, Any]:
        config = self._config
        picture = picture_part(data_uri(image, config.jpeg_quality))
        return {
            **config.extra_body,
            "model": config.model,
            "messages": [{"role": "user", "content": [picture, {"type": "text", "text": config.prompt}]}],
            self._limit: config.max_new_tokens,
            "temperature": 0,
            "seed": _SEED,
        }
