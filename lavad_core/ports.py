"""Ports for the servers that live as long as a run."""

from __future__ import annotations

import socket


def free_port() -> int:
    """A free port on 127.0.0.1."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
