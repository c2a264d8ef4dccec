"""Whether a model that is held to choices wanted to say something else. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from lavad_core.config.schema import LavadConfig


@dataclass(frozen=True)
class Misfit:
    """How well the choices fit the model, for one video.

    Attributes:
        answers: of which it is known.
        outside: mean probability that such an answer, were it free, would begin otherwise than the choices do; 0 if of none.
    """

    answers: int
    outside: float

    @classmethod
    def of(cls, outside: Sequence[float | None]) -> Misfit:
        """The mean over the answers of one video.

        Args:
            outside: of each answer, None where nobody looked.
        """
        known = [value for value in outside if value is not None]
        return cls(len(known), math.fsum(known) / len(known) if known else 0.0)

    def in_words(self, config: LavadConfig) -> str:
        """What is wrong with the model, by how much, and the way out."""
        return (
            f"{self.outside:.1%} of what chat model {config.chat.model!r} would have said lies outside the choices (mean of "
            f"{self.answers} answers, score.max_outside = {config.score.max_outside:g}): it was made to give a score and would "
            "have said something else; try another model, or another score.format_prompt"
        )
