"""One configuration from its sources: defaults, a preset, files, the environment, the command line; the later wins.

Merging: sections merge key by key, captioners name by name, and a list replaces the list. A section given with another
``kind`` starts anew, since the keys of one kind mean nothing to another. Secrets of the environment are put in wherever the
section ends up with such a field, so that they need not be repeated in files.

Paths in a file are relative to the file's folder, others to the current folder; in the loaded configuration all are
absolute, so that a worker started elsewhere reads the same files.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from lavad_core.config import sources
from lavad_core.config.address import ADDRESS, user_info
from lavad_core.config.merge import Merger, add_secrets, resolved_paths, unmask_addresses
from lavad_core.config.models import DEFAULT_CAPTIONERS
from lavad_core.config.refuse import explain, origin_of, refuse_numbered, refuse_other_kinds, refuse_unknown
from lavad_core.config.schema import SEMANTICS, LavadConfig
from lavad_core.config.secrets import secret_values, without_masks
from lavad_core.config.setting import PathKey, leaves
from lavad_core.config.sources import Source
from lavad_core.config.suggest import nearest
from lavad_core.config.tree import ROOT, is_local_model
from lavad_core.errors import ConfigError
from lavad_core.masking import remember_secrets


@dataclass(frozen=True)
class Loaded:
    """A configuration and where its values come from.

    Attributes:
        config: validated.
        origins: dotted path of every leaf to the source of its value, for people.
    """

    config: LavadConfig
    origins: Mapping[str, str]


def presets() -> dict[str, str]:
    """Name of every preset to its text."""
    folder = resources.files("lavad_core.config") / "presets"
    return {
        entry.name.removesuffix(".yaml"): entry.read_text(encoding="utf-8")
        for entry in sorted(folder.iterdir(), key=lambda entry: entry.name)
        if entry.name.endswith(".yaml")
    }


def load_config(
    *,
    preset: str | None = None,
    files: Sequence[Path] = (),
    overrides: Sequence[str] = (),
    settings: Mapping[str, Any] | None = None,
    environ: Mapping[str, str] | None = None,
) -> LavadConfig:
    """The configuration; see :func:`load`."""
    return load(preset=preset, files=files, overrides=overrides, settings=settings, environ=environ).config


def load(
    *,
    preset: str | None = None,
    files: Sequence[Path] = (),
    overrides: Sequence[str] = (),
    settings: Mapping[str, Any] | None = None,
    environ: Mapping[str, str] | None = None,
) -> Loaded:
    """The configuration with the origin of every value.

    Args:
        preset: name of one that comes with the package.
        files: YAML files; the later wins.
        overrides: ``a.b=value`` texts of a command line; win over everything.
        settings: nested values that a program gives (a flow's parameters); win over the environment.
        environ: variables, ``os.environ`` if not given; those that begin with ``LAVAD_`` are read.

    Raises:
        ConfigError: a key is unknown or a value not allowed; names the key, its origin and the way out.
    """
    below = [_preset(preset)] if preset is not None else []
    below += [sources.from_file(path) for path in files]
    above = sources.from_mapping("the given settings", settings) if settings is not None else []
    above += sources.from_overrides(overrides)
    environ = os.environ if environ is None else environ
    variables, secrets = sources.from_environment(environ, sources.names_in([*below, *above]) or DEFAULT_CAPTIONERS)
    given = [*below, *variables, *above]
    refuse_numbered([*given, *secrets])
    refuse_unknown([*given, *secrets])
    for source in given:
        source.tree = resolved_paths(source.tree, ROOT, source.folder or Path.cwd())
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
    return Loaded(config, _leaf_origins(config, origins))


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
    """What was given is absolute already; two defaults are not."""
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
        near = nearest(name, known)
        raise ConfigError(
            f"there is no preset {name!r}; presets are {', '.join(known)}"
            + (f"; did you mean {near!r}?" if near else "")
        )
    return known[name]


def _preset(name: str) -> Source:
    preset_text(name)
    with resources.as_file(resources.files("lavad_core.config") / "presets" / f"{name}.yaml") as path:
        return replace(sources.from_file(path, f"preset {name}"), folder=None)


def _leaf_origins(config: LavadConfig, origins: Mapping[PathKey, str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for path, _stages, _value in leaves(config):
        dotted = ".".join(path)
        # A mapping's names may have been given singly: then the first of them.
        origin = next((origin for known, origin in origins.items() if known[: len(path)] == path), "default")
        if origin == "default" and dotted in SEMANTICS[config.semantics]:
            origin = f"semantics: {config.semantics}"
        found[dotted] = origin
    return found
