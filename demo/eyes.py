"""A chat model that is shown pictures, made of two models of the demonstration: a captioner says what it sees, and the language
model that can say yes and no is asked about its words.

It stands for a vision-language model where a preset needs one (``kind: python``, ``demo/eyes.py:load``). Of several pictures
the captions are summarised first, as the method does it with those of a window.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image as PillowImage

from lavad.demo.training.llama import SEPARATOR
from lavad_core.config.models import Blip2Config, LocalChatConfig
from lavad_core.method import prompts
from lavad_core.method.summarising import Messages, summary_messages
from lavad_core.models.captioners.blip2 import Blip2Captioner
from lavad_core.models.chat.in_process import LocalChat
from lavad_core.models.protocols import ChatAnswer, ChatRequest, Image
from lavad_core.recipes.ordinal import TEXT

MODELS = Path(__file__).absolute().parent / "models"

SUMMARY_TOKENS = 64
"""Longest summary of a clip, tokens."""


class SeeingPair:
    """A :class:`~lavad_core.models.protocols.ChatModel` of a captioner and a chat model that reads."""

    sees_pictures = True

    def __init__(self, captioner: Blip2Captioner, chat: LocalChat) -> None:
        self._captioner, self._chat = captioner, chat
        self.context_tokens = chat.context_tokens

    def count_tokens(self, messages: Messages) -> int:
        """Those of the text alone."""
        return self._chat.count_tokens(messages)

    def answer(self, requests: Sequence[ChatRequest]) -> Iterator[tuple[int, ChatAnswer]]:
        """Answers as they come; see :meth:`~lavad_core.models.protocols.ChatModel.answer`."""
        clips = list(dict.fromkeys(request.pictures for request in requests if request.pictures))
        seen = dict(zip(clips, self._told(clips), strict=True))
        yield from self._chat.answer(
            [
                replace(one, messages=about(one.messages, seen[one.pictures]), pictures=()) if one.pictures else one
                for one in requests
            ]
        )

    def close(self) -> None:
        """Free both models."""
        with ExitStack() as both:
            both.callback(self._chat.close)
            both.callback(self._captioner.close)

    def _told(self, clips: Sequence[tuple[str, ...]]) -> list[str]:
        """What is seen in each clip: the caption of one picture, the summary of several."""
        pictures = list(dict.fromkeys(picture for clip in clips for picture in clip))
        captions = dict(zip(pictures, self._captioner.caption([decoded(one) for one in pictures]), strict=True))
        windows = [number for number, clip in enumerate(clips) if len(clip) > 1]
        asked = [
            ChatRequest(
                summary_messages([captions[one] for one in clips[number]], prompts.SUMMARY, SEPARATOR),
                SUMMARY_TOKENS,
                temperature=0.0,
                top_p=1.0,
                seed=0,
            )
            for number in windows
        ]
        told = [captions[clip[0]] for clip in clips]
        for position, answer in self._chat.answer(asked):
            told[windows[position]] = answer.text.strip()
        return told


def about(messages: Messages, seen: str) -> Messages:
    """A question about pictures as one about words: a question behind a system message gets the words in front; one without
    becomes the system message itself, as the method rates its summaries."""
    *before, (role, question) = messages
    if before:
        return (*before, (role, f"{TEXT.replace('{text}', seen)}\n\n{question}"))
    return ("system", question), (role, f"{seen}.")


def decoded(uri: str) -> Image:
    """The picture of a ``data:`` URI."""
    with PillowImage.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))) as picture:
        return np.asarray(picture.convert("RGB"))


def load(captioner: str = "blip2-t5-a", chat: str = "llama-questions") -> SeeingPair:
    """The model.

    Args:
        captioner, chat: names of models of the demonstration.
    """
    eyes, mind = str(MODELS / captioner), str(MODELS / chat)
    return SeeingPair(
        Blip2Captioner.load(Blip2Config(model=eyes, batch_size=64), eyes),
        LocalChat.load(LocalChatConfig(model=mind, batch_size=64), mind),
    )
