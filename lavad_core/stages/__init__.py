"""The stages: each file reads inputs from the store, calls the pure functions of ``method`` and the models, and writes one
result. :data:`STAGES` is the map from stage name to its file."""

from __future__ import annotations

from types import ModuleType

from lavad_core.stages import (
    caption,
    clean,
    detect,
    embed_captions,
    embed_frames,
    embed_summaries,
    embed_windows,
    probe,
    refine,
    score,
    summarise,
)

STAGES: dict[str, ModuleType] = {
    module.__name__.rsplit(".", 1)[-1]: module
    for module in (
        probe,
        caption,
        embed_captions,
        embed_frames,
        embed_windows,
        clean,
        summarise,
        score,
        embed_summaries,
        refine,
        detect,
    )
}
"""Stage name to module; each has ``SCHEMA`` (pyarrow, of its rows) and ``run(context) -> Commit``."""
