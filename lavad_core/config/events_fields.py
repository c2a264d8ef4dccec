"""The section of scores of events (docs/design/recipes.md)."""

from __future__ import annotations

from typing import Literal

from lavad_core.config.section import Section, setting


class EventsConfig(Section):
    """Scores of events: parts of the video between changes of its pictures, at two levels (VADTree). What the language model is
    asked about them, ``summarise`` and ``score`` say."""

    boundaries: Literal["embed", "import"] = setting(
        "embed",
        affects=("find_events",),
        description="Where boundary scores come from: changes from one grid frame's vector to the next, or "
        "`imports.boundaries`.",
    )
    peak_threshold: float = setting(
        0.4,
        affects=("find_events",),
        description="Least score of a boundary, of the video's largest where boundaries is embed.",
        ge=0,
        le=1,
    )
    levels: Literal["both", "coarse", "fine"] = setting(
        "both",
        affects=("find_events",),
        description="Events between all boundaries (fine), between the strongest (coarse), or the mean of their scores.",
    )
    min_length_frames: int = setting(
        1,
        affects=("find_events",),
        description="Least frames of an event inside the video; at its two ends they may be shorter.",
        ge=1,
        le=1_000_000,
    )
    captions: int = setting(
        16,
        affects=("summarise_events",),
        description="Most captions that an event is summarised by: those of grid frames spread evenly over it.",
        ge=1,
        le=1000,
    )
