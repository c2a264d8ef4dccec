"""Messages of commits: a subject below 72 characters that says what, an empty line, and a body that says why."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

BASE = "52099e098c7221bf02eb29f431885b903d405e49"
"""The last commit before the rule. History up to here breaks it and is not rewritten."""


def rule(repository: Path) -> re.Pattern[bytes]:
    """The pattern of the hook, as pre-commit compiles it."""
    hooks = yaml.safe_load((repository / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"][0]["hooks"]
    (hook,) = (hook for hook in hooks if hook["id"] == "commit-message")
    assert (hook["stages"], hook["language"], hook["args"]) == (["commit-msg"], "pygrep", ["--negate", "--multiline"])
    return re.compile(hook["entry"].encode(), re.MULTILINE | re.DOTALL)


def git(repository: Path, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(["git", *arguments], cwd=repository, capture_output=True, timeout=60, check=False)


def test_commits_say_what_and_why(repository: Path) -> None:
    if shutil.which("git") is None or git(repository, "merge-base", "--is-ancestor", BASE, "HEAD").returncode:
        pytest.skip(f"commits are not checked: no git, or {BASE[:7]} is not in this history (git fetch --unshallow)")
    log = git(repository, "log", "--no-merges", "--format=%h %B%x00", f"{BASE}..HEAD").stdout
    commits = [commit.lstrip(b"\n").partition(b" ") for commit in log.split(b"\0") if commit.strip()]
    wrong = [(name, text.split(b"\n")[0]) for name, _, text in commits if not rule(repository).search(text)]
    assert not wrong, (
        "give these a subject below 72 characters, an empty line, and a body that says why (git rebase -i)"
    )


@pytest.mark.parametrize(
    ("message", "fine"),
    [
        pytest.param("A run has a name\n\nIts id says nothing.\n", True, id="subject and body"),
        pytest.param("x" * 71 + "\n\nWhy.\n", True, id="71 characters"),
        pytest.param("x" * 72 + "\n\nWhy.\n", False, id="72 characters"),
        pytest.param("A run has a name\n", False, id="no body"),
        pytest.param("A run has a name\nIts id says nothing.\n", False, id="no empty line"),
        pytest.param("A run has a name\n\n# Please enter the commit message\n#\n", False, id="comments for a body"),
        pytest.param("A run has a name\n\n# A comment\n\nWhy.\n", True, id="a body behind comments"),
        pytest.param("Merge branch 'runs'\n", True, id="merge"),
    ],
)
def test_the_rule(message: str, fine: bool, repository: Path) -> None:
    assert bool(rule(repository).search(message.encode())) is fine
