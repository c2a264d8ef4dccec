"""Sections of served models: the fields that are added to requests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lavad_core.config.load import load, load_config
from lavad_core.config.render import resolved_yaml
from lavad_core.config.schema import LavadConfig
from lavad_core.config.secrets import public_settings
from lavad_core.errors import ConfigError
from lavad_core.pipeline.graph import build_graph
from lavad_core.stages.asking import asked_of
from lavad_core.stages.node import PreparedVideo

VIDEO = PreparedVideo("v", "/v.mp4", "file", "0" * 32)
EXTRA = {
    "chat_template_kwargs": {"enable_thinking": False},
    "stop_token_ids": [7, 8],
    "min_tokens": 3,
    "provider": {"order": ["a"], "allow_fallbacks": None},
}
CAPTIONER = {"kind": "openai", "model": "m"}


def of(chat: dict[str, Any] | None = None, captioner: dict[str, Any] | None = None) -> LavadConfig:
    settings = {"chat": {"kind": "openai", **(chat or {})}, "captioners": {"vlm": {**CAPTIONER, **(captioner or {})}}}
    return load_config(settings=settings, environ={})


def keys(config: LavadConfig) -> dict[str, Any]:
    return dict(build_graph(config, {"captioner:vlm": "c", "encoder": "e", "chat": "m"}).keys(VIDEO))


def test_extra_fields_are_part_of_the_keys_of_what_they_affect() -> None:
    plain = keys(of())
    assert keys(of({"extra_body": {}}, {"extra_body": {}})) == plain
    chat = keys(of({"extra_body": EXTRA}))
    assert {node for node in plain if plain[node] != chat[node]} == {
        "summarise", "score", "embed_summaries", "refine", "detect",
    }  # fmt: skip
    captions = keys(of(None, {"extra_body": EXTRA}))
    assert "caption:vlm" in {node for node in plain if plain[node] != captions[node]}
    assert captions["embed_windows"] == plain["embed_windows"]


def test_answers_with_other_extra_fields_are_other_answers() -> None:
    assert asked_of(of(), "served:m") == "served:m"
    assert asked_of(of({"extra_body": {"top_k": 1}}), "served:m") not in (
        "served:m", asked_of(of({"extra_body": {"top_k": 2}}), "served:m"),
    )  # fmt: skip


def test_from_the_command_line_printed_recorded_and_read_again() -> None:
    overrides = [
        "chat.extra_body.chat_template_kwargs={enable_thinking: false}",
        "chat.extra_body.stop_token_ids=[7, 8]",
    ]
    loaded = load(overrides=overrides, environ={}).config
    assert loaded.chat.extra_body == {  # type: ignore[union-attr]
        "chat_template_kwargs": {"enable_thinking": False}, "stop_token_ids": [7, 8],
    }  # fmt: skip
    assert load_config(settings=public_settings(loaded), environ={}) == loaded
    assert "extra_body: {" in resolved_yaml(loaded)


@pytest.mark.parametrize(
    ("name", "way_out"),
    [
        ("model", "chat.model"),
        ("messages", "score.context_prompt"),
        ("max_tokens", "summarise.total_tokens"),
        ("max_completion_tokens", "score.max_answer_tokens"),
        ("temperature", "summarise.temperature"),
        ("top_p", "score.top_p"),
        ("seed", "chat.seed"),
        ("structured_outputs", "score.answer"),
        ("response_format", "score.answer"),
        ("guided_choice", "score.answer"),
        ("logprobs", "score.expected"),
        ("return_token_ids", "score.expected"),
        ("stream", "leave it out"),
        ("n", "leave it out"),
    ],
)
def test_fields_that_the_program_sets_are_refused_with_the_way_out(name: str, way_out: str) -> None:
    with pytest.raises(ConfigError, match=rf"chat.extra_body.*'{name}'.*the program sets it itself.*{way_out}"):
        of({"extra_body": {name: None}})


@pytest.mark.parametrize("name", ["model", "messages", "max_tokens", "temperature", "seed", "stream"])
def test_and_of_a_captioner(name: str) -> None:
    with pytest.raises(ConfigError, match=rf"captioners.vlm.extra_body.*'{name}'.*the program sets it itself"):
        of(None, {"extra_body": {name: 1}})


@pytest.mark.parametrize(
    "extra",
    [
        {"api_key": "hunter2"},
        {"headers": {"Authorization": "Bearer hunter2hunter2"}},
        {"provider": [{"secret_token": "hunter2"}]},
        {"callback": "https://user:hunter2@example.org/"},
        {"user_password": "hunter2"},
    ],
)
@pytest.mark.parametrize("where", ["chat", "captioner"])
def test_secrets_in_them_are_refused_and_not_shown(extra: dict[str, Any], where: str) -> None:
    with pytest.raises(ConfigError, match="looks like a secret") as caught:
        of(**{where: {"extra_body": extra}})
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("extra", [[1], "a", {"a": float("nan")}, {"a": float("inf")}])
def test_what_json_cannot_say_is_refused(extra: Any) -> None:
    with pytest.raises(ConfigError, match=r"chat\.extra_body"):
        of({"extra_body": extra})


A, B = "http://a:8000/v1", "http://b:8000/v1"


@pytest.mark.parametrize(
    ("given", "found"),
    [
        pytest.param(A, A, id="one"),
        pytest.param(f"[{A}]", A, id="a list of one"),
        pytest.param(f"{A},{B}", (A, B), id="commas"),
        pytest.param(f"{A} , {B}", (A, B), id="commas and spaces"),
        pytest.param(f"[{A}, {B}]", (A, B), id="YAML"),
        pytest.param(f'["{A}","{B}"]', (A, B), id="JSON"),
        pytest.param("http://u:p,w@a/v1", "http://u:p,w@a/v1", id="a comma of a password"),
    ],
)
@pytest.mark.parametrize("way", ["--set", "environment"])
def test_addresses_are_given_as_a_list_or_with_commas(way: str, given: str, found: object) -> None:
    variables = {"LAVAD_CHAT__BASE_URL": given} if way == "environment" else {}
    overrides = [f"chat.base_url={given}"] if way == "--set" else []
    assert load_config(overrides=overrides, environ=variables).chat.base_url == found  # type: ignore[union-attr]


def test_addresses_of_a_file_are_no_part_of_any_key_and_are_printed_as_they_were_given(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(f"chat:\n  base_url:\n  - {A}\n  - {B}\n")
    config = load_config(files=[file], environ={})
    assert config.chat.base_url == (A, B)  # type: ignore[union-attr]
    file.write_text(resolved_yaml(config))
    assert load_config(files=[file], environ={}) == config
    one = load_config(overrides=[f"chat.base_url={B}"], environ={})
    roles = {f"captioner:{name}": "c" for name in config.captioners} | {"encoder": "e", "chat": "m"}
    assert build_graph(config, roles).keys(VIDEO) == build_graph(one, roles).keys(VIDEO)


@pytest.mark.parametrize("given", ["[]", f"{A},ftp://b/v1", f"[{A}, {A}]", f"{A},{B}?x=1"])
def test_what_is_no_list_of_addresses(given: str) -> None:
    with pytest.raises(ConfigError, match=r"chat\.base_url"):
        load_config(overrides=[f"chat.base_url={given}"], environ={})
