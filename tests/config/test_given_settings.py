"""``--set`` texts as the parameter of a flow: the same configuration, without what is secret."""

from __future__ import annotations

import json

import pytest

from lavad_core.config.load import given_settings, load_config
from lavad_core.config.secrets import export_secrets

CHAT = ["chat.kind=openai", "chat.model=m"]


@pytest.mark.parametrize(
    "overrides",
    [
        pytest.param([], id="none"),
        pytest.param(["window.samples=4", "refine.enabled=false", "store=here"], id="values and a path"),
        pytest.param(["captioners.blip2-opt-6.7b=null"], id="a captioner less"),
        pytest.param(["captioners=null", "captioners.a={kind: blip2, model: x}"], id="captioners of one's own"),
        pytest.param([*CHAT, "chat.base_url=http://user:pass-word@host/v1", "chat.api_key=key-of-mine"], id="secrets"),
        pytest.param([*CHAT, "chat.base_url=http://u:pass-word@a/v1,http://u:pass-word@b/v1"], id="secrets of two servers"),
        pytest.param([*CHAT, "chat.base_url=['http://a/v1','http://u:pass-word@b/v1']"], id="a list with a secret"),
        pytest.param(["chat={kind: openai, model: m, base_url: 'http://h/v1', api_key: key-of-mine}"], id="a whole section"),
    ],
)  # fmt: skip
def test_they_give_the_same_configuration_without_the_secrets(overrides: list[str]) -> None:
    expected = load_config(preset="ucf-crime", overrides=overrides, environ={})
    environ: dict[str, str] = {}
    export_secrets(expected, environ)
    sent = json.dumps(given_settings(overrides))
    assert "key-of-mine" not in sent
    assert "pass-word" not in sent
    assert load_config(preset="ucf-crime", settings=json.loads(sent), environ=environ) == expected


@pytest.mark.parametrize(
    "address",
    [
        pytest.param("http://u:x@a/v1;http://u:pass-word@b/v1", id="semicolon between two"),
        pytest.param("u:pass-word@host/v1", id="no scheme"),
        pytest.param("http://u:pass/word@host/v1", id="slash in the password"),
    ],
)
def test_what_is_no_address_leaves_without_its_password(address: str) -> None:
    sent = json.dumps(given_settings([f"chat.base_url={address}"]))
    assert "word" not in sent


def test_what_is_no_text_in_the_place_of_an_address_is_for_the_configuration_to_refuse() -> None:
    assert given_settings(["chat={base_url: [3]}"]) == {"chat": {"base_url": ["3"]}}
