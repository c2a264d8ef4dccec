"""What tells one served model from another. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

from lavad_core.digest import digest
from lavad_core.errors import LavadError

SHORT_DIGITS = 12
"""Hexadecimal digits that tell the models behind one name apart; there are a few."""

MOST_CHARACTERS = 300
"""Most characters of a server's words that are kept."""


class NoServerFacts(LavadError):
    """The server is not there, or says nothing."""


@dataclass(frozen=True)
class ServerFacts:
    """What a server says about a model. None: it did not say."""

    root: str | None = None
    """The weights, as vLLM lists them: a folder or a hub id."""
    version: str | None = None
    """The version of the server."""
    answer: str | None = None
    """The greedy answer to a fixed question; None also where it differs from time to time."""
    folds: bool | None = None
    """Whether it refuses system messages, or drops them."""

    @classmethod
    def read(cls, stored: Mapping[str, Any]) -> Self:
        """The facts of a row that ``asdict`` made; a value of another type counts as not said."""
        texts = {name: stored.get(name) for name in ("root", "version", "answer")}
        folds = stored.get("folds")
        return cls(
            **{name: value if isinstance(value, str) else None for name, value in texts.items()},
            folds=folds if isinstance(folds, bool) else None,
        )

    @property
    def weights(self) -> str:
        """The end of :attr:`root`: a folder may be mounted elsewhere."""
        return (self.root or "").rstrip("/").rpartition("/")[2]

    @property
    def mark(self) -> str:
        """What tells this model from others of its name."""
        return digest([self.weights, self.answer])[:SHORT_DIGITS]

    def updated(self, now: ServerFacts) -> ServerFacts:
        """These facts, with what of ``now`` is not part of :attr:`mark`."""
        return replace(self, version=now.version or self.version, folds=self.folds if now.folds is None else now.folds)

    def filled(self, other: ServerFacts) -> ServerFacts:
        """These facts, with gaps filled from ``other``."""
        mine, theirs = asdict(self), asdict(other)
        return ServerFacts(**{name: theirs[name] if value is None else value for name, value in mine.items()})


def fact_differences(known: ServerFacts, now: ServerFacts) -> list[str]:
    """Why ``now`` is not the model that ``known`` was; empty if nothing says so.

    Another version of the server, or another folder of the same name, is not another model: an update must not make the results
    in a store worthless. Another answer to the fixed question is one, though an update can cause it: a person decides which.
    """
    found = []
    if known.root and now.root and known.weights != now.weights:
        found.append(f"it serves {now.root!r}, and served {known.root!r}")
    if known.answer is not None and now.answer is not None and known.answer != now.answer:
        found.append(f"it answers a fixed question with {now.answer[:60]!r}, and answered {known.answer[:60]!r}")
    if found and known.version != now.version and known.version and now.version:
        found.append(f"its version is {now.version}, and was {known.version}")
    return found
