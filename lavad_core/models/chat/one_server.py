"""JSON over HTTP to one server, once: the only file that imports the HTTP client."""

from __future__ import annotations

import asyncio
import base64
import functools
import json
import ssl
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import unquote

import httpx
from pydantic import SecretStr

from lavad_core.address import bare_address, checked_address, is_loopback, user_info
from lavad_core.config.secrets import sendable_key
from lavad_core.errors import ConfigError, ModelError, RequestRejected, ServiceTimeout, ServiceUnavailable
from lavad_core.escape import escape
from lavad_core.masking import MASK, masked_text
from lavad_core.models.chat.error_answers import ErrorAnswer, is_error, unusable
from lavad_core.quoting import MAX_QUOTED, first_line

MAX_ANSWER_BYTES = 64 * 2**20
"""A longer answer is cut off and counts as damaged. A chat answer of 4,096 tokens with 20 log-probabilities each is
about 10 MB; nothing that is asked for here is larger."""

PROXY_WAY_OUT = (
    "the proxies of the environment (ALL_PROXY, HTTP_PROXY, HTTPS_PROXY) are of the form http://host:port or "
    "socks5://host:port (with the package socksio, `pip install 'httpx[socks]'`); unset one that "
    "is not, or all with NO_PROXY='*'"
)
"""The client makes a transport for every proxy, so that one that it cannot use is in the way of all connections."""

RETRY_AFTER = "retry_after_s"
"""Attribute of a :class:`ServiceUnavailable`: the delay that the server asked for."""


class Server:
    """Connections to one server, at most ``concurrency``.

    Attributes:
        address: as configured.
        shown_url: the address for messages, without user and password.
        slots: one for each job that is at it.
    """

    def __init__(self, address: str, api_key: SecretStr | None, key_setting: str, concurrency: int) -> None:
        """
        Args:
            address: http or https, up to and including ``/v1``; may hold ``user:password@``.
            api_key: sent as a bearer token; never shown.
            key_setting: the setting that holds the key, for messages.
            concurrency: most requests in flight.

        Raises:
            ConfigError: it is not an HTTP address, the key cannot be sent, or a proxy of the environment cannot be used.
        """
        key = _checked_key(api_key, key_setting)
        self.address, self._key_setting = address, key_setting
        try:
            self.shown_url = bare_address(checked_address(address).rstrip("/"))
        except ValueError as error:
            raise ConfigError(f"base_url {error}") from None
        name, _, password = map(unquote, user_info(address).partition(":"))
        pair = base64.b64encode(f"{name}:{password}".encode()).decode().rstrip("=") if password else ""  # as it is sent
        self._secrets = [secret for secret in (key, password, pair) if secret]
        # A proxy of the environment cannot reach this machine's loopback.
        trust_env = not is_loopback(self.shown_url)
        certificates = functools.cache(
            lambda: httpx.create_ssl_context(trust_env=trust_env)
        )  # longer than many requests
        self._connect = functools.partial(_client, self.shown_url, key, (name, password), trust_env, certificates)
        self._free = [self._connect()]  # now, so that what is wrong with the environment is said now
        self._clients = list(self._free)
        self._ending: set[asyncio.Future[None]] = set()
        self._connections, self.slots = asyncio.Semaphore(concurrency), asyncio.Semaphore(concurrency)

    def url(self, path: str, *, at_root: bool) -> str:
        """The whole address of a path, below ``shown_url`` or below the root: ``shown_url`` without its last ``/v1``."""
        return f"{self.shown_url.removesuffix('/v1') if at_root else self.shown_url}/{path}"

    async def once(self, method: str, url: str, sent: bytes | None, timeout_s: float) -> dict[str, Any]:
        """The answer to one request, from connecting to its last byte within ``timeout_s`` seconds.

        Raises:
            ServiceUnavailable, ServiceTimeout, RequestRejected, ModelError: there is none that can be used.
        """
        where = f"{method} {url}"
        headers = {"Content-Type": "application/json"} if sent is not None else {}
        try:
            # A request that waits for those of a server that is down has its whole time still.
            async with (
                self._connection() as client,
                asyncio.timeout(timeout_s),
                client.stream(method, url, content=sent, headers=headers) as response,
            ):
                content = bytearray()
                async for chunk in response.aiter_bytes():
                    content += chunk
                    if len(content) > MAX_ANSWER_BYTES:
                        raise unusable(f"{where}: an answer of more than {MAX_ANSWER_BYTES} bytes")
        except (TimeoutError, httpx.TimeoutException) as error:
            raise ServiceTimeout(f"{where}: no complete answer within {timeout_s:g} s (timeout_s)") from error
        except httpx.RequestError as error:
            words = self.quote(str(error) or type(error).__name__)
            raise ServiceUnavailable(f"{where}: {words}; is the server up, and base_url right?") from error
        parsed = _parse(bytes(content))
        if response.status_code != 200 or is_error(parsed):
            raise self._refusal(where, response, parsed, bytes(content))
        if parsed is None:
            raise unusable(f"{where}: 200, but not a JSON object: {self.quote(_text(bytes(content)))}")
        return parsed

    async def close(self) -> None:
        for client in self._clients:
            await client.aclose()
        await asyncio.gather(*self._ending, return_exceptions=True)

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[httpx.AsyncClient]:
        """A client with one connection, that was used last of those that are free.

        One client with all connections looks at each of them before and after every request: with 128 that is more work than
        the request.
        """
        async with self._connections:
            if not self._free:
                self._free.append(self._connect())
                self._clients.append(self._free[-1])
            client = self._free.pop()
            try:
                yield client
            except BaseException:
                # httpx may count the connection of a request that was cut off as taken for ever.
                self._clients.remove(client)
                ending = asyncio.ensure_future(client.aclose())
                self._ending.add(ending)
                ending.add_done_callback(self._ending.discard)
                raise
            self._free.append(client)

    def _refusal(
        self, where: str, response: httpx.Response, parsed: dict[str, Any] | None, content: bytes
    ) -> RequestRejected | ModelError | ServiceUnavailable:
        """The error for a failed request: a status other than 200, or an error under 200."""
        said = ErrorAnswer.of(response.status_code, parsed, _text(content))
        error = said.error(where, self.quote(said.words), self._key_setting)
        if isinstance(error, ServiceUnavailable):
            setattr(error, RETRY_AFTER, _retry_after_s(response.headers.get("Retry-After", "")))
        return error

    def quote(self, words: str) -> str:
        """A server's words: short, without control characters, without our secrets."""
        for secret in self._secrets:
            words = words.replace(secret, MASK)
        return escape(words, limit=MAX_QUOTED)


def _client(
    server: str, key: str, user: tuple[str, str], trust_env: bool, certificates: Callable[[], ssl.SSLContext]
) -> httpx.AsyncClient:
    try:
        return httpx.AsyncClient(
            headers={"Authorization": f"Bearer {key}"} if key else {},
            auth=user if any(user) and not key else None,
            timeout=None,  # asyncio.timeout around the whole attempt: httpx knows none for a slow trickle
            limits=httpx.Limits(max_connections=1),
            verify=certificates(),
            trust_env=trust_env,
        )
    except (ImportError, ValueError, OSError, httpx.InvalidURL) as error:  # it makes a transport for each proxy
        raise ConfigError(
            f"no connection to {server} can be made in this environment: {masked_text(first_line(error))}; {PROXY_WAY_OUT}"
        ) from error


def _checked_key(api_key: SecretStr | None, setting: str) -> str:
    try:
        return sendable_key(api_key.get_secret_value()) if api_key else ""
    except ValueError as error:
        raise ConfigError(f"{setting} {error}") from None


def _parse(content: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):  # not JSON, not UTF-8, or nested thousands of levels deep
        return None
    return value if isinstance(value, dict) else None


def _text(content: bytes) -> str:
    return content[: 4 * MAX_QUOTED].decode(errors="replace") or "(empty)"


def _retry_after_s(header: str) -> float:
    """Seconds that ``Retry-After`` asks for, as a number or a date; 0 if it says nothing usable."""
    if header.strip().isdecimal():
        return float(header)
    try:
        return max(0.0, parsedate_to_datetime(header).timestamp() - time.time())
    except (ValueError, OverflowError):
        return 0.0
