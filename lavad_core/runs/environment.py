"""What a run happened on: for its manifest, never for a result."""

from __future__ import annotations

import os
import platform
import subprocess
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil

from lavad_core.version import __version__

PACKAGES = ("av", "httpx", "numpy", "pillow", "prefect", "pyarrow", "pydantic", "torch", "transformers")
"""Those whose versions can change a result or its speed."""

DRIVER = Path("/proc/driver/nvidia")
"""Where NVIDIA's driver says what it drives; in a container, what the container was given."""

GIT_TIMEOUT_S = 5.0
"""Asking for a revision takes milliseconds; on a dead network mount it must not hold up a run."""


def versions(packages: Iterable[str] = PACKAGES) -> dict[str, str]:
    """Version by name, of this program, Python and packages; those not installed are left out. Imports nothing."""
    found = {"lavad": __version__, "python": platform.python_version()}
    for name in packages:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def host() -> dict[str, str | int]:
    """The machine and this process; ``gpus`` only where the driver of NVIDIA names some."""
    found = gpus()
    return {
        "name": platform.node(),
        "system": platform.platform(),
        "machine": platform.machine(),
        "cpus": cores(),
        "memory_bytes": psutil.virtual_memory().total,
        **({"gpus": found} if found else {}),
        "process": os.getpid(),
    }


def gpus(driver: Path = DRIVER) -> str:
    """The GPUs of the machine or container by the driver's own words, without a library: ``2 x NVIDIA H100``, and which of them
    this process may use, where the environment says so. Empty if there are none."""
    models = []
    for information in sorted(driver.glob("gpus/*/information")):
        with suppress(OSError, UnicodeDecodeError):
            lines = dict(line.partition(":")[::2] for line in information.read_text().splitlines())
            models.append(lines.get("Model", "?").strip())
    words = ", ".join(f"{count} x {model}" if count > 1 else model for model, count in Counter(models).items())
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    return f"{words} (CUDA_VISIBLE_DEVICES={visible})" if words and visible is not None else words


def machine_in_words(facts: Mapping[str, Any]) -> str:
    """Where a run is, by its record: ``gpu-box (process 17), 2 x NVIDIA H100 (CUDA_VISIBLE_DEVICES=1)``."""
    parts = [f"{facts.get('name', '?')} (process {facts.get('process', '?')})", str(facts.get("gpus", "no GPU seen"))]
    return ", ".join(parts)


@cache
def git_revision(folder: Path | None = None) -> str | None:
    """The commit of the checkout that this program runs from, None if it runs from no checkout.

    ``+changes`` follows where tracked files differ from it, ``+unknown`` where git did not say in time. Asked once a process:
    the code that runs was read at its start.
    """
    folder = folder if folder is not None else Path(__file__).resolve().parents[2]
    if not (folder / ".git").exists():
        return None
    revision = _git(folder, "rev-parse", "HEAD")
    if revision is None:
        return None
    changes = _git(folder, "status", "--porcelain", "--untracked-files=no")
    if changes is None:
        return f"{revision}+unknown"
    return f"{revision}+changes" if changes else revision


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "--no-optional-locks", *arguments],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=GIT_TIMEOUT_S,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
