"""What is wrong with a configuration, in words: unknown keys, keys of another kind of model, wrong values."""

from __future__ import annotations

import datetime
import functools
import json
import math
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from lavad_core.address import ADDRESS
from lavad_core.config.layers import Layer, is_named_section, origin_of
from lavad_core.config.models import DEFAULT_CAPTIONERS
from lavad_core.config.secrets import variable
from lavad_core.config.section import NAME_PATTERN, PathKey
from lavad_core.config.tree import CAPTIONERS, ROOT, Shape, child, choices, in_words, item, known_paths
from lavad_core.errors import ConfigError
from lavad_core.location import STORES, address_scheme, why_not_local
from lavad_core.masking import MASK, masked, masked_text
from lavad_core.remote_files import READ
from lavad_core.suggest import did_you_mean, nearest, nearest_paths

MAX_REPORTED = 5
"""Faults that one error names."""

MODELS = "the name of a model, or its file or folder on this machine,"

MAX_INTEGER = 2**63 - 1
"""What JSON readers, SQLite and Arrow agree on."""


def refuse_captioners(given: Sequence[Layer]) -> None:
    """Raises ConfigError, with what to write, if captioners are given as the list that they were in earlier versions, or one of
    them by its number in it, by a word that cannot be a name, without a name, or as something else than a section."""
    names: list[str] = []
    faults: list[str] = []
    for layer in given:
        sections = layer.tree.get("captioners")
        if isinstance(sections, list):
            faults.append(_list_of_captioners(layer, sections, names))
        elif sections is None:
            names = [] if "captioners" in layer.tree else names
        elif isinstance(sections, dict):
            faults += _nameless(layer, sections, names)
            for name, section in sections.items():
                if section is None:
                    names = [known for known in names if known != name]
                elif isinstance(section, dict):
                    wrong = list(_misnamed(layer, name, section, names))
                    faults += wrong
                    names += [] if wrong or name in names else [name]
    if faults:
        raise ConfigError(_listed(faults))


def _list_of_captioners(layer: Layer, sections: list[Any], names: Sequence[str]) -> str:
    origin = layer.origin(("captioners",))
    found: dict[str, Any] = {}
    for number, section in enumerate(sections):
        plain = (
            dict(section) if isinstance(section, dict) else {"model": section if isinstance(section, str) else "MODEL"}
        )
        own = plain if is_named_section(plain) else {str(plain.pop("name", f"NAME{number}")): plain}
        if twice := own.keys() & found.keys():
            return f"captioners ({origin}): {twice.pop()!r} is given twice; give it once"
        found |= own
    wanted = {name: None for name in names if name not in found} | (found or {"NAME": {"model": "MODEL"}})
    write = _as_given(origin, ("captioners",), wanted)
    return f"captioners ({origin}) map names to sections, and are not a list; write {write}"


def _nameless(layer: Layer, sections: Mapping[str, Any], names: Sequence[str]) -> Iterator[str]:
    """Values where sections belong: fields of a captioner whose name was forgotten, or a model, as in ``opt: MODEL``."""
    fields: dict[str, Any] = {}
    for name, value in sections.items():
        path = ("captioners", name)
        origin = layer.origin(path)
        if value is None or isinstance(value, dict):
            continue
        if child(item(CAPTIONERS), name, any_kind=True) is None:
            write = _as_given(origin, (*path, "model"), value if isinstance(value, str) else "MODEL")
            yield f"{'.'.join(path)} ({origin}): a captioner is a section, {{key: value}}; write {write}"
        elif path in layer.origins and origin.startswith(_TEXTS):
            yield _forgotten(path, origin, _as_given(origin, ("captioners", "NAME", name), value), names)
        else:
            fields[name] = value
    if fields:
        path = ("captioners", next(iter(fields)))
        origin = layer.origin(path)
        yield _forgotten(path, origin, _as_given(origin, ("captioners", "NAME"), fields), names)


def _forgotten(path: PathKey, origin: str, write: str, names: Sequence[str]) -> str:
    there = ", ".join(names or DEFAULT_CAPTIONERS)
    return f"{'.'.join(path)} ({origin}): a captioner's name is missing (there is {there}); write {write}"


def _misnamed(layer: Layer, name: str, section: Mapping[str, Any], names: Sequence[str]) -> Iterator[str]:
    if name.isascii() and name.isdigit() and name not in names and not layer.recorded:
        known = dict(enumerate(names or DEFAULT_CAPTIONERS))
        fault, better = "captioners have names and no numbers", known.get(int(name[:6]), "NAME")
    elif not re.fullmatch(NAME_PATTERN, name):
        fault = "a captioner's name has at most 64 letters, digits and . _ + -, a letter or digit first"
        better = re.sub(r"[^A-Za-z0-9._+-]+", "-", name).strip("._+-")[:64]
        better = better if re.search("[^0-9]", better) else "NAME"
    else:
        return
    own = ("captioners", name)
    given = [path for path in layer.origins if path[:2] == own and layer.origins[path].startswith(_TEXTS)] or [own]
    for path in given:
        value: Any = functools.reduce(lambda below, part: below[part], path[2:], section)
        origin = layer.origin(path)
        write = _as_given(origin, ("captioners", better, *path[2:]), value)
        yield f"{'.'.join(own)} ({origin}): {fault}; write {write}"


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
    if isinstance(value, dict) and shape.kind == "leaf" and not shape.is_json:
        yield from (
            f"unknown key {'.'.join((*path, name))!r} ({layer.origin((*path, name))}): {'.'.join(path)} has no keys; "
            f"allowed: {in_words(shape)}"
            for name in value
        )
    elif isinstance(value, dict) and shape.kind != "leaf":
        for name, below in value.items():
            here = (*path, name)
            found = child(shape, name, any_kind=True)
            if found is None:
                yield _unknown_key(here, layer.origin(here), shape)
            else:
                yield from _unknown(layer, below, found, here)
    elif shape.kind == "leaf" and shape.is_path and isinstance(value, str) and not value.strip():
        yield f"{'.'.join(path)} ({layer.origin(path)}): the path is empty"
    elif shape.kind == "leaf" and isinstance(value, str | Path) and (why := _address_fault(value, shape, path)):
        yield f"{'.'.join(path)} ({layer.origin(path)}): {why}"
    elif shape.kind == "leaf":
        yield from (f"{'.'.join(path)} ({layer.origin(path)}): {fault}" for fault in _scalar_faults(value, shape))
        yield from _words_in_json(layer, shape, path)


def _address_fault(value: str | Path, shape: Shape, path: PathKey) -> str | None:
    """What is wrong with an address where there is to be a path; it would become a folder below the current one."""
    if shape.takes_address and address_scheme(value) == "s3":
        return None
    if path == ("store",):
        return why_not_local(value, STORES, "")
    if shape.is_path and shape.takes_address:
        return why_not_local(value, READ)
    if shape.is_path:
        return why_not_local(value)
    return why_not_local(value, MODELS) if shape.is_text and path[-1] in ("model", "tokenizer") else None


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
    elif isinstance(value, datetime.date):
        yield f"{value} is a date for YAML, which no setting is; put a text in quotes"
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
    """Values of such a field have no type here that would say what is meant."""
    if shape.is_json:
        for place, word in layer.words.items():
            if place[: len(path)] == path:
                yield (
                    f"{'.'.join(place)} ({layer.origin(place)}): {word} is true or false for some and a text for others; "
                    + ("write true or false, or put it in quotes")
                )


def _unknown_key(path: PathKey, origin: str, section: Shape) -> str:
    dotted = ".".join(path)
    named = path[0] == "captioners" and len(path) > 2
    if named and path[2:] == ("name",):
        return f"{dotted} ({origin}): the name of a captioner is its key, {path[1]!r}; leave `name` out"
    near = nearest_paths(".".join(("captioners", "NAME", *path[2:])) if named else dotted, known_paths())
    if named:
        near = [one.replace(".NAME.", f".{path[1]}.") for one in near]
    keys = dict.fromkeys(key for variant in section.variants.values() for key in variant.model_fields)
    better = (
        f"did you mean {' or '.join(map(repr, near))}?"
        if near
        else f"keys of {'.'.join(path[:-1]) or 'a configuration'} are {', '.join(keys)}"
    )
    return f"unknown key {dotted!r} ({origin}); {better}"


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
    """Pydantic's faults as one line in our words, with path, value (never a secret), origin and what is allowed."""
    return _listed([_fault(fault, origins) for fault in error.errors(include_url=False)])


def _fault(fault: ErrorDetails, origins: Mapping[PathKey, str]) -> str:
    path, shape = _place(fault["loc"])
    value, kind, message = fault["input"], fault["type"], str(fault["msg"]).removeprefix("Value error, ")
    if not path:  # settings that do not fit together, which it names
        return message + "".join(
            f" ({'.'.join(one)}: {origins[one]})" for one in origins if ".".join(one) in message.split()
        )
    if kind == "union_tag_invalid":
        path, value = (*path, "kind"), value["kind"]
    where, origin = ".".join(path), origin_of(origins, path)
    if kind == "missing":
        origin = origins.get((*path[:-1], "kind")) or origin_of(origins, path[:-1])
        return f"{where} ({origin}) must be given: {_description(shape).rstrip('.')}{_near_captioner(path, origins)}"
    if kind == "too_short":
        return f"{where} ({origin}): no captioner is left; give one, such as --set captioners.NAME.model=MODEL"
    if kind != "value_error":
        message = f"allowed: {_allowed(shape, kind)}"
        if kind == "tuple_type" and isinstance(value, str) and value.strip():
            message += f", such as [{masked_text(value)}]"
        elif isinstance(value, str):
            message += did_you_mean(value, choices(shape))
        if shape.is_text and isinstance(value, int | float):
            message += "; put it in quotes"
    shown = f" = {_said(value):.80}"
    if shape.is_secret:
        shown = f" = {MASK!r}"
    elif isinstance(value, dict | list | tuple) or path[-1] == ADDRESS:  # where in it a password is, nobody knows
        shown = ""
    return f"{where}{shown} ({origin}): {message}"


def _said(value: Any) -> str:
    """A scalar as YAML has it."""
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    return masked_text(str(value) if isinstance(value, datetime.date) else repr(value))


def _allowed(shape: Shape, fault: str) -> str:
    if fault == "union_tag_invalid":
        return ", ".join(f"`{kind}`" for kind in shape.variants)
    if shape.kind == "section":
        return "a section, {key: value}"
    if shape.kind == "mapping":
        return f"a mapping, {{{'name: section' if shape.variants else in_words(shape)}}}"
    return ("finite " if fault == "finite_number" else "") + in_words(shape)


def _place(loc: Sequence[int | str]) -> tuple[PathKey, Shape]:
    """Path and shape of a fault, without the words for kinds that pydantic puts in between. Within a list or a JSON value it is
    the shape of the whole."""
    path: list[str] = []
    shape = ROOT
    for part in loc:
        if part == "[key]":  # of a mapping
            continue
        found = child(shape, str(part), any_kind=True)
        if found is None and shape.kind == "section" and part in shape.variants:
            shape = replace(shape, variants={str(part): shape.variants[str(part)]})  # what is below is of that kind
            continue
        path.append(str(part))
        shape = found or shape
    return tuple(path), shape


def _near_captioner(path: PathKey, origins: Mapping[PathKey, str]) -> str:
    """A captioner that lacks something, and was not given as one of a kind, may be one whose name was misspelt."""
    if path[0] != "captioners" or (*path[:2], "kind") in origins:
        return ""
    others = {known[1] for known in origins if known[0] == "captioners" and len(known) > 1 and known[1] != path[1]}
    near = nearest(path[1], others)
    return f"; did you mean captioner {near!r}?" if near else ""


def _description(shape: Shape) -> str:
    return (shape.info.description if shape.info is not None else None) or "it has no default"


def _listed(faults: Sequence[str]) -> str:
    more = len(faults) - MAX_REPORTED
    return "; ".join(faults[:MAX_REPORTED]) + (f"; and {more} more" if more > 0 else "")
