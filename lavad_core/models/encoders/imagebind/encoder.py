"""ImageBind as an :class:`~lavad_core.models.protocols.Encoder`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lavad_core.config.models import ImageBindConfig
from lavad_core.errors import DeviceOutOfMemory, InternalError
from lavad_core.models.batching import Batcher, is_out_of_memory
from lavad_core.models.devices import free, resolve_device, resolve_dtype
from lavad_core.models.encoders.gather import mean_of_groups, stack_vectors
from lavad_core.models.encoders.imagebind.checkpoint import find_checkpoint, load_towers
from lavad_core.models.encoders.imagebind.clip_bpe import tokenizer_folder
from lavad_core.models.encoders.imagebind.preprocess import CROPS, centre_square, clip_frames, clip_size, crop_offsets
from lavad_core.models.encoders.imagebind.tokenizer import ClipBpe
from lavad_core.models.encoders.imagebind.towers import ImageBindTowers
from lavad_core.models.encoders.text_batches import TokenIds, embed_rows, padded
from lavad_core.models.encoders.visual_batches import visual_batches
from lavad_core.models.pixels import Normaliser, check_image, filled
from lavad_core.models.protocols import Image, Vectors
from lavad_core.video.types import NATIVE, Geometry


class ImageBindEncoder:
    """E_I, E_T and E_V of the paper (Sec. 3.3)."""

    views_per_clip = CROPS
    clip_geometry = NATIVE  # its resize is not Pillow's, so it needs the decoded frame

    def __init__(
        self, towers: ImageBindTowers, tokenizer: ClipBpe, *, device: torch.device, dtype: torch.dtype, batch_size: int
    ) -> None:
        """``towers`` are on ``device``, in ``dtype``, prepared. ``batch_size`` images, views or texts at once; it halves
        when memory runs out."""
        self._towers: ImageBindTowers | None = towers
        self._tokenizer = tokenizer
        self._device = device
        self._dtype = dtype
        self._side = towers.vision_shape.image_side
        self.image_geometry = Geometry("short_side", self._side)
        self.dimension = towers.vision_shape.output
        self._normaliser = Normaliser()
        self.logit_scale = towers.logit_scale
        fixed = device.type != "cpu"
        self._image_batches = Batcher(batch_size, device, what="images", fixed=fixed)
        self._view_batches = Batcher(batch_size, device, what="views of clips", fixed=fixed)
        self._text_batches = Batcher(batch_size, device, what="texts")
        self.shared_batches = visual_batches(self, lambda: batch_size) if fixed else None

    @classmethod
    def load(cls, config: ImageBindConfig) -> ImageBindEncoder:
        """The encoder of a configuration.

        Raises:
            ModelError: the checkpoint or the tokenizer's files are missing or do not fit.
            DeviceOutOfMemory: the towers do not fit the device.
        """
        device = resolve_device(config.device)
        dtype = resolve_dtype(config.dtype, device, torch.float16)
        path = find_checkpoint(Path(config.model).expanduser())
        try:
            towers = load_towers(path, device, dtype, vision_heads=config.vision_heads, text_heads=config.text_heads)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            free(device)
            raise DeviceOutOfMemory(
                f"{config.model!r} in {dtype} does not fit {device}; give another `device` or `dtype`"
            ) from error
        folder = tokenizer_folder(config.tokenizer, path)
        text = towers.text_shape
        tokenizer = ClipBpe(folder, context=text.context, vocabulary=text.vocabulary, long_text=config.long_text)
        return cls(towers, tokenizer, device=device, dtype=dtype, batch_size=config.batch_size)

    def embed_images(self, images: Sequence[Image]) -> Vectors:
        """Unit vectors of images; those that are not of :attr:`image_geometry` yet are resized."""
        squares = [centre_square(image, self._side) for image in images]
        return stack_vectors(self._image_batches.run(squares, self._encode_squares), self.dimension, "image")

    def embed_texts(self, texts: Sequence[str]) -> Vectors:
        """Unit vectors of texts; equal texts are encoded once."""
        return embed_rows(texts, self._tokenizer, self._text_batches, self._encode_rows, self.dimension)

    def embed_clips(self, clips: Sequence[tuple[Image, Image]]) -> Vectors:
        """Mean of the unit vectors of each clip's three crops, not re-normalised.

        The crops of a square frame are the same picture; it is encoded once. Frames of a clip that differ in size are
        cropped each on its own.
        """
        views: list[tuple[Image, Image, int]] = []
        counts = []
        for first, last in clips:
            count = max(len(self._offsets(image)) for image in (first, last))
            views += [(first, last, number) for number in range(count)]
            counts.append(count)
        encoded = stack_vectors(self._view_batches.run(views, self._encode_views), self.dimension, "clip")
        return mean_of_groups(encoded, counts)

    def close(self) -> None:
        self._towers = None
        free(self._device)

    @torch.inference_mode()
    def _encode_squares(self, squares: Sequence[Image]) -> list[NDArray[np.float32]]:
        return self._vision(self._normaliser(squares, self._device, self._dtype), self._image_batches)

    @torch.inference_mode()
    def _encode_views(self, views: Sequence[tuple[Image, Image, int]]) -> list[NDArray[np.float32]]:
        # A frame is in all the crops of its clip, and often in the neighbouring clip too: resize it once.
        images = {id(image): image for view in views for image in view[:2]}
        prepared = clip_frames(list(images.values()), self._side, self._normaliser, self._device)
        frames = dict(zip(images, prepared, strict=True))
        batch = []
        for first, last, number in views:
            pair = []
            for image in (first, last):
                offsets = self._offsets(image)
                top, left = offsets[min(number, len(offsets) - 1)]
                pair.append(frames[id(image)][:, top : top + self._side, left : left + self._side])
            batch.append(torch.stack(pair, dim=1).to(self._dtype))
        return self._vision(torch.stack(batch), self._view_batches)

    @torch.inference_mode()
    def _encode_rows(self, rows: Sequence[TokenIds]) -> list[NDArray[np.float32]]:
        ids, last = padded(rows, 0)
        vectors = self._loaded().encode_text(
            torch.from_numpy(ids).to(self._device), torch.from_numpy(last).to(self._device)
        )
        return list(vectors.cpu().numpy())

    def _offsets(self, image: Image) -> list[tuple[int, int]]:
        """The places of a frame's crops; a single one if it is square once it is resized."""
        check_image(image)
        return crop_offsets(*clip_size(image.shape[0], image.shape[1], self._side), self._side)

    def _vision(self, pixels: Tensor, batches: Batcher) -> list[NDArray[np.float32]]:
        vectors = self._loaded().encode_vision(filled(pixels, batches.shape(len(pixels))))
        return list(vectors[: len(pixels)].cpu().numpy())

    def _loaded(self) -> ImageBindTowers:
        if self._towers is None:
            raise InternalError("this encoder was closed")
        return self._towers
