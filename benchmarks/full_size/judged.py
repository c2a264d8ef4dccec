"""What the figures of a GPU are judged by."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from full_size.measuring import Row
from full_size.piped import SHARE


@dataclass(frozen=True)
class FigureLimit:
    """A limit of one figure."""

    what: str
    """Its words."""
    name: str
    """Its name in rows."""
    bound: float
    """The limit."""
    counts: Callable[[Sequence[float]], float]
    """Which of several rows counts: ``max`` or ``min``."""
    at_least: bool = False
    """Whether the limit is the least; otherwise it is the most."""
    of: tuple[str, str] = ("", "")
    """Only rows that have this name, with a value that begins like this."""

    def verdict(self, rows: Sequence[Row]) -> str:
        """A line that says whether it is met."""
        name, value = self.of
        values = [
            row[self.name]
            for row in rows
            if row.get(self.name) is not None and (not name or (name in row and str(row[name]).startswith(value)))
        ]
        if not values:
            return f"not measured: {self.what}"
        found = self.counts(values)
        met = found >= self.bound if self.at_least else found <= self.bound
        return f"{'met' if met else 'NOT MET'}: {self.what}: {found} (at {'least' if self.at_least else 'most'} {self.bound})"


LIMITS = (
    FigureLimit("captioners alone, ms a grid frame", "together: ms a grid frame", 20, min),
    FigureLimit("captioners in the pipeline, ms a grid frame", "ms a grid frame", 25, min, of=("pipeline", "")),
    FigureLimit("captioning stages, share with the device at work", "at work", 0.85, max, True, ("pipeline", "")),
    FigureLimit(
        "ImageBind's images, share of the matrix rate",
        "share of the matrix rate",
        0.65,
        max,
        True,
        ("imagebind", "images"),
    ),
    FigureLimit("decode passes a video", "decode passes a video", 2, max),
    FigureLimit("peak of a stage, share of the memory of the GPU", "peak share", SHARE, max),
    FigureLimit("left on the GPU after a captioner's stage, GiB", "GiB left", 0.1, max, of=("stage", "caption:")),
)
"""The last one is for cuBLAS, which has 32 MB for each stream for good."""


def verdicts(rows: Sequence[Row]) -> Iterator[str]:
    """A line for each limit."""
    return (limit.verdict(rows) for limit in LIMITS)
