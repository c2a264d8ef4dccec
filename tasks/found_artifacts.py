"""What a run found in the videos that were new to it: the part of its artifacts that somebody reads in the morning."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lavad_core.config.schema import LavadConfig
from lavad_core.errors import DamagedResult, LavadError
from lavad_core.escape import escape_markdown
from lavad_core.plain_text import number_of
from lavad_core.results.run import Keys, results_of_keys
from lavad_core.store.types import Store

log = logging.getLogger(__name__)

MOST_ROWS = 1000
"""Rows of the table, those with the highest peaks."""


@dataclass(frozen=True)
class Found:
    """The segments in the videos that were new to a run."""

    rows: Sequence[Mapping[str, Any]]
    """A row for each segment, the highest peak first."""
    message: str
    """How many they are, and of which videos, in a sentence."""


def found_in(store: Store, config: LavadConfig, new: Mapping[str, Keys], before: int) -> Found | None:
    """The segments in videos whose segments a run made.

    Args:
        store, config: those that the run was made with.
        new: name to the keys of its results, of those videos.
        before: how many other scored videos had theirs before the run.

    Returns:
        None if the results cannot be read.
    """
    results = results_of_keys(store, config, new)
    rows: list[dict[str, Any]] = []
    try:
        for name in results.names:
            segments = results[name].segments()
            if segments is None:
                raise DamagedResult(f"the segments of {name!r} are gone from the store")
            rows += [
                {
                    "video": escape_markdown(name, 120),
                    "from s": round(one["start_s"], 1),
                    "to s": round(one["end_s"], 1),
                    "peak": round(one["peak_score"], 3),
                    "reason": escape_markdown(one["summary"] or one["caption"] or "", 500),
                }
                for one in segments.to_pylist()
            ]
    except LavadError as error:  # the run is over: its end does not depend on this
        log.warning("what was found is not shown: %s", error)
        return None
    having = len({row["video"] for row in rows})
    message = (
        f"{number_of(len(rows), 'segment')} in {having} of {number_of(len(new), 'new video')}; "
        f"{number_of(before, 'other video', 'have')} results from before"
    )
    if config.smooth.in_words:
        message += f"; scores smoothed: {config.smooth.in_words}"
    rows.sort(key=lambda row: -row["peak"])
    if len(rows) > MOST_ROWS:
        message += f"; the {MOST_ROWS} highest are in the table"
    return Found(rows[:MOST_ROWS], message)
