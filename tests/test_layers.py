"""The layer rule: deployments → flows → tasks → lavad_core, and who may import what within lavad_core."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

LAYERS = ("lavad_core", "tasks", "flows", "deployments")
ROOT = Path(__file__).resolve().parent.parent

ONE_FILE = {
    # encode.py writes pictures that the program drew; it never reads a file, so it needs no process of its own.
    "av": ["lavad_core/video/container.py", "lavad_core/video/encode.py"],
    "httpx": ["lavad_core/models/chat/http.py", "tasks/client.py"],
    "pyarrow.parquet": ["lavad_core/store/parquet.py"],
}
"""Library to the only files that may import it."""


def imports_of(path: Path) -> Iterator[tuple[str, bool]]:
    """(module, whether it is imported when the file is) for each import statement."""
    tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
    inner = {
        id(child)
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        for child in ast.walk(node)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, id(node) not in inner
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module or "", id(node) not in inner
            for alias in node.names:
                yield f"{node.module}.{alias.name}", id(node) not in inner


def files(layer: str) -> list[Path]:
    found = sorted((ROOT / layer).rglob("*.py"))
    assert found, f"{layer} is empty"
    return found


@pytest.mark.parametrize("layer", LAYERS)
def test_no_layer_imports_one_above_it(layer: str) -> None:
    above = LAYERS[LAYERS.index(layer) + 1 :]
    wrong = [
        f"{path.relative_to(ROOT)} imports {module}"
        for path in files(layer)
        for module, _ in imports_of(path)
        if module.removeprefix("lavad.").split(".")[0] in above
    ]
    assert not wrong


def test_the_library_never_imports_the_orchestrator() -> None:
    wrong = [
        str(path.relative_to(ROOT))
        for path in files("lavad_core")
        for module, _ in imports_of(path)
        if module.split(".")[0] == "prefect"
    ]
    assert not wrong


def test_the_method_does_no_input_or_output_and_knows_no_model() -> None:
    allowed = {
        "__future__",
        "collections",
        "dataclasses",
        "functools",
        "itertools",
        "math",
        "re",
        "typing",
        "numpy",
        "sklearn",
        "lavad_core",
    }
    wrong = [
        f"{path.relative_to(ROOT)} imports {module}"
        for path in files("lavad_core/method")
        for module, _ in imports_of(path)
        if module.split(".")[0] not in allowed
        or (module.startswith("lavad_core.") and not module.startswith(("lavad_core.method", "lavad_core.errors")))
    ]
    assert not wrong


@pytest.mark.parametrize("library", sorted(ONE_FILE))
def test_a_library_with_one_door_has_one_door(library: str) -> None:
    users = sorted(
        {
            str(path.relative_to(ROOT))
            for layer in LAYERS
            for path in files(layer)
            for module, _ in imports_of(path)
            if module == library or module.startswith(library + ".")
        }
    )
    assert users == ONE_FILE[library]


def test_heavy_libraries_are_imported_only_with_the_models() -> None:
    wrong = [
        f"{path.relative_to(ROOT)} imports {module}"
        for path in files("lavad_core")
        if "models" not in path.parts
        for module, at_import in imports_of(path)
        if at_import and module.split(".")[0] in ("torch", "transformers")
    ]
    assert not wrong
