"""The section of a chat model in this process: the variables of its template."""

from __future__ import annotations

from typing import Any

import pytest

from lavad_core.config.load import load_config
from lavad_core.config.schema import LavadConfig
from lavad_core.errors import ConfigError
from lavad_core.pipeline.graph import build_graph
from lavad_core.stages.asking import asked_of
from lavad_core.stages.node import PreparedVideo

VIDEO = PreparedVideo("v", "/v.mp4", "file", "0" * 32)


def of(**chat: Any) -> LavadConfig:
    return load_config(settings={"chat": {"kind": "transformers", "model": "m", **chat}}, environ={})


def keys(config: LavadConfig) -> dict[str, Any]:
    return dict(build_graph(config, dict.fromkeys(config.models, "m")).keys(VIDEO))


def test_variables_of_the_template_are_part_of_what_depends_on_them() -> None:
    plain, other = of(), of(template_kwargs={"enable_thinking": False})
    assert keys(of(template_kwargs={})) == keys(plain)
    assert {node for node, key in keys(plain).items() if keys(other)[node] != key} == {
        "summarise", "score", "embed_summaries", "refine", "detect",
    }  # fmt: skip
    assert asked_of(plain, "m") == "m"
    assert asked_of(other, "m") not in ("m", asked_of(of(template_kwargs={"enable_thinking": True}), "m"))


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"messages": []}, "'messages' cannot be given here, the program sets it itself"),
        ({"add_generation_prompt": False}, "'add_generation_prompt' cannot be given here"),
        ({"api_key": "hunter2"}, "looks like a secret"),
        ([1], "chat.template_kwargs"),
    ],
)
def test_variables_that_are_refused(variables: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        of(template_kwargs=variables)
    assert "hunter2" not in str(caught.value)
