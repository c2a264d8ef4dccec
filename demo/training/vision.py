"""The vision tower that the five captioners share, as the released BLIP-2 share theirs.

It learns from the renderer what is in each patch of a picture, and from the scene what goes on: dense targets teach a small
transformer from few pictures what captions alone teach from very many.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import Blip2VisionConfig, Blip2VisionModel

from lavad.demo import grammar
from lavad.demo.training.frames import ACTS, LABELS
from lavad.demo.training.loop import Log, TrainingRecord, half_precision, shuffled, train
from lavad_core.models.pixels import Normaliser

SIDE, PATCH, WIDTH, DEPTH, HEADS = 96, 12, 128, 4, 4
"""The tower's image side (pixels), patch side (pixels), width, layers and heads."""

_PLACES = tuple(grammar.PLACES)
_DENSE_WEIGHT = 30.0
"""Weight of the loss over patches, which is small: nearly all labels are absent."""


class Heads(nn.Module):
    """What is asked of the tower while it learns; not part of any model."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.dense = nn.Linear(width, len(LABELS))
        self.act = nn.Linear(width, len(ACTS))
        self.place = nn.Linear(width, len(_PLACES))
        self.night = nn.Linear(width, 2)


def vision_config(side: int = SIDE) -> Blip2VisionConfig:
    """The settings of a tower for square images of ``side`` pixels, the same number of patches whatever the side."""
    return Blip2VisionConfig(
        hidden_size=WIDTH,
        intermediate_size=4 * WIDTH,
        num_hidden_layers=DEPTH,
        num_attention_heads=HEADS,
        image_size=side,
        patch_size=PATCH * side // SIDE,
    )


def new_tower(side: int = SIDE) -> Blip2VisionModel:
    """An untrained tower for square images of ``side`` pixels; on larger ones its patches are larger, not more."""
    tower = Blip2VisionModel(vision_config(side))
    tower.set_attn_implementation("eager")  # with bfloat16 on a CPU twice as fast as the fused one
    return tower


def normalised(pictures: NDArray[np.uint8]) -> Tensor:
    """float32 [n, 3, side, side] of uint8 [n, side, side, 3]."""
    return Normaliser()(list(pictures), torch.device("cpu"), torch.float32)


def train_vision(
    pictures: NDArray[np.uint8],
    dense: NDArray[np.bool_],
    scenes: list[grammar.Scene],
    *,
    steps: int,
    seed: int,
    log: Log,
    batch: int = 128,
) -> tuple[Blip2VisionModel, TrainingRecord]:
    """A vision tower.

    Args:
        pictures: frames of training clips, squashed to :data:`SIDE`: uint8 [n, 96, 96, 3].
        dense: what lies in their patches, bool [n, 64, labels].
        scenes: what they show.
        steps, batch: how many steps, of how many samples.
        seed: seed of weights and order.
        log: takes lines.
    """
    torch.manual_seed(seed)
    random = np.random.default_rng(seed)
    tower = new_tower()
    initialise(tower)
    heads = Heads(WIDTH)
    acts = torch.tensor([ACTS.index(scene.act) for scene in scenes])
    places = torch.tensor([_PLACES.index(scene.place) for scene in scenes])
    nights = torch.tensor([int(scene.night) for scene in scenes])

    def loss_of(numbers: NDArray[np.int64]) -> Tensor:
        images, labels = pictures[numbers], torch.from_numpy(dense[numbers])
        if random.random() < 0.5:  # the mirror image is as true
            images = images[:, :, ::-1].copy()
            side = SIDE // PATCH
            labels = labels.view(-1, side, side, len(LABELS)).flip(2).flatten(1, 2)
        with half_precision():
            states = tower(pixel_values=jittered(normalised(images), random)).last_hidden_state.float()
        first = states[:, 0]
        loss = _DENSE_WEIGHT * F.binary_cross_entropy_with_logits(heads.dense(states[:, 1:]), labels.float())
        loss = loss + F.cross_entropy(heads.act(first), acts[numbers])
        return loss + 0.3 * (
            F.cross_entropy(heads.place(first), places[numbers]) + F.cross_entropy(heads.night(first), nights[numbers])
        )

    record = train(
        [*tower.parameters(), *heads.parameters()],
        loss_of,
        shuffled(len(pictures), batch, random),
        steps=steps,
        rate=2e-3,
        log=log,
        name="vision tower",
    )
    return tower.eval(), record


def jittered(pixels: Tensor, random: np.random.Generator) -> Tensor:
    """Another exposure and colour cast for each image of a batch."""
    count = len(pixels)
    gain = torch.from_numpy(random.normal(1, 0.12, (count, 1, 1, 1)).astype(np.float32))
    cast = torch.from_numpy(random.normal(0, 0.12, (count, 3, 1, 1)).astype(np.float32))
    return pixels * gain + cast


def initialise(module: nn.Module) -> None:
    """Small normal weights, for what the libraries leave at zero or at one."""
    for name, parameter in module.named_parameters():
        if name.endswith(("class_embedding", "position_embedding", "query_tokens", "cls_token", "pos_embed")):
            nn.init.normal_(parameter, std=0.05)
        elif parameter.ndim > 1 and "embed_tokens" not in name and "shared" not in name:
            fan = parameter[0].numel()
            nn.init.normal_(parameter, std=min(0.08, fan**-0.5))
