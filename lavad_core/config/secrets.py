"""Secrets of a configuration on their way past everything that is recorded.

A configuration travels to other processes as a flow's parameters, which the orchestrator stores and shows, and it is
written into run manifests. Secrets do not go that way: each process has them from its environment.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from pydantic import SecretStr

from lavad_core.config.address import ADDRESS, mask_address, user_info
from lavad_core.config.schema import LavadConfig
from lavad_core.config.setting import leaves
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

    :func:`lavad_core.config.load.load` takes it as ``settings`` in a process whose environment has the secrets.
    """
    plain: dict[str, Any] = _public(config.model_dump(mode="python"))
    return plain


def _public(value: Any, name: str = "") -> Any:
    if isinstance(value, dict):
        return {
            key: _public(below, key)
            for key, below in value.items()
            # whether there is a secret or not, the other process's own environment decides
            if not (isinstance(below, SecretStr) or key == "api_key")
        }
    if isinstance(value, tuple):
        return [_public(below) for below in value]
    if name == ADDRESS:
        return mask_address(value)
    return str(value) if isinstance(value, Path) else value


def is_masked_address(name: str, value: object) -> bool:
    """Whether a value comes from :func:`mask_address` and lacks its user and password."""
    return name == ADDRESS and isinstance(value, str) and user_info(value) == MASK


def without_masks(value: Any) -> Any:
    """A recorded tree without what stands in for secrets."""
    if isinstance(value, Mapping):
        return {key: _unmasked(key, below) for key, below in value.items() if key != "api_key"}
    return [without_masks(below) for below in value] if isinstance(value, list | tuple) else value


def _unmasked(name: str, value: Any) -> Any:
    return value.replace(f"{MASK}@", "", 1) if is_masked_address(name, value) else without_masks(value)


def secret_leaves(config: LavadConfig) -> Iterator[tuple[str, str]]:
    """(dotted path, value) of every secret that is set."""
    for path, _stages, value in leaves(config):
        if isinstance(value, SecretStr):
            yield path, value.get_secret_value()
        elif path.endswith(f".{ADDRESS}") and user_info(str(value)):
            yield path, str(value)


def secret_values(config: LavadConfig) -> Iterator[str]:
    """Every secret of a configuration as it may stand in a text: keys, passwords, and pairs of user and password."""
    for _path, value in secret_leaves(config):
        pair = user_info(value)
        yield from ((pair, pair.partition(":")[2], unquote(pair.partition(":")[2])) if pair else (value.strip(),))


def export_secrets(config: LavadConfig, environ: MutableMapping[str, str]) -> None:
    """Put the secrets into an environment, from which :func:`lavad_core.config.load.load` takes them again."""
    for path, value in secret_leaves(config):
        environ[variable(path)] = value


def variable(path: str) -> str:
    """The environment variable of a dotted path."""
    return "LAVAD_" + path.upper().replace(".", "__")


def find_address(environ: Mapping[str, str], path: str) -> str | None:
    """The address with user and password that the environment has for a masked one."""
    value = environ.get(variable(path), "")
    return value if user_info(value) else None
