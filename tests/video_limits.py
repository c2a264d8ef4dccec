"""Limits for tests of decoding."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from lavad_core.config.schema import VideoConfig
from lavad_core.video.types import Limits


def default_limits(**changes: Any) -> Limits:
    """The configuration's own defaults, with ``changes``."""
    video = VideoConfig()
    limits = Limits(
        max_pixels=video.max_pixels,
        max_frames=video.max_frames,
        max_memory_bytes=video.max_memory_bytes,
        stall_timeout_s=video.stall_timeout_s,
        total_timeout_s=video.total_timeout_s,
        formats=video.formats,
        threads=video.threads,
    )
    return replace(limits, **changes)
