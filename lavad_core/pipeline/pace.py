"""How many videos are in progress at once, where the configuration leaves it to the machine and the models."""

from __future__ import annotations

from lavad_core.config.schema import LavadConfig
from lavad_core.pipeline.graph import needed_roles
from lavad_core.runs.environment import cores

LEAST = 2
"""One video is decoded while another is at the model."""

LEAST_SERVED = 4
"""With a served model: requests of several videos come together, and two videos do not fill a server."""

MOST = 8
"""Each holds a decoding process and up to 256 MB of frames, and one device has no use for more."""


def workers_of(config: LavadConfig) -> int:
    """``run.workers``; without it half of the cores that this process may use, within the bounds above: the decoder of each
    video has threads of its own."""
    if config.run.workers is not None:
        return config.run.workers
    served = any(not config.models[role].in_process for role in needed_roles(config))
    return max(LEAST_SERVED if served else LEAST, min(MOST, cores() // 2))
