"""Encoders: images, texts and clips to vectors of one space (paper Sec. 3.3). One of the user's own needs nothing here:
``kind: python`` (docs/design/captioners.md)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from lavad_core.config.models import EncoderConfig, ImageBindConfig
from lavad_core.config.python_models import PythonModel
from lavad_core.models.protocols import Encoder
from lavad_core.models.python_model import load_python
from lavad_core.models.python_results import TheirEncoder
from lavad_core.models.random_models import local_or_random


def load_encoder(config: EncoderConfig, *, random_folder: Callable[[str], Path]) -> Encoder:
    """The encoder of a configuration; the libraries that it needs are imported only here.

    Args:
        config: what and how.
        random_folder: gives the folder of ``random:NAME`` for NAME.

    Raises:
        ModelError: the model cannot be found, loaded or used.
        DeviceOutOfMemory: it does not fit the device.
    """
    if isinstance(config, PythonModel):
        return TheirEncoder(config, load_python(config, Encoder))
    config = config.model_copy(update={"model": local_or_random(config.model, random_folder)})
    if isinstance(config, ImageBindConfig):
        from lavad_core.models.encoders.imagebind.encoder import ImageBindEncoder

        return ImageBindEncoder.load(config)
    from lavad_core.models.encoders.clip import ClipEncoder

    return ClipEncoder.load(config)
