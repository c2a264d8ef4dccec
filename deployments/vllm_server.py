"""A vLLM server of our own for as long as a run lasts. It has an environment of its own, and is spoken to over HTTP.

Measured on two cores without a GPU: ready after 17 to 40 s, 1.2 GiB of memory, a second to stop.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from lavad_core.errors import ModelError
from lavad_core.models.chat.own_server import OwnServer
from lavad_core.ports import free_port

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


class VllmServer(OwnServer):
    """A server of a small model on a CPU, ready when it is made."""

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
            ServiceUnavailable, ServiceTimeout: it ended, or was not ready in time; the message holds the end of its log.
        """
        port = port or free_port()
        command = [*command_of(executable, folder), "--served-model-name", model, "--port", str(port), *FLAGS, *flags]
        super().__init__(command, log, environ={**os.environ, **ENVIRONMENT}, model=model, port=port)
        self.wait(start_timeout_s)
