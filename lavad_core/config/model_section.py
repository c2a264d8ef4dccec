"""What the sections of all models have in common."""

from __future__ import annotations

from lavad_core.config.setting import Section

CAPTIONER_STAGES = ("caption",)
ENCODER_STAGES = ("embed_captions", "embed_frames", "embed_summaries", "embed_windows")
CHAT_STAGES = ("summarise", "score")

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._+-]{0,63}$"
"""Of a captioner's name, which is part of file names in the store."""


class ModelSection(Section):
    """The section of a model. Its fields say which model; its properties, how it is called."""

    @property
    def in_process(self) -> bool:
        """Whether it computes on this process's device: one call at a time, under the device lock. False: somewhere else,
        and several threads may call it at once."""
        return True
