"""``captioners.NAME.kind: blip2``: a captioner in this process."""

from __future__ import annotations

from typing import Any

from lavad_core.config.models import Blip2Config
from lavad_core.models.kinds.hub import FromHub
from lavad_core.models.kinds.kind import FolderOf
from lavad_core.models.random_models import local_or_random


class Blip2Kind(FromHub[Blip2Config]):
    """A BLIP-2 checkpoint through transformers."""

    section = Blip2Config

    def load(self, section: Blip2Config, place: str, folder_of: FolderOf) -> Any:
        from lavad_core.models.captioners.blip2 import Blip2Captioner

        return Blip2Captioner.load(section, local_or_random(section.model, folder_of), place)
