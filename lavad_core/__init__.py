"""LAVAD: training-free video anomaly detection as a plain library. docs/python.md shows each of the names below at work.

Nothing here imports the orchestrator. The layers above are ``tasks``, ``flows`` and ``deployments``.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from lavad_core.version import __version__

if TYPE_CHECKING:
    from lavad_core.config.load import load_config
    from lavad_core.config.schema import LavadConfig
    from lavad_core.datasets.configured import open_labels
    from lavad_core.datasets.types import Dataset
    from lavad_core.errors import (
        ConfigError,
        InputError,
        LavadError,
        ModelError,
        ServiceError,
        StoreError,
        VideoRejected,
    )
    from lavad_core.evaluation.compute import evaluate
    from lavad_core.evaluation.options import EvaluationOptions
    from lavad_core.evaluation.types import Evaluation
    from lavad_core.exports.dataframes import scores_table, segments_table, texts_table
    from lavad_core.local_run import score_videos
    from lavad_core.method.detection import SegmentRule
    from lavad_core.models.pool import open_encoder
    from lavad_core.models.protocols import Encoder
    from lavad_core.results import ResultSet, open_results

__all__ = [
    "ConfigError",
    "Dataset",
    "Encoder",
    "Evaluation",
    "EvaluationOptions",
    "InputError",
    "LavadConfig",
    "LavadError",
    "ModelError",
    "ResultSet",
    "SegmentRule",
    "ServiceError",
    "StoreError",
    "VideoRejected",
    "__version__",
    "evaluate",
    "load_config",
    "open_encoder",
    "open_labels",
    "open_results",
    "score_videos",
    "scores_table",
    "segments_table",
    "texts_table",
]

_MODULES = {
    "config.load": ["load_config"],
    "config.schema": ["LavadConfig"],
    "datasets.configured": ["open_labels"],
    "datasets.types": ["Dataset"],
    "errors": ["ConfigError", "InputError", "LavadError", "ModelError", "ServiceError", "StoreError", "VideoRejected"],
    "evaluation.compute": ["evaluate"],
    "evaluation.types": ["Evaluation"],
    "evaluation.options": ["EvaluationOptions"],
    "exports.dataframes": ["scores_table", "segments_table", "texts_table"],
    "method.detection": ["SegmentRule"],
    "models.pool": ["open_encoder"],
    "models.protocols": ["Encoder"],
    "results": ["ResultSet", "open_results"],
    "local_run": ["score_videos"],
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    """Import a name when it is first asked for, so that ``import lavad_core`` takes no time."""
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
