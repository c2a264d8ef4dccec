"""CLIP's byte-pair encoding as it comes with this program, and where another one is looked for. No heavy imports: model
identities are found without them.

The merges are OpenAI CLIP's (MIT, ``LICENSE`` in this folder); the vocabulary follows from them.
"""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from pathlib import Path

START, END = "<|startoftext|>", "<|endoftext|>"

TOKENIZER_FILES = ("vocab.json", "merges.txt")
"""CLIP's tokenizer in transformers' layout."""

PACKAGED = Path(__file__).parent / "merges.txt.gz"


def tokenizer_folder(given: Path | None, checkpoint: Path) -> Path | None:
    """Where ImageBind's tokenizer is: the folder given, or the checkpoint's if one of the files is there; None: the
    packaged one."""
    if given is not None:
        return given.expanduser()
    beside = checkpoint.parent
    return beside if any((beside / name).exists() for name in TOKENIZER_FILES) else None


def packaged_merges() -> list[tuple[str, str]]:
    """The merges of CLIP's byte-pair encoding that come with this program, first merged first."""
    lines = gzip.decompress(PACKAGED.read_bytes()).decode("utf-8").rstrip("\n").split("\n")
    pairs = [line.split(" ") for line in lines]
    return [(left, right) for left, right in pairs]


def vocabulary_of(merges: Sequence[tuple[str, str]]) -> dict[str, int]:
    """CLIP's vocabulary: the 256 bytes as characters, the same at a word's end, what each merge makes, start and end.

    Bytes that print in Latin-1 stand for themselves, in order; the others for the characters from U+0100 on, after them.
    """
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    characters = [chr(byte) for byte in printable]
    characters += [chr(0x100 + number) for number in range(256 - len(printable))]
    tokens = [*characters, *(f"{character}</w>" for character in characters)]
    tokens += [left + right for left, right in merges]
    return {token: number for number, token in enumerate([*tokens, START, END])}
