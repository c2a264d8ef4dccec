"""ImageBind's vision and text towers (Girdhar et al. 2023), with the checkpoint's own names and any sizes.

Both are pre-norm transformers of the ViT/CLIP kind. The vision tower reads an image as a still two-frame clip: its patch
layer spans two frames, so that an image and a clip are the same number of tokens.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LAYER_NORM_EPS = 1e-6
"""The epsilon of every layer norm; OpenCLIP, whose shapes are the same, has 1e-5."""

MAX_LOGIT_SCALE = 100.0
"""Where ImageBind's own scaling of cosines ends."""


@dataclass(frozen=True)
class VisionShape:
    """Sizes of the vision tower."""

    width: int
    """Width of the transformer."""
    depth: int
    """Layers of the transformer."""
    heads: int
    """Attention heads of a layer."""
    hidden: int
    """Inner width of the MLP."""
    output: int
    """Length of a vector."""
    frames: int
    """Frames that the patch layer spans."""
    patch: int
    """Side of a patch, pixels."""
    grid: int
    """Patches along a side of the image."""

    @property
    def image_side(self) -> int:
        """Side of the square image that it reads, pixels."""
        return self.grid * self.patch


@dataclass(frozen=True)
class TextShape:
    """Sizes of the text tower."""

    width: int
    """Width of the transformer."""
    depth: int
    """Layers of the transformer."""
    heads: int
    """Attention heads of a layer."""
    hidden: int
    """Inner width of the MLP."""
    output: int
    """Length of a vector."""
    vocabulary: int
    """Token ids are below it."""
    context: int
    """Most tokens of a text, start and end included."""


class Attention(nn.Module):
    """Multi-head self-attention with one packed projection."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.in_proj_weight = nn.Parameter(torch.empty(3 * width, width))
        self.in_proj_bias = nn.Parameter(torch.empty(3 * width))
        self.out_proj = nn.Linear(width, width)

    def forward(self, tokens: Tensor, causal: bool) -> Tensor:
        batch, length, width = tokens.shape
        packed = F.linear(tokens, self.in_proj_weight, self.in_proj_bias)
        query, key, value = packed.view(batch, length, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(query, key, value, is_causal=causal)
        out: Tensor = self.out_proj(mixed.transpose(1, 2).reshape(batch, length, width))
        return out

    def first(self, tokens: Tensor) -> Tensor:
        """What :meth:`forward` gives for the first token, [batch, 1, width], without causality."""
        batch, length, width = tokens.shape
        weight, bias = self.in_proj_weight, self.in_proj_bias
        query = F.linear(tokens[:, :1], weight[:width], bias[:width]).view(batch, 1, self.heads, -1).transpose(1, 2)
        packed = F.linear(tokens, weight[width:], bias[width:])
        key, value = packed.view(batch, length, 2, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(query, key, value)
        out: Tensor = self.out_proj(mixed.transpose(1, 2).reshape(batch, 1, width))
        return out


class Mlp(nn.Module):
    """Two layers with the exact (erf) GELU between them."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden, width)

    def forward(self, tokens: Tensor) -> Tensor:
        out: Tensor = self.fc2(F.gelu(self.fc1(tokens)))
        return out


class Block(nn.Module):
    """One pre-norm transformer layer."""

    def __init__(self, width: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.attn = Attention(width, heads)
        self.norm_1 = nn.LayerNorm(width, eps=LAYER_NORM_EPS)
        self.mlp = Mlp(width, hidden)
        self.norm_2 = nn.LayerNorm(width, eps=LAYER_NORM_EPS)

    def forward(self, tokens: Tensor, causal: bool) -> Tensor:
        tokens = tokens + self.attn(self.norm_1(tokens), causal)
        out: Tensor = tokens + self.mlp(self.norm_2(tokens))
        return out

    def first(self, tokens: Tensor) -> Tensor:
        """What :meth:`forward` gives for the first token, [batch, 1, width], without causality."""
        token = tokens[:, :1] + self.attn.first(self.norm_1(tokens))
        out: Tensor = token + self.mlp(self.norm_2(token))
        return out


class Trunk(nn.Module):
    """The layers of a tower; vision has a layer norm before them."""

    def __init__(self, width: int, depth: int, heads: int, hidden: int, *, causal: bool, norm_first: bool) -> None:
        super().__init__()
        self.causal = causal
        if norm_first:
            self.pre_transformer_layer = nn.Sequential(nn.LayerNorm(width, eps=LAYER_NORM_EPS))
        else:
            self.pre_transformer_layer = nn.Sequential()
        self.blocks = nn.ModuleList(Block(width, heads, hidden) for _ in range(depth))

    def forward(self, tokens: Tensor) -> Tensor:
        tokens = self.pre_transformer_layer(tokens)
        for block in self.blocks:
            tokens = block(tokens, self.causal)
        return tokens

    def first(self, tokens: Tensor) -> Tensor:
        """The first token of :meth:`forward`, [batch, 1, width]: of the last layer nothing else is computed."""
        tokens = self.pre_transformer_layer(tokens)
        *blocks, last = self.blocks
        for block in blocks:
            tokens = block(tokens, self.causal)
        assert isinstance(last, Block)
        return last.first(tokens)


class VisionPreprocessor(nn.Module):
    """Pixels to tokens: patches of two frames, a class token before them, and positions."""

    def __init__(self, shape: VisionShape) -> None:
        super().__init__()
        self.patch = shape.patch
        self.cls_token = nn.Parameter(torch.empty(1, 1, shape.width))
        kernel = (shape.frames, shape.patch, shape.patch)
        # Index 0 of the checkpoint's stem is its frame repetition, which has no weights.
        self.rgbt_stem = nn.ModuleDict(
            {"proj": nn.Sequential(nn.Identity(), nn.Conv3d(3, shape.width, kernel, stride=kernel, bias=False))}
        )
        self.pos_embedding_helper = nn.ParameterDict(
            {"pos_embed": nn.Parameter(torch.empty(1, 1 + shape.grid**2, shape.width))}
        )
        self._still: Tensor | None = None

    @property
    def kernel(self) -> Tensor:
        """Shape of the patch layer's kernel: [width, 3, frames, patch, patch]."""
        weight: Tensor = self.rgbt_stem["proj"][1].weight  # type: ignore[index]
        return weight

    def prepare(self) -> None:
        """Sum the patch layer over its frames, for still images; call it again when weights or device change."""
        self._still = self.kernel.float().sum(2).to(self.kernel.dtype)

    def forward(self, pixels: Tensor) -> Tensor:
        """Tokens [B, 1 + grid², width] of images [B, 3, side, side] or clips [B, 3, frames, side, side]."""
        if pixels.ndim == 5:  # One time step remains, so the convolution is two-dimensional over all frames' channels.
            pixels, kernel = pixels.flatten(1, 2), self.kernel.flatten(1, 2)
        else:
            if self._still is None:
                self.prepare()
            assert self._still is not None
            kernel = self._still
        patches = F.conv2d(pixels, kernel, stride=self.patch).flatten(2).transpose(1, 2)
        tokens = torch.cat((self.cls_token.expand(len(patches), -1, -1), patches), dim=1)
        out: Tensor = tokens + self.pos_embedding_helper["pos_embed"]
        return out


class TextPreprocessor(nn.Module):
    """Token ids to tokens with positions."""

    def __init__(self, shape: TextShape) -> None:
        super().__init__()
        self.pos_embed = nn.Parameter(torch.empty(1, shape.context, shape.width))
        self.token_embedding = nn.Embedding(shape.vocabulary, shape.width)

    def forward(self, ids: Tensor) -> Tensor:
        tokens: Tensor = self.token_embedding(ids)
        return tokens + self.pos_embed[:, : ids.shape[1]]


class ImageBindTowers(nn.Module):
    """Both towers under the names of the published checkpoint.

    Weights are not initialised: load them (``checkpoint.py``), or make random ones (``random_encoders.py``).
    """

    def __init__(self, vision: VisionShape, text: TextShape) -> None:
        super().__init__()
        self.vision_shape = vision
        self.text_shape = text
        self.modality_preprocessors = nn.ModuleDict(
            {"vision": VisionPreprocessor(vision), "text": TextPreprocessor(text)}
        )
        self.modality_trunks = nn.ModuleDict(
            {
                "vision": Trunk(vision.width, vision.depth, vision.heads, vision.hidden, causal=False, norm_first=True),
                "text": Trunk(text.width, text.depth, text.heads, text.hidden, causal=True, norm_first=False),
            }
        )
        self.modality_heads = nn.ModuleDict(
            {
                # Index 1 of the checkpoint's head picks the class token, which has no weights.
                "vision": nn.Sequential(
                    nn.LayerNorm(vision.width, eps=LAYER_NORM_EPS),
                    nn.Identity(),
                    nn.Linear(vision.width, vision.output, bias=False),
                ),
                "text": nn.ModuleDict(
                    {
                        "proj": nn.Sequential(
                            nn.LayerNorm(text.width, eps=LAYER_NORM_EPS), nn.Linear(text.width, text.output, bias=False)
                        )
                    }
                ),
            }
        )
        # The scale of text logits: part of the checkpoint, and not applied to vectors, which are made unit.
        self.modality_postprocessors = nn.ModuleDict(
            {"text": nn.Sequential(nn.Identity(), nn.ParameterDict({"log_logit_scale": nn.Parameter(torch.empty(()))}))}
        )

    def prepare(self) -> None:
        """Compute what images need from the weights; call it when weights or device have changed."""
        self.modality_preprocessors["vision"].prepare()  # type: ignore[operator]

    @property
    def logit_scale(self) -> float | None:
        """What ImageBind multiplies cosines to texts by, up to :data:`MAX_LOGIT_SCALE`; None if the checkpoint lacks it."""
        log_scale = float(self.modality_postprocessors["text"][1].log_logit_scale)  # type: ignore[index]
        return None if math.isnan(log_scale) else math.exp(min(log_scale, math.log(MAX_LOGIT_SCALE)))

    def encode_vision(self, pixels: Tensor) -> Tensor:
        """Unit vectors, float32 [B, output].

        Args:
            pixels: normalised images [B, 3, side, side] or clips [B, 3, frames, side, side], in the towers' precision.
        """
        trunk = self.modality_trunks["vision"]
        assert isinstance(trunk, Trunk)
        token = trunk.first(self.modality_preprocessors["vision"](pixels))
        return F.normalize(self.modality_heads["vision"](token[:, 0]).float(), dim=-1)

    def encode_text(self, ids: Tensor, last: Tensor) -> Tensor:
        """Unit vectors, float32 [B, output].

        Args:
            ids: int64 [B, length], length at most the context. Attention is causal, so ids after ``last`` have no effect.
            last: int64 [B], the position of each text's end token.
        """
        tokens = self.modality_trunks["text"](self.modality_preprocessors["text"](ids))
        tokens = tokens[torch.arange(len(ids), device=ids.device), last]
        return F.normalize(self.modality_heads["text"]["proj"](tokens).float(), dim=-1)  # type: ignore[index]
