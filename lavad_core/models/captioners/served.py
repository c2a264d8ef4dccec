"""Φ_C: a vision-language model behind an OpenAI-compatible server, asked with a prompt."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from typing import Any

from PIL import Image as PillowImage

from lavad_core.config.models import OpenAICaptionerConfig
from lavad_core.errors import ServiceUnavailable
from lavad_core.models.chat.http import Call, JsonPool
from lavad_core.models.protocols import Image
from lavad_core.video.types import Geometry

_SEED = 0
"""Of the sampling; of no effect at temperature 0 on servers that are exact there."""


class ServedCaptioner:
    """One request an image, many in flight. Safe to use from several threads."""

    def __init__(self, config: OpenAICaptionerConfig) -> None:
        """
        Raises:
            ConfigError: ``base_url`` is not an HTTP address.
        """
        self._config = config
        self._pool = JsonPool(
            config.base_url,
            config.api_key,
            concurrency=config.concurrency,
            timeout_s=config.timeout_s,
            retries=config.retries,
            max_backoff_s=config.max_backoff_s,
            key_setting=f"api_key of the captioner {config.name}",
        )

    @property
    def geometry(self) -> Geometry:
        """The short side that is sent; the model's own preprocessing on the server may resize again."""
        return Geometry("short_side", self._config.image_side)

    def caption(self, images: Sequence[Image]) -> list[str]:
        """One caption for each image, in one line; empty where the model says nothing.

        Raises:
            ServiceError: after the configured retries.
            RequestRejected: the server refuses a request.
            ModelError: it does not serve the model.
        """
        captions = [""] * len(images)
        calls = (Call("chat/completions", self._body(image), check=_check) for image in images)
        for position, answer in self._pool.map(calls):
            captions[position] = " ".join(_text(answer).split())
        return captions

    def close(self) -> None:
        self._pool.close()

    def _body(self, image: Image) -> dict[str, Any]:
        config = self._config
        picture = {"type": "image_url", "image_url": {"url": _data_uri(image, config.jpeg_quality)}}
        return {
            "model": config.model,
            "messages": [{"role": "user", "content": [picture, {"type": "text", "text": config.prompt}]}],
            "max_tokens": config.max_new_tokens,
            "temperature": 0,
            "seed": _SEED,
        }


def _data_uri(image: Image, quality: int) -> str:
    buffer = io.BytesIO()
    PillowImage.fromarray(image).save(buffer, "JPEG", quality=quality)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def _check(answer: dict[str, Any], attempt: int, attempts: int) -> None:
    """Only a whole answer counts: a stopping server gives half ones with status 200 and finish_reason ``abort``."""
    _text(answer)


def _text(answer: dict[str, Any]) -> str:
    try:
        choice = answer["choices"][0]
        reason, text = choice["finish_reason"], choice["message"]["content"]
    except (KeyError, IndexError, TypeError) as error:
        raise ServiceUnavailable("the answer of the captioner's server is not a chat completion") from error
    if reason not in ("stop", "length") or not isinstance(text, str | None):
        raise ServiceUnavailable(f"the captioner's server ended an answer with finish_reason {reason!r}")
    return text or ""
