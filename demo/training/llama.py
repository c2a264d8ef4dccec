"""The small language model of the demonstration: a Llama that learns to summarise windows and to rate summaries.

It is trained on captions of training clips with mistakes as captioners make them, in the method's own prompts, to answer as
the rule of :mod:`.summaries` does. Its loss is on the answers only. The prompts in front are the same for all samples of a
batch, and are computed once.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from numpy.typing import NDArray

from lavad.demo import grammar
from lavad.demo.training.loop import Log, half_precision, train
from lavad.demo.training.mistakes import Windows, tracks
from lavad.demo.training.strangers import stranger_words as strange_words
from lavad.demo.training.strangers import with_strangers
from lavad.demo.training.summaries import HEDGES, rating, summary
from lavad_core.method import prompts
from lavad_core.method.scoring import score_messages
from lavad_core.method.summarising import Messages, summary_messages
from lavad_core.models.llama_text import llama_tokenizer
from lavad_core.models.loading import cache_name
from lavad_core.models.quiet import quiet_transformers
from lavad_core.models.random_text import words_of

_HF: Any = transformers

SEPARATOR = "\n "
"""Between captions, as the method has it."""

CONTEXT = 1024
"""Longest prompt and answer, tokens; a window has about 250."""

_STRANGE = 0.5
"""Part of the windows that have words from outside the world."""

_UNSEEN = -100
"""Target of tokens that are not part of an answer."""


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
    began = time.monotonic()
    windows = Windows(tracks("train", seed, range(plan.clips)), seed)
    captions = [windows.one() for _ in range(plan.windows)]
    tokenizer = llama_tokenizer(single_token_words(), CONTEXT)
    random = np.random.default_rng(seed)
    taught = []
    for window in captions:
        # The rule knows this world's words only: first the summary, then strangers in it and in the captions alike.
        texts = [*window, summary(window)]
        *told, answer = with_strangers(texts, random) if random.random() < _STRANGE else texts
        taught.append((summary_messages(told, prompts.SUMMARY, SEPARATOR), answer))
    groups = [_Group.of(tokenizer, taught, 3.0, 1.0)]
    texts = to_rate(captions, random)
    for start, context in enumerate(prompts.CONTEXT.values()):
        asked = [
            (score_messages(text, context, prompts.FORMAT), prompts.SCORE_CHOICES[round(10 * rating(text))])
            for text in texts[start :: len(prompts.CONTEXT)]
        ]
        groups.append(_Group.of(tokenizer, asked, 1.5 / len(prompts.CONTEXT), 2.0))
    log(f"language model: {len(captions)} windows of {plan.clips} clips, {time.monotonic() - began:.0f} s")
    model = new_model(tokenizer, shape, seed)
    corpus = _Corpus(groups, plan.batch, seed)
    model.set_attn_implementation("eager")  # with bfloat16 on a CPU twice as fast as the fused one

    def loss(numbers: NDArray[np.int64]) -> torch.Tensor:
        with half_precision():
            return corpus.loss(model, numbers)

    record = train(
        list(model.parameters()),
        loss,
        corpus.batches(),
        steps=plan.steps,
        rate=plan.rate,
        log=log,
        name="language model",
    )
    save(model, tokenizer, folder)
    parameters = sum(each.numel() for each in model.parameters())
    return {"seed": seed, "parameters": parameters, **asdict(shape), **asdict(plan), **asdict(record)}


def single_token_words() -> list[str]:
    """That are one token each: the world's, the prompts' and those that summaries begin with."""
    said = [*grammar.all_words(), *strange_words(), *HEDGES]
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


@dataclass(frozen=True)
class _Group:
    """Samples with the same beginning."""

    beginning: list[int]
    """Token ids that all samples begin with."""
    rest: list[list[int]]
    """What follows, each with its answer."""
    answers: list[int]
    """Length of the answer at the end of each."""
    share: float
    """The share of the steps, relative to others'."""
    weight: float
    """Weight of its loss: only one token of a rating says much."""

    @classmethod
    def of(cls, tokenizer: Any, samples: Sequence[tuple[Messages, str]], share: float, weight: float) -> _Group:
        """A group from its prompts and the answers to them."""
        asked = [tokenizer.apply_chat_template(_dialog(messages), tokenize=False) for messages, _ in samples]
        said = [f"{prompt} {answer}</s>" for prompt, (_, answer) in zip(asked, samples, strict=True)]
        prompt_ids = tokenizer(asked, add_special_tokens=False)["input_ids"]
        whole = tokenizer(said, add_special_tokens=False)["input_ids"]
        common = next(
            size for size in range(len(prompt_ids[0]), 0, -1) if all(ids[:size] == whole[0][:size] for ids in whole)
        )
        answers = [len(ids) - len(prompt) for ids, prompt in zip(whole, prompt_ids, strict=True)]
        return cls(whole[0][:common], [ids[common:] for ids in whole], answers, share, weight)


def _dialog(messages: Messages) -> list[dict[str, str]]:
    return [{"role": role, "content": text} for role, text in messages]


class _Corpus:
    """All groups; a sample's number is its group's first plus its place in it."""

    def __init__(self, groups: Sequence[_Group], batch: int, seed: int) -> None:
        self._groups, self._batch = groups, batch
        self._firsts = np.cumsum([0, *(len(group.rest) for group in groups)])
        self._random = np.random.default_rng([seed, 1])

    def batches(self) -> Iterator[NDArray[np.int64]]:
        """Numbers of samples of one group and of about one length."""
        shares = np.array([group.share for group in self._groups])
        sources = [self._of(number) for number in range(len(self._groups))]
        while True:
            yield next(sources[self._random.choice(len(sources), p=shares / shares.sum())])

    def _of(self, number: int) -> Iterator[NDArray[np.int64]]:
        rest, first = self._groups[number].rest, self._firsts[number]
        size = self._batch if number == 0 else 2 * self._batch
        size = min(size, len(rest))
        while True:
            order = self._random.permutation(len(rest))
            for start in range(0, len(order), 16 * size):
                pool = sorted(order[start : start + 16 * size], key=lambda at: len(rest[at]))
                starts = range(0, len(pool) - size + 1, size)
                for at in self._random.permutation(starts):
                    yield first + np.array(pool[at : at + size])

    def loss(self, model: Any, numbers: NDArray[np.int64]) -> torch.Tensor:
        """Mean over the tokens of the answers."""
        at = int(np.searchsorted(self._firsts, numbers[0], side="right")) - 1
        group = self._groups[at]
        rows = [int(number - self._firsts[at]) for number in numbers]
        longest = max(len(group.rest[row]) for row in rows)
        ids = torch.zeros(len(rows), longest, dtype=torch.long)
        targets = torch.full((len(rows), longest), _UNSEEN)
        for line, row in enumerate(rows):
            tokens, answer = torch.tensor(group.rest[row]), group.answers[row]
            ids[line, : len(tokens)] = tokens
            targets[line, len(tokens) - answer - 1 : len(tokens) - 1] = tokens[-answer:]
        states = _states(model, group.beginning, ids)
        wanted = targets != _UNSEEN
        return group.weight * torch.nn.functional.cross_entropy(model.lm_head(states[wanted]), targets[wanted])


def _states(model: Any, beginning: list[int], ids: torch.Tensor) -> torch.Tensor:
    """Last hidden states [n, length, width] of token ids [n, length] that come after the same beginning."""
    name = cache_name(model)
    before = model.model(torch.tensor([beginning]), use_cache=True)[name]
    before.batch_repeat_interleave(len(ids))
    states: torch.Tensor = model.model(ids, use_cache=True, **{name: before}).last_hidden_state
    return states
