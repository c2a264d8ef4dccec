"""Threads of torch that wait: set before torch is loaded, and the user's own word wins."""

from __future__ import annotations

import subprocess
import sys

import pytest
from support.command import environment

SHOWN = "import os, sys, lavad_core.models; print(os.environ['OMP_WAIT_POLICY'], 'torch' in sys.modules)"


@pytest.mark.parametrize(
    ("given", "found"),
    [
        pytest.param({}, "passive False", id="they sleep"),
        pytest.param({"OMP_WAIT_POLICY": "active"}, "active False", id="the user wants them to spin"),
    ],
)
def test_threads_that_wait(given: dict[str, str], found: str) -> None:
    own = {name: value for name, value in environment().items() if name != "OMP_WAIT_POLICY"}
    done = subprocess.run([sys.executable, "-c", SHOWN], env=own | given, stdout=subprocess.PIPE, text=True, check=True)
    assert done.stdout.strip() == found
