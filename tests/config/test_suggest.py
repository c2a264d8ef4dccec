"""The nearest name or key."""

from __future__ import annotations

import pytest

from lavad_core.config.tree import known_paths
from lavad_core.suggest import nearest, nearest_paths


@pytest.mark.parametrize(
    ("word", "wanted"),
    [
        pytest.param("window.samples", "window.samples", id="itself"),
        pytest.param("window.smaples", "window.samples", id="letters swapped"),
        pytest.param("Window.Samples", "window.samples", id="upper case"),
        pytest.param("long_text", "encoder.long_text", id="section missing"),
        pytest.param("refine.neighbors", "refine.neighbours", id="American"),
        pytest.param("summarize.prompt", "summarise.prompt", id="section misspelt"),
        pytest.param("summarize.promt", "summarise.prompt", id="both misspelt"),
        pytest.param("captioner", "captioners", id="only the section, misspelt"),
        pytest.param("chat.long_txt", "encoder.long_text", id="last part misspelt in a wrong section"),
        pytest.param("captioners.NAME.a", None, id="a long section makes no key near"),
        pytest.param("run.a", None, id="its own section is not near"),
        pytest.param("neighbours", "bank.neighbours or refine.neighbours", id="of two sections"),
        pytest.param("neighbors", "bank.neighbours or refine.neighbours", id="misspelt, of two sections"),
        pytest.param("zzzzzz", None, id="nothing like it"),
        pytest.param("", None, id="empty"),
    ],
)
def test_nearest_paths(word: str, wanted: str | None) -> None:
    assert nearest_paths(word, known_paths()) == ([] if wanted is None else wanted.split(" or "))


@pytest.mark.parametrize(
    ("word", "wanted"),
    [
        pytest.param("blip2-opt-6.7", "blip2-opt-6.7b", id="a letter missing"),
        pytest.param("Blip2_Opt_6.7b", "blip2-opt-6.7b", id="capitals and hyphens"),
        pytest.param("llava-1.7b", None, id="what follows a dot is no key"),
    ],
)
def test_nearest_name(word: str, wanted: str | None) -> None:
    assert nearest(word, ["blip2-opt-6.7b", "blip2-flan-t5-xxl"]) == wanted


def test_nothing_known() -> None:
    assert (nearest("a", []), nearest_paths("a", [])) == (None, [])
