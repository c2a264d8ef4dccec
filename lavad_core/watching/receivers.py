"""Whom notices are told: a webhook, a program, or the reader of a stream of JSON lines. Each takes one notice at a time, and
has taken it when the call returns."""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Callable, Sequence
from typing import Protocol
from urllib.parse import urlsplit

import httpx

from lavad_core.digest import ascii_json
from lavad_core.errors import InputError, ServiceTimeout, ServiceUnavailable
from lavad_core.watching.notices import Notice

TIMEOUT_S = 30.0
"""Longest time for a receiver to take a notice, seconds."""

MAX_WORDS = 200
"""Characters of what a program says that are quoted."""


class Receiver(Protocol):
    """Somebody who is told."""

    @property
    def name(self) -> str:
        """Names it in the book of notices: the same for the same receiver in another process."""

    @property
    def shown(self) -> str:
        """Names it for people, without secrets."""

    def tell(self, notice: Notice) -> None:
        """Tell it a notice.

        Raises:
            ServiceError: it did not take it; it is to be tried again.
        """


class Webhook:
    """POSTs each notice as JSON. Taken is an answer of 200 to 299; redirections are not followed.

    Args:
        address: http or https; it may hold a token, and is never shown beyond its host.

    Raises:
        InputError: it is not one.
    """

    def __init__(self, address: str) -> None:
        try:
            parts = urlsplit(address)
            sound = (
                parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
            )
        except ValueError:
            sound = False
        if not sound or not address.isprintable() or " " in address:
            raise InputError("the webhook is not an address (http:// or https://, host, path); it is not shown")
        self._address = address
        self.name = f"webhook {hashlib.sha256(address.encode()).hexdigest()[:16]}"
        self.shown = f"webhook at {parts.hostname}"

    def tell(self, notice: Notice) -> None:
        headers = {"Content-Type": "application/json", "Idempotency-Key": notice.event}
        try:
            answer = httpx.post(
                self._address, content=ascii_json(dict(notice.body)).encode(), headers=headers, timeout=TIMEOUT_S
            )
        except httpx.TimeoutException:
            raise ServiceTimeout(f"{self.shown}: no answer within {TIMEOUT_S:g} s") from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:  # their words may hold the address
            raise ServiceUnavailable(f"{self.shown}: {type(error).__name__}") from None
        if not answer.is_success:
            raise ServiceUnavailable(f"{self.shown}: it answered {answer.status_code}")


class Program:
    """Starts a program for each notice, with the notice as JSON on its standard input. Taken is an exit status of 0.

    Args:
        arguments: the program and its arguments, as they are: no shell reads them, and nothing of a notice is put into them.

    Raises:
        InputError: there are none.
    """

    def __init__(self, arguments: Sequence[str]) -> None:
        if not arguments or not all(isinstance(one, str) and one and "\0" not in one for one in arguments):
            raise InputError(f"--program {list(arguments)!r} is no program: give its path, or [PATH, ARGUMENT, …]")
        self._arguments = list(arguments)
        self.name = f"program {hashlib.sha256(ascii_json(self._arguments).encode()).hexdigest()[:16]}"
        self.shown = f"program {os.path.basename(arguments[0])}"

    def tell(self, notice: Notice) -> None:
        # The program's own secrets are none of its business.
        environment = {name: value for name, value in os.environ.items() if not name.startswith("LAVAD_")}
        try:
            ended = subprocess.run(
                self._arguments,
                input=ascii_json(dict(notice.body)).encode() + b"\n",
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                timeout=TIMEOUT_S,
                env=environment,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise ServiceTimeout(f"{self.shown}: it did not end within {TIMEOUT_S:g} s") from None
        except OSError as error:
            raise ServiceUnavailable(f"{self.shown}: {error.strerror or error}") from error
        if ended.returncode:
            said = ended.stderr.decode(errors="replace").strip()[-MAX_WORDS:]
            raise ServiceUnavailable(f"{self.shown}: exit status {ended.returncode}" + (f": {said}" if said else ""))


class Lines:
    """Writes each notice as one line of JSON.

    Args:
        write: takes a line and has it out when it returns.
    """

    name = shown = "lines"

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write

    def tell(self, notice: Notice) -> None:
        self._write(ascii_json(dict(notice.body)))
