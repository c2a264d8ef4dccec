"""Asking the configured Prefect API whether it is there, as Prefect's own client would: with its keys, certificates, headers
and proxies. Prefect's client itself would say what is wrong in the middle of a run, and in its own words.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator
from urllib.parse import urlsplit, urlunsplit

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.settings import (
    PREFECT_API_AUTH_STRING,
    PREFECT_API_KEY,
    PREFECT_API_SSL_CERT_FILE,
    PREFECT_API_URL,
    PREFECT_CLIENT_CUSTOM_HEADERS,
    PREFECT_CLIENT_MAX_RETRIES,
    temporary_settings,
)

from lavad.deployments.prefect_settings import environment_with, loopback_unproxied
from lavad.tasks.client import AddressError, ClientError, StatusError, check_proxies
from lavad_core.address import bare_address
from lavad_core.config.secrets import sendable_key
from lavad_core.errors import ServiceUnavailable
from lavad_core.masking import masked_text
from lavad_core.models.chat.one_server import PROXY_WAY_OUT
from lavad_core.quoting import first_line

CHECK_TIMEOUT_S = 10.0
"""For each question to a configured API."""

CROWD = 3
"""From this many other flow runs on, a warning says that a server on SQLite is too busy."""

_WAY_OUT = "start that server, or unset PREFECT_API_URL (`prefect config unset PREFECT_API_URL`) for a private one"


def checked_api(url: str) -> str:
    """The address under which the configured API answers: ``url``, or ``url`` with the ``/api`` that it lacks.

    Raises:
        ServiceUnavailable: it does not answer, is not Prefect's, or does not let this user in.
    """
    _check_headers()
    if urlsplit(url).scheme not in ("http", "https"):
        raise ServiceUnavailable(f"PREFECT_API_URL = {shown(url)!r} does not begin with http:// or https://")
    with environment_with(loopback_unproxied(os.environ, url)), temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0}):
        for candidate in _candidates(url):
            with temporary_settings({PREFECT_API_URL: candidate}), _client(candidate) as client:
                if _is_an_api(client, candidate):
                    _let_in(client, candidate)
                    return candidate
    raise ServiceUnavailable(
        f"at {shown(url)} something answers that is not Prefect's API; its address ends in /api as a rule; {_WAY_OUT}"
    )


def check_environment() -> None:
    """Look at the proxies of the environment before a server is started for which they are not even meant.

    Raises:
        ServiceUnavailable: no client can be made beside one of them.
    """
    try:
        check_proxies()
    except (ImportError, ValueError, AddressError) as error:
        raise ServiceUnavailable(
            f"no connection to a Prefect API can be made in this environment: {masked_text(first_line(error))}; {PROXY_WAY_OUT}"
        ) from error


def busy_server_notice(url: str, *, workers: bool = False) -> str:
    """A sentence for a server that has many runs at the moment; empty for another, and where it does not say. A run that needs
    ``workers`` cannot do with a private server. A server does not tell which database it has.

    SQLite has one writer: from about four flow processes on, a server on it answers 503 for longer than its clients wait.
    """
    wanted = {"flow_runs": {"state": {"type": {"any_": ["RUNNING"]}}}}
    with (
        environment_with(loopback_unproxied(os.environ, url)),
        temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0, PREFECT_API_URL: url}),
    ):
        try:
            with _client(url) as client:
                going = client.request("POST", "/flow_runs/count", json=wanted).json()
        except (ClientError, ServiceUnavailable, OSError, ValueError):
            return ""
    if not isinstance(going, int) or going < CROWD:
        return ""
    return (
        f"Prefect: {going} other flow runs are Running, says this server. On PostgreSQL that is all right; if its records "
        "are in SQLite (its default), it will refuse some of them (503): give it PostgreSQL"
        + ("" if workers else ", or let this run have a private server (unset PREFECT_API_URL)")
    )


def _candidates(url: str) -> Iterator[str]:
    """The address, and what it may have been meant to be: that of the UI is copied from the browser."""
    yield url
    parts = urlsplit(url)
    path = parts.path.rstrip("/")
    if not path.endswith("/api"):
        for root in dict.fromkeys((path, "")):
            yield urlunsplit(parts._replace(path=f"{root}/api", query="", fragment=""))


def _client(url: str) -> SyncPrefectClient:
    try:
        return get_client(sync_client=True, httpx_settings={"timeout": CHECK_TIMEOUT_S})
    except (OSError, ValueError, ImportError, AddressError) as error:
        if isinstance(error, OSError):
            cause = f"PREFECT_API_SSL_CERT_FILE or SSL_CERT_FILE = {PREFECT_API_SSL_CERT_FILE.value()!r} cannot be used"
        else:
            cause = f"no connection can be made with these settings; {PROXY_WAY_OUT}"
        raise ServiceUnavailable(f"the Prefect API at {shown(url)}: {cause}: {first_line(error)}") from error


def _is_an_api(client: SyncPrefectClient, url: str) -> bool:
    """Whether ``/health`` says ``true``, as Prefect's does. A UI answers every path with its page, and 200."""
    try:
        answer = client.request("GET", "/health")
    except StatusError as error:
        status = error.response.status_code
        if status in (401, 403):  # a gate before it: it is asked for what it wants below
            return True
        if status == 404:
            return False
        raise ServiceUnavailable(f"the Prefect API at {shown(url)} answers {status}; {_WAY_OUT}") from None
    except (ClientError, AddressError, OSError, ValueError) as error:
        raise ServiceUnavailable(_silence(url, error)) from error
    try:
        return answer.json() is True
    except ValueError:
        return False


def _let_in(client: SyncPrefectClient, url: str) -> None:
    """Ask for something that needs the user's key: ``/health`` does not."""
    try:
        client.request("GET", "/admin/version")
    except StatusError as error:
        status = error.response.status_code
        if status in (401, 403):
            raise ServiceUnavailable(
                f"the Prefect API at {shown(url)} does not let us in ({status}); it wants PREFECT_API_AUTH_STRING "
                "(user:password, a server of one's own) or PREFECT_API_KEY (Prefect Cloud)"
            ) from None
        if status != 404:  # Prefect Cloud has no such page
            raise ServiceUnavailable(f"the Prefect API at {shown(url)} answers {status}; {_WAY_OUT}") from None
    except (ClientError, OSError, ValueError) as error:
        raise ServiceUnavailable(_silence(url, error)) from error


def _silence(url: str, error: BaseException) -> str:
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, ssl.SSLError):
        cause = cause.__cause__ or cause.__context__
    if cause is not None:
        way_out = (
            "give its certificate as PREFECT_API_SSL_CERT_FILE (or, for a test, PREFECT_API_TLS_INSECURE_SKIP_VERIFY=true); "
            "is it https at all?"
        )
        return f"the Prefect API at {shown(url)}: no secure connection ({first_line(cause)}); {way_out}"
    words = first_line(error) if str(error) else type(error).__name__
    return f"the Prefect API at {shown(url)} does not answer ({words}); {_WAY_OUT}"


def _check_headers() -> None:
    """A value that no header can hold is refused by libraries in words that repeat it."""
    secrets = {"PREFECT_API_KEY": PREFECT_API_KEY.value(), "PREFECT_API_AUTH_STRING": PREFECT_API_AUTH_STRING.value()}
    headers = {f"PREFECT_CLIENT_CUSTOM_HEADERS: {name!r}": text for name, text in _custom_headers().items()}
    for name, value in {**secrets, **headers}.items():
        text = value.get_secret_value() if hasattr(value, "get_secret_value") else value
        try:
            if text is not None and name != "PREFECT_API_AUTH_STRING":  # that one is sent in base64
                sendable_key(str(text))
        except ValueError as error:
            raise ServiceUnavailable(f"{name} {error}") from None


def _custom_headers() -> dict[str, str]:
    found = PREFECT_CLIENT_CUSTOM_HEADERS.value()
    return dict(found) if isinstance(found, dict) else {}


def shown(url: str) -> str:
    """The address as messages have it: without user, password, query and fragment."""
    return bare_address(url)
