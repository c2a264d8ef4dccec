"""The three roles that models play. A new model is a new file with a class that satisfies one of them, named by a section of
``kind: python`` (docs/design/captioners.md)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from lavad_core.method.summarising import Messages
from lavad_core.video.types import Geometry

Image = NDArray[np.uint8]
"""uint8, [height, width, 3], RGB."""

Vectors = NDArray[np.float32]
"""float32, [n, dimension]."""


@runtime_checkable
class Captioner(Protocol):
    """Φ_C: images to sentences (paper Sec. 3.3)."""

    @property
    def geometry(self) -> Geometry:
        """The size at which it wants its images."""

    def caption(self, images: Sequence[Image]) -> list[str]:
        """One caption for each image, in order; an empty string where the model says nothing.

        Raises:
            DeviceOutOfMemory: one image alone does not fit.
            ServiceError: a remote captioner did not answer.
        """

    def close(self) -> None:
        """Free the device memory. The object is not used afterwards."""


@runtime_checkable
class Encoder(Protocol):
    """E_I, E_T and E_V: images, texts and clips to one space (paper Sec. 3.3)."""

    @property
    def dimension(self) -> int:
        """Length of a vector."""

    @property
    def image_geometry(self) -> Geometry: ...

    @property
    def clip_geometry(self) -> Geometry: ...

    @property
    def views_per_clip(self) -> int:
        """Forward passes that :meth:`embed_clips` takes for one clip (3 crops for ImageBind); what the work counter
        ``views_encoded`` adds."""

    def embed_images(self, images: Sequence[Image]) -> Vectors:
        """Unit vectors of images of :attr:`image_geometry`."""

    def embed_texts(self, texts: Sequence[str]) -> Vectors:
        """Unit vectors of texts of any length (cut as the configuration says)."""

    def embed_clips(self, clips: Sequence[tuple[Image, Image]]) -> Vectors:
        """For each two-frame clip the mean of the unit vectors of its views, *not* re-normalised, so that the mean
        over several clips is the mean over all their views."""

    def close(self) -> None: ...


@runtime_checkable
class ScaledEncoder(Encoder, Protocol):
    """An encoder that was trained with a temperature for its cosines, and says it."""

    @property
    def logit_scale(self) -> float | None:
        """What cosines of a picture to texts are multiplied by before the softmax, above 0: 1 / temperature. None where the
        weights do not say it."""


@dataclass(frozen=True)
class ChatRequest:
    """One question to a chat model. Equal requests have equal answers: they are asked once and cached."""

    messages: Messages
    """(role, text) pairs; roles ``system``, ``user``, ``assistant``."""
    max_tokens: int
    """Most new tokens."""
    temperature: float
    """Temperature of the sampling; 0 is greedy."""
    top_p: float
    """Probability mass of nucleus sampling."""
    seed: int
    """The seed of the sampling."""
    choices: tuple[str, ...] | None = None
    """The answer must be one of these strings, to the byte, before stripping; None: free text."""
    distribution: bool | Literal["free"] = False
    """With ``choices``: also return the log-probability of each distinct stripped choice. ``free``: that of a free answer which
    begins with it and is not held to the choices; a choice has the product of its tokens' own probabilities then, and these
    share 1 among the choices in the end alone."""
    pictures: tuple[str, ...] = ()
    """``data:`` URIs of pictures that the last message is about, in front of its text. Only models whose ``sees_pictures`` is
    true are given any."""

    @property
    def free(self) -> bool:
        """Whether the choices are words that a free answer may begin with."""
        return self.distribution == "free"


FinishReason = Literal["stop", "length", "refused"]
"""How an answer ended: by the model, by ``max_tokens``, or by a content filter or the model's refusal."""


@dataclass(frozen=True)
class ChatAnswer:
    """What a chat model said."""

    text: str
    """The text, as generated, thoughts included (``models.chat.thoughts`` takes them off); with ``choices`` the choice
    without white space around it. It is blank where the model said nothing, also with ``choices``."""
    finish_reason: FinishReason
    """Anything else never reaches a caller. ``refused`` is an answer like any other: it is kept and not asked for
    again."""
    prompt_tokens: int
    """Tokens of the prompt as the model counts them, of all requests that the answer took."""
    completion_tokens: int
    """Tokens of the answer, likewise."""
    log_probabilities: dict[str, float] | None = None
    """Stripped choice to natural log-probability, summing to 1 over the choices; None unless asked. With them ``text``
    is the most probable choice. Of a ``free`` answer also None where its model begins with no choice, or does not tell."""
    # Of how the answer was found, not of what it says.
    outside: float | None = field(default=None, compare=False)
    """With ``choices``: the probability that an unconstrained answer would begin with a token that no choice begins
    with; None where that was not measured. The choices' own probabilities share the rest."""
    follow_ups: int = field(default=0, compare=False)
    """Requests beside the first that the answer took."""


@runtime_checkable
class AnsweringCaptioner(Captioner, Protocol):
    """A captioner that is a chat model: it also tells how each caption ended."""

    def answers(self, images: Sequence[Image]) -> list[ChatAnswer]:
        """The answer for each image, in order; errors as :meth:`caption`."""


@runtime_checkable
class ChatModel(Protocol):
    """Φ_LLM: messages to text (paper Sec. 3.3)."""

    @property
    def context_tokens(self) -> int:
        """Most tokens of prompt and answer together."""

    def count_tokens(self, messages: Messages) -> int:
        """Tokens of the rendered prompt, or an estimate of them."""

    def answer(self, requests: Sequence[ChatRequest]) -> Iterator[tuple[int, ChatAnswer]]:
        """Answers as they come, each with the position of its request; every request is answered exactly once.

        The caller may stop iterating; requests in flight are then abandoned.

        Raises:
            ServiceError: after the configured retries; answers already yielded stay valid.
            RequestRejected: the server refuses a request (bad parameters, prompt too long).
            ModelError: the server has no such model.
        """

    def close(self) -> None: ...
