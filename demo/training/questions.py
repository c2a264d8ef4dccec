"""A short second training of the small language model: yes/no questions about summaries and captions.

Thresholds of severity and statements are asked in the prompts of the recipes, and answered by rules: the rating of
:mod:`.summaries`, and whether a text tells what a statement says. What the model could do before is taught on beside it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers

from lavad.demo import grammar
from lavad.demo.training.dialogs import DialogGroup
from lavad.demo.training.llama import (
    CONTEXT,
    STRANGE,
    TrainingPlan,
    learn,
    method_dialogs,
    save,
    single_token_words,
    size_of,
    to_rate,
    windows_of,
)
from lavad.demo.training.loop import Log
from lavad.demo.training.strangers import with_strangers
from lavad.demo.training.summaries import HEDGES, ODD_RATING, rating
from lavad_core.config.definitions_file import read_definitions
from lavad_core.method.summarising import Messages
from lavad_core.models.llama_text import llama_tokenizer
from lavad_core.recipes import definitions, ordinal

_HF: Any = transformers

PLAN = TrainingPlan(windows=30_000, steps=600, batch=24, rate=1e-3)
"""Shorter than the first training, in smaller batches, and gentler."""

DEFINITIONS = Path(__file__).absolute().parents[1] / "definitions.yaml"

WORDS = ("YES", "NO")

ORDINARY = definitions.NORMAL[0]
"""The statement that is true where nothing happens."""

_METHOD, _THRESHOLDS, _STATEMENTS = 0.25, 1.5, 2.5
"""The share of the steps: what was known before relative to its share then, the two kinds of questions."""

_PLACE = re.compile(rf" (?:{'|'.join(grammar.PLACES.values())})\b.*")
_COLOUR = re.compile(r" in (?:red|blue|green|yellow|white|black)\b")
_PEOPLE = re.compile(r"\b(?:man|woman|child)\b")


def train_to_answer(base: Path, folder: Path, seed: int, log: Log, plan: TrainingPlan = PLAN) -> dict[str, Any]:
    """Train the model further and write it to ``folder`` in half precision.

    Args:
        base: the model that can summarise and rate.
        folder: made if it does not exist.
        seed: seed of the clips, their captions' mistakes, the statements and the new words.
        log: takes about ten lines.
        plan: the demonstration's by default.

    Returns:
        What was done, for the model's card.
    """
    random = np.random.default_rng([seed, 2])
    captions = windows_of(plan, seed, log)
    texts = to_rate(captions, random)
    tokenizer = llama_tokenizer(single_token_words(question_texts()), CONTEXT)
    groups = [group.with_share(_METHOD) for group in method_dialogs(tokenizer, captions, random)]
    groups.append(DialogGroup.of(tokenizer, [threshold_dialog(text, random) for text in texts], _THRESHOLDS, 2.0))
    told = statements_of(texts)
    pairs = [statement_dialog(text, told, random) for text in texts * 2]
    groups.append(DialogGroup.of(tokenizer, pairs, _STATEMENTS, 2.0))
    model = with_more_words(base, tokenizer, seed)
    record = learn(model, groups, plan, seed, log)
    save(model, tokenizer, folder)
    return {"seed": seed, "parameters": size_of(model), **asdict(plan), **asdict(record)}


def question_texts() -> list[str]:
    """Texts whose words the model reads in one token each."""
    asked = [ordinal.RUBRIC, ordinal.QUESTION, ordinal.TEXT, definitions.RUBRIC, definitions.STATEMENT]
    return [*asked, definitions.TEXT, definitions.GUIDE, ORDINARY, *guides(), *WORDS]


@cache
def guides() -> tuple[str, ...]:
    """The questions of the demonstration's definitions that say what to look at."""
    return tuple(question for one in read_definitions(DEFINITIONS) for question in one.questions)


def with_more_words(base: Path, tokenizer: Any, seed: int) -> Any:
    """A model that reads with a larger vocabulary: tokens that it knew keep their vectors, new ones have random ones."""
    known: dict[str, int] = _HF.AutoTokenizer.from_pretrained(base).get_vocab()
    model = _HF.LlamaForCausalLM.from_pretrained(base, dtype=torch.float32)
    before = model.get_input_embeddings().weight.data
    vocabulary = tokenizer.get_vocab()
    generator = torch.Generator().manual_seed(seed)
    after = torch.randn(len(vocabulary), before.shape[1], generator=generator) * before.std()
    for token, number in vocabulary.items():
        if token in known:
            after[number] = before[known[token]]
    model.resize_token_embeddings(len(vocabulary), mean_resizing=False)
    model.get_input_embeddings().weight.data.copy_(after)
    return model.train()


def threshold_dialog(text: str, random: np.random.Generator) -> tuple[Messages, str]:
    """A question at one of ten thresholds, and the answer."""
    step = int(random.integers(1, 11))
    own = round(10 * rating(text))
    asked = ordinal.question_messages(ordinal.QUESTION, ordinal.RUBRIC, WORDS, step / 10, text)
    return asked, WORDS[step > own]


def statements_of(texts: Sequence[str]) -> list[str]:
    """The distinct statements that some texts tell: their sentences without hedges, and also without colours and places."""
    whole = {sentence for text in texts for sentence in sentences_of(text)}
    short = {_COLOUR.sub("", _PLACE.sub("", sentence)) for sentence in whole}
    return sorted(sentence for sentence in whole | short if len(sentence.split()) > 2)


def sentences_of(text: str) -> list[str]:
    """The sentences of a summary or a caption in small letters, without its hedge."""
    hedge = next(hedge for hedge in HEDGES if text.startswith(hedge))
    parts = re.split(r"[.\n]| while ", text.removeprefix(hedge))
    return [part.strip().lower() for part in parts if part.strip()]


def truth(statement: str, text: str) -> float:
    """How true a statement is of a text, 0 to 1.

    It is true where a sentence has its words in their order; of what happened perhaps, as far as it is rated. The scene is
    ordinary where the text is rated so, and otherwise the less the higher it is rated.
    """
    if statement == ORDINARY:
        rated = rating(text)
        return 1.0 if rated <= ODD_RATING else 1.0 - rated
    sentences = sentences_of(text)
    for number, sentence in enumerate(sentences):
        words = iter(sentence.split())
        if all(word in words for word in statement.split()):
            return HEDGES["Perhaps"] if number == 0 and text.startswith("Perhaps") else 1.0
    return 0.0


def statement_dialog(text: str, told: Sequence[str], random: np.random.Generator) -> tuple[Messages, str]:
    """A question about a statement, and the answer. A third are of the text itself, and a fifth nearly.

    Args:
        text: a summary or a caption.
        told: statements of other texts.
        random: draws the statement, and the answer where it is neither true nor false.
    """
    chance, own = random.random(), statements_of([text])
    statement = told[int(random.integers(len(told)))]
    if chance < 0.1 or not own:
        statement = ORDINARY
    elif chance < 0.45:
        statement = own[int(random.integers(len(own)))]
    elif chance < 0.65:
        statement = _PEOPLE.sub(lambda _: str(random.choice(grammar.PEOPLE)), own[int(random.integers(len(own)))])
    answer = WORDS[random.random() >= truth(statement, text)]
    if statement != ORDINARY and random.random() < STRANGE:
        text, statement = with_strangers([text, statement], random)
    asked = definitions.statement_messages(
        text,
        statement,
        guides() if random.random() < 0.2 else (),
        asked=definitions.STATEMENT,
        rubric=definitions.RUBRIC,
        words=WORDS,
    )
    return asked, answer
