"""The one door to results: of a run of this program, of an import, or of values at hand (docs/design/results.md).

Whatever reads results (evaluation, exports, reports, commands, the Python API) opens them here and asks the
:class:`ResultSet`; nothing else looks into the store for them.
"""

from lavad_core.results.open import open_results
from lavad_core.results.types import (
    CleanedCaption,
    Recipe,
    ResultSet,
    ScoredVideo,
    VideoResults,
    VideoTexts,
    results_of_values,
)

__all__ = [
    "CleanedCaption",
    "Recipe",
    "ResultSet",
    "ScoredVideo",
    "VideoResults",
    "VideoTexts",
    "open_results",
    "results_of_values",
]
