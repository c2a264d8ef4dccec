"""Words and tokenizers of the random models.

The tokenizers are written down rather than trained, so that they are the same bytes on every machine: a word is built
from left to right by merges whose left side starts with the word mark (``Ġ`` or ``▁``). Such merges never compete,
because the mark occurs once a word, so every listed word becomes one token.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers, processors

from lavad_core.method import prompts

SENTENCES = (
    "a man walks through the parking lot at night.",
    "two people stand near the entrance of a shop.",
    "a car drives down the empty street.",
    "a woman in a red coat waits at the bus stop.",
    "a person runs across the road between moving cars.",
    "a police officer talks to a man beside a white van.",
    "a group of young people fight outside a bar.",
    "smoke rises from the back of a building.",
    "a man with a bag climbs over a metal fence.",
    "the camera shows a quiet hallway with closed doors.",
    "a truck hits a parked car and drives away.",
    "a cashier counts money behind the counter.",
    "someone breaks the window of a store with a hammer.",
    "a dog sits on the sidewalk in front of a house.",
    "people push shopping carts along the aisle.",
    "a motorcycle falls on the wet road.",
    "a child plays with a ball in the yard.",
    "an old man feeds birds in the park.",
    "two men carry a large box up the stairs.",
    "a fire burns next to a gas station.",
    "the crowd moves slowly toward the train.",
    "a masked man points a gun at the clerk.",
    "a cyclist rides past a row of trees.",
    "security guards check bags at the gate.",
    "a woman looks at her phone and crosses the street.",
    "several workers repair the roof of a warehouse.",
)
"""Sentences such as a camera that watches a place would give: the random models' words come from here."""

_WORD = re.compile(r"[A-Za-z]+")
BYTES = tuple(f"<0x{value:02X}>" for value in range(256))
"""Byte tokens as Llama's tokenizer names them."""


def words_of(texts: Iterable[str]) -> list[str]:
    """The distinct words of the texts, sorted."""
    return sorted({word for text in texts for word in _WORD.findall(text)})


def spoken_words() -> list[str]:
    """Words that random models say: those of :data:`SENTENCES`."""
    return words_of(SENTENCES)


def prompt_words() -> list[str]:
    """Words that random models can read in one token each: what they say and the method's prompts."""
    return words_of((*SENTENCES, prompts.SUMMARY, prompts.FORMAT, *prompts.CONTEXT.values()))


def merges_of(words: Iterable[str], mark: str) -> tuple[list[str], list[tuple[str, str]]]:
    """Tokens and merges that build ``mark`` + word from left to right.

    Returns:
        The new tokens in the order of their merges, and the merges.
    """
    tokens: dict[str, tuple[str, str]] = {}
    for word in sorted(words):
        left = mark
        for letter in word:
            tokens.setdefault(left + letter, (left, letter))
            left += letter
    return list(tokens), list(tokens.values())


def unigram(words: Iterable[str], *, upper: bool = True) -> Tokenizer:
    """T5's kind of tokenizer: its special tokens, ``</s>`` at the end; each of the words is one token.

    Args:
        words: in the order of their ids.
        upper: whether other words are made of capital letters too.
    """
    specials = ["<pad>", "</s>", "<unk>"]
    letters = [chr(code) for code in range(33, 127) if upper or not chr(code).isupper()]
    pieces = [(token, 0.0) for token in specials]
    pieces += [("▁" + word, -8.0) for word in words] + [("▁", -10.0)] + [(letter, -12.0) for letter in letters]
    core = Tokenizer(models.Unigram(pieces, unk_id=2))
    core.pre_tokenizer = pre_tokenizers.Metaspace()
    core.add_special_tokens([AddedToken(token, special=True) for token in specials])
    core.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    return core
