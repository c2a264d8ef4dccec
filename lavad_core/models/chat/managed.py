"""``chat.server: managed``: the run starts the server of its chat model, and ends it."""

from __future__ import annotations

import logging
import os
import secrets
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from pydantic import SecretStr

from lavad_core.config.models import VllmChatConfig
from lavad_core.config.served_fields import flag_of
from lavad_core.errors import ModelError, ServiceTimeout, ServiceUnavailable
from lavad_core.masking import remember_secrets
from lavad_core.models.chat.own_server import OwnServer
from lavad_core.models.chat.template_files import role_in
from lavad_core.ports import free_port
from lavad_core.store.local import make_folders

ROOM_BYTES = 2 * 2**30
"""What the server leaves free of a GPU for this process beside it: for batches of the encoder, and CUDA's own."""

STARTS = 2
"""How often a server is started that ends by itself before it is ready: its port may have been taken in between."""

_MEMORY_FLAGS = ("--gpu-memory-utilization", "--kv-cache-memory-bytes")

log = logging.getLogger(__name__)


def start_managed(section: VllmChatConfig, log_file: Path, started: Callable[[OwnServer], None]) -> VllmChatConfig:
    """Start the server of a section, and wait until it serves its model.

    Args:
        log_file: what the server says is added to it.
        started: given the process before it is waited for.

    Returns:
        The section of that server, as if it had been started by somebody else.

    Raises:
        ModelError: it cannot be started, or is not ready in time; with the last lines of its log.
        Interrupted: the run is being stopped.
    """
    find_command(section)
    key = secrets.token_urlsafe(32)
    remember_secrets([key])
    # Not our secrets: the server needs none of them.
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("LAVAD_", "PREFECT_"))}
    environ |= {"VLLM_API_KEY": key, "VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"}
    make_folders(log_file.parent)
    for left in reversed(range(STARTS)):
        command = [*command_of(section), "--port", str(port := free_port())]
        log.info("starting the server of %r; it writes %r", section.model, str(log_file))
        server = OwnServer(command, log_file, environ=environ, model=section.model, port=port, key=key)
        started(server)
        try:
            server.wait(section.server_start_s)
            break
        except ServiceUnavailable as error:
            if not left:
                raise ModelError(f"chat.server: managed cannot be started: {error}") from error
            log.warning("the server of %r ended before it was ready, and is started once more", section.model)
        except ServiceTimeout as error:
            raise ModelError(f"chat.server: managed, chat.server_start_s: {error}") from error
    return section.model_copy(
        update={"server": "address", "base_url": server.base_url, "api_key": SecretStr(key)},
    )


def find_command(section: VllmChatConfig) -> str:
    """The program that starts the server.

    Raises:
        ModelError: it is not there.
    """
    found = shutil.which(os.path.expanduser(section.server_command[0]))
    if found is None:
        raise ModelError(
            f"chat.server_command: {section.server_command[0]!r} is not an executable file; give the `vllm` of its "
            "environment, as [/opt/vllm/bin/vllm, serve], or set chat.server=address and start it yourself"
        )
    return found


def command_of(section: VllmChatConfig) -> list[str]:
    """The command without the port."""
    command = [find_command(section), *section.server_command[1:], section.server_model or section.model]
    command += ["--served-model-name", section.model, "--host", "127.0.0.1"]
    command += ["--generation-config", "vllm"]  # the model's generation_config.json would change defaults
    if not any(flag_of(given) in _MEMORY_FLAGS for given in section.server_args):
        command += memory_flags()
    return [*command, *section.server_args]


def memory_flags() -> list[str]:
    """vLLM's share of the GPU: what is free now, but for :data:`ROOM_BYTES`. Nothing without a GPU.

    Raises:
        ModelError: nothing is left.
    """
    if "torch" not in sys.modules:  # no model of this process is on a GPU, and vLLM's own default is right
        return []
    from lavad_core.models.devices import unused_share

    share = unused_share(ROOM_BYTES)
    if share is None:
        return []
    if share <= 0:
        raise ModelError(
            "the GPU has no free memory for the vLLM server: other programs use it, or the encoder fills it; end them, or give "
            "the server another GPU (chat.server=address)"
        )
    return ["--gpu-memory-utilization", f"{share:.2f}"]


def expected_folding(section: VllmChatConfig) -> bool | None:
    """Whether the model of a server that is not started yet takes no system messages, by the template in its folder; None if it
    is not a folder of this machine.

    Raises:
        ModelError: the template cannot be used.
    """
    folder = Path(section.server_model or section.model).expanduser()
    given = section.extra_body.get("chat_template_kwargs")
    role = role_in(folder, given if isinstance(given, dict) else {}, section.model) if folder.is_dir() else None
    return None if role is None else role == "fold"
