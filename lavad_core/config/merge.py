"""Merging the sources of a configuration. Nothing is validated but that only captioners which are there are taken out."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lavad_core.config.secrets import find_address, is_masked_address, variable
from lavad_core.config.setting import PathKey
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
        if isinstance(new, dict) and shape.kind == "mapping" and shape.variants:
            return self._named(old, new, shape, path, source)
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
        if new is None and shape.variants and shape.kind == "mapping":  # none of those before
            new = {}
        self._forget(path)
        self._note(new, path, source)
        return new

    def _named(self, old: Any, new: dict[str, Any], shape: Shape, path: PathKey, source: Source) -> dict[str, Any]:
        """Sections by name: those given later come behind, and null takes one out."""
        # Nothing given yet: what changes a section of the default begins with it.
        default = _default_sections(shape) if old is None else {}
        merged = dict(old) if isinstance(old, dict) else {}
        for name, value in new.items():
            here = (*path, name)
            if value is not None:
                merged[name] = self._merge(merged.get(name, default.get(name)), value, item(shape), here, source)
                continue
            if name not in merged:
                there = ", ".join(merged) or "none"
                raise ConfigError(
                    f"{'.'.join(here)} ({source.origin(here)}) takes out what is not there; there is {there}"
                )
            del merged[name]
            self._forget(here)
        return merged

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


def add_secrets(merged: dict[str, Any], origins: dict[PathKey, str], secrets: Sequence[Source]) -> None:
    """Put the environment's secrets where the chosen kinds have such a field, unless the command line gave another. They do not
    choose between kinds: they fit or they do not."""
    for source in secrets:
        for path, origin in source.origins.items():
            value: Any = source.tree
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
    for name, below in value.items() if isinstance(value, dict) else ():
        here = (*path, name)
        if is_masked_address(name, below):
            address = find_address(environ, here)
            if address is None:
                raise ConfigError(
                    f"{'.'.join(here)}: {below} needs user and password, which are never recorded; give the whole address in "
                    f"this process's environment as {variable(here)}"
                )
            value[name] = address
        else:
            unmask_addresses(below, environ, here)


def _section_for_secret(merged: dict[str, Any], path: PathKey) -> dict[str, Any] | None:
    """The section of ``merged`` that takes the secret; None where the chosen kind has no such field."""
    here: Any = merged
    shape = ROOT
    for name in path[:-1]:
        below = child(shape, name, any_kind=True)
        if below is None or not isinstance(here, dict) or (shape.kind == "mapping" and name not in here):
            return None
        here, shape = here.get(name) if below.kind == "mapping" else here.setdefault(name, {}), below
    return here if isinstance(here, dict) and child(shape, path[-1], here.get("kind")) is not None else None


def _default_sections(shape: Shape) -> dict[str, dict[str, Any]]:
    """The default of a mapping to sections, as a file would give it."""
    assert shape.info is not None
    return {
        name: {"kind": section.kind, **section.model_dump(mode="python", exclude_unset=True)}
        for name, section in shape.info.default.items()
    }


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
        return [resolved_paths(below, shape, folder) for below in value]
    if not isinstance(value, str) or not value or shape.kind != "leaf":
        return value
    if shape.is_path or is_local_model(name, value):
        return os.path.normpath(folder / Path(value).expanduser())
    return value
