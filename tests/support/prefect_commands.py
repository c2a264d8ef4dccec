"""Whether Prefect's command line takes a command."""

from __future__ import annotations

import itertools
import re
import subprocess
import sys
from collections.abc import Sequence
from functools import cache


@cache
def _help_of(subcommand: tuple[str, ...]) -> str:
    done = subprocess.run(
        [sys.executable, "-P", "-m", "prefect", *subcommand, "--help"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout


def check_prefect_command(command: Sequence[str], arguments: int = 0) -> None:
    """The words are a command of Prefect and its options, as far as its help tells.

    Args:
        command: its words, ``prefect`` first.
        arguments: how many words before the first option are no part of the command's name.
    """
    assert command[0] == "prefect"
    words = list(itertools.takewhile(lambda word: not word.startswith("-"), command[1:]))
    subcommand = words[: len(words) - arguments]
    told = _help_of(tuple(subcommand))
    assert " ".join(subcommand) in told
    for option in (word for word in command[1:] if word.startswith("--")):
        assert re.search(rf"(?<![\w-]){re.escape(option.partition('=')[0])}(?![\w-])", told), f"{subcommand}: {option}"
