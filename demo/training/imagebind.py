"""A small ImageBind of our own towers: images, two-frame clips and texts in one space.

Its vision tower begins with the weights of the captioners' tower, and learns to tell the moments of a clip apart: a batch
holds several frames of each of its clips, so that most of what a text must not be taken for happened at the same place.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from transformers import Blip2VisionModel

from lavad.demo import grammar
from lavad.demo.training.captioners import CAPTIONERS
from lavad.demo.training.frames import TrainingFrames
from lavad.demo.training.loop import Log, TrainingRecord, half_precision, train
from lavad.demo.training.summaries import HEDGES, summary
from lavad.demo.training.vision import DEPTH, HEADS, PATCH, SIDE, WIDTH, initialise, jittered, normalised
from lavad_core.models.encoders.imagebind.preprocess import centre_square
from lavad_core.models.encoders.imagebind.tokenizer import ClipBpe
from lavad_core.models.encoders.imagebind.towers import ImageBindTowers, TextShape, VisionShape
from lavad_core.models.encoders.random_encoders import word_bpe, write_bpe
from lavad_core.models.encoders.text_batches import padded
from lavad_core.models.pixels import Normaliser

_OUTPUT = 96
_TEXT_WIDTH, _TEXT_DEPTH, _TEXT_HEADS = 128, 3, 4
_BATCH = 128

_SUMMARY_WORDS = sorted({word.lower() for hedge in HEDGES for word in hedge.split()})
"""Words of summaries that are not of captions."""

_LONG = 128
"""Width of a clip's frame whose short side is :data:`SIDE`."""


@dataclass
class Pairs:
    """n frames and what texts can say about them, at the sizes the towers see."""

    images: NDArray[np.uint8]
    """Middle squares, uint8 [n, 96, 96, 3]."""
    first: NDArray[np.uint8]
    """First frames of two-frame clips, all of their width, uint8 [n, 3, 96, 128]."""
    second: NDArray[np.uint8]
    """Second frames, likewise."""
    scenes: list[grammar.Scene]
    """The scenes of the first frames."""
    around: list[list[str]]
    """The true sentences of the window around each."""

    @classmethod
    def joined(cls, parts: Sequence[Pairs]) -> Pairs:
        """All of them, in order."""
        return cls(
            np.concatenate([part.images for part in parts]),
            np.concatenate([part.first for part in parts]),
            np.concatenate([part.second for part in parts]),
            [scene for part in parts for scene in part.scenes],
            [window for part in parts for window in part.around],
        )


def pairs_of(frames: TrainingFrames) -> Pairs:
    """The pairs of frames that were made with their second ones."""
    assert frames.later is not None
    return Pairs(
        np.stack([centre_square(picture, SIDE) for picture in frames.pictures]),
        _low(frames.pictures),
        _low(frames.later),
        frames.scenes,
        frames.around,
    )


def _low(pictures: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Pictures of which the short side has :data:`SIDE` pixels: uint8 [n, 3, 96, 128]."""
    pixels = torch.from_numpy(pictures).permute(0, 3, 1, 2).float()
    low = F.interpolate(pixels, size=(SIDE, _LONG), mode="bilinear", align_corners=False)
    return low.round().byte().numpy()


def train_imagebind(
    tower: Blip2VisionModel, pairs: Pairs, folder: Path, *, steps: int, seed: int, log: Log, per_clip: int
) -> TrainingRecord:
    """Train the towers and write ``imagebind.safetensors`` (float16) and a tokenizer to ``folder``.

    Args:
        tower: whose weights the vision tower begins with.
        pairs: taken from training clips; those of one clip follow one another.
        folder: must exist.
        steps: how many the training has.
        seed: seed of weights and order.
        log: takes lines.
        per_clip: pairs of each clip.
    """
    torch.manual_seed(seed)
    random = np.random.default_rng(seed)
    vocabulary, merges = word_bpe([*grammar.all_words(), *_SUMMARY_WORDS])
    write_bpe(folder, vocabulary, merges)
    text = TextShape(
        _TEXT_WIDTH, _TEXT_DEPTH, _TEXT_HEADS, 4 * _TEXT_WIDTH, _OUTPUT, vocabulary=len(vocabulary), context=77
    )
    vision = VisionShape(WIDTH, DEPTH, HEADS, 4 * WIDTH, _OUTPUT, frames=2, patch=PATCH, grid=SIDE // PATCH)
    towers = ImageBindTowers(vision, text)
    initialise(towers)
    _normalisations(towers)
    _begin_with(towers, tower)
    scale = towers.modality_postprocessors["text"][1].log_logit_scale  # type: ignore[index]
    torch.nn.init.constant_(scale, math.log(14))
    tokenizer = ClipBpe(folder, context=77, vocabulary=len(vocabulary), long_text="keep-end")
    groups = np.arange(len(pairs.scenes)).reshape(-1, per_clip)
    clips = min(len(groups), _BATCH // per_clip)

    def batches() -> Iterator[NDArray[np.int64]]:
        while True:
            yield groups[random.choice(len(groups), clips, replace=False)].ravel()

    def loss_of(numbers: NDArray[np.int64]) -> Tensor:
        towers.prepare()  # the sum over frames for still images is that of older weights
        captions = [_said(pairs.scenes[number], random) for number in numbers]
        windows = [
            summary(pairs.around[number]) if random.random() < 0.6 else grammar.sentence(pairs.scenes[number])
            for number in numbers
        ]
        words = _texts(towers, tokenizer, captions + windows)
        still = jittered(normalised(pairs.images[numbers]), random)
        moving = _clips(pairs.first[numbers], pairs.second[numbers], random)
        with half_precision(), sdpa_kernel(SDPBackend.MATH):  # in bfloat16 on a CPU twice as fast as the fused one
            seen, watched = towers.encode_vision(still), towers.encode_vision(moving)
        sharp = scale.exp().clamp(max=60)
        same_captions, same_windows = _equal(captions), _equal(windows)
        first, second = words[: len(numbers)], words[len(numbers) :]
        return _contrast(seen @ first.T * sharp, same_captions) + _contrast(watched @ second.T * sharp, same_windows)

    record = train(
        list(towers.parameters()),
        loss_of,
        batches(),
        steps=steps,
        rate=1e-3,
        log=log,
        name="imagebind",
    )
    state = {name: tensor.detach().half().clone() for name, tensor in towers.state_dict().items()}
    save_file(state, folder / "imagebind.safetensors", metadata={"heads": str(HEADS)})
    return record


def _said(scene: grammar.Scene, random: np.random.Generator) -> str:
    """A true sentence, as long or as short as captions are."""
    style = CAPTIONERS[random.integers(len(CAPTIONERS))]
    return grammar.sentence(scene) if random.random() < 0.4 else style.sentence(scene, random, told=False)


def _texts(towers: ImageBindTowers, tokenizer: ClipBpe, texts: list[str]) -> Tensor:
    ids, last = map(torch.from_numpy, padded(tokenizer(texts), 0))
    with half_precision(), sdpa_kernel(SDPBackend.MATH):
        return towers.encode_text(ids, last)


def _clips(first: NDArray[np.uint8], second: NDArray[np.uint8], random: np.random.Generator) -> Tensor:
    """One of the three crops of each two-frame clip: float32 [n, 3, 2, side, side]."""
    count = len(first)
    both = torch.from_numpy(np.concatenate([first, second])).float().div_(255)
    left = int(random.choice((0, (_LONG - SIDE) // 2, _LONG - SIDE), p=(0.25, 0.5, 0.25)))
    both = Normaliser().normalise(both[:, :, :, left : left + SIDE])
    return torch.stack((both[:count], both[count:]), dim=2)


def _equal(texts: list[str]) -> Tensor:
    """1 where two samples have the same text, float32 [n, n]."""
    numbers = {text: number for number, text in enumerate(dict.fromkeys(texts))}
    labels = torch.tensor([numbers[text] for text in texts])
    return (labels[:, None] == labels[None]).float()


def _contrast(logits: Tensor, same: Tensor) -> Tensor:
    """InfoNCE both ways; samples with equal texts share a target."""
    target = same / same.sum(1, keepdim=True)
    return 0.5 * (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target))


def _normalisations(towers: ImageBindTowers) -> None:
    for module in towers.modules():
        if isinstance(module, torch.nn.LayerNorm):
            torch.nn.init.ones_(module.weight)
            torch.nn.init.zeros_(module.bias)
    for name, parameter in towers.named_parameters():
        if name.endswith("bias"):
            torch.nn.init.zeros_(parameter)


@torch.no_grad()
def _begin_with(towers: ImageBindTowers, tower: Blip2VisionModel) -> None:
    """Copy a BLIP-2 vision tower: the layers are of the same kind, and a still image is a clip of two equal frames."""
    given = dict(tower.state_dict())
    own = dict(towers.named_parameters())
    own["modality_preprocessors.vision.cls_token"].copy_(given["embeddings.class_embedding"])
    positions = given["embeddings.position_embedding"].clone()
    positions[:, 1:] += given["embeddings.patch_embedding.bias"]
    own["modality_preprocessors.vision.pos_embedding_helper.pos_embed"].copy_(positions)
    kernel = given["embeddings.patch_embedding.weight"]
    own["modality_preprocessors.vision.rgbt_stem.proj.1.weight"].copy_(kernel[:, :, None] / 2)
    for layer in range(DEPTH):
        for ours, theirs in (
            ("attn.in_proj_weight", "self_attn.qkv.weight"),
            ("attn.in_proj_bias", "self_attn.qkv.bias"),
            ("attn.out_proj.weight", "self_attn.projection.weight"),
            ("attn.out_proj.bias", "self_attn.projection.bias"),
            ("norm_1.weight", "layer_norm1.weight"),
            ("norm_1.bias", "layer_norm1.bias"),
            ("norm_2.weight", "layer_norm2.weight"),
            ("norm_2.bias", "layer_norm2.bias"),
            ("mlp.fc1.weight", "mlp.fc1.weight"),
            ("mlp.fc1.bias", "mlp.fc1.bias"),
            ("mlp.fc2.weight", "mlp.fc2.weight"),
            ("mlp.fc2.bias", "mlp.fc2.bias"),
        ):
            own[f"modality_trunks.vision.blocks.{layer}.{ours}"].copy_(given[f"encoder.layers.{layer}.{theirs}"])
    for part in ("weight", "bias"):
        own[f"modality_heads.vision.0.{part}"].copy_(given[f"post_layernorm.{part}"])
