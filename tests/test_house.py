"""The order of the house: how long files are, how many a folder holds, and what stands in a checkout."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pytest

MOST_LINES = 400
MOST_COMMANDS = 12
"""Files of one folder of the command line."""

PRODUCT = ("lavad_core", "tasks", "flows", "deployments", "demo", "benchmarks")


@pytest.mark.parametrize("folder", [*PRODUCT, "tests"])
def test_no_file_is_longer_than_can_be_read_in_one_go(folder: str, repository: Path) -> None:
    files = list((repository / folder).rglob("*.py"))
    assert files
    lines = {str(file.relative_to(repository)): file.read_text(encoding="utf-8").count("\n") for file in files}
    assert {name: count for name, count in lines.items() if count > MOST_LINES} == {}


def test_every_test_module_has_a_name_of_its_own(repository: Path) -> None:
    names = Counter(file.name for file in (repository / "tests").rglob("test_*.py"))
    assert [name for name, count in names.items() if count > 1] == []


def defined_twice(definitions: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """Name to the files that define it, of the names that several do."""
    found: dict[str, list[str]] = {}
    for name, file in definitions:
        found.setdefault(name, []).append(file)
    return {name: files for name, files in found.items() if len(files) > 1}


def test_a_name_that_is_defined_twice_is_found() -> None:
    assert defined_twice([("A", "x.py"), ("B", "x.py"), ("A", "y.py")]) == {"A": ["x.py", "y.py"]}


def test_no_two_classes_have_one_name(repository: Path) -> None:
    """Public classes of the product; a reader of a signature need not look where a name was imported from."""
    classes = [
        (node.name, str(file.relative_to(repository)))
        for folder in PRODUCT
        for file in sorted((repository / folder).rglob("*.py"))
        for node in ast.parse(file.read_text(encoding="utf-8")).body
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    ]
    assert len(classes) > 200
    assert defined_twice(classes) == {}


def test_no_two_modules_have_one_name(repository: Path) -> None:
    """A command's file has the name of its command, also where the module that does the work has it; ``types.py`` holds the
    value types of its folder."""
    modules = [
        (file.name, str(file.relative_to(repository)))
        for folder in PRODUCT
        for file in sorted((repository / folder).rglob("*.py"))
        if "commands" not in file.parts and file.name not in ("__init__.py", "types.py")
    ]
    assert len(modules) > 200
    assert defined_twice(modules) == {}


def test_no_folder_of_the_command_line_is_crowded(repository: Path) -> None:
    cli = repository / "deployments" / "cli"
    folders = [cli, *(folder for folder in cli.rglob("*") if folder.is_dir() and folder.name != "__pycache__")]
    files = {str(folder.relative_to(repository)): len(list(folder.glob("*.py"))) for folder in folders}
    assert len(files) > 5
    assert {name: count for name, count in files.items() if count > MOST_COMMANDS} == {}


def test_a_checkout_without_links_says_what_to_do(repository: Path, tmp_path: Path) -> None:
    (tmp_path / "lavad").mkdir()
    (tmp_path / "lavad" / "__init__.py").write_bytes((repository / "lavad" / "__init__.py").read_bytes())
    for name in ("demo", "deployments", "flows", "tasks"):
        (tmp_path / "lavad" / name).write_text(f"../{name}")  # as git writes a link with core.symlinks=false
    done = subprocess.run(
        [sys.executable, "-c", "import lavad"],
        cwd=tmp_path, env={}, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "git config core.symlinks true" in done.stderr


@pytest.mark.parametrize("part", ["demo", "deployments", "flows", "tasks"])
def test_every_part_of_the_package_is_its_folder(part: str, repository: Path) -> None:
    assert (repository / "lavad" / part).resolve() == repository / part
