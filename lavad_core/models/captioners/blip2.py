"""Φ_C: BLIP-2 without a prompt (paper Sec. 3.3 and 4), saying what it said under transformers 4.31.

What changed between 4.31 and 5.x, and what is done about it here, is in ``docs/design/captioners.md``.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import torch
import transformers
from torch import Tensor

from lavad_core.config.models import Blip2Config
from lavad_core.config.section import AUTO_ON_CPU
from lavad_core.errors import InternalError, ModelError
from lavad_core.models.batching import Batcher, largest_fitting
from lavad_core.models.captioners.greedy import GreedyDecoder, rules_of
from lavad_core.models.devices import free, free_bytes, peak_bytes, resolve_device, resolve_dtype
from lavad_core.models.finite import FiniteWatch, way_out
from lavad_core.models.loading import loading, placed
from lavad_core.models.pixels import LevelTable, filled, resample_of, resized
from lavad_core.models.protocols import Image
from lavad_core.models.shared_batches import SharedBatches
from lavad_core.plain_text import first_few
from lavad_core.video.types import Geometry

_LOG = logging.getLogger(__name__)

_HF: Any = transformers
"""Its annotations are wrong for several keywords that are used here."""

_IMAGE_TOKENS = {"opt": 50265, "t5": 32100}
"""``image_token_index`` of checkpoints saved before it existed: the id after the tokenizer's last. Any id that the
matrix of embeddings has a row for would do, since the rows are overwritten by the query vectors."""

_GPU_DTYPES = {"opt": torch.float16, "t5": torch.bfloat16}
"""Each language model's own: OPT was trained in float16, Flan-T5 in bfloat16 (its feed-forward overflows float16)."""

REPLACEMENTS = (
    (" .", "."),
    (" ?", "?"),
    (" !", "!"),
    (" ,", ","),
    (" ' ", "'"),
    (" n't", "n't"),
    (" 'm", "'m"),
    (" 's", "'s"),
    (" 've", "'ve"),
    (" 're", "'re"),
)
"""The clean-up of spaces that transformers 4.31 applied to every decoded text and 5.x no longer does: in this order, each
over the whole text."""

_LANGUAGE = "language model"
"""The name in messages of the part that computes the logits."""


class Blip2Captioner:
    """Any BLIP-2 checkpoint of transformers' format with an OPT or Flan-T5 language model. Not thread-safe.

    Attributes:
        geometry: a square of 224 pixels, 364 for the two checkpoints tuned on COCO; such images are not resized again.
        shared_batches: its batches, of the images of all videos: a caption does not depend on its batch.
    """

    def __init__(
        self, config: Blip2Config, model: Any, image_processor: Any, tokenizer: Any, device: torch.device, place: str
    ) -> None:
        """Use :meth:`load`."""
        self._setting = f"{place}.dtype"
        self._model: Any = model
        self._tokenizer, self._device = tokenizer, device
        self._max_new_tokens = config.max_new_tokens
        self._dtype: torch.dtype = model.vision_model.dtype
        self.geometry = Geometry("square", _side(model.config, image_processor, repr(config.model)))
        self._resample, self._levels = resample_of(image_processor), LevelTable(image_processor)
        # generate() gives back the prompt too: the query positions and bos (OPT), or the decoder's start token (T5).
        self._prompt_tokens = model.config.num_query_tokens + 1 if model.config.use_decoder_only_language_model else 1
        self._decoder: GreedyDecoder | None = None
        try:
            rules = rules_of(model.language_model, self._prompt_tokens)
            self._decoder = GreedyDecoder(model.language_model, rules, config.max_new_tokens)
        except ValueError as error:
            _LOG.warning(
                "%s: its generation configuration has %s, which only transformers' own loop does, and more slowly",
                place,
                error,
            )
        # A GPU is given one shape, for which its graph is recorded; a CPU would compute what is thrown away.
        size = AUTO_ON_CPU if config.batch_size == "auto" else config.batch_size
        self._batcher = Batcher(size, device, what="images", fixed=device.type != "cpu")
        self.shared_batches = SharedBatches(self.caption, lambda: self.batch_size)
        parts = _parts(model)
        self._watch = FiniteWatch(
            parts if self._decoder is None else {**parts, _LANGUAGE: None}, last_position=(_LANGUAGE,)
        )
        if config.batch_size == "auto" and device.type != "cpu":
            self._batcher.batch_size = largest_fitting(self._peak_of, free_bytes(device))
            self._forget()
            _LOG.info("%s: batches of %d", place, self._batcher.batch_size)

    @property
    def batch_size(self) -> int:
        """Images that are computed at once."""
        return self._batcher.batch_size

    @classmethod
    def load(cls, config: Blip2Config, path_or_id: str, place: str = "captioners.NAME") -> Blip2Captioner:
        """Load the weights to the configured device.

        Args:
            config: ``revision`` is used for a hub id only.
            path_or_id: local folder or hub id.
            place: where the configuration has it, for messages.

        Raises:
            ModelError: it is not there, is damaged, lacks weights, or is not a BLIP-2 with OPT or T5.
            DeviceOutOfMemory: the weights do not fit.
        """
        device = resolve_device(config.device)
        where = {"revision": config.revision} if config.revision else {}
        name = repr(path_or_id)
        with loading("BLIP-2", name):
            settings, _ = _HF.Blip2Config.get_config_dict(path_or_id, **where)
            if settings.get("model_type") != "blip-2":
                raise ModelError(f"{name} is a {settings.get('model_type')!r} model, not a BLIP-2 one")
            model_config = _HF.Blip2Config.from_dict(settings)
            language = model_config.text_config.model_type
            if language not in _IMAGE_TOKENS:
                raise ModelError(f"{name}: language model {language!r}; known are {', '.join(_IMAGE_TOKENS)}")
            _set_image_token(model_config, language)
            dtype = resolve_dtype(config.dtype, device, _GPU_DTYPES[language])
            processor = _HF.Blip2Processor.from_pretrained(path_or_id, backend="pil", trust_remote_code=False, **where)
            model, report = _HF.Blip2ForConditionalGeneration.from_pretrained(
                path_or_id,
                config=model_config,
                dtype=dtype,
                output_loading_info=True,
                ignore_mismatched_sizes=True,
                **where,
            )
        _check(model, report, language, dtype, name)
        if dtype == torch.float16:
            # 4.31 ran all of it in half precision; 5.x keeps these two in float32.
            model.qformer.half()
            model.query_tokens.data = model.query_tokens.data.half()
        model = placed(model, device, dtype, name, f"{place}.dtype")
        return cls(config, model, processor.image_processor, processor.tokenizer, device, place)

    def caption(self, images: Sequence[Image]) -> list[str]:
        """One caption for each image, greedy, cleaned up and stripped; empty where the model says nothing.

        Args:
            images: uint8 RGB of any size; those that are not of :attr:`geometry` are resized as transformers does
                (Pillow's bicubic, the aspect ratio is not kept).

        Raises:
            DeviceOutOfMemory: one image alone does not fit.
            ModelError: the model computes NaN or an infinity.
        """
        return self._batcher.run(images, self._caption_batch)

    def close(self) -> None:
        """Free the device memory. A later call of :meth:`caption` is an InternalError."""
        self._forget()
        self._model = self._decoder = None
        free(self._device)

    def _caption_batch(self, images: Sequence[Image]) -> list[str]:
        if self._model is None:
            raise InternalError("this captioner was released; ask the pool for it again")
        pictures = [resized(image, self.geometry, self._resample) for image in images]
        self._watch.begin()
        with torch.inference_mode():
            pixels = self._levels(pictures, self._device, self._dtype)
            tokens = self._tokens(filled(pixels, self._batcher.shape(len(images))))[: len(images)]
        if (bad := self._watch.first_bad(len(images))) is not None:
            part, count = bad
            raise ModelError(
                f"a BLIP-2 captioner in {str(self._dtype).removeprefix('torch.')} gave values that are not finite for {count} "
                f"of {len(images)} images, first in its {part}; {way_out(self._dtype, self._setting)}"
            )
        texts = self._tokenizer.batch_decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return [clean_decoded(text) for text in texts]

    @torch.inference_mode()
    def _peak_of(self, count: int) -> int:
        """Bytes that a batch of this many images takes."""
        self._forget()
        shape = (count, 3, self.geometry.side, self.geometry.side)
        return peak_bytes(
            self._device, lambda: self._tokens(torch.zeros(shape, dtype=self._dtype, device=self._device))
        )

    def _forget(self) -> None:
        """Let go of what is kept from batch to batch."""
        self._watch.begin()
        if self._decoder is not None:
            self._decoder.close()

    def _tokens(self, pixels: Tensor) -> Tensor:
        """New token ids, int64 [n, at most max_new_tokens], of normalised pictures [n, 3, side, side]."""
        if self._decoder is not None:
            said = self._decoder.decode(self._prompts(pixels))
            self._watch.note(_LANGUAGE, said.finite)
            return said.tokens
        tokens: Tensor = self._model.generate(
            pixel_values=pixels, max_new_tokens=self._max_new_tokens, do_sample=False, num_beams=1
        )
        return tokens[:, self._prompt_tokens :]

    def _prompts(self, pixels: Tensor) -> Tensor:
        """What the language model reads: the query positions and bos, embedded [n, positions, width]."""
        model, count = self._model, len(pixels)
        seen = model.vision_model(pixels).last_hidden_state
        queries = model.query_tokens.expand(count, -1, -1)
        features = model.qformer(query_embeds=queries, encoder_hidden_states=seen).last_hidden_state
        bos = torch.full((count, 1), model.config.text_config.bos_token_id, device=pixels.device)
        first = model.language_model.get_input_embeddings()(bos)
        projected = model.language_projection(features.to(seen.dtype))
        return torch.cat([projected.to(first.dtype), first], dim=1)


def clean_decoded(text: str) -> str:
    """``text`` as transformers 4.31 gave it to the authors' program, which then stripped it.

    A word that begins like a contraction is changed as well (`` 'more`` to ``'more``): so did 4.31.
    """
    for old, new in REPLACEMENTS:
        text = text.replace(old, new)
    return text.strip()


def _parts(model: Any) -> dict[str, torch.nn.Module]:
    """The model's parts, in the order in which a picture passes through them."""
    return {
        "vision tower": model.vision_model,
        "Q-Former": model.qformer,
        "projection": model.language_projection,
        _LANGUAGE: model.language_model.get_output_embeddings(),
    }


def _set_image_token(config: Any, language: str) -> None:
    """Give an old checkpoint's configuration the id that marks the query positions."""
    if config.image_token_index is None:
        config.image_token_index = min(_IMAGE_TOKENS[language], config.text_config.vocab_size - 1)


def _side(config: Any, image_processor: Any, name: str) -> int:
    size, side = image_processor.size, config.vision_config.image_size
    if (size.get("height"), size.get("width")) != (side, side):
        raise ModelError(
            f"{name}: its processor makes {size.get('height')}x{size.get('width')} pixels, its vision tower takes "
            f"{side}x{side}; preprocessor_config.json and config.json are not of the same checkpoint"
        )
    return int(side)


def _check(model: Any, report: dict[str, Any], language: str, dtype: torch.dtype, name: str) -> None:
    """Refuse what transformers only warns about and what would give wrong captions."""
    bad = sorted(map(str, [*report["missing_keys"], *report["mismatched_keys"]]))
    if bad:
        raise ModelError(f"{name} lacks weights or has them in another shape: {first_few(bad)}")
    if language != "t5":
        return
    core = model.language_model
    gated = core.config.feed_forward_proj.startswith("gated")  # T5 1.1 and Flan-T5, whose output matrix is their own
    if gated and core.lm_head.weight.data_ptr() == core.shared.weight.data_ptr():
        raise ModelError(
            f"{name}: Flan-T5's output matrix (lm_head.weight) was tied to its embeddings; the checkpoint lacks it or "
            "holds a copy of shared.weight, and captions would be garbage. Download the checkpoint again"
        )
    if dtype == torch.float16:
        kept = {name for name, weight in core.named_parameters() if ".wo." in name and weight.dtype != torch.float32}
        if kept:
            raise ModelError(
                f"{name}: {len(kept)} feed-forward outputs of T5 are in float16 and overflow; use bfloat16"
            )
