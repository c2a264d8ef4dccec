"""Sections of ``kind: python``: from files, with origins, printed and read again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.configuration import written

from lavad_core.config import render
from lavad_core.config.load import load, load_config
from lavad_core.config.models import ClipConfig, PythonEncoderConfig
from lavad_core.config.schema import LavadConfig
from lavad_core.config.secrets import public_settings
from lavad_core.errors import ConfigError

TEXT = """
captioners:
  mine:
    kind: python
    model: models/captioner.py:load
    revision: v3
    options: {prompt: 'Say: "it"', model: ./a, tokenizer: b, kind: c, nested: {a: [1, {b: null}, [2.5]], c: {}}}
encoder: {kind: python, model: package.module:load, encodes_clips: true, options: {kind: x}}
chat: {kind: python, model: ~/chat.py:load, exclusive: false, concurrency: 3}
"""
OPTIONS = {
    "prompt": 'Say: "it"',
    "model": "./a",
    "tokenizer": "b",
    "kind": "c",
    "nested": {"a": [1, {"b": None}, [2.5]], "c": {}},
}


def test_from_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    found = load_config(files=[written(tmp_path, TEXT)], environ={})
    captioner = found.captioners["mine"]
    assert captioner.model == f"{tmp_path}/models/captioner.py:load", "relative to the file's folder"
    assert captioner.options == OPTIONS, "what is in them is not a path of ours"  # type: ignore[union-attr]
    assert (found.encoder.model, found.chat.model) == ("package.module:load", "/home/me/chat.py:load")
    assert [found.models[role].in_process for role in ("captioner:mine", "encoder", "chat")] == [True, True, False]
    assert found.encoder.encodes_clips


def test_options_merge_name_by_name(tmp_path: Path) -> None:
    loaded = load(
        files=[written(tmp_path, TEXT)],
        environ={"LAVAD_ENCODER__OPTIONS__SIDE": "3"},
        overrides=["captioners.mine.options.prompt=other", "encoder.options.kind=y", "encoder.options.model=m"],
    )
    assert loaded.config.captioners["mine"].options == {**OPTIONS, "prompt": "other"}  # type: ignore[union-attr]
    assert loaded.config.encoder.options == {"kind": "y", "side": 3, "model": "m"}  # type: ignore[union-attr]
    assert loaded.config.captioners["mine"].revision == "v3"


@pytest.mark.parametrize("semantics", ["paper", "reference"])
def test_semantics_do_not_touch_it(tmp_path: Path, semantics: str) -> None:
    found = load_config(files=[written(tmp_path, TEXT)], overrides=[f"semantics={semantics}"], environ={})
    assert found.encoder.kind == "python"
    for section in (PythonEncoderConfig(model="a:b", encodes_clips=True), ClipConfig(model="a")):
        assert LavadConfig(semantics=semantics, encoder=section).encoder == section


@pytest.mark.parametrize("with_origins", [True, False])
def test_printed_and_read_again(tmp_path: Path, with_origins: bool) -> None:
    odd = [
        'encoder.options.odd=[{}, {a: 1}, 3, "x, y: #\\n\\u2028", 1.0e-05]',
        "encoder.options.base_url=http://a:1/v1",
    ]
    loaded = load(files=[written(tmp_path, TEXT)], overrides=odd, environ={})
    assert loaded.config.encoder.options["odd"][3] == "x, y: #\n\u2028"  # type: ignore[union-attr, index]
    assert load_config(settings=public_settings(loaded.config), environ={}) == loaded.config
    printed = render.resolved_yaml(loaded.config, loaded.origins if with_origins else None)
    assert load_config(files=[written(tmp_path, printed)], environ={}) == loaded.config


@pytest.mark.parametrize(
    ("case", "text", "says"),
    [
        ("misspelt options", "encoder: {kind: python, model: a:b, option: {}}",
         ["a.yaml:1", "did you mean 'encoder.options'?"]),
        ("misspelt flag", "chat: {kind: python, model: a:b, exclusiv: true}", ["did you mean 'chat.exclusive'?"]),
        ("misspelt in a captioner", "captioners:\n  a:\n    kind: python\n    model: a:b\n    exclusve: true",
         ["a.yaml:5", "did you mean 'captioners.a.exclusive'?"]),
        ("key of another kind", "encoder: {kind: python, model: a:b, device: cpu}",
         ["is a key of kind imagebind or clip", "encoder is of kind 'python'", "options"]),
        ("of the others", "chat: {kind: openai, model: a, options: {a: 1}}", ["'chat.options'", "is a key of kind python"]),
        ("misspelt kind", "chat: {kind: pyton, model: a:b}", ["`openai`, `transformers`, `python`", "did you mean 'python'?"]),
        ("no model", "encoder: {kind: python}", [":1) must be given: FILE.py:FUNCTION or package.module:FUNCTION"]),
        ("no function", "encoder: {kind: python, model: mine.py}",
         ["encoder.model = 'mine.py'", "a.yaml:1", "give FILE.py:FUNCTION"]),
        ("no name", "encoder: {kind: python, model: 'a-b:load'}", ["encoder.model = 'a-b:load'", "package.module:FUNCTION"]),
        ("no JSON", "encoder: {kind: python, model: a:b, options: {a: 2026-01-01}}", ["encoder.options", "date"]),
        ("infinite", "encoder: {kind: python, model: a:b, options: {a: [.inf]}}", ["encoder.options.a", "finite"]),
        ("a list", "encoder: {kind: python, model: a:b, options: [a]}", ["encoder.options", "a mapping, {name: any JSON"]),
        ("half a character", 'encoder: {kind: python, model: a:b, options: {a: "\\ud800"}}', ["options", "(\\ud800)"]),
        ("a secret", "encoder: {kind: python, model: a:b, options: {api_key: hush}}", ["'api_key'", "from its environment"]),
        ("a secret below", "encoder: {kind: python, model: a:b, options: {a: {password: hush}}}", ["'a'", "like a secret"]),
        ("a secret address", "chat: {kind: python, model: a:b, options: {base_url: 'http://u:hush@h'}}", ["'base_url'"]),
    ],
)  # fmt: skip
def test_refused(tmp_path: Path, case: str, text: str, says: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(files=[written(tmp_path, text)], environ={})
    message = str(caught.value)
    assert all(words in message for words in says), f"{case}: {message}"
    assert "hush" not in message


def test_a_key_below_a_value_of_ours_is_still_unknown() -> None:
    settings: dict[str, Any] = {"encoder": {"kind": "python", "model": {"a": 1}}}
    with pytest.raises(ConfigError, match=r"unknown key 'encoder\.model\.a'"):
        load_config(settings=settings, environ={})
