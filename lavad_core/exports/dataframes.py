"""Results as pandas DataFrames: what the exports write, without a file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict

import pandas as pd
import pyarrow as pa

from lavad_core.exports.tables import schema_of, tables_of
from lavad_core.method.detection import Segment, SegmentRule
from lavad_core.results import ResultSet, VideoTexts

TEXT_COLUMNS = ["video", "frame", "kind", "captioner", "text"]


def scores_table(results: ResultSet, *, every_frame: bool = False) -> pd.DataFrame:
    """The scores of all videos.

    Args:
        results: those of a run or an import.
        every_frame: one row per frame; otherwise one per grid frame, for which a score was computed.

    Returns:
        columns ``video``; ``frame``, from 0; ``time_s``, when the frame is shown, seconds, NaN where not known; ``score``,
        from 0 to 1; ``unsmoothed_score`` where the run smoothed its scores; and ``raw_score``, the language model's own, NaN
        where there is none beside it.

    Raises:
        DamagedResult: results are gone from the store.
    """
    schema = schema_of(results, frames=True)
    tables = [table.select(schema.names) for table in tables_of(results, every_frame)]
    return pa.concat_tables([schema.empty_table(), *tables]).to_pandas()


def texts_table(results: ResultSet) -> pd.DataFrame:
    """The texts of all videos, one row per text.

    Returns:
        columns ``video``; ``frame``, of the grid; ``kind``: ``caption``, ``cleaned`` (the caption that cleaning chose),
        ``summary`` or ``reason`` (of a score that was made without summaries); ``captioner``, whose caption it is, empty for
        the other two and where it is not known; and ``text``.

    Raises:
        DamagedResult: results are gone from the store.
    """
    rows = [(name, *row) for name in results.names for row in _said(results.texts(name))]
    return pd.DataFrame(rows, columns=TEXT_COLUMNS)


def _said(texts: VideoTexts) -> Iterator[tuple[int, str, str, str]]:
    for captioner, captions in sorted(texts.captions.items()):
        yield from ((frame, "caption", captioner, text) for frame, text in captions.items())
    yield from ((frame, "cleaned", chosen.captioner, chosen.text) for frame, chosen in texts.cleaned.items())
    yield from ((frame, "summary", "", text) for frame, text in texts.summaries.items())
    yield from ((frame, "reason", "", text) for frame, text in texts.reasons.items())


def segments_table(results: ResultSet, rule: SegmentRule | None = None) -> pd.DataFrame:
    """The anomalous segments of all videos under a rule, which need not be the run's: nothing is computed again for it.

    Args:
        results: those of a run or an import.
        rule: thresholds, lengths and gaps; if not given the run's own, for an import the default.

    Returns:
        column ``video``, and the fields of :class:`lavad_core.method.detection.Segment`; ends of frames are inclusive. Where
        scores name the kind of anomaly, also ``kind``, that at the peak.

    Raises:
        InputError: the rule has lengths in seconds, and nothing says how long a frame of a video is.
        DamagedResult: results are gone from the store.
    """
    rule = rule or results.rule or SegmentRule()
    found = [
        {"video": name, **asdict(segment), **({} if video.kinds is None else {"kind": video.kind_of(segment)})}
        for name in results.names
        for video in [results.scores(name)]
        for segment in video.segments(rule)
    ]
    kind = ["kind"] if any("kind" in row for row in found) else []
    return pd.DataFrame(found, columns=["video", *Segment.__dataclass_fields__, *kind])
