"""Whose settings of Prefect reach which server.

A configured server is spoken to with all of the user's settings: keys, certificates, headers, proxies. They were made for
that server, so the private one, and this process while it speaks to it, has none of them: an auth string, a base path or a
result storage block of the other server would only break it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import yaml
from pydantic import BaseModel, ValidationError

from lavad_core.address import is_loopback
from lavad_core.errors import ConfigError
from lavad_core.quoting import first_line

if TYPE_CHECKING:
    from prefect.settings import Settings

PREFIXES = ("PREFECT_", "UVICORN_")
"""Variables of Prefect and of the server in it. Prefect reads them in any case."""

KEPT = frozenset({"home", "profiles_path", "tasks.refresh_cache"})
"""Settings that are about this machine and this run, whichever server it is."""

REQUEST_TIMEOUT_S = 20.0
"""For one answer of the API, unless the user has set PREFECT_API_REQUEST_TIMEOUT. Prefect's default of a minute, with its
tries, lets a server that hangs hold the end of a run for six."""

HEARTBEAT_S = 30
"""Seconds between two heartbeats of a flow run on a configured server, where Prefect has 180 and takes no less than this: an
automation takes a run for lost of which three are missing. prefect.yaml has the same for the deployments."""

LOOPBACK = ("127.0.0.1", "localhost", "::1")
"""No proxy can reach what these names mean here."""


def import_prefect() -> None:
    """Import Prefect, which reads all of its settings at that moment.

    Raises:
        ConfigError: one of them has a value that Prefect does not take.
    """
    try:
        import prefect.context
        import prefect.settings  # noqa: F401
    except ValidationError as error:  # its own words repeat the values, and one may be a key
        faults = "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors()[:5])
        raise ConfigError(f"Prefect does not take its settings ({error.title}): {faults}; {_WHERE}") from None
    except (ValueError, KeyError, OSError, yaml.YAMLError) as error:
        raise ConfigError(f"Prefect does not take its settings: {first_line(error)}; {_WHERE}") from error


_WHERE = "they come from PREFECT_ variables, .env, prefect.toml, pyproject.toml and the profile (`prefect config view`)"


def private_environment(environ: Mapping[str, str], home: Path) -> dict[str, str]:
    """The environment of a private server: ``environ`` without anything that is meant for another one.

    A variable wins over files, and the names here leave none to read: no profile, and the packaged logging.
    """
    from prefect.logging.configuration import DEFAULT_LOGGING_SETTINGS_PATH

    return {
        **{name: value for name, value in environ.items() if not name.upper().startswith(PREFIXES)},
        "PREFECT_HOME": str(home),
        "PREFECT_PROFILES_PATH": os.devnull,
        "PREFECT_LOGGING_SETTINGS_PATH": str(DEFAULT_LOGGING_SETTINGS_PATH),
    }


@contextmanager
def using_api(url: str, *, private: bool) -> Iterator[None]:
    """Within it this process speaks to the API at ``url``, and so do processes that it starts.

    Args:
        url: address of the API.
        private: without the user's settings, but for :data:`KEPT`.
    """
    from prefect.context import SettingsContext, get_settings_context

    context = get_settings_context()
    given: dict[str, Any] = {}
    if private:
        from prefect.logging.configuration import DEFAULT_LOGGING_SETTINGS_PATH

        for path, default in _given(context.settings):
            if path not in KEPT:
                _put(given, path, default)
        _put(
            given, "api.ssl_cert_file", None
        )  # its default is SSL_CERT_FILE, which may name a file that does not exist
        _put(given, "logging.config_path", DEFAULT_LOGGING_SETTINGS_PATH)
        # The heartbeat thread is joined at the end of each flow, up to a second; it serves automations on a server that
        # outlives the flow's process, and this one does not.
        _put(given, "flows.heartbeat_frequency", None)
    elif context.settings.flows.heartbeat_frequency is not None:  # one that is switched off stays off
        _put(given, "flows.heartbeat_frequency", HEARTBEAT_S)
    if "request_timeout" not in context.settings.api.model_fields_set or private:
        _put(given, "api.request_timeout", REQUEST_TIMEOUT_S)
    _put(given, "api.url", url)
    settings = _changed(context.settings, given)
    variables = {"PREFECT_API_URL": url, **loopback_unproxied(os.environ, url)}
    with environment_with(variables), SettingsContext(profile=context.profile, settings=settings):
        yield


def _changed(settings: Settings, given: Mapping[str, Any]) -> Settings:
    """Settings with other values; a value that is given here comes before those of all sources."""
    tree = settings.model_dump(exclude_unset=True)
    _merge(tree, given)
    return type(settings).model_validate(tree)


def _merge(tree: dict[str, Any], given: Mapping[str, Any]) -> None:
    for name, value in given.items():
        if isinstance(value, dict) and isinstance(tree.get(name), dict):
            _merge(tree[name], value)
        else:
            tree[name] = value


def _given(section: BaseModel, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """(dotted path, default) of every setting that some source gives."""
    for name, info in type(section).model_fields.items():
        value = getattr(section, name)
        if isinstance(value, BaseModel):
            yield from _given(value, f"{prefix}{name}.")
        elif name in section.model_fields_set:
            default = info.get_default(call_default_factory=True, validated_data={})
            # A dict is merged with that of the next source, a text is not.
            yield f"{prefix}{name}", json.dumps(default) if isinstance(default, dict) else default


def _put(tree: dict[str, Any], path: str, value: Any) -> None:
    *sections, name = path.split(".")
    for section in sections:
        tree = tree.setdefault(section, {})
    tree[name] = value


@contextmanager
def environment_with(values: Mapping[str, str]) -> Iterator[None]:
    """Within it these variables are set."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def loopback_unproxied(environ: Mapping[str, str], url: str) -> dict[str, str]:
    """The variables that keep proxies away from this machine's loopback, beside what they keep away already; none for an
    address that is elsewhere. The name in small letters wins where there are both, so both are set."""
    if not is_loopback(url):
        return {}
    before = environ.get("no_proxy", environ.get("NO_PROXY", ""))
    hosts = [host for host in before.split(",") if host.strip()]
    wanted = dict.fromkeys([*LOOPBACK, urlsplit(url).hostname or LOOPBACK[0]])
    value = ",".join([*hosts, *(host for host in wanted if host not in hosts)])
    return {"no_proxy": value, "NO_PROXY": value}
