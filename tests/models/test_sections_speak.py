"""A section of the configuration speaks for itself: nobody but the kinds of models asks of which kind it is."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from lavad_core.config import models, section
from lavad_core.config.section import ModelSection

ROOT = Path(__file__).resolve().parents[2]
SECTIONS = {
    name
    for module in (models, section)
    for name, value in vars(module).items()
    if isinstance(value, type) and issubclass(value, ModelSection)
}


def asked(source: str) -> list[str]:
    """Classes of sections that a source asks for with ``isinstance`` or ``type``."""
    return [
        name.id
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call | ast.Compare)
        and (not isinstance(node, ast.Call) or getattr(node.func, "id", "") in ("isinstance", "issubclass"))
        for name in ast.walk(node)
        if isinstance(name, ast.Name) and name.id in SECTIONS
    ]


@pytest.mark.parametrize("folder", ["lavad_core", "tasks", "flows", "deployments", "demo"])
def test_nobody_asks_which_kind_a_section_is(folder: str) -> None:
    kinds = ROOT / "lavad_core" / "models" / "kinds"
    found = {
        str(path.relative_to(ROOT)): names
        for path in (ROOT / folder).rglob("*.py")
        if kinds not in path.parents and (names := asked(path.read_text(encoding="utf-8")))
    }
    assert found == {}


@pytest.mark.parametrize(
    "source",
    [
        "isinstance(chat, VllmChatConfig)",
        "if isinstance(a.b, (HubSection, int)): pass",
        "isinstance(x, Blip2Config | ClipConfig)",
        "type(section) is PythonModel",
    ],
)
def test_such_a_question_is_found(source: str) -> None:
    assert asked(source)
