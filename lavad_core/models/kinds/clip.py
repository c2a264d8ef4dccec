"""``encoder.kind: clip``: an encoder of the CLIP family in this process."""

from __future__ import annotations

from typing import Any

from lavad_core.config.models import ClipConfig
from lavad_core.models.kinds.hub import FromHub
from lavad_core.models.kinds.kind import FolderOf
from lavad_core.models.random_models import local_or_random


class ClipKind(FromHub[ClipConfig]):
    """CLIP, OpenCLIP or SigLIP through transformers."""

    section = ClipConfig

    def load(self, section: ClipConfig, place: str, folder_of: FolderOf) -> Any:
        from lavad_core.models.encoders.clip import ClipEncoder

        return ClipEncoder.load(section.model_copy(update={"model": local_or_random(section.model, folder_of)}))
