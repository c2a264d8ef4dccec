"""How many videos are in progress at once, where the configuration leaves it to the machine and the models."""

from __future__ import annotations

from lavad_core.config.schema import LavadConfig
from lavad_core.config.section import ModelSection
from lavad_core.pipeline.graph import needed_roles
from lavad_core.runs.environment import cores, gpus
from lavad_core.stages.passes import call_size

LEAST = 2
"""One video is decoded while another is at the model."""

LEAST_SERVED = 4
"""With a served model, for each of its servers: requests of several videos come together, and two videos do not fill one."""

MOST = 8
"""Each holds a decoding process and up to 256 MB of frames; decoding and requests have no use for more."""

SHORT = 20
"""Grid frames of a short video, of ten seconds: as many short videos as fill a batch are in progress at once."""

MOST_TO_FILL = 16
"""Most of them, and of those for several servers."""


def workers_of(config: LavadConfig) -> int:
    """``run.workers``; without it half of the cores that this process may use, since the decoder of each video has threads of
    its own; up to one a core where it takes these to fill a batch of a model on a GPU; all within the bounds above."""
    if config.run.workers is not None:
        return config.run.workers
    sections = [config.models[role] for role in needed_roles(config)]
    servers = max(map(_servers, sections), default=0)
    usual = max(LEAST, min(LEAST_SERVED * servers, MOST_TO_FILL), min(MOST, cores() // 2))
    fill = max((-(-call_size(section) // SHORT) for section in sections if _on_gpu(section)), default=0)
    return max(usual, min(fill, cores(), MOST_TO_FILL))


def _servers(section: ModelSection) -> int:
    """How many places outside this process work for a model."""
    return len(section.served.addresses) if section.served is not None else int(not section.in_process)


def _on_gpu(section: ModelSection) -> bool:
    """Whether its model will be on a GPU, as far as can be said without torch, which a run with nothing to do never loads.
    A CPU gains nothing by full batches."""
    device = getattr(section, "device", "auto")
    return section.in_process and device != "cpu" and (device != "auto" or gpus() != "")
