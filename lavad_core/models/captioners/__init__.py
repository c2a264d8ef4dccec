"""Captioners: Φ_C of the paper. One of the user's own needs nothing here: ``kind: python`` (docs/design/captioners.md)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from lavad_core.config.models import Blip2Config, CaptionerConfig
from lavad_core.config.python_models import PythonModel
from lavad_core.models.protocols import Captioner
from lavad_core.models.python_model import load_python
from lavad_core.models.python_results import TheirCaptioner
from lavad_core.models.random_models import local_or_random


def load_captioner(config: CaptionerConfig, *, random_folder: Callable[[str], Path]) -> Captioner:
    """The captioner that ``config`` describes, ready to use.

    Args:
        random_folder: where the random model of a name is (:func:`lavad_core.models.random_models.random_folder`), for
            models given as ``random:NAME``.

    Raises:
        ModelError: it cannot be found or loaded.
        DeviceOutOfMemory: it does not fit the device.
    """
    if isinstance(config, Blip2Config):
        from lavad_core.models.captioners.blip2 import Blip2Captioner

        return Blip2Captioner.load(config, local_or_random(config.model, random_folder))
    if isinstance(config, PythonModel):
        return TheirCaptioner(config, load_python(config, Captioner))
    from lavad_core.models.captioners.served import ServedCaptioner

    return ServedCaptioner(config)
