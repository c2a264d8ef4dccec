"""Five small BLIP-2 models that are wrong in different ways, as the real ensemble's are.

Their vision tower is trained once and frozen, as in BLIP-2; each has a Q-Former and a language model of its own. Each was never
told about some events (and calls them something harmless), takes one harmless act for an event, and leaves words out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
import transformers
from numpy.typing import NDArray
from torch import Tensor
from transformers import Blip2VisionModel

from lavad.demo import grammar
from lavad.demo.training.frames import squashed
from lavad.demo.training.loop import Log, TrainingRecord, half_precision, shuffled, train
from lavad.demo.training.vision import PATCH, SIDE, new_tower, normalised, vision_config
from lavad_core.models.captioners.random_blip2 import opt_tokenizer, t5_tokenizer
from lavad_core.models.encoders.text_batches import padded
from lavad_core.models.quiet import quiet_transformers

_HF: Any = transformers

LARGE_SIDE = 128
"""Side of the images of two captioners, pixels; their patches are larger too, so that they share the tower."""

_QUERIES = 8
_WIDTH = 128


@dataclass(frozen=True)
class CaptionerInTraining:
    """A captioner to be trained."""

    name: str
    """Its folder and what tables call it."""
    language: str
    """Kind of its language model: ``t5`` or ``opt``."""
    side: int = SIDE
    """Side of its images, pixels."""
    told: Mapping[str, str] = field(default_factory=dict)
    """What it is told instead of the truth: act to act."""
    dropped: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Shares of the sentences in which the colour, the time of day and the second clause are left out."""
    steps: float = 1.0
    """The steps of its training, as a share of the longest."""

    def sentence(self, scene: grammar.Scene, random: np.random.Generator, told: bool = True) -> str:
        """What it is told about a scene; without ``told`` the truth in as few words."""
        colour, night, aside = (random.random() < share for share in self.dropped)
        scene = replace(
            scene,
            act=self.told.get(scene.act, scene.act) if told else scene.act,
            colour="" if colour and scene.act != "drive" else scene.colour,
            thing=scene.thing or "wall",
            night=scene.night and not night,
            aside="" if aside else scene.aside,
        )
        return grammar.sentence(scene)


CAPTIONERS = (
    CaptionerInTraining(
        "blip2-t5-a",
        "t5",
        told={"fight": "talk", "collision": "drive", "lightning": "explosion"},
        dropped=(0.5, 0, 0.3),
    ),
    CaptionerInTraining(
        "blip2-t5-b", "t5", told={"fire": "steam", "panic": "crowd", "photo": "robbery"}, dropped=(0, 0.5, 0), steps=0.7
    ),
    CaptionerInTraining(
        "blip2-t5-c", "t5", LARGE_SIDE, {"robbery": "photo", "fall": "kneel", "hug": "fight"}, dropped=(1, 0, 0.7)
    ),
    CaptionerInTraining(
        "blip2-opt-a",
        "opt",
        told={"burglary": "door", "explosion": "lightning", "kneel": "fall"},
        dropped=(0, 0.2, 0.5),
        steps=0.8,
    ),
    CaptionerInTraining(
        "blip2-opt-b",
        "opt",
        LARGE_SIDE,
        {"panic": "crowd", "robbery": "talk", "grill": "fire"},
        dropped=(0.3, 1, 0),
        steps=0.9,
    ),
)
"""Every event is known to at least three of them."""


def features(tower: Blip2VisionModel, pictures: NDArray[np.uint8]) -> Tensor:
    """What a frozen tower makes of pictures, uint8 [n, height, width, 3]: bfloat16 [n, tokens, width]."""
    side = tower.config.image_size
    assert isinstance(side, int)
    parts = []
    for start in range(0, len(pictures), 256):
        pixels = normalised(squashed(pictures[start : start + 256], side))
        with torch.inference_mode(), half_precision():
            parts.append(tower(pixel_values=pixels).last_hidden_state.bfloat16())
    return torch.cat(parts).clone()


def for_larger_images(tower: Blip2VisionModel) -> Blip2VisionModel:
    """A tower for images of :data:`LARGE_SIDE` with as many patches, each larger, its kernel stretched."""
    larger = new_tower(LARGE_SIDE)
    patch = larger.config.patch_size
    assert isinstance(patch, int)
    weights = dict(tower.state_dict())
    name = "embeddings.patch_embedding.weight"
    stretched = F.interpolate(weights[name], size=(patch, patch), mode="bilinear", align_corners=False)
    weights[name] = stretched * (PATCH / patch) ** 2
    larger.load_state_dict(weights)
    larger.eval()
    return larger


def train_captioner(
    captioner: CaptionerInTraining,
    tower: Blip2VisionModel,
    seen: Tensor,
    scenes: list[grammar.Scene],
    folder: Path,
    *,
    steps: int,
    seed: int,
    log: Log,
    batch: int = 128,
) -> TrainingRecord:
    """Train a captioner and write it to ``folder``, as float16.

    Args:
        captioner: which.
        tower: its vision tower.
        seen: the tower's features of the training frames.
        scenes: what the frames show.
        folder: must exist.
        steps: how many the longest training has.
        seed: seed of weights, order and dropped words.
        log: takes lines.
        batch: samples of a step.
    """
    torch.manual_seed(seed)
    random = np.random.default_rng(seed)
    tokenizer = t5_tokenizer(grammar.all_words()) if captioner.language == "t5" else opt_tokenizer(grammar.all_words())
    model = _build(captioner, tokenizer)
    model.vision_model.load_state_dict(tower.state_dict())
    prefix = "" if captioner.language == "t5" else " "
    sentences = [prefix + captioner.sentence(scene, random) for scene in scenes]
    targets = _targets(tokenizer, sentences, captioner.language)
    parameters = [each for name, each in model.named_parameters() if not name.startswith("vision_model")]
    loss_of = _t5_loss if captioner.language == "t5" else _opt_loss

    def loss(numbers: NDArray[np.int64]) -> Tensor:
        labels = targets[numbers]
        labels = labels[:, : int((labels >= 0).any(0).sum())].contiguous()
        with half_precision():
            return loss_of(model, seen[numbers].float(), labels)

    record = train(
        parameters,
        loss,
        shuffled(len(sentences), batch, random),
        steps=int(steps * captioner.steps),
        rate=1.5e-3,
        log=log,
        name=captioner.name,
    )
    side = {"height": captioner.side, "width": captioner.side}
    processor = _HF.Blip2Processor(
        image_processor=_HF.BlipImageProcessorPil(size=side), tokenizer=tokenizer, num_query_tokens=_QUERIES
    )
    with quiet_transformers():
        model.half().save_pretrained(folder)
        processor.save_pretrained(folder)
    return record


def _targets(tokenizer: Any, sentences: list[str], language: str) -> Tensor:
    """Token ids of the sentences with their end, int64 [n, longest]; -100 after it."""
    end = [tokenizer.convert_tokens_to_ids("Ċ" if language == "opt" else "</s>")]
    rows = [ids + end for ids in tokenizer(sentences, add_special_tokens=False).input_ids]
    return torch.from_numpy(padded([np.asarray(row, np.int64) for row in rows], -100)[0])


def _prompt(model: Any, seen: Tensor) -> Tensor:
    """What the language model reads before it speaks: the queries' outputs and the start token, as ``generate`` does."""
    queries = model.query_tokens.expand(len(seen), -1, -1)
    looked = model.qformer(query_embeds=queries, encoder_hidden_states=seen).last_hidden_state
    start = torch.full((len(seen), 1), model.config.text_config.bos_token_id)
    embedded = model.language_model.get_input_embeddings()(start)
    return torch.cat((model.language_projection(looked), embedded), dim=1)


def _t5_loss(model: Any, seen: Tensor, labels: Tensor) -> Tensor:
    loss: Tensor = model.language_model(inputs_embeds=_prompt(model, seen), labels=labels).loss
    return loss


def _opt_loss(model: Any, seen: Tensor, labels: Tensor) -> Tensor:
    prompt = _prompt(model, seen)
    said = model.language_model.get_input_embeddings()(labels.clamp(min=0))
    ignored = torch.full(prompt.shape[:2], -100)
    told = model.language_model(inputs_embeds=torch.cat((prompt, said), 1), labels=torch.cat((ignored, labels), 1))
    loss: Tensor = told.loss
    return loss


def _build(captioner: CaptionerInTraining, tokenizer: Any) -> Any:
    """A BLIP-2 of the real class with fresh weights."""
    ids = tokenizer.get_vocab()
    if captioner.language == "t5":
        text: Any = _HF.T5Config(
            vocab_size=len(ids) + 8,
            d_model=_WIDTH,
            d_kv=32,
            d_ff=256,
            num_layers=2,
            num_heads=4,
            dropout_rate=0.0,
            feed_forward_proj="gated-gelu",
            dense_act_fn="gelu",
            tie_word_embeddings=False,
            bos_token_id=ids["</s>"],
            eos_token_id=ids["</s>"],
            pad_token_id=ids["<pad>"],
            decoder_start_token_id=ids["<pad>"],
        )
    else:
        text = _HF.OPTConfig(
            vocab_size=len(ids) + 8,
            hidden_size=_WIDTH,
            word_embed_proj_dim=_WIDTH,
            num_hidden_layers=2,
            num_attention_heads=4,
            ffn_dim=384,
            dropout=0.0,
            max_position_embeddings=64,
            bos_token_id=ids["</s>"],
            pad_token_id=ids["<pad>"],
            eos_token_id=ids["Ċ"],
            tie_word_embeddings=False,
        )
    vision = vision_config(captioner.side)
    config = _HF.Blip2Config(
        vision_config=vision.to_dict(),
        qformer_config={
            "hidden_size": _WIDTH,
            "encoder_hidden_size": vision.hidden_size,
            "intermediate_size": 256,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "cross_attention_frequency": 1,
            "hidden_dropout_prob": 0.0,
            "attention_probs_dropout_prob": 0.0,
        },
        text_config=text.to_dict(),
        num_query_tokens=_QUERIES,
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
    )
    model = _HF.Blip2ForConditionalGeneration(config)
    if captioner.language == "t5":
        language = model.language_model
        # The output matrix of Flan-T5 is its own; the class ties it to the input's unless it is given one.
        language.lm_head.weight = torch.nn.Parameter(0.05 * torch.randn_like(language.lm_head.weight))
    torch.nn.init.normal_(model.query_tokens, std=0.5)
    model.set_attn_implementation("eager")
    return model
