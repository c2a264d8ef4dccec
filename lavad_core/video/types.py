"""What the rest of the library knows about a video. No I/O and no codec library here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

SourceKind = Literal["file", "frames", "listed"]

REJECTIONS = {
    "missing": "the path does not exist or is not a regular file or folder",
    "unreadable": "the file system, or the object storage, refused to read it",
    "empty": "zero bytes, or a folder without frames",
    "format": "the content is not one of the allowed container formats",
    "no-video": "a media file without a video stream",
    "no-frames": "a video stream of which no frame could be decoded",
    "too-large": "more pixels or frames than the configured limits",
    "decoder-crashed": "the decoding process died, each time that it was tried",
    "decoder-failed": "the decoding process met an error that is not the file's",
    "decoder-killed": "somebody else ended the decoding process: the system, out of memory, or a person who stopped the run",
    "decoder-timeout": "the decoding process made no progress in time",
    "decoder-memory": "the decoding process ran into its memory limit",
    "no-captions": "every captioner said nothing about every frame",
    "no-scores": "no answer of the language model held a score, or too few did",
    "changed": "the file's content changed while it was being processed",
}
"""Why a video is rejected: the word used in tables, and what it means."""


@dataclass(frozen=True)
class VideoSource:
    """A video as the user named it."""

    name: str
    """Unique within a run; the file's name without its ending, or the folder's name; may hold any character."""
    path: Path
    """Where the video is."""
    kind: SourceKind = "file"
    """``file`` for a media file; ``frames`` for a folder of pre-extracted frames (``000000.jpg`` …); ``listed`` for
    a video of which there is only a list, at ``path``."""


@dataclass(frozen=True)
class VideoHeader:
    """What a container announces; None where it says nothing."""

    frames: int | None
    """How many frames there are."""
    frame_rate: float | None
    """Mean frames per second."""
    duration_s: float | None
    """Length, seconds."""

    @property
    def frames_or_estimate(self) -> int | None:
        """Frames, or what rate and duration make of them; None where neither is known, or there would be none."""
        if self.frames:
            return self.frames
        if self.frame_rate and self.duration_s and 0 < self.frame_rate * self.duration_s < 2**53:
            return max(1, round(self.frame_rate * self.duration_s))
        return None

    @property
    def rate_or_estimate(self) -> float | None:
        """Mean frames per second, or what frames and duration make of it; None where neither is known."""
        return self.frame_rate or (self.frames / self.duration_s if self.frames and self.duration_s else None)


@dataclass(frozen=True)
class Geometry:
    """The size at which a model wants its frames, applied where frames are decoded."""

    resize: Literal["native", "square", "short_side"] = "native"
    """``native`` keeps the decoded size. ``square`` resizes to side x side whatever the aspect ratio (BLIP-2, SigLIP).
    ``short_side`` resizes the short side to ``side`` and the long one to ``int(side * long / short)`` (CLIP,
    ImageBind). Both are Pillow's antialiased bicubic on uint8 RGB, so a model whose own preprocessing starts with
    the same resize sees the same pixels."""
    side: int = 0
    """Pixels; 0 with ``native``."""

    def __post_init__(self) -> None:
        if (self.resize == "native") != (self.side == 0) or self.side < 0:
            raise ValueError(
                f"geometry {self.resize!r} with side {self.side}: native has side 0, the others a side > 0"
            )


NATIVE = Geometry()


@dataclass(frozen=True)
class FrameRequest:
    """Frames wanted at one geometry in a pass over a video."""

    geometry: Geometry
    """The size that the frames are given in."""
    frames: Sequence[int] | NDArray[np.int64] | None = field(default=None, repr=False)
    """0-based indices in presentation order, strictly increasing; an int64 array where there are many; None with
    ``every``."""
    every: int | None = None
    """Take 0, every, 2*every, … to the end of the video."""


@dataclass(frozen=True)
class Frame:
    """One decoded frame at one requested geometry."""

    index: int
    """0-based, presentation order."""
    request: int
    """Position of its request in the list of requests."""
    image: NDArray[np.uint8] = field(repr=False)
    """uint8, [height, width, 3], RGB, rotated upright, read-only."""
    substituted: bool = False
    """The frame itself could not be decoded and this is the nearest earlier one (the nearest later one at the start of
    a video)."""


@dataclass(frozen=True)
class Probe:
    """What decoding a whole video once found."""

    status: Literal["ok", "ok_with_gaps"]
    """``ok``; or ``ok_with_gaps``: frames are missing or damaged, ``counts`` says how many."""
    reason: str
    """A sentence for ``ok_with_gaps``; empty for ``ok``."""
    frames: int
    """M, frames in presentation order. Frames that the container announces within the decoded span but that did not
    decode are part of it (as gaps), so that indices agree with an undamaged copy's."""
    pts: NDArray[np.int64] = field(repr=False)
    """int64 [M], presentation time stamps in ``time_base`` units, strictly increasing."""
    time_base: Fraction
    """Seconds per unit of ``pts``."""
    gaps: tuple[int, ...]
    """Indices without a decoded frame, increasing."""
    width: int
    """Width of the upright picture, pixels."""
    height: int
    """Height of the upright picture, pixels."""
    rotation: int
    """Degrees that were applied to make it upright: 0, 90, 180 or 270."""
    codec: str
    """Name of the codec, as the demuxer gives it; of a folder's pictures, for instance ``jpeg``."""
    container: str
    """Name of the container, as the demuxer gives it; ``frames`` for a folder."""
    frames_from_header: int | None
    """How many frames the container announces; None where it does not. Never trusted."""
    counts: dict[str, int]
    """``frames_decoded``, ``frames_missing``, ``decode_errors``, ``corrupt_frames`` and others."""
    packets: NDArray[np.int64] | None = field(default=None, repr=False)
    """int64 [M], ordinal of the packet that each frame came from, -1 for gaps; None where frames can only be told by
    their order."""
    unchecked: str = ""
    """Why the end of the file could not be checked (its container announces none); empty if it was."""

    @property
    def completeness(self) -> Literal["checked", "unchecked"]:
        """Whether the container announces its end, so that a shortened file would have been noticed."""
        return "unchecked" if self.unchecked else "checked"

    @property
    def times_s(self) -> NDArray[np.float64]:
        """float64 [M]: seconds from the first frame's presentation time."""
        seconds = np.empty(len(self.pts), np.float64)
        np.subtract(self.pts, self.pts[0], out=seconds)  # of integers, and no second array of them
        seconds *= float(self.time_base)
        return seconds
