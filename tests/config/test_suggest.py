"""The nearest key."""

from __future__ import annotations

import pytest

from lavad_core.config.tree import known_paths
from lavad_core.suggest import nearest


@pytest.mark.parametrize(
    ("case", "word", "wanted"),
    [
        ("itself", "window.samples", "window.samples"),
        ("letters swapped", "window.smaples", "window.samples"),
        ("upper case", "Window.Samples", "window.samples"),
        ("section missing", "neighbours", "refine.neighbours"),
        ("American", "refine.neighbors", "refine.neighbours"),
        ("section misspelt", "summarize.prompt", "summarise.prompt"),
        ("only the section, misspelt", "captioner", "captioners"),
        ("last part misspelt in a wrong section", "chat.neighbors", "refine.neighbours"),
        ("nothing like it", "zzzzzz", None),
        ("empty", "", None),
    ],
)
def test_nearest(case: str, word: str, wanted: str | None) -> None:
    assert nearest(word, known_paths()) == wanted, case


def test_nothing_known() -> None:
    assert nearest("a", []) is None
