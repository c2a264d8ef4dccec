"""Models of ``kind: python``: found without being imported, named by their source, loaded and checked.

Nothing here imports a heavy library; what the user's file imports is its own affair.
"""

from __future__ import annotations

import ast
import copy
import importlib
import importlib.util
import inspect
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.machinery import ModuleSpec, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from lavad_core.config.models import PythonModel
from lavad_core.digest import FINGERPRINT_DIGITS, digest
from lavad_core.errors import LavadError, ModelError
from lavad_core.quoting import first_line
from lavad_core.suggest import did_you_mean
from lavad_core.video.identity import IdentityCache, file_digest

_parsing = threading.Lock()
"""CPython 3.11.7 counts the depth of syntax trees for all threads together: two that parse at once can end in a SystemError
("AST constructor recursion depth mismatch"). Models are looked up by several threads."""


def python_identity(config: PythonModel, cache: IdentityCache | None) -> str:
    """``python:<function>@<revision>#<digest of the source file>``, ``unstated`` without a revision.

    Raises:
        ModelError: as :func:`find_source`.
    """
    path = find_source(config)
    sha256 = _read(config, path, lambda path: file_digest(path, cache))
    return f"python:{config.function}@{config.revision or 'unstated'}#{sha256[:FINGERPRINT_DIGITS]}"


def find_source(config: PythonModel) -> Path:
    """The file that has the function. It is read, never imported.

    Raises:
        ModelError: there is no such file or module, it is not Python, or nothing in it has the function's name.
    """
    path = _path(config)
    if path.suffix != ".py":
        return path  # a compiled module: what is in it, its import says
    try:
        with _parsing:
            tree = ast.parse(_read(config, path, Path.read_bytes), str(path))
    except (SyntaxError, ValueError) as error:
        raise ModelError(f"{config.model}: {str(path)!r} is not Python: {first_line(error)}") from error
    names = set(_bound_names(tree))
    if not names & {config.function, "*", "__getattr__"}:
        raise ModelError(
            f"{config.model}: {str(path)!r} has no {config.function!r}{did_you_mean(config.function, names)}"
        )
    return path


def load_python(config: PythonModel, protocol: type[Any]) -> Any:
    """What the function returns for the configured options.

    Args:
        protocol: the role that it must satisfy: ``Captioner``, ``Encoder`` or ``ChatModel``.

    Raises:
        ModelError: it cannot be imported, the options are not its parameters, it raises an exception, or what it returns
            lacks something of the role.
        LavadError: as the function raises it.
    """
    path = _path(config)
    with their_errors(config, path, "cannot be imported"):
        module = _imported(config, path)
    function = getattr(module, config.function, None)
    if not callable(function):
        raise ModelError(f"{config.model}: there is no function {config.function!r} in {str(path)!r}")
    options = copy.deepcopy(config.options)  # the configuration stays as it is, whatever the function does to them
    _check_options(config, function, options)
    with their_errors(config, path, "fails"):
        model = function(**options)
        members = [name for name in vars(protocol) if not name.startswith("_")]
        missing = [name for name in members if not _has(model, name, protocol)]
    if missing:
        raise ModelError(
            f"{config.model}: what {config.function}() returns, a {type(model).__name__}, is no {protocol.__name__}: it "
            f"lacks {', '.join(missing)}; lavad_core/models/protocols.py says what they do"
        )
    return model


@contextmanager
def their_errors(config: PythonModel, path: Path, failed: str) -> Iterator[None]:
    """Whatever the user's code raises becomes a ModelError with its place in the file; our own errors are meant as such.
    ``failed`` is what did not work, after the function's name: ``cannot be imported``."""
    try:
        yield
    except LavadError:
        raise
    except (Exception, SystemExit) as error:  # code that is not ours may raise anything: this is an edge of the program
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
        place = f"{path}:{lines[-1]}" if lines else str(path)
        raise ModelError(
            f"{config.model}: {config.function} {failed}: {type(error).__name__}: {first_line(error)} ({place})"
        ) from error


class _AsItIs(SourceFileLoader):
    """Compiles the file at each load: bytecode in ``__pycache__`` is told apart by time and size alone, so it could be that of
    another file than the identity's; and nothing is written beside the user's file."""

    def get_code(self, fullname: str) -> CodeType:
        code: CodeType = self.source_to_code(self.get_data(self.path), self.path)
        return code


def _imported(config: PythonModel, path: Path) -> ModuleType:
    if not config.is_file:
        return importlib.import_module(config.source)
    name = f"lavad_python_{digest(str(path.absolute()))}"
    spec = importlib.util.spec_from_file_location(name, path, loader=_AsItIs(name, str(path)))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses, pickle and typing look modules up there
    try:
        spec.loader.exec_module(module)
    except BaseException:
        sys.modules.pop(name, None)
        raise
    return module


def _check_options(config: PythonModel, function: Callable[..., Any], options: dict[str, Any]) -> None:
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return  # one written in C does not always say; then its call does
    try:
        signature.bind(**options)
    except TypeError as error:
        raise ModelError(
            f"{config.model}: options do not fit {config.function}{signature}: {first_line(error)}"
        ) from error


def _has(model: Any, name: str, protocol: type[Any]) -> bool:
    if not hasattr(model, name):
        return False
    return isinstance(vars(protocol)[name], property) or callable(getattr(model, name))


def _read(config: PythonModel, path: Path, read: Callable[[Path], Any]) -> Any:
    try:
        return read(path)
    except OSError as error:
        raise ModelError(
            f"{config.model}: file {str(path)!r} cannot be read: {error.strerror or error}; paths in a configuration file "
            "are relative to its folder"
        ) from error


def _path(config: PythonModel) -> Path:
    """The file of the source. A file may be missing, a module may not."""
    if config.is_file:
        return Path(config.source).expanduser()
    spec = _module_spec(config.source)
    if spec is None or spec.origin is None or not spec.has_location:
        raise ModelError(
            f"{config.model}: there is no module {config.source!r} with a file of its own in this environment; install it, "
            "or give FILE.py:FUNCTION"
        )
    return Path(spec.origin)


def _module_spec(name: str) -> ModuleSpec | None:
    """The spec of a module. Unlike ``importlib.util.find_spec``, this imports none of the packages above it."""
    found: ModuleSpec | None = None
    parts = name.split(".")
    for length in range(1, len(parts) + 1):
        if length > 1 and (found is None or found.submodule_search_locations is None):
            return None
        where = None if found is None else found.submodule_search_locations
        prefix = ".".join(parts[:length])
        found = next((spec for finder in sys.meta_path if (spec := finder.find_spec(prefix, where)) is not None), None)
    return found


def _bound_names(tree: ast.AST) -> Iterator[str]:
    """Every name that is given to something anywhere in a file: more than its functions, never less."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.alias):
            yield node.asname or node.name
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
