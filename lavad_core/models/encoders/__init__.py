"""Encoders: images, texts and clips to vectors of one space (paper Sec. 3.3)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from lavad_core.config.models import EncoderConfig, ImageBindConfig
from lavad_core.models.random_models import PREFIX

if TYPE_CHECKING:
    from lavad_core.models.protocols import Encoder


def load_encoder(config: EncoderConfig, *, random_folder: Callable[[str], Path]) -> Encoder:
    """The encoder of a configuration; the libraries that it needs are imported only here.

    Args:
        config: what and how.
        random_folder: gives the folder of ``random:NAME`` for NAME.

    Raises:
        ModelError: the model cannot be found, loaded or used.
        DeviceOutOfMemory: it does not fit the device.
    """
    if config.model.startswith(PREFIX):
        config = config.model_copy(update={"model": str(random_folder(config.model.removeprefix(PREFIX)))})
    if isinstance(config, ImageBindConfig):
        from lavad_core.models.encoders.imagebind.encoder import ImageBindEncoder

        return ImageBindEncoder.load(config)
    from lavad_core.models.encoders.clip import ClipEncoder

    return ClipEncoder.load(config)
