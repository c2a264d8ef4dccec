"""What a user's own model gives back, checked call by call: a list that is too short or a vector that is not a number would
otherwise be a wrong result, or a fault that seems to be the program's."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, NoReturn, TypeVar

import numpy as np

from lavad_core.config.models import PythonModel
from lavad_core.errors import ModelError
from lavad_core.escape import shortened
from lavad_core.method.summarising import Messages
from lavad_core.models.chat.replies import finish_reason_of
from lavad_core.models.chat.thoughts import without_thoughts
from lavad_core.models.protocols import ChatAnswer, ChatRequest, Image, Vectors
from lavad_core.models.python_model import find_source, their_errors
from lavad_core.video.types import Geometry

T = TypeVar("T")

MAX_LENGTH_ERROR = 0.02
"""How far from 1 a vector's length may be: half precision and a mean of unit vectors that nearly agree stay within it."""

MAX_SHOWN = 100
"""Characters of what they gave that a message repeats."""


class _Theirs:
    """A model of ``kind: python`` behind the checks of its role."""

    def __init__(self, config: PythonModel, model: Any) -> None:
        self._config, self._model = config, model
        self._path = find_source(config)

    def __getattr__(self, name: str) -> Any:
        """Attributes that the role does not have are passed on from the user's object."""
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._model, name)

    def _call(self, name: str, *arguments: Any) -> Any:
        with their_errors(self._config, self._path, f"fails in {name}()"):
            return getattr(self._model, name)(*arguments)

    def _value(self, name: str, kind: type[T]) -> T:
        with their_errors(self._config, self._path, f"fails in {name}"):
            value = getattr(self._model, name)
        if not isinstance(value, kind) or isinstance(value, bool):
            self._refuse(name, f"is a {type(value).__name__}, not a {kind.__name__}")
        return value

    def _refuse(self, name: str, what: str) -> NoReturn:
        raise ModelError(
            f"{self._config.model}: {name} of what {self._config.function}() returned {what}; "
            "lavad_core/models/protocols.py says what it must be"
        )

    def close(self) -> None:
        self._call("close")


class CheckedCaptioner(_Theirs):
    """A :class:`~lavad_core.models.protocols.Captioner` whose captions are a text for each image."""

    @property
    def geometry(self) -> Geometry:
        return self._value("geometry", Geometry)

    def caption(self, images: Sequence[Image]) -> list[str]:
        """See the Protocol.

        Raises:
            ModelError: it is not a list of texts, one for each image; or their code raises what is not an error of ours.
        """
        captions = self._call("caption", images)
        if isinstance(captions, str) or not isinstance(captions, Sequence):
            self._refuse("caption()", f"gave a {type(captions).__name__}, not a list of texts")
        if len(captions) != len(images):
            self._refuse("caption()", f"gave {len(captions)} texts for {len(images)} images")
        for number, caption in enumerate(captions):
            if not isinstance(caption, str):
                self._refuse("caption()", f"gave a {type(caption).__name__}, not a text, for image {number} of a call")
        return list(captions)


class CheckedEncoder(_Theirs):
    """An :class:`~lavad_core.models.protocols.Encoder` whose vectors are finite, and of unit length where they must be."""

    @property
    def dimension(self) -> int:
        return self._value("dimension", int)

    @property
    def image_geometry(self) -> Geometry:
        return self._value("image_geometry", Geometry)

    @property
    def clip_geometry(self) -> Geometry:
        return self._value("clip_geometry", Geometry)

    @property
    def views_per_clip(self) -> int:
        return self._value("views_per_clip", int)

    def embed_images(self, images: Sequence[Image]) -> Vectors:
        return self._vectors("embed_images", images, unit=True)

    def embed_texts(self, texts: Sequence[str]) -> Vectors:
        return self._vectors("embed_texts", texts, unit=True)

    def embed_clips(self, clips: Sequence[tuple[Image, Image]]) -> Vectors:
        return self._vectors("embed_clips", clips, unit=False)

    def _vectors(self, name: str, items: Sequence[Any], *, unit: bool) -> Vectors:
        given = self._call(name, items)
        try:
            vectors = np.asarray(given, dtype=np.float32)
        except (TypeError, ValueError):
            vectors = np.zeros((0, 0), np.float32)
        wanted = (len(items), self.dimension)
        if vectors.shape != wanted:
            shape = list(getattr(given, "shape", vectors.shape))
            self._refuse(f"{name}()", f"gave a {type(given).__name__} {shape}, not an array {list(wanted)} of numbers")
        lengths = np.linalg.norm(vectors.astype(np.float64), axis=1)
        for bad, what in (
            (~np.isfinite(lengths), "values that are not finite (NaN or infinite)"),
            (lengths == 0, "zeros alone"),
            (np.abs(lengths - 1) > MAX_LENGTH_ERROR if unit else np.zeros(len(items), bool), "a length that is not 1"),
        ):
            if bad.any():
                first = int(np.flatnonzero(bad)[0])
                self._refuse(f"{name}()", f"gave {int(bad.sum())} of {len(items)} vectors {what}, the first at {first}")
        return vectors


class CheckedChat(_Theirs):
    """A :class:`~lavad_core.models.protocols.ChatModel` that answers each request once, and keeps to the choices."""

    @property
    def context_tokens(self) -> int:
        return self._value("context_tokens", int)

    def count_tokens(self, messages: Messages) -> int:
        count = self._call("count_tokens", messages)
        if not isinstance(count, int) or isinstance(count, bool) or count < 0:
            self._refuse("count_tokens()", f"gave {_shown(count)}, not a number of tokens")
        return int(count)

    def answer(self, requests: Sequence[ChatRequest]) -> Iterator[tuple[int, ChatAnswer]]:
        open_ones = set(range(len(requests)))
        answers = self._call("answer", requests)
        with their_errors(self._config, self._path, "fails in answer()"):
            iterator = iter(answers)
        try:
            while True:
                with their_errors(self._config, self._path, "fails in answer()"):
                    pair = next(iterator, None)
                if pair is None:
                    break
                position, answer = self._pair(pair)
                if position not in open_ones:
                    self._refuse("answer()", f"gave an answer at {position}, where none is open")
                open_ones.discard(position)
                self._check(requests[position], answer)
                yield position, answer
        finally:
            close = getattr(iterator, "close", None)
            if close is not None:
                close()
        if open_ones:
            self._refuse("answer()", f"left {len(open_ones)} of {len(requests)} requests without an answer")

    def _pair(self, pair: Any) -> tuple[int, ChatAnswer]:
        whole = (
            isinstance(pair, tuple) and len(pair) == 2 and isinstance(pair[0], int) and isinstance(pair[1], ChatAnswer)
        )
        if not whole:
            self._refuse("answer()", f"gave {_shown(pair)}, not a position and a ChatAnswer")
        position, answer = pair
        return position, answer

    def _check(self, request: ChatRequest, answer: ChatAnswer) -> None:
        if not isinstance(answer.text, str):
            self._refuse("answer()", f"gave {_shown(answer)}: its text is not a text")
        if request.choices is None:
            return
        said = without_thoughts(answer.text)
        if finish_reason_of(answer.finish_reason) == "refused" or not said.strip():
            return  # a refusal, a thought and nothing else, or silence is an answer too
        if request.free and answer.log_probabilities is None:
            return  # it begins with no choice
        values = {choice.strip() for choice in request.choices}
        if said not in values:
            self._refuse("answer()", f"gave {_shown(answer.text)}, which is not one of the {len(values)} choices")
        logs = answer.log_probabilities
        if not request.distribution:
            return
        if (
            not isinstance(logs, dict)
            or set(logs) != values
            or not all(isinstance(log, float) for log in logs.values())
        ):
            needs = "a yes/no question" if request.free else "`score.expected`"
            self._refuse("answer()", f"gave no log-probability for each of the choices, which {needs} needs")
        elif not abs(math.fsum(map(math.exp, logs.values())) - 1) < 1e-6:
            self._refuse("answer()", "gave log-probabilities of the choices that do not sum to 1 (or are not numbers)")


def _shown(value: Any) -> str:
    return shortened(repr(value), MAX_SHOWN)
