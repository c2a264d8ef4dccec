"""Merging the sources of a configuration. Nothing is validated but that a list's items are numbered without holes."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lavad_core.config import sources
from lavad_core.config.reading import PathKey
from lavad_core.config.secrets import find_address, is_masked_address, variable
from lavad_core.config.sources import Source
from lavad_core.config.tree import ROOT, Shape, child, is_local_model, item
from lavad_core.errors import ConfigError


class Merger:
    """Merges sources in their order, and keeps where each part came from."""

    def __init__(self) -> None:
        self.origins: dict[PathKey, str] = {}

    def run(self, given: Sequence[Source]) -> tuple[dict[str, Any], dict[PathKey, str]]:
        """The merged tree, and path to origin."""
        merged: dict[str, Any] = {}
        for source in given:
            merged = self._merge(merged, source.tree, ROOT, (), source)
        return merged, self.origins

    def _merge(self, old: Any, new: Any, shape: Shape, path: PathKey, source: Source) -> Any:
        if shape.kind == "sections" and isinstance(new, dict):
            return self._items(old, new, shape, path, source)
        if isinstance(new, dict) and shape.kind in ("section", "mapping"):
            ours = shape.kind == "section"  # in a mapping ``kind`` and ``model`` are names as any other
            if not isinstance(old, dict) or (ours and self._another_kind(old, new, shape)):
                self._forget(path)
                old = {}
            merged = dict(old)
            if ours and self._another_model(old, new):
                del merged["revision"]
                self._forget((*path, "revision"))
            for name, value in new.items():
                below = child(shape, name, any_kind=True)
                assert below is not None  # unknown keys are refused before
                merged[name] = self._merge(old.get(name), value, below, (*path, name), source)
            return merged
        self._forget(path)
        self._note(new, path, source)
        return new

    def _items(self, old: Any, new: dict[str, Any], shape: Shape, path: PathKey, source: Source) -> list[Any]:
        """Changes of single items of a list; the number after the last adds one."""
        if old is None:  # nothing given yet: the items of the default
            old = _default_items(shape)
        items = list(old) if isinstance(old, list) else []
        for number, value in sorted(new.items(), key=lambda entry: int(entry[0])):
            index, here = int(number), (*path, number)
            if index > len(items):
                raise ConfigError(
                    f"{'.'.join(here)} ({source.origin(here)}): there are {len(items)} items, numbered from 0; "
                    f"the next to add is {len(items)}"
                )
            if index == len(items):
                items.append({})
            items[index] = self._merge(items[index], value, item(shape), here, source)
        return items

    @staticmethod
    def _another_kind(old: Mapping[str, Any], new: Mapping[str, Any], shape: Shape) -> bool:
        return bool(old) and "kind" in new and new["kind"] != old.get("kind", shape.default_variant)

    @staticmethod
    def _another_model(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
        """A preset's revision is of the preset's model, and no other repository has it."""
        return "revision" in old and "model" in new and "revision" not in new and new["model"] != old.get("model")

    def _forget(self, path: PathKey) -> None:
        for known in [known for known in self.origins if known[: len(path)] == path]:
            del self.origins[known]

    def _note(self, value: Any, path: PathKey, source: Source) -> None:
        self.origins[path] = source.origin(path)
        below = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        for name, part in below:
            self._note(part, (*path, str(name)), source)


def take_secrets(environment: Source) -> Source:
    """Move the environment's secrets out of its tree: they do not choose between kinds, they fit or they do not."""
    secrets = Source(environment.name, {}, rank=environment.rank)
    for path, origin in list(environment.origins.items()):
        shape = sources.shape_at(path)
        if shape is None or not shape.is_secret:
            continue
        holders: list[Any] = [environment.tree]
        for name in path[:-1]:
            holder = holders[-1]
            holders.append(holder[int(name)] if isinstance(holder, list) else holder[name])
        target = secrets.tree
        for name in path[:-1]:
            target = target.setdefault(name, {})
        target[path[-1]] = holders[-1].pop(path[-1])
        secrets.origins[path] = origin
        del environment.origins[path]
        for depth in range(len(holders) - 1, 0, -1):  # a section that held nothing but the secret was not given at all
            if holders[depth] == {} and isinstance(holders[depth - 1], dict):
                del holders[depth - 1][path[depth - 1]]
    return secrets


def add_secrets(merged: dict[str, Any], origins: dict[PathKey, str], secrets: Source) -> None:
    """Put secrets where the chosen kinds have such a field, unless the command line gave another."""
    for path, origin in secrets.origins.items():
        value: Any = secrets.tree
        for name in path:
            value = value[name]
        section = _section_for_secret(merged, path)
        if section is None or origins.get(path, "").startswith("--set"):
            continue
        section[path[-1]] = value
        origins[path] = origin


def unmask_addresses(value: Any, environ: Mapping[str, str], path: PathKey = ()) -> None:
    """Put the environment's addresses in place of those that lost their user and password on the way here.

    Raises:
        ConfigError: the environment has none.
    """
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, below in entries:
        here = (*path, str(name))
        if is_masked_address(str(name), below):
            dotted = ".".join(here)
            address = find_address(environ, dotted)
            if address is None:
                raise ConfigError(
                    f"{dotted}: {below} needs user and password, which are never recorded; give the whole address in "
                    f"this process's environment as {variable(dotted)}"
                )
            value[name] = address
        else:
            unmask_addresses(below, environ, here)


def _section_for_secret(merged: dict[str, Any], path: PathKey) -> dict[str, Any] | None:
    """The section of ``merged`` that takes the secret; None where the chosen kind has no such field."""
    here: Any = merged
    shape: Shape | None = ROOT
    for name in path[:-1]:
        shape = child(shape, name, any_kind=True) if shape is not None else None
        if isinstance(here, list):
            here = here[int(name)] if int(name) < len(here) else None
        elif isinstance(here, dict) and shape is not None:
            here = here.setdefault(name, _default_items(shape) if shape.kind == "sections" else {})
    if shape is None or not isinstance(here, dict) or child(shape, path[-1], here.get("kind")) is None:
        return None
    return here


def _default_items(shape: Shape) -> list[Any]:
    """The default of a list of sections, as a file would give it."""
    assert shape.info is not None
    given = [section.model_dump(mode="python", exclude_unset=True) for section in shape.info.default]
    return [{"kind": shape.default_variant, **section} for section in given]


def resolved_paths(value: Any, shape: Shape, folder: Path, name: str = "") -> Any:
    """The tree with its relative paths made absolute."""
    if isinstance(value, dict):
        ours = shape.kind == "section"
        return {
            # Only fields of ours are known to be paths by their name, not what the user calls so.
            key: resolved_paths(below, child(shape, key, any_kind=True) or shape, folder, key if ours else "")
            for key, below in value.items()
        }
    if isinstance(value, list):
        return [resolved_paths(below, item(shape) if shape.kind == "sections" else shape, folder) for below in value]
    if not isinstance(value, str) or not value or shape.kind != "leaf":
        return value
    if shape.is_path or is_local_model(name, value):
        return os.path.normpath(folder / Path(value).expanduser())
    return value
