"""Each public field of a class is explained in a line of its own below it, or by the text that the program itself shows."""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Iterator
from itertools import zip_longest
from pathlib import Path

import pytest

PRODUCT = ("lavad_core", "tasks", "flows", "deployments", "demo")

SHOWN = re.compile(r"\b(?:description|help)=")
"""A setting or an option: its text is in the tables of ``docs/`` or in ``--help``."""


def fields_of(node: ast.ClassDef) -> Iterator[tuple[str, ast.AnnAssign, str]]:
    """(name, field, line below it or the empty string) for the public fields of a class."""
    for part, below in zip_longest(node.body, node.body[1:]):
        if isinstance(part, ast.AnnAssign) and isinstance(part.target, ast.Name):
            text = below.value.value if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant) else ""
            if not part.target.id.startswith("_") and "ClassVar" not in ast.unparse(part.annotation):
                yield part.target.id, part, str(text)


def shown_by(source: str) -> set[str]:
    """Names of the functions that make a setting with its text."""
    functions = (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef))
    return {node.name for node in functions if SHOWN.search(ast.unparse(node))}


def badly_explained(source: str, makers: Collection[str] = ()) -> list[str]:
    """``Class.field: what is wrong`` of each public field without a text of its own; ``makers`` make settings with one."""
    tree = ast.parse(source)
    classes = {node.name: node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)}
    wrong = []
    for node in classes.values():
        fields = {name: (part, line) for name, part, line in fields_of(node)}
        bases = [classes[base.id] for base in node.bases if isinstance(base, ast.Name) and base.id in classes]
        inherited = {name for base in bases for name, _, line in fields_of(base) if line}
        section = (ast.get_docstring(node) or "").partition("Attributes:\n")[2].partition("\n\n")[0]
        listed = {name for names in re.findall(r"(?m)^    (\w+(?:, \w+)*): ", section) for name in names.split(", ")}
        for name, (part, line) in fields.items():
            called = ast.unparse(part.value.func) if isinstance(part.value, ast.Call) else ""
            shown = called in makers or SHOWN.search(ast.unparse(part))
            others = "|".join(fields.keys() - {name}) or "(?!)"
            if name in listed:
                wrong.append(f"{node.name}.{name}: explained in the section of attributes, not below it")
            elif re.search(rf"^``{name}``(?:,| and) ``|(?:^|[.;] |, )(?:{others})(?:, \w+)*: ", line):
                wrong.append(f"{node.name}.{name}: its line explains other fields too")
            elif not (line or name in inherited or node.name.startswith("_") or shown):
                wrong.append(f"{node.name}.{name}: no line below it")
    return wrong


@pytest.mark.parametrize("folder", PRODUCT)
def test_each_public_field_is_explained_below_it(folder: str, repository: Path) -> None:
    files = sorted((repository / folder).rglob("*.py"))
    assert files
    texts = {path: path.read_text(encoding="utf-8") for path in files}
    makers = set().union(*(shown_by(text) for text in texts.values()))
    wrong = [f"{path.name}: {one}" for path, text in texts.items() for one in badly_explained(text, makers)]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    ("body", "wrong"),
    [
        pytest.param('a: int\n    """The a."""', [], id="a line below"),
        pytest.param("a: int", ["X.a: no line below it"], id="no line"),
        pytest.param('a: int\n    b: int\n    """The b."""', ["X.a: no line below it"], id="a line below the next"),
        pytest.param("_a: int", [], id="private"),
        pytest.param("a: ClassVar[int] = 1", [], id="not a field"),
        pytest.param("a: int = setting(1, description='The a.')", [], id="a setting"),
        pytest.param(
            "a: int = _made()\n\ndef _made():\n    return setting(1, description='The a.')",
            [],
            id="a setting that is made",
        ),
        pytest.param("a: Annotated[int, Option(help='The a.')] = 1", [], id="an option"),
        pytest.param(
            'a: int\n    """The a."""\n    b: int\n    """``b`` and ``a`` are ends."""',
            ["X.b: its line explains other fields too"],
            id="two in one line",
        ),
        pytest.param(
            'a: int\n    """The a. b: another."""\n    b: int\n    """The b."""',
            ["X.a: its line explains other fields too"],
            id="the next one too",
        ),
        pytest.param(
            '"""W.\n\n    Attributes:\n        a, b: c.\n    """\n    a: int\n    """The a."""',
            ["X.a: explained in the section of attributes, not below it"],
            id="section",
        ),
        pytest.param(
            'a: int\n    """The a."""\n\nclass Y(X):\n    a: int = 1\n    b: int',
            ["Y.b: no line below it"],
            id="inherited",
        ),
    ],
)
def test_badly_explained_fields_are_found(body: str, wrong: list[str]) -> None:
    source = f"class X:\n    {body}\n"
    assert badly_explained(source, shown_by(source)) == wrong
