"""Where settings come from: YAML files, environment variables, ``--set a.b=value``.

Each gives a plain tree with the origin of every value; nothing is validated here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lavad_core.config.reading import MAX_DEPTH, PathKey, read_json, read_yaml
from lavad_core.config.tree import ROOT, Shape, child
from lavad_core.errors import ConfigError

PREFIX = "LAVAD_"
NESTING = "__"

NOT_SETTINGS = frozenset({"LAVAD_DEBUG", "LAVAD_VLLM"})
"""Variables with the prefix that are no settings."""

NOT_SETTINGS_PREFIXES = ("LAVAD_TEST_",)
"""The same, for names that only the tests read."""

MAX_FILE_BYTES = 1 << 20
"""A configuration of a hundred captioners has 30 kB; a larger file is not a configuration."""


@dataclass
class Source:
    """Settings of one origin.

    Attributes:
        name: for messages: the file, ``the environment``, ``--set``.
        tree: nested; lists as lists. A dict whose keys are all digits stands for single items of a list.
        origins: path to a text that says where exactly the value was given.
        folder: what relative paths are relative to; None is the current folder at the time of loading.
        rank: the greater wins.
        words: paths of values that were given as ``yes``, ``no``, ``on`` or ``off``: true and false for YAML 1.1 alone.
    """

    name: str
    tree: dict[str, Any]
    origins: dict[PathKey, str] = field(default_factory=dict)
    folder: Path | None = None
    rank: int = 0
    words: dict[PathKey, str] = field(default_factory=dict)

    def origin(self, path: PathKey) -> str:
        """Of the value at ``path``; else of the nearest part of the tree above it, or of the first below it, that is known."""
        for length in range(len(path), 0, -1):
            if path[:length] in self.origins:
                return self.origins[path[:length]]
        return next((origin for known, origin in self.origins.items() if known[: len(path)] == path), self.name)


def from_mapping(name: str, tree: Mapping[str, Any], rank: int) -> Source:
    """Settings that a program gives."""
    return Source(name, _plain(tree, name), rank=rank)


def _plain(value: Any, name: str, depth: int = 0) -> Any:
    """A copy made of dict, list and scalars with text as keys."""
    if depth > MAX_DEPTH:
        raise ConfigError(f"{name}: nested more than {MAX_DEPTH} deep; no setting is")
    if isinstance(value, Mapping):
        return {str(key): _plain(below, name, depth + 1) for key, below in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(below, name, depth + 1) for below in value]
    return value


def from_file(path: Path, rank: int, name: str | None = None) -> Source:
    """Settings of a YAML file; an empty file gives none.

    Raises:
        ConfigError: it cannot be read, is no YAML mapping, or gives a key twice.
    """
    name = name or str(path)
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"configuration file {name!r} cannot be read: {error.strerror or error}") from error
    if len(data) > MAX_FILE_BYTES:
        raise ConfigError(f"configuration file {name!r} is larger than {MAX_FILE_BYTES} bytes; is it the right file?")
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise ConfigError(f"configuration file {name!r} is not UTF-8 text (byte {error.start})") from error
    found = read_yaml(text, name)
    tree = {} if found.value is None else found.value
    if not isinstance(tree, dict):
        raise ConfigError(f"configuration file {name!r}: keys and values are wanted, found {_what(tree)}")
    return Source(name, _plain(tree, name), found.origins, path.absolute().parent, rank, found.words)


def _what(value: Any) -> str:
    """Its kind alone: a file that is no configuration may be one that holds a key."""
    return "a list" if isinstance(value, list) else f"one value ({type(value).__name__}; not shown)"


def from_environment(environ: Mapping[str, str], rank: int) -> Source:
    """``LAVAD_A__B=value``; lists and mappings as JSON, items of lists by number (``LAVAD_CAPTIONERS__0__DEVICE``).

    An empty variable gives nothing: that is how a compose file passes on what its user has not set.
    """
    source = Source("the environment", {}, rank=rank)
    given: list[tuple[PathKey, str, str]] = []
    for variable in sorted(environ):
        if not variable.startswith(PREFIX) or variable in NOT_SETTINGS or variable.startswith(NOT_SETTINGS_PREFIXES):
            continue
        if not environ[variable].strip():
            continue
        path = tuple(variable.removeprefix(PREFIX).lower().split(NESTING))
        if twin := next((other for known, _, other in given if known == path), None):
            raise ConfigError(
                f"environment variable {variable} is the same setting as {twin.rpartition(' ')[2]}; give one"
            )
        if not all(path):
            raise ConfigError(
                f"environment variable {variable} names no setting; the form is {PREFIX}SECTION{NESTING}KEY"
            )
        given.append((path, environ[variable], f"environment variable {variable}"))
    _put_all(source, given)
    return source


def from_overrides(overrides: Sequence[str], rank: int) -> Source:
    """``a.b.0.c=value``; the value as in YAML."""
    source = Source("--set", {}, rank=rank)
    given: list[tuple[PathKey, str, str]] = []
    for override in overrides:
        key, equals, value = override.partition("=")
        key = key.strip()
        path = tuple(key.split("."))
        if not equals or not all(path):
            raise ConfigError(f"--set {key!r} has not the form key.subkey=value")  # the rest may be a secret
        given.append((_join_mapping_names(path), value, f"--set {key}"))
    _put_all(source, given)
    return source


def shape_at(path: PathKey) -> Shape | None:
    """What may stand at ``path`` whatever the kinds of its sections; None if nothing."""
    shape: Shape | None = ROOT
    for name in path:
        shape = child(shape, name, any_kind=True) if shape else None
    return shape


def _join_mapping_names(path: PathKey) -> PathKey:
    """A name that the user chose may contain dots: ``imports.captions.blip2-opt-6.7b`` has three parts."""
    for length in range(1, len(path)):
        shape = shape_at(path[:length])
        if shape is not None and shape.kind == "mapping":
            return (*path[:length], ".".join(path[length:]))
    return path


def _typed(source: Source, text: str, path: PathKey, origin: str) -> Any:
    """The value that ``text`` spells, as the field at ``path`` wants it.

    Where a text is wanted it is taken as it stands (a revision of digits is no number), but for ``null`` and for text
    in quotes. Elsewhere it is read as YAML, of which JSON is a part.
    """
    shape = shape_at(path)
    stripped = text.strip()
    if shape is not None and shape.is_path and shape.kind == "leaf" and not stripped:
        raise ConfigError(f"{origin}: the path is empty")
    if shape is not None and shape.kind == "leaf" and shape.is_text and stripped[:1] not in ('"', "'"):
        return None if stripped in ("null", "~") and type(None) in shape.types else text
    try:
        found = read_yaml(text, f"{origin}: the value")
    except ConfigError as error:
        try:
            return read_json(text)
        except ValueError:
            raise error from None
    source.words.update({(*path, *below): word for below, word in found.words.items()})
    return found.value


def _put_all(source: Source, given: list[tuple[PathKey, str, str]]) -> None:
    """Wholes before their parts, so that a part changes what was given whole; the last of equals wins."""
    for path, text, origin in sorted(given, key=lambda entry: len(entry[0])):
        _put(source, path, _plain(_typed(source, text, path, origin), origin), origin)
        source.origins[path] = origin


def _put(source: Source, path: PathKey, value: Any, origin: str) -> None:
    here: Any = source.tree
    for length, name in enumerate(path):
        last = length + 1 == len(path)
        if isinstance(here, list) and name.isascii() and name.isdigit() and int(name) < len(here):
            if last:
                here[int(name)] = value
            else:
                here = here[int(name)]
        elif isinstance(here, dict):
            if last:
                here[name] = value
            else:
                here = here.setdefault(name, {})
        else:
            whole = ".".join(path[:length])
            raise ConfigError(
                f"{origin}: {whole} is given as a whole by {source.origin(path[:length])}, without this part"
            )
