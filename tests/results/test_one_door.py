"""Results have one door, ``lavad_core/results``: nothing else asks whose they are, or looks into the store for them."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent

READERS = ("lavad_core/reports", "lavad_core/exports", "lavad_core/evaluation", "deployments/cli")
"""Folders that show, export or evaluate results."""

EXCEPTIONS = {
    "deployments/cli/commands/maintain/doctor.py": "asks whether there is a store, in a folder or on object storage",
    "deployments/cli/commands/maintain/store.py": "is the maintenance of the store: it lists, checks and removes what is in it",
    "deployments/cli/options/common.py": "asks whether there is a store, in a folder or on object storage",
    "lavad_core/exports/tables.py": "writes a Parquet file for somebody else with the one writer of such files",
}
"""File to why it may import from ``lavad_core.store``."""

KINDS = {"ResultSet", "VideoResults", "RunVideo", "ImportedVideoResults"}
"""Classes that nobody needs to tell apart."""


def files(*folders: str) -> dict[str, ast.Module]:
    paths = [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]
    assert paths
    return {str(path.relative_to(ROOT)): ast.parse(path.read_text(encoding="utf-8")) for path in paths}


def asked_kinds(tree: ast.AST) -> set[str]:
    """Kinds of results that an ``isinstance``, ``issubclass`` or ``type(…) is …`` of a module names."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id in ("isinstance", "issubclass")
        ):
            asked: list[ast.AST] = list(node.args[1:])
        elif isinstance(node, ast.Compare) and any(isinstance(part, ast.Is | ast.IsNot) for part in node.ops):
            asked = list(node.comparators)
        elif isinstance(node, ast.MatchClass):
            asked = [node.cls]
        else:
            continue
        names = [part for one in asked for part in ast.walk(one)]
        found |= {part.id for part in names if isinstance(part, ast.Name)}
        found |= {part.attr for part in names if isinstance(part, ast.Attribute)}
    return found & KINDS


def store_imports(tree: ast.AST) -> list[str]:
    """Modules of the store that a module imports, anywhere in it."""
    found: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            found += [f"{node.module}.{alias.name}" for alias in node.names]
    return [name for name in found if f"{name}.".startswith("lavad_core.store.")]


@pytest.mark.parametrize(
    ("code", "kinds"),
    [
        pytest.param("isinstance(found, RunVideo)", {"RunVideo"}, id="one"),
        pytest.param("isinstance(found, RunVideo | types.VideoResults)", {"RunVideo", "VideoResults"}, id="several"),
        pytest.param("type(found) is ResultSet", {"ResultSet"}, id="type"),
        pytest.param("match found:\n case RunVideo(): pass", {"RunVideo"}, id="match"),
        pytest.param("isinstance(found, str)", set(), id="something-else"),
    ],
)
def test_a_question_for_the_kind_is_seen(code: str, kinds: set[str]) -> None:
    assert asked_kinds(ast.parse(code)) == kinds


@pytest.mark.parametrize(
    "code",
    [
        "from lavad_core.store.files import FileStore",
        "from lavad_core import store",
        "import lavad_core.store.types as types",
        "def late():\n from lavad_core.store import files",
    ],
)
def test_an_import_of_the_store_is_seen(code: str) -> None:
    assert store_imports(ast.parse(code))


def test_nobody_asks_whether_results_are_a_runs_or_an_imports() -> None:
    trees = files("lavad_core", "tasks", "flows", "deployments", "demo")
    outside = {name: asked_kinds(tree) for name, tree in trees.items() if not name.startswith("lavad_core/results/")}
    assert {name: kinds for name, kinds in outside.items() if kinds} == {}


def test_readers_of_results_leave_the_store_alone() -> None:
    found = {name: store_imports(tree) for name, tree in files(*READERS).items()}
    users = {name for name, imports in found.items() if imports}
    assert users - EXCEPTIONS.keys() == set()
    assert EXCEPTIONS.keys() - users == set(), "an exception that nothing needs any more"
