"""The scores and texts of a set of videos, as evaluation, export and reports see them. No I/O here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class ScoredVideo:
    """The scores of one video.

    Attributes:
        name: the user's or the list's, without the ending of a video file.
        frames: M, of the video.
        interval: frames from one grid frame to the next; scores are those of frames 0, interval, …
        scores: float64 [⌈M / interval⌉]: the final ones, refined where the method refined them.
        raw_scores: float64, the same shape: the language model's own; None if there are none beside ``scores``.
        frame_rate: mean, per second; None where nothing tells.
        times_s: float64 [M], presentation times, seconds; None where only a rate is known, or nothing.
    """

    name: str
    frames: int
    interval: int
    scores: NDArray[np.float64] = field(repr=False)
    raw_scores: NDArray[np.float64] | None = field(default=None, repr=False)
    frame_rate: float | None = None
    times_s: NDArray[np.float64] | None = field(default=None, repr=False)

    @property
    def grid(self) -> NDArray[np.int64]:
        """Frames that the scores are of, int64 [⌈M / interval⌉]."""
        return np.arange(0, self.frames, self.interval, dtype=np.int64)


@dataclass(frozen=True)
class VideoTexts:
    """The texts of one video; each is empty where there is none.

    Attributes:
        captions: captioner to grid frame to its caption.
        cleaned: grid frame to the caption that cleaning put there.
        summaries: grid frame to summary.
    """

    captions: Mapping[str, Mapping[int, str]] = field(default_factory=dict)
    cleaned: Mapping[int, str] = field(default_factory=dict)
    summaries: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Recipe:
    """How the scores of a set were made (``results.recipe``).

    Attributes:
        lines: name to text, for people: captioners, encoder, chat model, prompts, semantics, window, neighbours, switches.
        settings: everything that a result depends on, for comparisons; the lines where nothing else is known.
    """

    lines: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)


class ResultSet(Protocol):
    """A run of this program, or an import.

    Attributes:
        set_id: of the run or import, as ``lavad status`` lists it.
        origin: where the scores come from.
        unscored: videos that should have scores and have none, with the reason in a few words.
        recipe: how the scores were made.
    """

    @property
    def recipe(self) -> Recipe: ...

    @property
    def set_id(self) -> str: ...

    @property
    def origin(self) -> Literal["run", "import"]: ...

    @property
    def unscored(self) -> Mapping[str, str]: ...

    @property
    def names(self) -> Sequence[str]:
        """Of the scored videos, sorted."""
        ...

    def scores(self, name: str) -> ScoredVideo:
        """Scores of one of :attr:`names`.

        Raises:
            DamagedResult: they are gone from the store.
        """
        ...

    def texts(self, name: str) -> VideoTexts:
        """Texts of one of :attr:`names`; errors as :meth:`scores`."""
        ...

    def window_samples(self) -> Mapping[int, int] | None:
        """Number of samples to how many windows of all videos have it; empty where no window was sampled, None where a result
        does not say it."""
        ...


@dataclass(frozen=True)
class MemoryResults:
    """A :class:`ResultSet` of values that are at hand."""

    videos: Mapping[str, ScoredVideo] = field(repr=False)
    set_id: str = ""
    origin: Literal["run", "import"] = "import"
    unscored: Mapping[str, str] = field(default_factory=dict)
    said: Mapping[str, VideoTexts] = field(default_factory=dict, repr=False)
    recipe: Recipe = field(default_factory=Recipe, repr=False)

    @property
    def names(self) -> Sequence[str]:
        """Of the scored videos, sorted."""
        return sorted(self.videos)

    def scores(self, name: str) -> ScoredVideo:
        """Of one of :attr:`names`."""
        return self.videos[name]

    def texts(self, name: str) -> VideoTexts:
        """Of one of :attr:`names`."""
        return self.said.get(name, VideoTexts())

    def window_samples(self) -> Mapping[int, int] | None:
        """Nothing tells."""
        return None
