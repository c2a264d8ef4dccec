"""One configuration from its sources: defaults, a preset, files, the environment, the command line; the later wins.

Merging: sections merge key by key, captioners name by name, and a list replaces the list. A section given with another
``kind`` starts over, since the keys of one kind mean nothing to another; keys that only the new kind has were meant for it, and
stay. Secrets of the environment are put in wherever the section ends up with such a field, so that they need not be repeated in
files.

Paths in a file are relative to the file's folder, others to the current folder; in the loaded configuration all are
absolute, so that a worker started elsewhere reads the same files.
"""

from __future__ import annotations

import os
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import resources
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from lavad_core.address import ADDRESS, user_info
from lavad_core.config import layers
from lavad_core.config.layers import Layer, origin_of
from lavad_core.config.models import DEFAULT_CAPTIONERS
from lavad_core.config.refuse import explain, refuse_captioners, refuse_other_kinds, refuse_unknown
from lavad_core.config.schema import SEMANTICS, WITHOUT_SUMMARIES, LavadConfig
from lavad_core.config.secrets import (
    find_address,
    is_masked_address,
    secret_values,
    variable,
    without_masks,
    without_secrets,
)
from lavad_core.config.section import PathKey, leaves
from lavad_core.config.tree import ROOT, Shape, child, is_local_model, item
from lavad_core.errors import ConfigError
from lavad_core.location import address_scheme, local_path
from lavad_core.masking import remember_secrets
from lavad_core.stage_names import OF_SUMMARIES
from lavad_core.suggest import did_you_mean


@dataclass(frozen=True)
class LoadedConfig:
    """A configuration and where its values come from."""

    config: LavadConfig
    """The validated configuration."""
    origins: Mapping[str, str]
    """Dotted path of every leaf to where its value comes from, for people."""
    by_user: Mapping[str, str] = field(default_factory=dict)
    """The paths whose values the user gave, to ``file`` or ``setting``: no preset, not the environment."""


def presets() -> dict[str, str]:
    """Name of every preset to its text."""
    folder = resources.files("lavad_core.config") / "presets"
    return {
        entry.name.removesuffix(".yaml"): entry.read_text(encoding="utf-8")
        for entry in sorted(folder.iterdir(), key=lambda entry: entry.name.removesuffix(".yaml"))
        if entry.name.endswith(".yaml")
    }


def load_config(
    *,
    preset: str | None = None,
    files: Sequence[str | Path] = (),
    overrides: Sequence[str] = (),
    settings: Mapping[str, Any] | None = None,
    environ: Mapping[str, str] | None = None,
    last: Sequence[tuple[str, Mapping[str, Any]]] = (),
) -> LavadConfig:
    """The configuration that results from a preset, files, the environment and settings, each of which may be missing.

    Args:
        preset: name of one that comes with the package.
        files: YAML files; the later wins.
        overrides: ``a.b=value`` texts of a command line; win over everything.
        settings: nested values that a program gives (a flow's parameters); win over the environment.
        environ: variables, ``os.environ`` if not given; those that begin with ``LAVAD_`` are read.
        last: nested values with where they come from, for errors; they win over everything, each over those before it.

    Raises:
        ConfigError: a key is unknown or a value not allowed; names the key, its origin and the way out.
    """
    return load(preset=preset, files=files, overrides=overrides, settings=settings, environ=environ, last=last).config


def given_settings(overrides: Sequence[str]) -> dict[str, Any]:
    """``a.b=value`` texts as the nested settings of :func:`load_config`, without secrets: for a flow's parameters.

    Raises:
        ConfigError: a text has not that form.
    """
    *cleared, layer = layers.from_overrides(overrides) or [Layer("--set", {})]
    tree = without_secrets(resolved_paths(layer.tree, ROOT, Path.cwd()))
    if cleared:  # captioners=null: those that are given and no others
        tree["captioners"] = [{name: section} for name, section in tree.get("captioners", {}).items()]
    return tree


def load(
    *,
    preset: str | None = None,
    files: Sequence[str | Path] = (),
    overrides: Sequence[str] = (),
    settings: Mapping[str, Any] | None = None,
    environ: Mapping[str, str] | None = None,
    last: Sequence[tuple[str, Mapping[str, Any]]] = (),
) -> LoadedConfig:
    """The configuration with the origin of every value; arguments and errors as :func:`load_config`."""
    files_given = [layers.from_file(_file(path)) for path in files]
    below = [*([_preset(preset)] if preset is not None else []), *files_given]
    above = layers.from_mapping("the given settings", settings) if settings is not None else []
    above += layers.from_overrides(overrides)
    for name, values in last:
        above += layers.from_mapping(name, values)
    environ = os.environ if environ is None else environ
    variables, secrets = layers.from_environment(environ, layers.names_in([*below, *above]) or DEFAULT_CAPTIONERS)
    given = [*below, *variables, *above]
    refuse_captioners([*given, *secrets])
    refuse_unknown([*given, *secrets])
    for layer in given:
        layer.tree = resolved_paths(layer.tree, ROOT, layer.folder or Path.cwd())
    merged, origins = Merger().run(given)
    add_secrets(merged, origins, secrets)
    unmask_addresses(merged, environ)
    refuse_other_kinds(merged, origins)
    try:
        config = LavadConfig.model_validate(merged)
    except ValidationError as error:
        raise ConfigError(explain(error, origins)) from None
    config = _with_absolute_defaults(config)
    _refuse_passwords(config, origins)
    remember_secrets(secret_values(config))
    found = _leaf_origins(config, origins)
    own = dict.fromkeys(_origins_in(files_given), "file") | dict.fromkeys(_origins_in(above), "setting")
    return LoadedConfig(config, found, {path: own[origin] for path, origin in found.items() if origin in own})


def _origins_in(given: Sequence[Layer]) -> set[str]:
    return {origin for layer in given for origin in (layer.name, *layer.origins.values())}


def _refuse_passwords(config: LavadConfig, origins: Mapping[PathKey, str]) -> None:
    """A user and password in the address of a model, say, would be recorded: only ``base_url`` is known to hold them."""
    for path, _stages, value in leaves(config):
        name = path[-1]
        if (
            isinstance(value, str)
            and name != ADDRESS
            and not name.endswith(("prompt", "separator"))
            and user_info(value)
        ):
            raise ConfigError(
                f"{'.'.join(path)} ({origin_of(origins, path)}) is an address with a user, and perhaps a password, "
                f"which would be recorded (it is not shown). Only {ADDRESS} may hold them"
            )


def _with_absolute_defaults(config: LavadConfig) -> LavadConfig:
    """Make the two relative defaults absolute; given paths are absolute already."""
    here = Path.cwd()
    changes: dict[str, Any] = {}
    if not config.store.is_absolute():
        changes["store"] = here / config.store
    model = config.encoder.model
    if is_local_model("model", model) and not Path(model).is_absolute():
        changes["encoder"] = config.encoder.model_copy(update={"model": str(here / model)})
    return config.model_copy(update=changes)


def load_recorded(settings: Mapping[str, Any]) -> LavadConfig:
    """The configuration of a recorded run, to look its results up, not to run it again: nothing comes from the
    environment of today, and addresses stay without user and password.

    Raises:
        ConfigError: another version of the program recorded it, and this one does not know a setting of it.
    """
    plain: dict[str, Any] = without_masks(dict(settings))
    return load_config(settings=plain, environ={})


def preset_text(name: str) -> str:
    """The file of a preset.

    Raises:
        ConfigError: there is none of that name.
    """
    known = presets()
    if name not in known:
        raise ConfigError(f"there is no preset {name!r}; presets are {', '.join(known)}{did_you_mean(name, known)}")
    return known[name]


def _preset(name: str) -> Layer:
    preset_text(name)
    with resources.as_file(resources.files("lavad_core.config") / "presets" / f"{name}.yaml") as path:
        return replace(layers.from_file(path, f"preset {name}"), folder=None)


def _file(path: str | Path) -> Path:
    """A configuration file, or the home of its ``s3://`` address."""
    try:
        return local_path(os.fspath(path))
    except ValueError as error:
        raise ConfigError(f"configuration file: its address {error}") from None


def _leaf_origins(config: LavadConfig, origins: Mapping[PathKey, str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for path, _stages, _value in leaves(config):
        dotted = ".".join(path)
        # A mapping's names may have been given singly: then the first of them.
        origin = next((origin for known, origin in origins.items() if known[: len(path)] == path), "default")
        if origin == "default" and dotted in SEMANTICS[config.semantics]:
            origin = f"semantics: {config.semantics}"
        if origin == "default" and dotted in WITHOUT_SUMMARIES and config.score.method not in OF_SUMMARIES:
            origin = f"score.method: {config.score.method}"
        found[dotted] = origin
    return found


class Merger:
    """Merges sources in their order, and keeps where each part came from."""

    def __init__(self) -> None:
        self.origins: dict[PathKey, str] = {}

    def run(self, given: Sequence[Layer]) -> tuple[dict[str, Any], dict[PathKey, str]]:
        """The merged tree, and path to origin."""
        merged: dict[str, Any] = {}
        for layer in given:
            merged = self._merge(merged, layer.tree, ROOT, (), layer)
        return merged, self.origins

    def _merge(self, old: Any, new: Any, shape: Shape, path: PathKey, layer: Layer) -> Any:
        if isinstance(new, dict) and shape.kind == "mapping" and shape.variants:
            return self._named(old, new, shape, path, layer)
        if isinstance(new, dict) and shape.kind in ("section", "mapping"):
            ours = shape.kind == "section"  # in a mapping ``kind`` and ``model`` are names as any other
            if not isinstance(old, dict):
                self._forget(path)
                old = {}
            elif ours and self._another_kind(old, new, shape):
                old = self._of_the_new_kind(old, new["kind"], shape)
                self._forget(path, but=old)
            merged = dict(old)
            if ours and self._another_model(old, new):
                del merged["revision"]
                self._forget((*path, "revision"))
            for name, value in new.items():
                below = child(shape, name, any_kind=True)
                assert below is not None  # unknown keys are refused before
                merged[name] = self._merge(old.get(name), value, below, (*path, name), layer)
            self._note_empty(merged, path, layer)
            return merged
        if new is None and shape.variants and shape.kind == "mapping":  # none of those before
            new = {}
        self._forget(path)
        self._note(new, path, layer)
        return new

    def _named(self, old: Any, new: dict[str, Any], shape: Shape, path: PathKey, layer: Layer) -> dict[str, Any]:
        """Sections by name: those given later follow, and null takes one out."""
        # Nothing given yet: what changes a section of the default begins with it.
        default = _default_sections(shape) if old is None else {}
        merged = dict(old) if isinstance(old, dict) else {}
        for name, value in new.items():
            here = (*path, name)
            if value is not None:
                merged[name] = self._merge(merged.get(name, default.get(name)), value, item(shape), here, layer)
                continue
            if name not in merged:
                there = ", ".join(merged) or "none"
                raise ConfigError(
                    f"{'.'.join(here)} ({layer.origin(here)}) takes out one that does not exist; there is {there}"
                )
            del merged[name]
            self._forget(here)
        self._note_empty(merged, path, layer)
        return merged

    @staticmethod
    def _another_kind(old: Mapping[str, Any], new: Mapping[str, Any], shape: Shape) -> bool:
        # A section with one class for all of its kinds goes on: all have the same keys.
        kinds = "" not in shape.variants
        return bool(old) and kinds and "kind" in new and new["kind"] != old.get("kind", shape.default_variant)

    @staticmethod
    def _of_the_new_kind(old: Mapping[str, Any], kind: object, shape: Shape) -> dict[str, Any]:
        """What only the new kind has: an address in the environment was not meant for a model in this process."""
        before = old.get("kind")
        return {
            name: value
            for name, value in old.items()
            if child(shape, name, before) is None and child(shape, name, kind) is not None
        }

    @staticmethod
    def _another_model(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
        """A preset's revision is of the preset's model, and no other repository has it."""
        return "revision" in old and "model" in new and "revision" not in new and new["model"] != old.get("model")

    def _forget(self, path: PathKey, but: Container[str] = ()) -> None:
        below = [known for known in self.origins if known[: len(path)] == path]
        for known in below:
            if len(known) == len(path) or known[len(path)] not in but:
                del self.origins[known]

    def _note_empty(self, merged: Mapping[str, Any], path: PathKey, layer: Layer) -> None:
        if path and not merged:  # nothing in it says where it was given
            self.origins[path] = layer.origin(path)

    def _note(self, value: Any, path: PathKey, layer: Layer) -> None:
        self.origins[path] = layer.origin(path)
        below = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        for name, part in below:
            self._note(part, (*path, str(name)), layer)


def add_secrets(merged: dict[str, Any], origins: dict[PathKey, str], secrets: Sequence[Layer]) -> None:
    """Put the environment's secrets where the chosen kinds have such a field, unless the command line gave another. They do not
    choose between kinds: they fit or they do not."""
    for layer in secrets:
        for path, origin in layer.origins.items():
            value: Any = layer.tree
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
    if address_scheme(value):  # others than are taken were refused
        return value
    if shape.is_path or is_local_model(name, value):
        return os.path.normpath(folder / Path(value).expanduser())
    return value
