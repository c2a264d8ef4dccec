"""Secrets of a configuration on their way past everything that is recorded.

A configuration travels to other processes as a flow's parameters, which the orchestrator stores and shows, and it is
written into run manifests. Secrets do not go that way: each process has them from its environment.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, MutableMapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from pydantic import SecretStr

from lavad_core.address import ADDRESS, each_address, mask_addresses, user_info
from lavad_core.config.schema import LavadConfig
from lavad_core.config.section import PathKey, leaves
from lavad_core.masking import MASK


def sendable_key(key: str) -> str:
    """A key as a header can hold it, without the spaces around it: a mounted secret often ends in a line break, and a
    library's refusal of it would quote the key.

    Raises:
        ValueError: no header can hold it; the message does not show it.
    """
    key = key.strip()
    if not (key.isascii() and key.isprintable()):
        raise ValueError("has characters that an HTTP header cannot hold (its value is not shown)")
    return key


def public_settings(config: LavadConfig) -> dict[str, Any]:
    """The configuration as nested JSON values without its secrets: for flow parameters and manifests.

    :func:`lavad_core.config.load.load` takes it as ``settings`` in a process whose environment has the secrets. Captioners
    are a list of mappings with one name each: their order counts, and what stores JSON may forget that of keys.
    """
    plain: dict[str, Any] = _public(config.model_dump(mode="python"))
    return {**plain, "captioners": [{name: section} for name, section in plain["captioners"].items()]}


def named_captioners(settings: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The captioners of a record, in order, by name.

    Args:
        settings: as :func:`public_settings` gives them, or as older runs recorded them: a list of sections with their ``name``.
    """
    found: dict[str, Mapping[str, Any]] = {}
    for entry in settings.get("captioners", ()):
        if isinstance(name := entry.get("name"), str):
            found[name] = {key: value for key, value in entry.items() if key != "name"}
        else:
            found |= entry
    return found


def without_secrets(tree: Mapping[str, Any]) -> dict[str, Any]:
    """Nested settings as JSON values without the secrets in them."""
    plain: dict[str, Any] = _public(dict(tree))
    return plain


def _public(value: Any, name: str = "") -> Any:
    if isinstance(value, dict):
        return {
            key: _public(below, key)
            for key, below in value.items()
            # whether there is a secret or not, the other process's own environment decides
            if not (isinstance(below, SecretStr) or key == "api_key")
        }
    if name == ADDRESS and isinstance(value, str | tuple | list):
        return mask_addresses(value if isinstance(value, str) else [str(one) for one in value])
    if isinstance(value, tuple):
        return [_public(below) for below in value]
    return str(value) if isinstance(value, Path) else value


def settings_of_record(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a run's record as :func:`public_settings` gives them, whatever version wrote it."""
    named = [{name: section} for name, section in named_captioners(settings).items()]
    return {**settings, "captioners": named} if "captioners" in settings else dict(settings)


def is_masked_address(name: str, value: object) -> bool:
    """Whether a value comes from :func:`mask_addresses` and lacks a user and password."""
    given = value if isinstance(value, list) else [value]
    return name == ADDRESS and any(isinstance(one, str) and user_info(one) == MASK for one in given)


def without_masks(value: Any) -> Any:
    """A recorded tree without what stands in for secrets."""
    if isinstance(value, Mapping):
        return {key: _unmasked(key, below) for key, below in value.items() if key != "api_key"}
    return [without_masks(below) for below in value] if isinstance(value, list | tuple) else value


def _unmasked(name: str, value: Any) -> Any:
    if not is_masked_address(name, value):
        return without_masks(value)
    bare = [one.replace(f"{MASK}@", "", 1) for one in each_address(value)]
    return bare[0] if isinstance(value, str) else bare


def secret_leaves(config: LavadConfig) -> Iterator[tuple[PathKey, str]]:
    """(path, value) of every secret that is set."""
    for path, _stages, value in leaves(config):
        if isinstance(value, SecretStr):
            yield path, value.get_secret_value()
        elif path[-1] == ADDRESS and any(map(user_info, each_address(value))):
            yield path, ",".join(each_address(value))


def secret_values(config: LavadConfig) -> Iterator[str]:
    """Every secret of a configuration as it may stand in a text: keys, passwords, and pairs of user and password."""
    for _path, value in secret_leaves(config):
        pairs = [pair for pair in map(user_info, each_address(value)) if pair]
        for pair in pairs:
            yield from (pair, pair.partition(":")[2], unquote(pair.partition(":")[2]))
        if not pairs:
            yield value.strip()


def export_secrets(config: LavadConfig, environ: MutableMapping[str, str]) -> None:
    """Put the secrets into an environment, from which :func:`lavad_core.config.load.load` takes them again."""
    for path, value in secret_leaves(config):
        environ[variable(path)] = value


def written_as(name: str) -> str:
    """A part of a path as it stands in a variable's name: capitals, digits, and ``_`` for anything else."""
    return re.sub(r"[^A-Z0-9]+", "_", name.upper()).strip("_")


def variable(path: PathKey) -> str:
    """The environment variable of a path."""
    return "LAVAD_" + "__".join(written_as(name) for name in path)


def find_address(environ: Mapping[str, str], path: PathKey) -> str | None:
    """The address with user and password, or the addresses, that the environment has for masked ones."""
    value = environ.get(variable(path), "")
    return value if any(map(user_info, each_address(value))) else None
