"""A model server of our own for as long as a model is needed: started, watched, ended whatever ends us. It has an environment
of its own, and is spoken to over HTTP.
"""

from __future__ import annotations

import atexit
import json
import subprocess
import threading
import time
import urllib.request
from collections.abc import Mapping, Sequence
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path

from lavad_core import attached
from lavad_core.errors import Interrupted, ServiceTimeout, ServiceUnavailable
from lavad_core.masking import masked_text

TAIL_CHARACTERS = 2000
"""How much of the end of a log an error quotes."""

TAIL_BYTES = 16 * TAIL_CHARACTERS
"""How much of it is read: more, so that no secret is cut before it is masked."""

_NO_LIST = (OSError, HTTPException, ValueError, LookupError, TypeError)
"""No server yet, or another program at its port, whatever that one says."""


class OwnServer:
    """One server process, in a process group of its own. It ends with :meth:`stop`, and with this process.

    Attributes:
        base_url: up to and including ``/v1``.
        model: the name under which the model is served.
        log: the file of what it says.
    """

    def __init__(
        self, command: Sequence[str], log: Path, *, environ: Mapping[str, str], model: str, port: int, key: str = ""
    ) -> None:
        """Start it.

        Args:
            command: the program and its arguments.
            log: what it says is added to this file.
            environ: its variables.
            model: the name under which it is to serve the model.
            port: on 127.0.0.1.
            key: what it wants as a bearer token.

        Raises:
            OSError: the program cannot be started.
        """
        self.model, self.log, self.port, self._key = model, log, port, key
        self.base_url = f"http://127.0.0.1:{port}/v1"
        self._stopping = threading.Event()
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                attached.attached(command),
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=log.parent,
                env=dict(environ),
                start_new_session=True,
            )
        atexit.register(self.kill)

    @property
    def ended(self) -> bool:
        """Whether it has ended, by itself or by us."""
        return self._process.poll() is not None

    def wait(self, timeout_s: float) -> None:
        """Until it serves the model. It is killed if it does not.

        Raises:
            ServiceUnavailable: it ended; the message holds the end of its log.
            ServiceTimeout: it was not ready in time; likewise.
            Interrupted: :meth:`give_up` was called.
        """
        try:
            self._wait(timeout_s)
        except BaseException:
            self.kill()
            raise

    def give_up(self) -> None:
        """Let :meth:`wait` end now. Takes no lock: for signals."""
        self._stopping.set()

    def _wait(self, timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        request = urllib.request.Request(f"{self.base_url}/models", headers=headers)
        while time.monotonic() < deadline:
            if self.ended:
                raise ServiceUnavailable(f"the vLLM server ended with {self._process.returncode}: {self.tail()}")
            # /v1/models and not /health: vLLM shares its port with any other server that binds it.
            with suppress(*_NO_LIST), opener.open(request, timeout=5) as answer:
                if any(row["id"] == self.model for row in json.load(answer)["data"]):
                    return
            if self._stopping.wait(0.25):
                raise Interrupted("the run is being stopped while its vLLM server starts")
        raise ServiceTimeout(f"the vLLM server was not ready after {timeout_s:.0f} s: {self.tail()}")

    def tail(self) -> str:
        """The end of its log."""
        with self.log.open("rb") as file:  # it grows for as long as there are runs
            file.seek(max(0, self.log.stat().st_size - TAIL_BYTES))
            end = masked_text(file.read().decode(errors="replace").strip())
        return f"…{end[-TAIL_CHARACTERS:]} (all of it: {str(self.log)!r})"

    def stop(self) -> None:
        """SIGTERM, a while, SIGKILL."""
        attached.stop(self._process)
        atexit.unregister(self.kill)

    def kill(self) -> None:
        """SIGKILL to the whole group."""
        attached.kill(self._process)
        atexit.unregister(self.kill)
