"""What is wrong with a configuration, in words: unknown keys, keys of another kind of model, wrong values."""

from __future__ import annotations

import functools
import json
import math
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from pydantic import ValidationError

from lavad_core.address import ADDRESS
from lavad_core.config.layers import Layer
from lavad_core.config.models import DEFAULT_CAPTIONERS
from lavad_core.config.secrets import variable
from lavad_core.config.section import PathKey
from lavad_core.config.tree import ROOT, Shape, child, known_paths
from lavad_core.errors import ConfigError
from lavad_core.masking import MASK, masked, masked_text
from lavad_core.suggest import nearest

MAX_REPORTED = 5
"""Faults that one error names."""

MAX_INTEGER = 2**63 - 1
"""What JSON readers, SQLite and Arrow agree on."""


def origin_of(origins: Mapping[PathKey, str], path: PathKey) -> str:
    """Where the value at ``path``, or the part of the tree that holds it, was given; ``default`` if nowhere."""
    for length in range(len(path), 0, -1):
        if path[:length] in origins:
            return origins[path[:length]]
    return "default"


def refuse_numbered(given: Sequence[Layer]) -> None:
    """Raises ConfigError, with what to write, if captioners are given as the list that they were in earlier versions, or one of
    them by its number in it."""
    names: list[str] = []
    faults: list[str] = []
    for layer in given:
        sections = layer.tree.get("captioners")
        if isinstance(sections, list):
            faults.append(_list_of_captioners(layer, sections, names))
        elif sections is None:
            names = [] if "captioners" in layer.tree else names
        elif isinstance(sections, dict):
            for name, section in sections.items():
                own = isinstance(section, dict) and {"kind", "model"} <= section.keys()  # such a name, defined whole
                if name.isdigit() and name not in names and not own:
                    known = names or list(DEFAULT_CAPTIONERS)
                    place = known[int(name)] if int(name) < len(known) else "NAME"
                    faults += _numbered_captioner(layer, name, section, place)
                elif section is None:
                    names = [known for known in names if known != name]
                elif name not in names:
                    names.append(name)
    if faults:
        raise ConfigError(_listed(faults))


def _list_of_captioners(layer: Layer, sections: list[Any], names: Sequence[str]) -> str:
    found: dict[str, Any] = {}
    for number, section in enumerate(sections):
        plain = dict(section) if isinstance(section, dict) else {}
        found[str(plain.pop("name", f"NAME{number}"))] = plain
    wanted = {name: None for name in names if name not in found} | found
    origin = layer.origin(("captioners",))
    return f"captioners ({origin}) map names to sections, and are no list; write {_as_given(origin, ('captioners',), wanted)}"


def _numbered_captioner(layer: Layer, number: str, section: Any, name: str) -> Iterator[str]:
    own = ("captioners", number)
    given = [path for path in layer.origins if path[:2] == own and layer.origins[path].startswith(_TEXTS)] or [own]
    for path in given:
        value = functools.reduce(lambda below, part: below[part], path[2:], section)
        origin = layer.origin(path)
        write = _as_given(origin, ("captioners", name, *path[2:]), value)
        yield f"captioners.{number} ({origin}): captioners have names and no numbers; write {write}"


_TEXTS = ("--set", "environment variable")
"""How the origins begin that give one setting each."""


def _as_given(origin: str, path: PathKey, value: Any) -> str:
    """A setting in the way in which ``origin`` gives settings, without secrets."""
    shown = masked(value, path[-1])
    if origin.startswith(_TEXTS):
        text = shown if isinstance(shown, str) else json.dumps(shown)
        if origin.startswith("--set"):
            return "--set " + shlex.quote(f"{'.'.join(path)}={text}")
        return f"{variable(path)}={shlex.quote(text)}"
    for name in reversed(path[1:]):
        shown = {name: shown}
    return f"captioners: {json.dumps(shown)}"


def refuse_unknown(given: Sequence[Layer]) -> None:
    """Raises ConfigError if a layer gives a key that no kind of section has, a path that is empty (that would be the current
    folder), or a value that would be taken for another one than it looks like."""
    faults = [fault for layer in given for fault in _unknown(layer, layer.tree, ROOT, ())]
    if faults:
        raise ConfigError(_listed(faults))


def _unknown(layer: Layer, value: Any, shape: Shape, path: PathKey) -> Iterator[str]:
    if isinstance(value, dict) and not (shape.kind == "leaf" and shape.is_json):
        for name, below in value.items():
            here = (*path, name)
            found = child(shape, name, any_kind=True)
            if found is None:
                yield _unknown_key(here, layer.origin(here))
            else:
                yield from _unknown(layer, below, found, here)
    elif shape.kind == "leaf" and shape.is_path and isinstance(value, str) and not value.strip():
        yield f"{'.'.join(path)} ({layer.origin(path)}): the path is empty"
    elif shape.kind == "leaf":
        yield from (f"{'.'.join(path)} ({layer.origin(path)}): {fault}" for fault in _scalar_faults(value, shape))
        yield from _words_in_json(layer, shape, path)


def _scalar_faults(value: Any, shape: Shape) -> Iterator[str]:
    """What no setting may be, whatever its type: JSON, SQLite or the system would refuse it later, in their own words."""
    if isinstance(value, bool):
        if bool not in shape.types and not shape.is_json:
            yield (
                f"{str(value).lower()} is neither a number nor a text (YAML reads yes, no, on and off as true and false); "
                "put a word in quotes"
            )
    elif isinstance(value, int):
        if abs(value) > MAX_INTEGER:
            yield f"a number of more than {MAX_INTEGER.bit_length()} bits"
    elif isinstance(value, float):
        if not math.isfinite(value):
            yield "must be a finite number"
    elif isinstance(value, str):
        if "\0" in value:
            yield "holds the character NUL, which no text or path can have"
        elif half := next((char for char in value if "\ud800" <= char <= "\udfff" and not _is_byte(char, shape)), None):
            yield f"holds half a character ({ascii(half)[1:-1]}), which is not text"
    elif isinstance(value, dict | list):
        for name, below in value.items() if isinstance(value, dict) else enumerate(value):
            yield from (f"{name!r}: {fault}" for fault in _scalar_faults(below, shape))


def _is_byte(char: str, shape: Shape) -> bool:
    """A byte of a file's name that is not UTF-8, as Python has it."""
    return shape.is_path and "\udc80" <= char <= "\udcff"


def _words_in_json(layer: Layer, shape: Shape, path: PathKey) -> Iterator[str]:
    """What is in such a field has no type here that would say what is meant."""
    if shape.is_json:
        for place, word in layer.words.items():
            if place[: len(path)] == path:
                yield (
                    f"{'.'.join(place)} ({layer.origin(place)}): {word} is true or false for some and a text for others; "
                    + ("write true or false, or put it in quotes")
                )


def _unknown_key(path: PathKey, origin: str) -> str:
    dotted = ".".join(path)
    named = path[0] == "captioners" and len(path) > 2
    if named and path[2:] == ("name",):
        return f"{dotted} ({origin}): the name of a captioner is its key, {path[1]!r}; leave `name` out"
    near = nearest(".".join(("captioners", "NAME", *path[2:])) if named else dotted, known_paths())
    if near is not None and named:
        near = near.replace(".NAME.", f".{path[1]}.")
    return f"unknown key {dotted!r} ({origin})" + (f"; did you mean {near!r}?" if near else "")


def refuse_other_kinds(merged: Mapping[str, Any], origins: Mapping[PathKey, str]) -> None:
    """A key that exists, but not for the kind of model that was chosen."""
    faults = []
    for path, section, shape in _sections(merged, ROOT, ()):
        chosen = shape.variant(section.get("kind"))
        if chosen is None:
            continue  # validation says which kinds there are
        for name in section:
            if child(shape, name, section.get("kind")) is None:
                kinds = [kind for kind, variant in shape.variants.items() if name in variant.model_fields]
                where = ".".join((*path, name))
                faults.append(
                    f"{where!r} ({origin_of(origins, (*path, name))}) is a key of kind {' or '.join(kinds)}, but "
                    f"{'.'.join(path)} is of kind {section.get('kind', shape.default_variant)!r} "
                    f"({origin_of(origins, (*path, 'kind'))}); its keys are {', '.join(chosen.model_fields)}"
                )
    if faults:
        raise ConfigError(_listed(faults))


def _sections(value: Any, shape: Shape, path: PathKey) -> Iterator[tuple[PathKey, Mapping[str, Any], Shape]]:
    if shape.variants and isinstance(value, dict):
        if shape.kind == "section":
            yield path, value, shape
        for name, below in value.items():
            found = child(shape, name, any_kind=True)
            if found is not None:
                yield from _sections(below, found, (*path, name))


def explain(error: ValidationError, origins: Mapping[PathKey, str]) -> str:
    """Pydantic's faults as one line with path, value (never a secret), origin and what is allowed."""
    faults = []
    for fault in error.errors(include_url=False, include_context=True):
        path, shape = _place(fault["loc"])
        where = ".".join(path) or "configuration"
        message = str(fault["msg"]).removeprefix("Value error, ")
        if fault["type"] == "missing":
            faults.append(f"{where} must be given: {_description(shape)}{_near_captioner(path, origins)}")
            continue
        value, context = fault.get("input"), fault.get("ctx", {})
        if fault["type"] == "union_tag_invalid":
            path, value = (*path, "kind"), context["tag"]
            where, message = f"{where}.kind", f"allowed are {context['expected_tags']}"
        shown = "" if not path or isinstance(value, dict | list | tuple) else f" = {masked_text(repr(value)):.80}"
        if shape is not None and shape.is_secret:
            shown = f" = {MASK!r}"
        elif path[-1:] == (ADDRESS,):  # where in it a password is, nobody knows
            shown = ""
        if fault["type"] == "tuple_type" and isinstance(value, str):
            message += f", such as [{masked_text(value)}]"
        near = _near_choice(value, context)
        faults.append(
            f"{where}{shown} ({origin_of(origins, path)}): {message[:1].lower() + message[1:]}"
            + (f"; did you mean {near!r}?" if near else "")
        )
    return _listed(faults)


def _place(loc: Sequence[int | str]) -> tuple[PathKey, Shape | None]:
    """Path and shape of a fault, without the words for kinds that pydantic puts in between."""
    path: list[str] = []
    shape: Shape | None = ROOT
    for part in loc:
        if part == "[key]":  # of a mapping
            continue
        found = child(shape, str(part), any_kind=True) if shape is not None else None
        if found is None and shape is not None and shape.kind == "section" and part in shape.variants:
            shape = replace(shape, variants={str(part): shape.variants[str(part)]})  # what is below is of that kind
            continue
        path.append(str(part))
        shape = found
    return tuple(path), shape


def _near_captioner(path: PathKey, origins: Mapping[PathKey, str]) -> str:
    """A captioner that lacks something may be one whose name was misspelt."""
    if path[0] != "captioners" or len(path) < 2:
        return ""
    others = dict.fromkeys(
        known[1] for known in origins if known[0] == "captioners" and len(known) > 1 and known[1] != path[1]
    )
    near = nearest(path[1], others)
    origin = next((origin for known, origin in origins.items() if known[:2] == path[:2]), "default")
    return f" ({origin}); did you mean captioner {near!r}?" if near else ""


def _description(shape: Shape | None) -> str:
    return (shape.info.description if shape is not None and shape.info is not None else None) or "it has no default"


def _near_choice(value: Any, context: Mapping[str, Any]) -> str | None:
    choices = str(context.get("expected") or context.get("expected_tags") or "")
    return nearest(value, choices.split("'")[1::2]) if isinstance(value, str) and "'" in choices else None


def _listed(faults: Sequence[str]) -> str:
    more = len(faults) - MAX_REPORTED
    return "; ".join(faults[:MAX_REPORTED]) + (f"; and {more} more" if more > 0 else "")
