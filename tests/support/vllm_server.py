"""The vLLM server of :mod:`lavad.deployments.vllm_server` as tests want it: a real one, on the CPU."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lavad.deployments import vllm_server
from lavad_core.ports import free_port

__all__ = ["VllmServer", "free_port", "get", "missing", "post"]

REPOSITORY = Path(__file__).resolve().parents[2]
PYTHON = REPOSITORY / ".venv-vllm" / "bin" / "python"
BUILD = "tests/vllm/build_env.sh"


def missing() -> str:
    """Why there can be no server here, with the way out; empty if there can."""
    check = subprocess.run(["bash", str(REPOSITORY / BUILD), "--check"], capture_output=True, text=True, timeout=60)
    return "" if check.returncode == 0 else f"no vLLM server: {check.stderr.strip() or BUILD}"


class VllmServer(vllm_server.VllmServer):
    """One server process.

    Attributes:
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
    ) -> None:
        """Start it and wait until it serves ``model``."""
        self.folder = folder
        flags = [
            *("--max-model-len", str(max_model_len)),
            *("--max-num-seqs", str(max_num_seqs)),
            *("--block-size", "32"),  # the CPU's default of 128 tokens never finds a short prefix in its cache
            "--enable-prompt-tokens-details",
            *extra,
        ]
        super().__init__(folder, log, executable=str(PYTHON), model=model, port=port, flags=flags)

    def freeze(self) -> None:
        """SIGSTOP: it accepts connections and never answers."""
        os.killpg(self._process.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        os.killpg(self._process.pid, signal.SIGCONT)


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
