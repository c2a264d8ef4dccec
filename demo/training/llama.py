"""The small language model of the demonstration: a Llama that learns to summarise windows and to rate summaries.

It is trained on captions of training clips with mistakes as captioners make them, in the method's own prompts, to answer as
the rule of :mod:`.summaries` does. Its loss is on the answers only. The prompts in front are the same for all samples of a
batch, and are computed once.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from numpy.typing import NDArray

from lavad.demo import grammar
from lavad.demo.training.dialogs import DialogCorpus, DialogGroup
from lavad.demo.training.loop import Log, TrainingRecord, half_precision, train
from lavad.demo.training.mistakes import Windows, tracks
from lavad.demo.training.strangers import stranger_words as strange_words
from lavad.demo.training.strangers import with_strangers
from lavad.demo.training.summaries import HEDGES, rating, summary
from lavad_core.method import prompts
from lavad_core.method.scoring import score_messages
from lavad_core.method.summarising import summary_messages
from lavad_core.models.llama_text import llama_tokenizer
from lavad_core.models.quiet import quiet_transformers
from lavad_core.models.random_text import words_of

_HF: Any = transformers

SEPARATOR = "\n "
"""Between captions, as the method has it."""

CONTEXT = 1024
"""Longest prompt and answer, tokens; a window has about 250."""

STRANGE = 0.5
"""Part of the windows that have words from outside the world."""


@dataclass(frozen=True)
class LlamaShape:
    """The shape of the model. Heads are 32 wide: a served model on a CPU has no attention for narrower ones."""

    width: int = 160
    """Width of a layer."""
    layers: int = 4
    """How many layers there are."""
    inner: int = 400
    """Inner width of the MLP."""

    @property
    def heads(self) -> int:
        """The number of attention heads."""
        return self.width // 32


@dataclass(frozen=True)
class TrainingPlan:
    """How much is learned: it decides, not the clock, so that a slower machine makes the same model."""

    clips: int = 1500
    """Training clips whose windows are taken."""
    windows: int = 60_000
    """Different windows, and a summary to rate for each."""
    steps: int = 1800
    """Steps of optimisation; one of three is on ratings."""
    batch: int = 48
    """Windows a step; of ratings, which are shorter, twice as many."""
    rate: float = 2e-3
    """Highest learning rate."""


def train_llama(
    folder: Path, seed: int, log: Log, plan: TrainingPlan | None = None, shape: LlamaShape | None = None
) -> dict[str, Any]:
    """Train the model and write it to ``folder`` in half precision.

    Args:
        folder: made if it does not exist.
        seed: seed of the clips, their captions' mistakes and the weights.
        log: takes about ten lines.
        plan, shape: the demonstration's by default.

    Returns:
        What was done, for the model's card.
    """
    plan, shape = plan or TrainingPlan(), shape or LlamaShape()
    tokenizer = llama_tokenizer(single_token_words(), CONTEXT)
    captions = windows_of(plan, seed, log)
    groups = method_dialogs(tokenizer, captions, np.random.default_rng(seed))
    model = new_model(tokenizer, shape, seed)
    record = learn(model, groups, plan, seed, log)
    save(model, tokenizer, folder)
    return {"seed": seed, "parameters": size_of(model), **asdict(shape), **asdict(plan), **asdict(record)}


def windows_of(plan: TrainingPlan, seed: int, log: Log) -> list[list[str]]:
    """The captions of the windows of a training."""
    began = time.monotonic()
    windows = Windows(tracks("train", seed, range(plan.clips)), seed)
    captions = [windows.one() for _ in range(plan.windows)]
    log(f"language model: {len(captions)} windows of {plan.clips} clips, {time.monotonic() - began:.0f} s")
    return captions


def method_dialogs(tokenizer: Any, captions: Sequence[Sequence[str]], random: np.random.Generator) -> list[DialogGroup]:
    """What the method asks: to summarise windows, and to rate texts by each context prompt."""
    taught = []
    for window in captions:
        # The rule knows this world's words only: first the summary, then strangers in it and in the captions alike.
        texts = [*window, summary(window)]
        *told, answer = with_strangers(texts, random) if random.random() < STRANGE else texts
        taught.append((summary_messages(told, prompts.SUMMARY, SEPARATOR), answer))
    groups = [DialogGroup.of(tokenizer, taught, 3.0, 1.0)]
    texts = to_rate(captions, random)
    for start, context in enumerate(prompts.CONTEXT.values()):
        asked = [
            (score_messages(text, context, prompts.FORMAT), prompts.SCORE_CHOICES[round(10 * rating(text))])
            for text in texts[start :: len(prompts.CONTEXT)]
        ]
        groups.append(DialogGroup.of(tokenizer, asked, 1.5 / len(prompts.CONTEXT), 2.0))
    return groups


def learn(model: Any, groups: Sequence[DialogGroup], plan: TrainingPlan, seed: int, log: Log) -> TrainingRecord:
    """Train a model on dialogs."""
    corpus = DialogCorpus(groups, plan.batch, seed)
    model.set_attn_implementation("eager")  # with bfloat16 on a CPU twice as fast as the fused one

    def loss(numbers: NDArray[np.int64]) -> torch.Tensor:
        with half_precision():
            return corpus.loss(model, numbers)

    return train(
        list(model.parameters()),
        loss,
        corpus.batches(),
        steps=plan.steps,
        rate=plan.rate,
        log=log,
        name="language model",
    )


def size_of(model: Any) -> int:
    """Parameters of a model."""
    return sum(each.numel() for each in model.parameters())


def single_token_words(more: Sequence[str] = ()) -> list[str]:
    """That are one token each: the world's, the prompts', those that summaries begin with, and those of some more texts."""
    said = [*grammar.all_words(), *strange_words(), *HEDGES, *more]
    prompt_texts = (prompts.SUMMARY, prompts.FORMAT, *prompts.CONTEXT.values())
    first = {text.split()[0] for text in grammar.FORMS.values() if text[0] != "{"}
    return words_of([*said, *prompt_texts, "A Two", *(word.capitalize() for word in first)])


def new_model(tokenizer: Any, shape: LlamaShape, seed: int) -> Any:
    """An untrained model."""
    ids = tokenizer.get_vocab()
    config = _HF.LlamaConfig(
        vocab_size=len(ids),
        hidden_size=shape.width,
        intermediate_size=shape.inner,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.heads,
        max_position_embeddings=CONTEXT,
        rms_norm_eps=1e-5,
        initializer_range=0.05,
        bos_token_id=ids["<s>"],
        eos_token_id=ids["</s>"],
        pad_token_id=None,
        tie_word_embeddings=True,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return _HF.LlamaForCausalLM(config)


def save(model: Any, tokenizer: Any, folder: Path) -> None:
    """Write the model in half precision, and what it needs to be loaded."""
    folder.mkdir(parents=True, exist_ok=True)
    for left in folder.glob("*.safetensors"):
        left.unlink()
    with quiet_transformers():
        model.eval().to(torch.float16).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    model.float()


def to_rate(windows: Sequence[Sequence[str]], random: np.random.Generator) -> list[str]:
    """A text for each window: its summary as it is or with another beginning, or one of its captions."""
    texts = []
    hedges = list(HEDGES)
    for captions in windows:
        text = summary(captions)
        chance = random.random()
        if chance < 0.3:
            text = captions[int(random.integers(len(captions)))]
        elif chance < 0.6:
            hedge = next(hedge for hedge in hedges if text.startswith(hedge))
            clause = text.removeprefix(hedge).strip()
            other = hedges[random.integers(len(hedges))]
            text = f"{other} {clause[0].lower()}{clause[1:]}" if other else clause[0].upper() + clause[1:]
        texts.append(f"{text}." if random.random() < 0.1 else text)
    return texts
