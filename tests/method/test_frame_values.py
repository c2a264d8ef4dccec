"""Imported captions, summaries and scores."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lavad_core.errors import InputError
from lavad_core.imports import values
from lavad_core.imports.values import parse_scores, parse_texts, parse_values, read_file_of


def written(folder: Path, content: str | bytes, name: str = "clip") -> Path:
    (folder / f"{name}.json").write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


@pytest.mark.parametrize(
    ("word", "content", "expected"),
    [
        ("texts", '{"0": "a dog", "16": ""}', {0: "a dog", 16: ""}),
        ("scores", '{"0": 0.5, "16": 0, "32": 1.0}', {0: 0.5, 16: 0.0, 32: 1.0}),
        ("order", '{"32": 0.1, "4": 0.2}', {4: 0.2, 32: 0.1}),
        ("leading-zeros", '{"000016": "a"}', {16: "a"}),
        ("byte-order-mark", '\ufeff{"0": "a"}', {0: "a"}),
        ("escapes", r'{"0": "\ud83d\ude00 \u00e9\n"}', {0: "😀 é\n"}),
    ],
)
def test_values(word: str, content: str, expected: dict[int, str | float], tmp_path: Path) -> None:
    found = parse_values(*read_file_of(written(tmp_path, content), "clip"))
    assert list(found.items()) == list(expected.items())
    assert all(type(value) in (str, float) for value in found.values())


@pytest.mark.parametrize(
    ("word", "content", "problem"),
    [
        ("empty", "", "is not JSON"),
        ("cut", '{"0": 0.5', "is not JSON"),
        ("html", "<html>", "is not JSON"),
        ("nan", '{"0": NaN}', "a value is NaN"),
        ("infinity", '{"0": -Infinity}', "a value is -Infinity"),
        ("too-large", '{"0": 0.5, "16": 1.5}', "frame 16 has the score 1.5, outside"),
        ("negative", '{"0": -0.1}', "score -0.1, outside"),
        ("overflow", '{"0": 1e999}', "score inf, outside"),
        ("huge-integer", '{"0": ' + "9" * 5000 + "}", "is not JSON"),
        ("large-integer", '{"0": ' + "9" * 400 + "}", "outside"),
        ("true", '{"0": true}', "frame 0 has True"),
        ("null", '{"0": 0.5, "16": null}', "frame 16 has None"),
        ("list-value", '{"0": [0.5]}', "frame 0 has a list"),
        ("nested", '{"0": {"0": "a dog"}}', "frame 0 has an object"),
        ("mixed", '{"0": 0.5, "16": "a dog"}', "1 values are texts and 1 are numbers"),
        ("no-values", "{}", "there are no values"),
        ("list", "[0.5, 0.6]", "the file holds a list"),
        ("number", "0.5", "the file holds 0.5"),
        ("word-key", '{"frame": 0.5}', "'frame' is not a frame number"),
        ("broken-key", '{"1.5": 0.5}', "'1.5' is not a frame number"),
        ("negative-key", '{"-16": 0.5}', "'-16' is not a frame number"),
        ("other-digits", '{"١٦": 0.5}', "is not a frame number"),
        ("empty-key", '{"": 0.5}', "'' is not a frame number"),
        ("twice", '{"16": 0.5, "16": 0.6}', "frame 16 appears twice"),
        ("twice-with-zeros", '{"16": 0.5, "016": 0.5}', "frame 16 appears twice"),
        ("deep", "[" * 100_000, "is not JSON"),
        ("half-a-surrogate", r'{"0": "\ud83d"}', "half a surrogate pair"),
        ("not-utf-8", b'{"0": "\xff"}', "not UTF-8"),
        ("control-characters", '{"\\u001b[31m": 0.5}', r"\x1b[31m"),
    ],
)
def test_a_bad_file_is_named(word: str, content: str | bytes, problem: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        parse_values(*read_file_of(written(tmp_path, content), "clip"))
    message = str(caught.value)
    assert problem in message
    assert repr(str(tmp_path / "clip.json")) in message
    assert message.isprintable()
    assert len(message) < 500 + len(str(tmp_path))


@pytest.mark.parametrize("name", ["", ".", "..", "../clip", "a/b", "/etc/passwd", "a/"])
def test_a_name_never_leads_out_of_the_folder(name: str, tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    written(tmp_path, '{"0": 0.5}')
    with pytest.raises(InputError, match="cannot be the name of a file"):
        parse_values(*read_file_of(tmp_path / "inner", name))


@pytest.mark.parametrize("name", ["clip", "-rf", "a\nb", "\x1b[31m", "\u202egpj", "#01=a b", "v1.0", "...", "a\\b"])
def test_odd_names_are_names(name: str, tmp_path: Path) -> None:
    assert parse_values(*read_file_of(written(tmp_path, '{"0": 0.5}', name), name)) == {0: 0.5}


@pytest.mark.parametrize("name", ["absent", "a\0b", "a" * 300])
def test_no_file(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"does not exist|cannot be read"):
        parse_values(*read_file_of(tmp_path, name))


def test_a_file_beyond_the_limit_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(values, "MAX_BYTES", 20)
    with pytest.raises(InputError, match="more than 20 bytes"):
        parse_values(*read_file_of(written(tmp_path, json.dumps({"0": "a" * 20})), "clip"))


def test_texts_and_scores_are_not_taken_for_each_other(tmp_path: Path) -> None:
    written(tmp_path, '{"0": "a"}', "text")
    written(tmp_path, '{"0": 0.5}', "score")
    assert parse_texts(*read_file_of(tmp_path, "text")) == {0: "a"}
    assert parse_scores(*read_file_of(tmp_path, "score")) == {0: 0.5}
    with pytest.raises(InputError, match="numbers where texts"):
        parse_texts(*read_file_of(tmp_path, "score"))
    with pytest.raises(InputError, match="texts where scores"):
        parse_scores(*read_file_of(tmp_path, "text"))
