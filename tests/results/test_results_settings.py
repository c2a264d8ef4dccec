"""The configuration of a run's results: its record, and what its results were made with."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from lavad_core.config.load import load_config
from lavad_core.config.secrets import public_settings
from lavad_core.pipeline.graph import build_graph
from lavad_core.results.settings import config_of_results
from lavad_core.stages.node import PreparedVideo

VIDEO = PreparedVideo("v", "/v.mp4", "file", "0" * 32)


@pytest.mark.parametrize("kind", ["blip2", "openai"])
def test_a_captioner_s_settings_are_those_of_its_results(kind: str) -> None:
    def settings(tokens: int) -> dict[str, Any]:
        sections = {name: {"kind": kind, "model": "m", "max_new_tokens": tokens} for name in ("b-1.5", "a")}
        return {"captioners": sections}

    recorded, made = (load_config(settings=settings(tokens), environ={}) for tokens in (5, 6))
    provenances = build_graph(made, dict.fromkeys(made.models, "?")).provenances(VIDEO)
    commits: Any = {node: SimpleNamespace(provenance=found) for node, found in provenances.items()}
    run: Any = SimpleNamespace(run_id="r", config=public_settings(recorded))
    assert config_of_results(run, commits) == made
