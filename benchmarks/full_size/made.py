"""Models of the published shapes with random weights, made on the device: nothing is downloaded or written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers
from full_size.measuring import Plan

from lavad_core.config.models import Blip2Config
from lavad_core.models.captioners.blip2 import Blip2Captioner
from lavad_core.models.captioners.random_blip2 import opt_tokenizer, t5_tokenizer
from lavad_core.models.encoders.imagebind.clip_bpe import tokenizer_folder
from lavad_core.models.encoders.imagebind.encoder import ImageBindEncoder
from lavad_core.models.encoders.imagebind.tokenizer import ClipBpe
from lavad_core.models.encoders.imagebind.towers import ImageBindTowers, TextShape, VisionShape
from lavad_core.models.random_text import spoken_words
from lavad_core.models.random_weights import fill

HF: Any = transformers


def built(plan: Plan, dtype: torch.dtype, make: Callable[[], Any], gain: float = 1.0) -> Any:
    """A model of random weights, made on the device; with a ``gain`` above 1 it tells inputs apart better."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with plan.device:
            model = make()
    finally:
        torch.set_default_dtype(before)
    model = model.to(dtype).eval().requires_grad_(False)
    torch.manual_seed(0)
    fill(model, lambda values, scale: values.normal_(0.0, scale), gain=gain)
    if hasattr(model, "query_tokens"):  # they meet all pictures, and are no matrix
        model.query_tokens.normal_()
    return model


def caption_config(name: str, small: bool) -> Any:
    """The published shapes of a captioner."""
    tiny = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 2}
    if name.startswith("opt"):
        width = {"hidden_size": 64, "ffn_dim": 128, "num_hidden_layers": 2, "num_attention_heads": 2}
        if not small:
            width = {"hidden_size": 4096, "ffn_dim": 16384, "num_hidden_layers": 32, "num_attention_heads": 32}
        ends = {"bos_token_id": 2, "pad_token_id": 1, "eos_token_id": 3 if small else 50118}
        # Tied as published, random embeddings would make it say what it has just read.
        words = {
            "vocab_size": 1024 if small else 50272,
            "word_embed_proj_dim": width["hidden_size"],
            "tie_word_embeddings": False,
        }
        text = HF.OPTConfig(**width, **ends, **words, max_position_embeddings=2048)
    else:
        width, inner, heads, layers = (4096, 10240, 64, 24) if "xxl" in name else (2048, 5120, 32, 24)
        if small:
            width, inner, heads, layers = 64, 128, 2, 2
        sizes = {
            "d_model": width,
            "d_ff": inner,
            "num_heads": heads,
            "num_layers": layers,
            "num_decoder_layers": layers,
        }
        ends = {"bos_token_id": 1, "pad_token_id": 0, "eos_token_id": 1, "decoder_start_token_id": 0}
        text = HF.T5Config(
            **sizes,
            **ends,
            d_kv=32 if small else 64,
            vocab_size=1024 if small else 32128,
            feed_forward_proj="gated-gelu",
        )
    side = 56 if small else 364 if name.endswith("coco") else 224
    return HF.Blip2Config(
        vision_config={"image_size": side, "patch_size": 14, **(tiny if small else {})},
        qformer_config=tiny if small else {},
        text_config=text.to_dict(),
        num_query_tokens=4 if small else 32,
        image_token_index=1000 if small else 50265 if name.startswith("opt") else 32100,
    )


def caption_dtype(plan: Plan, name: str) -> torch.dtype:
    """The precision of a captioner: float16 for OPT, bfloat16 for T5."""
    return plan.dtype(torch.float16 if name.startswith("opt") else torch.bfloat16)


class Captioners:
    """A captioner's weights, and as many captioners of them as are asked for."""

    def __init__(self, plan: Plan, name: str) -> None:
        config = caption_config(name, plan.small)
        self.plan, self.name, self.side = plan, name, config.vision_config.image_size
        make = lambda: HF.Blip2ForConditionalGeneration(config)  # noqa: E731
        self._model = built(plan, caption_dtype(plan, name), make, gain=1.5)
        self._processor = HF.BlipImageProcessorPil(size={"height": self.side, "width": self.side})
        self._tokenizer = (opt_tokenizer if name.startswith("opt") else t5_tokenizer)(spoken_words())

    def of(self, section: Blip2Config) -> Blip2Captioner:
        """The captioner of a section."""
        place = f"captioners.{self.name}"
        return Blip2Captioner(section, self._model, self._processor, self._tokenizer, self.plan.device, place)

    def in_batches(self, size: int | str) -> Blip2Captioner:
        """The captioner with batches of this size."""
        return self.of(Blip2Config(model=self.name, batch_size=size, max_new_tokens=self.plan.new_tokens))


class Towers:
    """ImageBind's weights, and as many encoders of them as are asked for."""

    def __init__(self, plan: Plan) -> None:
        vision, text = VisionShape(1280, 32, 16, 5120, 1024, 2, 14, 16), TextShape(1024, 24, 16, 4096, 1024, 49408, 77)
        if plan.small:
            vision, text = VisionShape(64, 2, 2, 128, 32, 2, 14, 4), TextShape(64, 2, 2, 128, 32, 49408, 77)
        self.device, self.dtype, self.side = plan.device, plan.dtype(torch.float16), vision.image_side
        self._towers = built(plan, self.dtype, lambda: ImageBindTowers(vision, text))
        self._towers.prepare()
        folder = tokenizer_folder(None, Path("none") / "none")
        self._tokenizer = ClipBpe(folder, context=text.context, vocabulary=text.vocabulary, long_text="keep-end")

    def in_batches(self, size: int) -> ImageBindEncoder:
        """The encoder with batches of this size."""
        return ImageBindEncoder(self._towers, self._tokenizer, device=self.device, dtype=self.dtype, batch_size=size)
