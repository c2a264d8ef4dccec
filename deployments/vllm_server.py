"""A vLLM server of our own for as long as a run lasts. It has an environment of its own, and is spoken to over HTTP.

Measured on two cores without a GPU: ready after 17 to 40 s, 1.2 GiB of memory, a second to stop.
"""

from __future__ import annotations

import atexit
import json
import os
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from lavad.deployments.ports import free_port
from lavad_core import attached
from lavad_core.errors import ModelError, ServiceUnavailable

START_TIMEOUT_S = 240.0
"""Five times the start on two busy cores."""

ENVIRONMENT = {
    # The engine's worker in the server's process: half the start, 30 % less memory, nothing left in /dev/shm.
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    # The default pins each server to the first core; unpinned with more than one thread they spin.
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "OMP_NUM_THREADS": "1",
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
}

FLAGS = (
    *("--host", "127.0.0.1"),
    "--enforce-eager",  # otherwise the first start compiles for 85 s
    *("--dtype", "float32"),
    *("--kv-cache-memory-bytes", str(128 * 2**20)),  # must be set: the default wants 92 % of the memory
    *("--generation-config", "vllm"),  # else the model's generation_config.json changes defaults
    # A seeded request whose prompt is read in chunks ends vLLM 0.32 on a CPU ("CPU Generator does not use offset"), and all of
    # ours are seeded. Without chunks a prompt is read at once, so that this many tokens must hold the model's whole context.
    "--no-enable-chunked-prefill",
    *("--max-num-batched-tokens", "8192"),
)
"""For a small model on a CPU."""


def find_vllm(given: str | None, beside: Path) -> str:
    """What starts vLLM: an executable ``vllm``, or the Python of vLLM's environment.

    Args:
        given: by the user: a path, or a name on the PATH.
        beside: a folder in which ``tests/vllm/build_env.sh`` may have made ``.venv-vllm``.

    Raises:
        ModelError: there is none.
    """
    if given is not None:
        found = shutil.which(os.path.expanduser(given))
        if found is None:
            raise ModelError(f"no vLLM: {given!r} is not an executable file; give the `vllm` of its environment")
        return found
    # Not its `vllm`: the build for CPUs calls its package vllm-cpu, and that command looks for one called vllm.
    python = beside / ".venv-vllm" / "bin" / "python"
    found = str(python) if python.is_file() else shutil.which("vllm")
    if found is None:
        raise ModelError(
            f"no vLLM: neither {str(python)!r} nor `vllm` on the PATH is there. `make vllm-env` builds one for the CPU; or "
            "name its executable with --vllm or LAVAD_VLLM, or a running server with --base-url"
        )
    return found


def command_of(executable: str, folder: Path) -> list[str]:
    """The command that serves the model in ``folder``."""
    if Path(executable).name.startswith("python"):
        return [executable, "-P", "-m", "vllm.entrypoints.openai.api_server", "--model", str(folder)]
    return [executable, "serve", str(folder)]


class VllmServer:
    """One server process, in a process group of its own. It ends with :meth:`stop`, and with this process.

    Attributes:
        base_url: up to and including ``/v1``.
        model: the name under which the model is served.
    """

    def __init__(
        self,
        folder: Path,
        log: Path,
        *,
        executable: str,
        model: str,
        port: int | None = None,
        flags: Sequence[str] = (),
        start_timeout_s: float = START_TIMEOUT_S,
    ) -> None:
        """Start it and wait until it serves ``model``.

        Args:
            folder: where the model is.
            log: file for what it says.
            executable: see :func:`find_vllm`.
            model: a name.
            port: port on 127.0.0.1; a free one if not given.
            flags: more of vLLM's.
            start_timeout_s: how long to wait.

        Raises:
            ServiceUnavailable: it ended, or was not ready in time; the message holds the end of its log.
        """
        self.model, self.log = model, log
        self.port = port or free_port()
        self.base_url = f"http://127.0.0.1:{self.port}/v1"
        command = [*command_of(executable, folder)]
        command += ["--served-model-name", model, "--port", str(self.port), *FLAGS, *flags]
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                attached.attached(command),
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=log.parent,
                env={**os.environ, **ENVIRONMENT},
                start_new_session=True,
            )
        atexit.register(self.kill)
        try:
            self._wait(start_timeout_s)
        except BaseException:
            self.kill()
            raise

    def _wait(self, timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise ServiceUnavailable(f"the vLLM server ended with {self._process.returncode}: {self._tail()}")
            # /v1/models and not /health: vLLM shares its port with any other server that binds it.
            with suppress(OSError, ValueError, KeyError), opener.open(f"{self.base_url}/models", timeout=5) as answer:
                if any(row["id"] == self.model for row in json.load(answer)["data"]):
                    return
            time.sleep(0.25)
        raise ServiceUnavailable(f"the vLLM server was not ready after {timeout_s:.0f} s: {self._tail()}")

    def _tail(self) -> str:
        """The end of its log."""
        return f"…{self.log.read_text(errors='replace')[-2000:].strip()} (all of it: {str(self.log)!r})"

    def stop(self) -> None:
        """SIGTERM, a while, SIGKILL."""
        attached.stop(self._process)
        atexit.unregister(self.kill)

    def kill(self) -> None:
        """SIGKILL to the whole group."""
        attached.kill(self._process)
        atexit.unregister(self.kill)
