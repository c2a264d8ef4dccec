"""Fixtures of all tests."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

REPOSITORY = Path(__file__).resolve().parent.parent

pytest_plugins = ["support.processes", "support.prefect_fixture", "support.s3_server", "support.vllm_fixture"]

# A run of the suite says something of the commit, not of chance: the same examples each time, made from each test's code.
# `pytest --hypothesis-profile=explore` draws new ones.
hypothesis.settings.register_profile("repeatable", derandomize=True, deadline=None)
hypothesis.settings.register_profile("explore", deadline=None)
hypothesis.settings.load_profile("repeatable")

# No test may reach for a hub or report usage; set before any library reads them.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRANSFORMERS_OFFLINE", "1")
os.environ.setdefault("DO_NOT_TRACK", "1")

# A shell's background job ignores SIGINT, and so would the programs that tests interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

LONGEST_ID = 60
"""Characters of what a value is called in a test's id; the rest is cut."""


def pytest_make_parametrize_id(config: pytest.Config, val: object, argname: str) -> str | None:
    """A value that pytest would call by its argument's name and a number is called by what it is; None leaves it to pytest."""
    if isinstance(val, str | bool | int | float | None | type) or callable(val):
        return None
    if isinstance(val, set | frozenset):  # its order is another in each process
        val = sorted(val, key=str)
    text = ascii(val)
    if " at 0x" in text:  # another one in each process
        return None
    return text if len(text) <= LONGEST_ID else f"{text[: LONGEST_ID - 3]}..."


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Small models gain nothing from a second thread of PyTorch, and wait for it where cores are shared."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the checkout."""
    return REPOSITORY


@pytest.fixture(scope="session")
def shared() -> Path:
    """Golden outputs and real data beside the checkout; tests that need them are skipped where they are absent."""
    folder = REPOSITORY.parent / "shared"
    if not (folder / "golden" / "README.md").exists():
        pytest.skip("no ../shared/golden beside the checkout: the comparison with the authors' outputs is not made")
    return folder
