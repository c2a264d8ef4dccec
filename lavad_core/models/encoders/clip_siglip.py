"""CLIP and SigLIP through transformers as an :class:`~lavad_core.models.protocols.Encoder`.

Which checkpoints, how their pictures and texts are prepared and why: docs/design/encoders.md.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
import transformers
from numpy.typing import NDArray
from PIL import Image as PillowImage

from lavad_core.config.models import ClipConfig
from lavad_core.errors import InternalError, ModelError
from lavad_core.models.batching import Batcher
from lavad_core.models.devices import free, resolve_device, resolve_dtype
from lavad_core.models.encoders.gather import stack_vectors
from lavad_core.models.encoders.text_batches import MOST_CHARACTERS, TokenIds, clean_text, embed_rows, padded
from lavad_core.models.encoders.visual_batches import visual_batches
from lavad_core.models.loading import loading, placed
from lavad_core.models.pixels import Normaliser, check_image, filled, resample_of, resized
from lavad_core.models.protocols import Image, Vectors
from lavad_core.video.types import NATIVE, Geometry

_HF: Any = transformers
"""Its annotations do not cover what is used here."""

_CLASSES = {"clip": "CLIPModel", "siglip": "SiglipModel"}
"""``model_type`` of a checkpoint and its class; named classes never run code from a repository."""


@dataclass(frozen=True)
class PicturePlan:
    """How a checkpoint wants its pictures, from its image processor's own configuration."""

    resize: Geometry
    """The first step, a resize."""
    resample: PillowImage.Resampling
    """The filter of the resize."""
    side: int
    """Side of the square that the model reads, pixels; cut from the centre after ``resize``."""
    normaliser: Normaliser
    """The last step, which scales values."""

    @property
    def wanted(self) -> Geometry:
        """What to ask of the decoder: the resize itself if its filter is the one that frames are resized with there."""
        return self.resize if self.resample == PillowImage.Resampling.BICUBIC else NATIVE

    def prepare(self, image: Image) -> Image:
        """The square that the model reads, uint8 [side, side, 3]."""
        check_image(image)
        image = resized(image, self.resize, self.resample)
        top, left = ((length - self.side) // 2 for length in image.shape[:2])
        return image[top : top + self.side, left : left + self.side]


class ClipEncoder:
    """E_I and E_T; a clip is the mean of its frames, so it has no E_V of its own."""

    views_per_clip = 1

    def __init__(
        self, model: Any, tokenizer: Any, plan: PicturePlan, *, device: torch.device, batch_size: int, name: str
    ) -> None:
        """Use :meth:`load`."""
        self._model = model
        self._tokenizer = tokenizer
        self._plan = plan
        self._device = device
        self._dtype: torch.dtype = model.dtype
        self._family: str = model.config.model_type
        self._context: int = model.config.text_config.max_position_embeddings
        fixed = device.type != "cpu"
        self._image_batches = Batcher(batch_size, device, what="images", fixed=fixed)
        self._text_batches = Batcher(batch_size, device, what="texts")
        self.shared_batches = visual_batches(self, lambda: batch_size) if fixed else None
        self.image_geometry = self.clip_geometry = plan.wanted
        clip = self._family == "clip"
        padding = tokenizer.eos_token_id if clip else tokenizer.pad_token_id
        if padding is None:
            raise ModelError(f"{name}: its tokenizer has no {'end' if clip else 'padding'} token")
        self._padding = int(padding)
        self.logit_scale = float(model.logit_scale.detach().float().exp())
        self.dimension: int = model.config.projection_dim if clip else model.config.vision_config.hidden_size

    @classmethod
    def load(cls, config: ClipConfig) -> ClipEncoder:
        """The encoder of a configuration.

        Raises:
            ModelError: it is not there, is damaged, lacks weights, or is neither CLIP nor SigLIP of a fixed resolution.
            DeviceOutOfMemory: the weights do not fit.
        """
        device = resolve_device(config.device)
        dtype = resolve_dtype(config.dtype, device, torch.float16)
        where = {"revision": config.revision} if config.revision else {}
        name = repr(config.model)
        with loading("CLIP", name):
            settings, _ = _HF.PretrainedConfig.get_config_dict(config.model, **where)
            family = settings.get("model_type")
            if family not in _CLASSES:
                raise ModelError(
                    f"{name} is a {family!r} model; what can be used is CLIP, SigLIP, and SigLIP 2 of a fixed resolution"
                )
            processor = _HF.AutoImageProcessor.from_pretrained(
                config.model, backend="pil", trust_remote_code=False, **where
            )
            tokenizer = _load_tokenizer(config.model, family, where)
            model, report = getattr(_HF, _CLASSES[family]).from_pretrained(
                config.model, dtype=dtype, output_loading_info=True, **where
            )
        missing = sorted(report["missing_keys"]) + sorted(str(key) for key in report["mismatched_keys"])
        if missing:
            raise ModelError(
                f"CLIP model {name} lacks {len(missing)} of its weights, first {missing[0]!r}: transformers would have used "
                "random ones"
            )
        plan = picture_plan(processor, model.config.vision_config.image_size, name)
        model = placed(model, device, dtype, name, "encoder.dtype")
        return cls(model, tokenizer, plan, device=device, batch_size=config.batch_size, name=name)

    def embed_images(self, images: Sequence[Image]) -> Vectors:
        """Unit vectors of images; those that are not of :attr:`image_geometry` yet are resized."""
        squares = [self._plan.prepare(image) for image in images]
        return stack_vectors(self._image_batches.run(squares, self._encode_squares), self.dimension, "image")

    def embed_texts(self, texts: Sequence[str]) -> Vectors:
        """Unit vectors of texts, cut to the model's context with its end token kept."""
        return embed_rows(texts, self._tokenise, self._text_batches, self._encode_rows, self.dimension)

    def embed_clips(self, clips: Sequence[tuple[Image, Image]]) -> Vectors:
        """Never to be called: its configuration's ``encodes_clips`` is False."""
        raise InternalError("this encoder has no vectors of clips; take the mean of their frames' image vectors")

    def close(self) -> None:
        self._model = None
        free(self._device)

    def _tokenise(self, texts: Sequence[str]) -> list[TokenIds]:
        if self._family == "clip":
            cleaned = [clean_text(text) for text in texts]
            options: dict[str, Any] = {}
        else:
            # Trained on lower case, padded on the right to the full length and without a mask: padding is part of the input.
            cleaned = [text[:MOST_CHARACTERS].lower() for text in texts]
            options = {"padding": "max_length", "padding_side": "right"}
        encoded = self._tokenizer(
            cleaned, truncation=True, max_length=self._context, return_attention_mask=False, **options
        )
        return [np.asarray(ids, dtype=np.int64) for ids in encoded["input_ids"]]

    @torch.inference_mode()
    def _encode_squares(self, squares: Sequence[Image]) -> list[NDArray[np.float32]]:
        pixels = self._plan.normaliser(squares, self._device, self._dtype)
        pixels = filled(pixels, self._image_batches.shape(len(squares)))
        return _unit_rows(self._loaded().get_image_features(pixel_values=pixels))[: len(squares)]

    @torch.inference_mode()
    def _encode_rows(self, rows: Sequence[TokenIds]) -> list[NDArray[np.float32]]:
        ids, _ = padded(rows, self._padding)
        return _unit_rows(self._loaded().get_text_features(input_ids=torch.from_numpy(ids).to(self._device)))

    def _loaded(self) -> Any:
        if self._model is None:
            raise InternalError("this encoder was closed")
        return self._model


def picture_plan(processor: Any, model_side: int, name: str) -> PicturePlan:
    """What an image processor of transformers (CLIP's or SigLIP's) does, as a plan; ``model_side`` is the side of the square
    that the model reads, pixels.

    Raises:
        ModelError: it does anything other than resize, cut out the centre, scale and normalise.
    """
    for step in ("do_resize", "do_rescale", "do_normalize"):
        if not getattr(processor, step):
            raise ModelError(f"{name}: its image processor has {step} off, which is not supported")
    size = processor.size
    short, height, width = (getattr(size, field, None) for field in ("shortest_edge", "height", "width"))
    if short and not getattr(size, "longest_edge", None):
        resize, side = Geometry("short_side", short), short
    elif height and height == width:
        resize, side = Geometry("square", height), height
    else:
        raise ModelError(
            f"{name}: its image processor resizes to {size!r:.200}; one short side or a square is supported"
        )
    if getattr(processor, "do_center_crop", False):
        crop = processor.crop_size
        if crop.height != crop.width or crop.height > side:
            raise ModelError(f"{name}: its image processor cuts out {crop!r:.200} after a resize to {side}")
        side = crop.height
    elif short:
        raise ModelError(
            f"{name}: its image processor keeps the aspect ratio and cuts nothing; the model reads squares"
        )
    if side != model_side:
        raise ModelError(f"{name}: its image processor gives {side} pixels a side, and the model reads {model_side}")
    normaliser = Normaliser(_triple(processor.image_mean), _triple(processor.image_std), 1 / processor.rescale_factor)
    return PicturePlan(resize, resample_of(processor), side, normaliser)


def _triple(values: Any) -> tuple[float, float, float]:
    if isinstance(values, float | int):
        values = (values,) * 3
    red, green, blue = (float(value) for value in values)
    return red, green, blue


def _load_tokenizer(model: str, family: str, where: dict[str, str]) -> Any:
    if family == "clip":
        tokenizer = _HF.CLIPTokenizer.from_pretrained(model, **where)
        if tokenizer.pad_token_id != tokenizer.eos_token_id:
            # Some checkpoints pad with "!", and then take every "!" of a text for padding. Padding comes after the end
            # token and has no effect, so the same vocabulary is used without a token of its own for it.
            core = json.loads(tokenizer.backend_tokenizer.to_str())["model"]
            tokenizer = _HF.CLIPTokenizer(vocab=core["vocab"], merges=[tuple(merge) for merge in core["merges"]])
        return tokenizer
    return _HF.AutoTokenizer.from_pretrained(model, trust_remote_code=False, **where)


def _unit_rows(features: Any) -> list[NDArray[np.float32]]:
    """Unit vectors of what ``get_*_features`` returned: a tensor, or since transformers 5 an object that holds it."""
    tensor = features if isinstance(features, torch.Tensor) else features.pooler_output
    return list(F.normalize(tensor.float(), dim=-1).cpu().numpy())
