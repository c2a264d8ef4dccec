"""A real vLLM server on the CPU, for tests. Measured: ready after 17 to 40 s, 1.2 GiB of memory, 0.5 to 1 s to stop."""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]
PYTHON = REPOSITORY / ".venv-vllm" / "bin" / "python"
BUILD = "tests/vllm/build_env.sh"

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
    "--enforce-eager",  # else the first start compiles for 85 s
    *("--dtype", "float32"),
    *("--block-size", "32"),  # the CPU's default of 128 tokens never finds a short prefix in its cache
    *("--kv-cache-memory-bytes", str(128 * 2**20)),  # must be set: the default wants 92 % of the memory
    *("--generation-config", "vllm"),  # else the model's generation_config.json changes defaults
    "--enable-prompt-tokens-details",
)


def missing() -> str:
    """Why there can be no server here, with the way out; empty if there can."""
    check = subprocess.run(["bash", str(REPOSITORY / BUILD), "--check"], capture_output=True, text=True, timeout=60)
    return "" if check.returncode == 0 else f"no vLLM server: {check.stderr.strip() or BUILD}"


class VllmServer:
    """One server process, in a process group of its own.

    Attributes:
        base_url: up to and including ``/v1``.
        model: the name under which the model is served.
        folder: the model's.
    """

    def __init__(
        self,
        folder: Path,
        log: Path,
        *,
        model: str = "tiny",
        max_model_len: int = 2048,
        max_num_seqs: int = 64,
        port: int | None = None,
        extra: Sequence[str] = (),
        start_timeout_s: float = 240.0,
    ) -> None:
        """Start it and wait until it serves ``model``.

        Raises:
            RuntimeError: it ended, or was not ready in time; the message holds the end of its log.
        """
        self.model, self.folder, self.log = model, folder, log
        self.port = port or free_port()
        self.base_url = f"http://127.0.0.1:{self.port}/v1"
        command = [str(PYTHON), "-P", "-m", "vllm.entrypoints.openai.api_server", "--model", str(folder)]
        command += ["--served-model-name", model, "--port", str(self.port), "--max-model-len", str(max_model_len)]
        command += ["--max-num-seqs", str(max_num_seqs), *FLAGS, *extra]
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=log.parent,
                env={**os.environ, **ENVIRONMENT},
                start_new_session=True,
            )
        atexit.register(self.kill)
        try:
            self._wait(time.monotonic() + start_timeout_s)
        except BaseException:
            self.kill()
            raise

    def _wait(self, deadline: float) -> None:
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise RuntimeError(f"the vLLM server ended with {self._process.returncode}:\n{self._tail()}")
            # /v1/models and not /health: vLLM shares its port with any other server that binds it.
            with contextlib.suppress(OSError, ValueError, KeyError):
                _, models = get(f"{self.base_url}/models", timeout_s=5)
                if any(row["id"] == self.model for row in models["data"]):
                    return
            time.sleep(0.25)
        raise RuntimeError(f"the vLLM server was not ready in time:\n{self._tail()}")

    def _tail(self) -> str:
        return self.log.read_text(errors="replace")[-4000:]

    def kill(self) -> None:
        """SIGKILL to the whole group: engine processes outlive a killed server."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(timeout=30)
        atexit.unregister(self.kill)

    def stop(self) -> None:
        """SIGTERM, ten seconds, SIGKILL: with a request in flight the server may wait for ever."""
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=10)
        self.kill()

    def freeze(self) -> None:
        """SIGSTOP: it accepts connections and never answers."""
        os.killpg(self._process.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        os.killpg(self._process.pid, signal.SIGCONT)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def get(url: str, timeout_s: float = 60.0) -> tuple[int, Any]:
    """(status, parsed JSON) of one request without the project's own client."""
    with urllib.request.urlopen(url, timeout=timeout_s) as answer:
        return answer.status, json.load(answer)


def post(url: str, body: object, timeout_s: float = 60.0) -> tuple[int, Any]:
    """As :func:`get`."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=timeout_s) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read() or b"null")
