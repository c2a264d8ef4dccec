"""Limits for tests of decoding."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from lavad_core.config.steps import VideoConfig
from lavad_core.video.limits import Limits


def default_limits(**changes: Any) -> Limits:
    """The configuration's own defaults, with ``changes``."""
    return replace(VideoConfig().limits, **changes)
