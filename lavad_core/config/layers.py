"""Where settings come from: YAML files, environment variables, ``--set a.b=value``.

Each gives a plain tree with the origin of every value; nothing is validated here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lavad_core.config.reading import MAX_DEPTH, read_json, read_yaml
from lavad_core.config.secrets import written_as
from lavad_core.config.section import PathKey
from lavad_core.config.tree import ROOT, Shape, child, item
from lavad_core.errors import ConfigError
from lavad_core.location import shown
from lavad_core.remote_files import near

PREFIX = "LAVAD_"
NESTING = "__"

NOT_SETTINGS = frozenset({"LAVAD_DEBUG", "LAVAD_VLLM"})
"""Variables with the prefix that are not settings."""

NOT_SETTINGS_PREFIXES = ("LAVAD_TEST_",)
"""The same, for names that only the tests read."""

MAX_FILE_BYTES = 1 << 20
"""A configuration of a hundred captioners has 30 kB; a larger file is not a configuration."""


@dataclass
class Layer:
    """Settings of one origin."""

    name: str
    """For messages: the file, ``the environment``, ``--set``."""
    tree: dict[str, Any]
    """Nested dicts, lists and scalars."""
    origins: dict[PathKey, str] = field(default_factory=dict)
    """Path to a text that says where exactly the value was given."""
    folder: Path | None = None
    """What relative paths are relative to; None is the current folder at the time of loading."""
    words: dict[PathKey, str] = field(default_factory=dict)
    """Paths of values that were written ``yes``, ``no``, ``on`` or ``off``, which only YAML 1.1 reads as true and
    false."""
    recorded: bool = False
    """Its captioners were a list of named sections, as in records, where earlier versions may have called one by a number."""

    def origin(self, path: PathKey) -> str:
        """Where the value at ``path`` was given."""
        return origin_of(self.origins, path, self.name)


def origin_of(origins: Mapping[PathKey, str], path: PathKey, unknown: str = "default") -> str:
    """Where the value at ``path`` was given; otherwise where the first one below it was, or the nearest part of the tree above
    it; ``unknown`` if nowhere."""
    if path not in origins:
        found = next((origin for known, origin in origins.items() if known[: len(path)] == path), None)
        if found is not None:
            return found
    return next((origins[path[:length]] for length in range(len(path), 0, -1) if path[:length] in origins), unknown)


def from_mapping(name: str, tree: Mapping[str, Any]) -> list[Layer]:
    """Settings that a program gives.

    Captioners may be a list of mappings with one name each (:func:`lavad_core.config.secrets.public_settings`): these and no
    others, in this order.

    Raises:
        ConfigError: it is too deep, a key is not a text, or one is given twice.
    """
    plain = _plain(tree, name)
    listed = plain.get("captioners")
    if not isinstance(listed, list) or not all(is_named_section(item) for item in listed):
        return [Layer(name, plain)]
    plain["captioners"] = _once([pair for item in listed for pair in item.items()], f"captioners ({name})")
    return [Layer(name, {"captioners": None}), Layer(name, plain, recorded=True)]


def is_named_section(item: Any) -> bool:
    """Whether it is ``{name: section}``."""
    return isinstance(item, dict) and len(item) == 1 and all(isinstance(below, dict) for below in item.values())


def _once(pairs: Iterable[tuple[str, Any]], where: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ConfigError(f"{where}: {key!r} is given twice; give it once")
        found[key] = value
    return found


def _plain(value: Any, name: str, depth: int = 0) -> Any:
    """A copy made of dict, list and scalars with text as keys."""
    if depth > MAX_DEPTH:
        raise ConfigError(f"{name}: nested more than {MAX_DEPTH} deep; no setting is")
    if isinstance(value, Mapping):
        if odd := [key for key in value if not isinstance(key, str) and type(key) is not int]:
            raise ConfigError(f"{name}: a key is {odd[0]!r}; keys are texts")
        return _once(((str(key), _plain(below, name, depth + 1)) for key, below in value.items()), name)
    if isinstance(value, list | tuple):
        return [_plain(below, name, depth + 1) for below in value]
    return value


def from_file(path: Path, name: str | None = None) -> Layer:
    """Settings of a YAML file; an empty file gives none.

    Raises:
        ConfigError: it cannot be read, is not a YAML mapping, or gives a key twice.
    """
    name = name or shown(path)
    home, path = path, near(path, "configuration")
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
    return Layer(name, _plain(tree, name), found.origins, home.absolute().parent, found.words)


def _what(value: Any) -> str:
    """Its kind alone: a file that is not a configuration may hold a key."""
    return "a list" if isinstance(value, list) else f"one value ({type(value).__name__}; not shown)"


def from_environment(environ: Mapping[str, str], captioners: Iterable[str]) -> tuple[list[Layer], list[Layer]]:
    """``LAVAD_A__B=value``; lists and mappings as JSON or YAML. Secrets are a layer of their own: they do not choose between
    kinds, they fit or they do not.

    An empty variable gives nothing: that is how a compose file passes on what its user has not set.

    Args:
        environ: variables.
        captioners: names that other layers give; a variable has them as :func:`~lavad_core.config.secrets.written_as` gives.

    Raises:
        ConfigError: a variable names no setting, the same one as another, or a captioner of which two are written alike.
    """
    given: dict[PathKey, str] = {}
    for variable in sorted(environ):
        if not variable.startswith(PREFIX) or variable in NOT_SETTINGS or variable.startswith(NOT_SETTINGS_PREFIXES):
            continue
        if not environ[variable].strip():
            continue
        path = tuple(variable.removeprefix(PREFIX).lower().split(NESTING))
        if path in given:
            raise ConfigError(f"environment variable {variable} is the same setting as {given[path]}; give one")
        if not all(path):
            raise ConfigError(
                f"environment variable {variable} names no setting; the form is {PREFIX}SECTION{NESTING}KEY"
            )
        given[path] = variable
    names = dict.fromkeys(captioners)
    plain: list[_Given] = []
    secrets: list[_Given] = []
    for path, variable in sorted(given.items(), key=lambda entry: len(entry[0])):
        if path[0] == "captioners" and len(path) > 1:
            path = ("captioners", _name_of(path[1], names, variable), *path[2:])
        shape = shape_at(path)
        (secrets if shape is not None and shape.is_secret else plain).append(
            (path, environ[variable], f"environment variable {variable}")
        )
        names |= names_in(_layers("the environment", plain[-1:]))
    return _layers("the environment", plain), _layers("the environment", secrets)


def _name_of(word: str, known: Iterable[str], variable: str) -> str:
    names = sorted(name for name in known if written_as(name) == written_as(word))
    if len(names) > 1:
        raise ConfigError(
            f"environment variable {variable} may mean captioner {' or '.join(names)}; give it in a file or with --set"
        )
    return names[0] if names else word


def names_in(given: Iterable[Layer]) -> dict[str, None]:
    """The captioners that some layers name, in order."""
    sections = [layer.tree.get("captioners") for layer in given]
    return dict.fromkeys(name for section in sections if isinstance(section, dict) for name in section)


def from_overrides(overrides: Sequence[str]) -> list[Layer]:
    """``a.b.c=value``; the value as in YAML."""
    given: list[_Given] = []
    for override in overrides:
        key, equals, value = override.partition("=")
        key = key.strip()
        path = tuple(key.split("."))
        if not equals or not all(path):
            raise ConfigError(f"--set {key!r} has not the form key.subkey=value")  # the rest may be a secret
        given.append((_join_names(path, value), value, f"--set {key}"))
    return _layers("--set", given)


_Given = tuple[PathKey, str, str]
"""Path, text and origin of one setting."""


def _layers(name: str, given: Sequence[_Given]) -> list[Layer]:
    """Values for whole sections come before values for their parts; of equal paths the last wins. A null that takes all
    captioners out comes before those that are given beside it."""
    before, layer = Layer(name, {}), Layer(name, {})
    for path, text, origin in sorted(given, key=lambda entry: len(entry[0])):
        value = _plain(_typed(layer, text, path, origin), origin)
        into = before if path == ("captioners",) and value is None else layer
        _put(into, path, value, origin)
        into.origins[path] = origin
    return [one for one in (before, layer) if one.tree]


def _put(layer: Layer, path: PathKey, value: Any, origin: str) -> None:
    here = layer.tree
    for length, name in enumerate(path[:-1], 1):
        here = here.setdefault(name, {})
        if not isinstance(here, dict):
            whole = path[:length]
            raise ConfigError(
                f"{origin}: {'.'.join(whole)} is given as a whole by {layer.origin(whole)}, without this part"
            )
    here[path[-1]] = value


def shape_at(path: PathKey) -> Shape | None:
    """What may stand at ``path`` whatever the kinds of its sections; None if nothing."""
    shape: Shape | None = ROOT
    for name in path:
        shape = child(shape, name, any_kind=True) if shape else None
    return shape


def _join_names(path: PathKey, text: str) -> PathKey:
    """A name that the user chose may contain dots: ``imports.captions.blip2-opt-6.7b`` has three parts, and
    ``captioners.blip2-opt-6.7b.device`` too."""
    for length in range(1, len(path)):
        shape = shape_at(path[:length])
        if shape is not None and shape.kind == "mapping":
            head, rest = path[:length], path[length:]
            return (*head, *(_join_section(item(shape), rest, text) if shape.variants else (".".join(rest),)))
    return path


def _join_section(section: Shape, rest: PathKey, text: str) -> PathKey:
    """The name of a section and what is below it. The first part that is a field ends the name."""
    for end in range(1, len(rest)):
        below = child(section, rest[end], any_kind=True)
        more = rest[end + 1 :]
        if below is not None and (not more or below.kind == "mapping"):
            return (".".join(rest[:end]), rest[end], *((".".join(more),) if more else ()))
    if len(rest) == 1 or text.strip()[:1] in ("{", "~", "n"):  # the section itself, or null
        return (".".join(rest),)
    return (".".join(rest[:-1]), rest[-1])


def _typed(layer: Layer, text: str, path: PathKey, origin: str) -> Any:
    """The value that ``text`` spells, as the field at ``path`` wants it.

    Where a text is wanted it is taken as it stands (a revision of digits is not a number), but for ``null`` and for text
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
    layer.words.update({(*path, *below): word for below, word in found.words.items()})
    return found.value
