"""The protocol of an evaluation in lines, the same for a terminal, pages and artifacts."""

from __future__ import annotations

from lavad_core.evaluation.types import EvaluationProtocol
from lavad_core.plain_text import number_of
from lavad_core.results.types import in_words


def protocol_lines(header: EvaluationProtocol) -> list[tuple[str, str]]:
    """Name and text of each line, without the warnings."""
    return [
        ("data set", f"{header.dataset} ({header.adapter})"),
        *((file["role"], f"{file['name']}, SHA-256 {file['sha256']}") for file in header.files),
        *([("read as", header.reading)] if header.reading else []),
        ("results", in_words(header.results)),
        *header.recipe.items(),
        ("videos", f"{header.scored} scored of {header.listed} listed; {len(header.unlabelled)} scored beside"),
        (
            "frames",
            f"{header.frames}, {header.positive} of them anomalous; a score every {header.interval}; "
            f"{number_of(header.clipped_intervals, 'interval')} cut at the end of their video",
        ),
        ("samples", header.samples),
        ("smoothing", header.smoothing),
        ("weighting", header.weighting),
        ("AUC", header.averaging),
        ("AP", header.average_precision),
        ("intervals", header.intervals),
    ]
