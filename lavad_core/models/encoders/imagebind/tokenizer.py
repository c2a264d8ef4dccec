"""Texts to token ids: CLIP's byte-pair encoding after ImageBind's clean-up."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from transformers import CLIPTokenizer

from lavad_core.errors import ModelError
from lavad_core.models.encoders.imagebind.clip_bpe import END, START, packaged_merges, vocabulary_of
from lavad_core.models.encoders.text_batches import TokenIds, clean_text

LongText = Literal["keep-end", "lose-end"]

_MOST_FILE_BYTES = 64 * 2**20
"""Bytes of a vocabulary or merges file; CLIP's have 1 MB."""


class ClipBpe:
    """CLIP's tokenizer: the packaged one, or over a folder with ``vocab.json`` and ``merges.txt``.

    Attributes:
        context: most tokens of a text, start and end included.
        long_text: what happens to texts of more. ``keep-end`` cuts to ``context`` - 1 and adds the end token.
            ``lose-end`` cuts after the end token was added, as the reference does, and so loses it.
    """

    def __init__(self, folder: Path | None, *, context: int, vocabulary: int, long_text: LongText) -> None:
        """
        Args:
            folder: with the two files; None for the packaged tokenizer.
            vocabulary: rows of the text tower's embedding; every id must be below it.

        Raises:
            ModelError: a file is missing, is damaged, or does not fit the tower.
        """
        self.context = context
        self.long_text = long_text
        if folder is None:
            name = "CLIP's packaged tokenizer"
            merges = packaged_merges()
            vocab = vocabulary_of(merges)
        else:
            name = f"tokenizer folder {str(folder)!r}"
            vocab = _read_vocabulary(folder / "vocab.json")
            merges = _read_merges(folder / "merges.txt")
        largest = max(vocab.values())
        if vocab.get(END) != largest or vocab.get(START) is None or largest >= vocabulary:
            raise ModelError(
                f"{name}: {END} must have the largest id and all ids must be below the text "
                f"tower's {vocabulary}; {END} has {vocab.get(END)}, {START} has {vocab.get(START)}, the largest is {largest}"
            )
        self._start, self._end = vocab[START], vocab[END]
        for left, right in merges:
            if left not in vocab or right not in vocab or left + right not in vocab:
                raise ModelError(
                    f"{name}: merges.txt joins {left!r:.100} and {right!r:.100}, and one of them or "
                    "their union is not in vocab.json; the two files do not belong together"
                )
        self._tokenizer = CLIPTokenizer(vocab=vocab, merges=merges)  # type: ignore[arg-type]  # pairs are taken too

    def __call__(self, texts: Sequence[str]) -> list[TokenIds]:
        """Token ids of each text up to and with the token whose output stands for the text.

        That token is the first one with the largest id of the text: the end token, or the start token if the end was
        lost. Attention is causal, so what follows it has no effect and is left out.
        """
        cleaned = [clean_text(text) for text in texts]
        if not cleaned:
            return []
        encoded = self._tokenizer(cleaned, add_special_tokens=False)["input_ids"]
        return [self._framed(ids) for ids in encoded]

    def _framed(self, ids: list[int]) -> TokenIds:
        if self.long_text == "keep-end":
            framed = [self._start, *ids[: self.context - 2], self._end]
        else:
            framed = [self._start, *ids, self._end][: self.context]
        array = np.asarray(framed, dtype=np.int64)
        return array[: int(array.argmax()) + 1]


def _text_of(path: Path) -> str:
    try:
        if path.stat().st_size > _MOST_FILE_BYTES:
            raise ModelError(f"{str(path)!r} has more than {_MOST_FILE_BYTES} bytes; it is not a tokenizer's file")
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise ModelError(
            f"{str(path)!r} is not there. A folder given as `encoder.tokenizer` must hold CLIP's vocab.json and merges.txt (as "
            "in the repositories of openai/clip-vit-* on the Hugging Face hub); without one the packaged tokenizer is used"
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(f"{str(path)!r} cannot be read: {error!s:.300}") from error


def _read_vocabulary(path: Path) -> dict[str, int]:
    try:
        vocab = json.loads(_text_of(path))
    except ValueError as error:
        raise ModelError(f"{str(path)!r} is not JSON: {error!s:.300}") from error
    if (
        not isinstance(vocab, dict)
        or not vocab
        or not all(type(number) is int and number >= 0 for number in vocab.values())
    ):
        raise ModelError(f"{str(path)!r} is not a table of tokens and numbers")
    return vocab


def _read_merges(path: Path) -> list[tuple[str, str]]:
    merges: list[tuple[str, str]] = []
    # Only "\n" ends a line here: some of the tokens are characters that str.splitlines() would split at.
    for number, line in enumerate(_text_of(path).split("\n"), start=1):
        if not line or (number == 1 and line.startswith("#version")):
            continue
        parts = line.rstrip("\r").split(" ")
        if len(parts) != 2:
            raise ModelError(f"{str(path)!r}, line {number}: a merge is two tokens, not {line!r:.100}")
        merges.append((parts[0], parts[1]))
    return merges
