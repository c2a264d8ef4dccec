"""``encoder.kind: imagebind``: our towers with its checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lavad_core.config.models import ImageBindConfig
from lavad_core.errors import ModelError
from lavad_core.models.encoders.imagebind.clip_bpe import PACKAGED, TOKENIZER_FILES, tokenizer_folder
from lavad_core.models.kinds.kind import FolderOf, MadeOrFound, ModelFinding, finding
from lavad_core.models.kinds.model_files import files_identity
from lavad_core.models.random_models import local_or_random
from lavad_core.video.identity import IdentityCache

IMAGEBIND_FILES = ("imagebind.safetensors", "imagebind_huge.pth")
"""Looked for in this order in a folder given as ImageBind's model; the same as the loader's."""


class ImageBindKind(MadeOrFound[ImageBindConfig]):
    """A checkpoint and the tokenizer's files, all local."""

    section = ImageBindConfig

    def weights(self, section: ImageBindConfig, cache: IdentityCache | None) -> str:
        """``local:<digest>`` of checkpoint and tokenizer."""
        return files_identity(_imagebind_files(section), cache)

    def place(self, section: ImageBindConfig) -> ModelFinding:
        return finding(section, True, str(_imagebind_files(section)[0]))

    def load(self, section: ImageBindConfig, place: str, folder_of: FolderOf) -> Any:
        from lavad_core.models.encoders.imagebind.encoder import ImageBindEncoder

        return ImageBindEncoder.load(section.model_copy(update={"model": local_or_random(section.model, folder_of)}))


def _imagebind_files(config: ImageBindConfig) -> list[Path]:
    """The checkpoint and the tokenizer's files."""
    given = Path(config.model).expanduser()
    candidates = [given / name for name in IMAGEBIND_FILES] if given.is_dir() else [given]
    checkpoint = next((path for path in candidates if path.is_file()), None)
    if checkpoint is None:
        raise ModelError(
            f"ImageBind's checkpoint {config.model!r} is not there; give the path of imagebind_huge.pth as `encoder.model` "
            "(its weights are CC BY-NC-SA 4.0, non-commercial), or choose another encoder (`encoder.kind: clip`)"
        )
    folder = tokenizer_folder(config.tokenizer, checkpoint)
    if folder is None:
        return [checkpoint, PACKAGED]
    missing = [name for name in TOKENIZER_FILES if not (folder / name).is_file()]
    if missing:
        raise ModelError(
            f"ImageBind's tokenizer folder {str(folder)!r} has no {' and no '.join(missing)} (CLIP's); "
            "give one that has, or no `encoder.tokenizer`: the packaged one is used then"
        )
    return [checkpoint, *(folder / name for name in TOKENIZER_FILES)]
