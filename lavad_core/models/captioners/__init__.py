"""Captioners: Φ_C of the paper. A new one is a new file here and a line in :func:`load_captioner`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from lavad_core.config.models import Blip2Config, CaptionerConfig
from lavad_core.models.protocols import Captioner
from lavad_core.models.random_models import PREFIX


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

        if config.model.startswith(PREFIX):
            return Blip2Captioner.load(config, str(random_folder(config.model.removeprefix(PREFIX))))
        return Blip2Captioner.load(config, config.model)
    from lavad_core.models.captioners.served import ServedCaptioner

    return ServedCaptioner(config)
