"""The authors' outputs on three small clips, and the configuration under which the pipeline must give the same."""

from __future__ import annotations

import tarfile
from pathlib import Path
from typing import Any

NAMES = ("Arson901_x264", "Fighting902_x264", "Normal_Videos_903_x264")
CAPTIONERS = (
    "blip2-opt-6.7b-coco",
    "blip2-opt-6.7b",
    "blip2-flan-t5-xxl",
    "blip2-flan-t5-xl",
    "blip2-flan-t5-xl-coco",
)
ENSEMBLE = "opt-6.7b-coco+opt-6.7b+flan-t5-xxl+flan-t5-xl+flan-t5-xl-coco"


def extract_frames(shared: Path, folder: Path) -> list[Path]:
    """The JPEG frames that the authors' program read: a folder a video."""
    with tarfile.open(shared / "golden/reference/frames.tar") as archive:
        archive.extractall(folder, filter="data")
    return [folder / "frames" / name for name in NAMES]


def settings(shared: Path, store: Path, **changes: Any) -> dict[str, Any]:
    """Captions, summaries and scores imported; cleaning and refinement computed with the golden encoder."""
    golden = shared / "golden"
    data = golden / "reference/data"
    return {
        "semantics": "reference",
        "store": store,
        "encoder": {
            "kind": "imagebind",
            "model": str(golden / "reference/imagebind_small.pth"),
            "tokenizer": str(golden / "clip_tokenizer"),
            "vision_heads": 4,
            "text_heads": 4,
        },
        "imports": {
            "captions": {name: data / "captions/raw/Salesforce" / name for name in CAPTIONERS},
            "summaries": data / "captions/summary/llama-2-13b-chat" / ENSEMBLE,
            "scores": data / "scores/raw/llama-2-13b-chat" / ENSEMBLE / "exp",
        },
        "evaluate": {"labels": data / "annotations/Temporal_Anomaly_Annotation_for_Testing_Videos.txt"},
        **changes,
    }
