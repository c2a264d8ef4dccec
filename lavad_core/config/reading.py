"""YAML of a configuration, strictly: what one reader takes for one thing and another reader for something else is refused,
and an error names the place, never the text: it may be a key's line.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any

import yaml

from lavad_core.config.section import PathKey
from lavad_core.errors import ConfigError
from lavad_core.escape import escape

MAX_DEPTH = 12
"""The tree is four deep; deeper input is a mistake or an alias that contains itself."""

MAX_KEYS = 100_000
"""Keys and items of a file, aliases counted as often as they are used: more is an accident or a bomb."""

MAX_DIGITS = 64
"""Characters of a number. Python refuses 4,301 digits, and its float takes a minute for a million."""

_TAGS = frozenset(
    f"tag:yaml.org,2002:{name}" for name in ("null", "bool", "int", "float", "str", "seq", "map", "merge", "timestamp")
)

_TEXT, _MERGE = "tag:yaml.org,2002:str", "tag:yaml.org,2002:merge"

_AMBIGUOUS = (
    (re.compile(r"[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?"), "is a number to the base 60 for YAML"),
    (re.compile(r"[-+]?0[0-9_]+"), "is an octal number for YAML"),
)
"""Plain words that YAML 1.1 reads as other numbers than people do."""

_WORDS = frozenset({"yes", "no", "on", "off"})
"""Plain words that YAML 1.1 reads as true and false, and YAML 1.2 as texts."""


@dataclass
class YamlDocument:
    """What a text says."""

    value: Any
    """Nested dicts, lists and scalars; None for a text that says nothing."""
    origins: dict[PathKey, str] = field(default_factory=dict)
    """Path to the place where it was given."""
    words: dict[PathKey, str] = field(default_factory=dict)
    """Paths of unquoted ``yes``, ``no``, ``on`` and ``off``, each with the word."""


def read_yaml(text: str, name: str) -> YamlDocument:
    """The one document in ``text``.

    Args:
        text: YAML, of which JSON is a part.
        name: where it is from, for messages.

    Raises:
        ConfigError: it is not YAML, gives a key twice, is too deep or too large, or has a scalar that is read in two ways.
    """
    found = YamlDocument(None)
    loader = _loader(text, name)
    try:
        node = loader.get_single_node()
        if node is not None:
            _note(node, (), name, found)
            found.value = loader.construct_document(node)
    except (yaml.YAMLError, RecursionError) as error:
        raise ConfigError(f"{name} is not YAML: {problem(error)}") from None
    except ValueError:  # such as a date that does not exist; Python's words repeat it
        raise ConfigError(
            f"{name}: a value has the form of a number or a date, and is not one; put texts in quotes"
        ) from None
    finally:
        loader.dispose()
    return found


def _loader(text: str, name: str) -> yaml.SafeLoader:
    try:
        return yaml.SafeLoader(text)
    except yaml.YAMLError as error:  # characters that YAML does not allow
        raise ConfigError(f"{name} is not YAML: {problem(error)}") from None


def read_json(text: str) -> Any:
    """JSON that YAML does not take (tabs, for one).

    Raises:
        ValueError: it is not JSON, gives a key twice, or holds NaN or an infinity; the text is not repeated.
    """

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len({key for key, _ in pairs}) != len(pairs):
            raise ValueError("a key is given twice")
        return dict(pairs)

    def none(word: str) -> Any:
        raise ValueError(f"{word} is not JSON")

    try:
        return json.loads(text, object_pairs_hook=once, parse_constant=none)
    except RecursionError:
        raise ValueError("too deep") from None


def problem(error: BaseException) -> str:
    """What is wrong with a YAML text, and where, without its words."""
    if isinstance(error, RecursionError):
        return "it is nested too deep"
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark is not None else ""
    words = (
        getattr(error, "problem", None)
        or getattr(error, "context", None)
        or getattr(error, "reason", None)
        or "unreadable"
    )
    position = getattr(error, "position", None)
    where = where or (f"position {position}: " if isinstance(position, int) else "")
    # Only marks of the syntax are quoted; a longer word comes from the text.
    plain = re.sub(r"'[^']{4,}'|\"[^\"]{4,}\"", "…", " ".join(str(words).split()))
    return where + escape(plain)


def _note(node: yaml.Node, path: PathKey, name: str, found: YamlDocument) -> None:
    """Remember the line of every key, make each the text that the user wrote (``no``, ``1.50``, ``010`` are names), and refuse
    what the loader would take in silence: a key given twice (it keeps the last), and words that are read as another value than
    they look like."""
    if len(path) > MAX_DEPTH or len(found.origins) > MAX_KEYS:
        raise ConfigError(f"{name}: more than {MAX_DEPTH} deep or {MAX_KEYS} keys; no configuration is")
    here = f"{name}:{node.start_mark.line + 1}"
    _check_tag(node, name)
    if isinstance(node, yaml.MappingNode):
        for number, (key, value) in enumerate(node.value):
            if not isinstance(key, yaml.ScalarNode):
                raise ConfigError(f"{here}: a key is a list or a mapping; keys are words")
            _check_tag(key, name)
            if key.tag != _MERGE:  # another node: by an anchor, this one may be a value too
                node.value[number] = yaml.ScalarNode(_TEXT, key.value, key.start_mark, key.end_mark), value
            below = (*path, str(key.value))
            where = f"{name}:{key.start_mark.line + 1}"
            if below in found.origins:
                raise ConfigError(f"{where}: {'.'.join(below)} is given twice; first at {found.origins[below]}")
            found.origins[below] = where
            _note(value, below, name, found)
    elif isinstance(node, yaml.SequenceNode):
        for number, value in enumerate(node.value):
            found.origins[*path, str(number)] = f"{name}:{value.start_mark.line + 1}"
            _note(value, (*path, str(number)), name, found)
    elif isinstance(node, yaml.ScalarNode) and node.style is None:
        _note_scalar(node, path, here, found)


def _check_tag(node: yaml.Node, name: str) -> None:
    if node.tag not in _TAGS:
        raise ConfigError(
            f"{name} is not YAML of plain values: line {node.start_mark.line + 1} has a tag (!…), which no setting needs"
        )


def _note_scalar(node: yaml.ScalarNode, path: PathKey, here: str, found: YamlDocument) -> None:
    word = str(node.value)
    kind = node.tag.rpartition(":")[2]
    if kind in ("int", "float"):
        if len(word) > MAX_DIGITS:
            raise ConfigError(
                f"{here}: {'.'.join(path)} is a number of {len(word)} characters; no setting has such a one"
            )
        for form, meaning in _AMBIGUOUS:
            if form.fullmatch(word):
                raise ConfigError(
                    f"{here}: {'.'.join(path)} = {word} {meaning}; write the number as it is meant, or put a text in quotes"
                )
    elif kind == "bool" and word.lower() in _WORDS:
        found.words[path] = word
