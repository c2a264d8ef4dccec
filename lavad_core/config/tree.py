"""The shape of the configuration tree: what may stand at a dotted path. Pure, from the pydantic models alone."""

from __future__ import annotations

import functools
import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import JsonValue, SecretStr
from pydantic.fields import FieldInfo

from lavad_core.config.schema import LavadConfig
from lavad_core.config.section import PlaceOrAddress, Section

_LOCAL_PREFIXES = ("./", "../", "~/")
_WEIGHTS = (".pth", ".safetensors")


@dataclass(frozen=True)
class Shape:
    """What one place of the tree may hold."""

    kind: Literal["section", "mapping", "leaf"]
    """``section``; ``mapping``, names that the user chooses to sections or values; ``leaf``."""
    variants: Mapping[str, type[Section]] = field(default_factory=dict)
    """For sections and mappings to them: value of ``kind`` to class; the key is empty where there is only one class."""
    default_variant: str = ""
    """The ``kind`` that is taken when none is given."""
    info: FieldInfo | None = None
    """The pydantic field; None for the root and for what is in a mapping."""
    types: tuple[Any, ...] = ()
    """For leaves and mappings: the classes a value may have, NoneType among them."""
    takes_address: bool = False
    """Whether a path may be an ``s3://`` address."""

    @property
    def is_secret(self) -> bool:
        """Never shown, and taken from the environment wherever the section ends up."""
        return SecretStr in self.types

    @property
    def is_text(self) -> bool:
        """A value given as text is meant as it stands."""
        return any(kind in self.types for kind in (str, Path, SecretStr))

    @property
    def is_json(self) -> bool:
        """What is in it is the user's own: any JSON value, no keys of ours."""
        return JsonValue in self.types

    @property
    def is_path(self) -> bool:
        """Relative values are resolved."""
        return Path in self.types

    def variant(self, kind: object) -> type[Section] | None:
        """The class for a value of ``kind`` (None: not given); None if there is no such kind."""
        if "" in self.variants:
            return self.variants[""]
        return self.variants.get(self.default_variant if kind is None else str(kind))


def _alternatives(annotation: Any) -> tuple[Any, ...]:
    """The members of a union, without ``Annotated``."""
    if get_origin(annotation) is Annotated:
        return _alternatives(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        return tuple(found for part in get_args(annotation) for found in _alternatives(part))
    return (annotation,)


def _variants(annotation: Any) -> dict[str, type[Section]]:
    found = [part for part in _alternatives(annotation) if isinstance(part, type) and issubclass(part, Section)]
    if len(found) == 1:
        kind = found[0].model_fields.get("kind")
        if kind is None or len(get_args(kind.annotation)) > 1:  # a class for all kinds is one variant
            return {"": found[0]}
    return {str(section.model_fields["kind"].default): section for section in found}


def _shape(info: FieldInfo) -> Shape:
    annotation, default = info.annotation, info.default
    if variants := _variants(annotation):
        return Shape("section", variants, str(getattr(default, "kind", "")), info)
    if get_origin(annotation) is dict:
        of = get_args(annotation)[1]
        if variants := _variants(of):
            return Shape("mapping", variants, str(next(iter(default.values())).kind), info)
        return Shape("mapping", info=info, types=_alternatives(of), takes_address=_takes_address(of))
    addresses = _takes_address(Annotated[annotation, *info.metadata] if info.metadata else annotation)
    return Shape("leaf", info=info, types=_alternatives(annotation), takes_address=addresses)


def _takes_address(annotation: Any) -> bool:
    marks = get_args(PlaceOrAddress)[1:]
    found = get_args(annotation)
    return all(mark in found for mark in marks) or any(_takes_address(part) for part in found)


ROOT = Shape("section", {"": LavadConfig})
"""The whole tree."""


@functools.cache
def fields(section: type[Section]) -> dict[str, Shape]:
    """Name to shape of every field of a section."""
    return {name: _shape(info) for name, info in section.model_fields.items()}


def item(shape: Shape) -> Shape:
    """What stands at one name of a mapping."""
    if shape.variants:
        return Shape("section", shape.variants, shape.default_variant)
    return Shape("leaf", types=shape.types, takes_address=shape.takes_address)


def child(shape: Shape, name: str, kind: object = None, *, any_kind: bool = False) -> Shape | None:
    """What stands below ``shape`` under ``name``; None if nothing may.

    Args:
        shape: the parent.
        name: key.
        kind: the parent's ``kind``, where it has several variants and one is given.
        any_kind: look in all variants.
    """
    if shape.kind == "section":
        chosen = shape.variant(kind)
        sections = list(shape.variants.values()) if any_kind else [chosen] if chosen else []
        return next((fields(section)[name] for section in sections if name in fields(section)), None)
    return item(shape) if shape.kind == "mapping" else None


CAPTIONERS = fields(LavadConfig)["captioners"]
"""The captioners, by name."""


_BOUNDS = (("ge", "≥"), ("gt", ">"), ("le", "≤"), ("lt", "<"))


def in_words(shape: Shape) -> str:
    """The values that a leaf or mapping takes, such as ``integer, ≥ 1, ≤ 64``; for tables and messages."""
    words = ", ".join(name for kind in shape.types if (name := _type_name(kind)) != "null")
    if shape.kind == "mapping":
        return f"name: {words}"
    bounds = [
        f"{sign} {limit:g}" if isinstance(limit, float) else f"{sign} {limit}"
        for part in (shape.info.metadata if shape.info else ())
        for word, sign in _BOUNDS
        if (limit := getattr(part, word, None)) is not None
    ]
    optional = " or null" if type(None) in shape.types else ""
    return ", ".join([words, *bounds]) + optional


def choices(shape: Shape) -> list[str]:
    """The words that a leaf takes, or has in a list; the kinds of a section; empty if any is taken."""
    if shape.kind == "section":
        return [*shape.variants]
    inner = [part for kind in shape.types for part in (get_args(kind) if get_origin(kind) is tuple else (kind,))]
    return [str(value) for kind in inner if get_origin(kind) is Literal for value in get_args(kind)]


def _type_name(kind: Any) -> str:
    if get_origin(kind) is tuple:
        return f"list of {_type_name(get_args(kind)[0])}"
    if args := get_args(kind):
        return ", ".join(f"`{value}`" for value in args)
    names: dict[Any, str] = {
        str: "text",
        Path: "path",
        SecretStr: "secret text",
        bool: "true, false",
        int: "integer",
        float: "number",
        JsonValue: "any JSON value",
    }
    return names.get(kind, "null" if kind is type(None) else str(kind))


@dataclass(frozen=True)
class SettingRow:
    """One leaf of the tree, for tables."""

    path: str
    """Dotted; ``NAME`` stands for a captioner's name."""
    kinds: tuple[str, ...]
    """``kind`` values of the section that have it; empty where there is only one."""
    shape: Shape
    """What values the field takes."""
    section: type[Section]
    """The class that has the field."""
    name: str
    """The last part of the path."""


def rows(shape: Shape = ROOT, prefix: str = "") -> Iterator[SettingRow]:
    """Every leaf and mapping of the tree, in the order of the models."""
    for kind, section in shape.variants.items():
        for name, below in fields(section).items():
            path = f"{prefix}{name}"
            if below.kind == "section":
                yield from rows(below, f"{path}.")
            elif below.variants:
                yield from rows(item(below), f"{path}.NAME.")
            else:
                yield SettingRow(path, (kind,) if kind else (), below, section, name)


@functools.cache
def known_paths() -> tuple[str, ...]:
    """Dotted paths of all leaves and sections; for suggestions."""
    found: dict[str, None] = {}
    for row in rows():
        parts = row.path.split(".")
        for length in range(1, len(parts) + 1):
            if parts[length - 1] != "NAME":
                found[".".join(parts[:length])] = None
    return tuple(found)


def is_local_model(name: str, value: str) -> bool:
    """Whether a text under this name is a path: a file of weights, ``FILE.py:FUNCTION``, or what begins like a path.

    Other models, and tokenizers, are hub ids or names under which a server serves them.
    """
    return name in ("model", "tokenizer", "server_model") and (
        value.startswith(_LOCAL_PREFIXES)
        or (value.endswith(_WEIGHTS) and ":" not in value)
        or value.rpartition(":")[0].endswith(".py")
    )
