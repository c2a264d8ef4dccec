"""Texts to CLIP's token ids, and damaged tokenizers."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lavad_core.config.models import ImageBindConfig
from lavad_core.errors import ModelError
from lavad_core.models.encoders.imagebind.clip_bpe import packaged_merges, vocabulary_of
from lavad_core.models.encoders.imagebind.encoder import ImageBindEncoder
from lavad_core.models.encoders.imagebind.tokenizer import ClipBpe
from lavad_core.models.encoders.text_batches import clean_text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("  A  Man\n walks\t", "a man walks", id="spaces and case"),
        pytest.param("caf&amp;eacute;", "café", id="entities, twice"),
        pytest.param("donâ€™t", "don't", id="mojibake"),
        pytest.param("ﬁre", "fire", id="ligature"),
        pytest.param("x\x00\x07y", "xy", id="control characters"),
        pytest.param("", "", id="empty"),
    ],
)
def test_clean_up(text: str, expected: str) -> None:
    assert clean_text(text) == expected


@functools.cache
def bpe(folder: Path, long_text: Any = "keep-end", context: int = 77) -> ClipBpe:
    vocabulary = json.loads((folder / "vocab.json").read_text(encoding="utf-8"))
    return ClipBpe(folder, context=context, vocabulary=len(vocabulary), long_text=long_text)


def test_short_texts_are_framed(folder: Path) -> None:
    vocabulary = json.loads((folder / "vocab.json").read_text(encoding="utf-8"))
    for long_text in ("keep-end", "lose-end"):
        (ids,) = bpe(folder, long_text)(["A man, walks!"])
        words = ["<|startoftext|>", "a</w>", "man</w>", ",</w>", "walks</w>", "!</w>", "<|endoftext|>"]
        assert ids.tolist() == [vocabulary[word] for word in words]
        assert [len(row) for row in bpe(folder, long_text)(["", " "])] == [2, 2]


def test_the_packaged_tokenizer_is_clips() -> None:
    packaged = ClipBpe(None, context=77, vocabulary=49408, long_text="keep-end")
    (row,) = packaged(["a photo of a cat!"])
    assert row.tolist() == [49406, 320, 1125, 539, 320, 2368, 256, 49407]
    with pytest.raises(ModelError, match=r"packaged tokenizer.*below the text tower's 1000"):
        ClipBpe(None, context=77, vocabulary=1000, long_text="keep-end")


def test_the_packaged_tokenizer_is_the_published_one(shared: Path) -> None:
    published = shared / "golden" / "clip_tokenizer"
    merges = packaged_merges()
    header, *lines = (published / "merges.txt").read_text(encoding="utf-8").rstrip("\n").split("\n")
    assert header.startswith("#version")
    assert [f"{left} {right}" for left, right in merges] == lines
    assert vocabulary_of(merges) == json.loads((published / "vocab.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize(("words", "long"), [(74, False), (75, False), (76, True), (77, True), (200, True)])
def test_long_texts(folder: Path, words: int, long: bool) -> None:
    vocabulary = json.loads((folder / "vocab.json").read_text(encoding="utf-8"))
    start, end = vocabulary["<|startoftext|>"], vocabulary["<|endoftext|>"]
    (kept,) = bpe(folder, "keep-end")(["man " * words])
    assert len(kept) == min(words + 2, 77)
    assert (kept[0], kept[-1]) == (start, end)
    (lost,) = bpe(folder, "lose-end")(["man " * words])
    if long:
        assert lost.tolist() == [start], "no end token: the largest id is the start token's"
    else:
        assert lost.tolist() == kept.tolist()


@given(text=st.text(max_size=300))
def test_any_text_has_ids(text: str, folder: Path) -> None:
    for long_text in ("keep-end", "lose-end"):
        (ids,) = bpe(folder, long_text, context=20)([text])
        assert 1 <= len(ids) <= 20
        assert ids.argmax() == len(ids) - 1 or len(ids) == 1


def test_an_endless_text_is_cut(folder: Path) -> None:
    (ids,) = bpe(folder)(["a man walks " * 1_000_000])
    assert len(ids) == 77


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        pytest.param("vocab.json", "[]", "not a table", id="vocabulary of another kind"),
        pytest.param("vocab.json", "{", "not JSON", id="vocabulary cut off"),
        pytest.param(
            "vocab.json", '{"<|endoftext|>": 1, "<|startoftext|>": 2}', "largest id", id="end not the largest"
        ),
        pytest.param("merges.txt", "#version: 0.2\na b c\n", "line 2: a merge is two", id="three tokens"),
        pytest.param("merges.txt", "q zzz\n", "do not belong together", id="merges of another vocabulary"),
    ],
)
def test_damaged_tokenizer_files(folder: Path, tmp_path: Path, name: str, content: str, message: str) -> None:
    for file in ("vocab.json", "merges.txt"):
        (tmp_path / file).write_bytes((folder / file).read_bytes())
    (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(ModelError, match=message):
        ImageBindEncoder.load(ImageBindConfig(model=str(folder), tokenizer=str(tmp_path), device="cpu"))


def test_a_vocabulary_larger_than_the_tower(folder: Path) -> None:
    with pytest.raises(ModelError, match="below the text tower's 100"):
        ClipBpe(folder, context=77, vocabulary=100, long_text="keep-end")
