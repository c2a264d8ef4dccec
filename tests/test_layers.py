"""Who may import whom: between the layers, within ``lavad_core`` and within ``demo``. An arrow points down, never up."""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

LAYERS = ("lavad_core", "lavad.tasks", "lavad.flows", "lavad.demo", "lavad.deployments")

CORE = (
    # No knowledge of video or of results.
    "lavad_core.version",
    "lavad_core.errors",
    "lavad_core.digest",
    "lavad_core.escape",
    "lavad_core.quoting",
    "lavad_core.plain_text",
    "lavad_core.attached",
    "lavad_core.ports",
    "lavad_core.seal",
    "lavad_core.masking",
    "lavad_core.address",
    "lavad_core.suggest",
    "lavad_core.location",
    "lavad_core.s3_refusals",
    "lavad_core.object_storage",
    "lavad_core.remote_files",
    "lavad_core.stage_names",
    "lavad_core.user_files",
    "lavad_core.npy_files",
    # What a result is made with.
    "lavad_core.method",
    "lavad_core.recipes",
    "lavad_core.video",
    "lavad_core.store",
    "lavad_core.config",
    "lavad_core.runs",
    "lavad_core.models",
    "lavad_core.datasets",
    "lavad_core.imports",
    # The wing that makes results.
    "lavad_core.stages",
    "lavad_core.pipeline",
    "lavad_core.planning",
    # The wing that reads them.
    "lavad_core.results",
    "lavad_core.evaluation",
    "lavad_core.exports",
    "lavad_core.reports",
    # A whole run without an orchestrator.
    "lavad_core.run_metrics",
    "lavad_core.local_run",
    # Many of them, as a table.
    "lavad_core.studies",
    # One after the other, as files arrive.
    "lavad_core.watching",
    # What is exported to users of the library.
    "lavad_core",
)

DEMO = (
    "lavad.demo.configuration",
    "lavad.demo.grammar",
    "lavad.demo.figures",
    "lavad.demo.places",
    "lavad.demo.acts",
    "lavad.demo.clip",
    "lavad.demo.script",
    "lavad.demo.world",
    "lavad.demo.baselines",
    "lavad.demo.training",
    "lavad.demo.train",
    "lavad.demo.results",
    "lavad.demo.picture",
    "lavad.demo.eyes",
    "lavad.demo.recipe_rows",
    "lavad.demo.ablations",
    "lavad.demo",
)

ORDERS = {"layers": LAYERS, "lavad_core": CORE, "demo": DEMO}
"""Modules, each followed by those that may import it. A package at the end stands for its own ``__init__``."""

FOLDERS = ("lavad_core", "tasks", "flows", "demo", "deployments")

ONE_FILE = {
    "boto3": ["lavad_core/object_storage.py"],
    "botocore": ["lavad_core/object_storage.py"],
    # encode.py writes pictures that the program drew; it never reads a file, so it needs no process of its own.
    "av": ["lavad_core/video/container.py", "lavad_core/video/encode.py"],
    "httpx": ["lavad_core/models/chat/one_server.py", "lavad_core/watching/receivers.py", "tasks/client.py"],
    "pyarrow.parquet": ["lavad_core/store/parquet.py"],
}
"""Library to the only files that may import it."""


@cache
def imports_of(path: Path) -> tuple[tuple[str, bool], ...]:
    """(module or name in it, whether it is imported when the file is) for each import statement."""
    tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
    inner = {
        id(child)
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        for child in ast.walk(node)
    }
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found += [(f"{node.module}.{alias.name}", id(node) not in inner) for alias in node.names]
        elif isinstance(node, ast.Import):
            found += [(alias.name, id(node) not in inner) for alias in node.names]
    return tuple(found)


def files(folder: str, root: Path = ROOT) -> list[Path]:
    found = sorted((root / folder).rglob("*.py"))
    assert found, f"{folder} is empty"
    return found


def unit_of(module: str, order: Sequence[str]) -> str | None:
    """The member of ``order`` that a module belongs to, the deepest if there are several."""
    return max((unit for unit in order if f"{module}.".startswith(f"{unit}.")), key=len, default=None)


def arrows_up(root: Path, order: Sequence[str]) -> list[str]:
    """Imports of what stands later in ``order``, wherever in a file they are; and files that have no place in it."""
    wrong = []
    packages = [unit for unit in order if any(other.startswith(f"{unit}.") for other in order)]
    for folder in dict.fromkeys(unit.removeprefix("lavad.").split(".")[0] for unit in order):
        for path in files(folder, root):
            parts = path.relative_to(root).with_suffix("").parts
            module = ".".join(parts if folder == "lavad_core" else ("lavad", *parts)).removesuffix(".__init__")
            unit = unit_of(module, order)
            if unit is None or (unit in packages and module != unit):
                wrong.append(f"{module} has no place in the order")
                continue
            for imported in dict.fromkeys(name for name, _ in imports_of(path)):
                other = unit_of(imported, order)
                if other is not None and order.index(other) > order.index(unit):
                    wrong.append(f"{module} imports {imported}")
    return wrong


@pytest.mark.parametrize("name", ORDERS)
def test_no_arrow_points_up(name: str) -> None:
    assert arrows_up(ROOT, ORDERS[name]) == []


MADE_UP = ("lavad_core.low", "lavad_core.middle", "lavad_core.high", "lavad_core")


@pytest.mark.parametrize(
    ("file", "content", "found"),
    [
        pytest.param("high/a.py", "from lavad_core.low import x\nimport lavad_core.middle.a", [], id="down"),
        pytest.param(
            "low/a.py", "import numpy\nfrom lavad_core.low.b import x", [], id="within its folder and outside"
        ),
        pytest.param("low/a.py", "import lavad_core.high.b", ["low.a imports lavad_core.high.b"], id="import"),
        pytest.param("low.py", "from lavad_core.high import x", ["low imports lavad_core.high.x"], id="a module"),
        pytest.param(
            "low/a.py", "from lavad_core import high", ["low.a imports lavad_core.high"], id="a folder by name"
        ),
        pytest.param(
            "low/a.py", "from lavad_core import name", ["low.a imports lavad_core.name"], id="an exported name"
        ),
        pytest.param(
            "low/sub/a.py",
            "def f():\n    from lavad_core.middle.b import x\n",
            ["low.sub.a imports lavad_core.middle.b.x"],
            id="in a function",
        ),
        pytest.param(
            "low/a.py",
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from lavad_core.high.b import X\n",
            ["low.a imports lavad_core.high.b.X"],
            id="for type checking",
        ),
        pytest.param(
            "low/a.py",
            "try:\n    from lavad_core.high import x\nexcept ImportError:\n    import lavad_core.middle as m\n",
            ["low.a imports lavad_core.high.x", "low.a imports lavad_core.middle"],
            id="two of them",
        ),
        pytest.param("new/a.py", "x = 1", ["new.a has no place in the order"], id="a folder that is not listed"),
        pytest.param("__init__.py", "from lavad_core.high import x", [], id="the package's own names"),
    ],
)
def test_an_arrow_up_is_found(tmp_path: Path, file: str, content: str, found: list[str]) -> None:
    path = tmp_path / "lavad_core" / file
    path.parent.mkdir(parents=True)
    path.write_text(content, encoding="utf-8")
    assert arrows_up(tmp_path, MADE_UP) == [f"lavad_core.{line}" for line in found]


def test_an_arrow_between_layers_is_found(tmp_path: Path) -> None:
    for layer in LAYERS:
        folder = tmp_path / layer.removeprefix("lavad.")
        folder.mkdir()
        folder.joinpath("a.py").write_text("from lavad.demo.b import x", encoding="utf-8")
    assert arrows_up(tmp_path, LAYERS) == [f"{layer}.a imports lavad.demo.b.x" for layer in LAYERS[:3]]


@pytest.mark.parametrize("folder", [*FOLDERS, "tests", "benchmarks"])
def test_layers_are_imported_as_parts_of_the_package(folder: str) -> None:
    """A module called ``tasks`` at the top of somebody's environment is theirs, not ours."""
    wrong = [
        f"{path.relative_to(ROOT)} imports {module}"
        for path in files(folder)
        if path.parent.name != "kept_store"  # made with the program of before
        for module, _ in imports_of(path)
        if module.split(".")[0] in FOLDERS[1:]
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
            for folder in FOLDERS
            if folder != "demo"  # it makes videos, and measures motion in them
            for path in files(folder)
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


def test_the_page_on_architecture_is_true() -> None:
    """Its table has the folders in their order; its trips enter rooms that exist, and each once."""
    page = (ROOT / "docs" / "design" / "architecture.md").read_text(encoding="utf-8")
    folders = [unit.removeprefix("lavad_core.") for unit in CORE[:-1] if (ROOT / unit.replace(".", "/")).is_dir()]
    assert re.findall(r"^\|[^|`]*\| `(\w+)/` \|", page, flags=re.MULTILINE) == folders
    blocks = re.findall(r"```\n(.*?)```", page, flags=re.DOTALL)
    trips = [rooms for block in blocks if (rooms := re.findall(r"^([a-z_]+/\S+) ", block, flags=re.MULTILINE))]
    assert [len(rooms) == len(set(rooms)) and len(rooms) > 5 for rooms in trips] == [True] * 3
    for room in {room.removesuffix("/…") for rooms in trips for room in rooms}:
        places = [ROOT / "lavad_core" / room, ROOT / room]
        assert any(place.is_dir() or place.with_suffix(".py").is_file() for place in places), room
