"""The guides' commands of Prefect, and their settings, exist."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from prefect.settings.legacy import _get_valid_setting_names
from prefect.settings.models.root import Settings
from support.prefect_commands import check_prefect_command

PAGES = sorted((Path(__file__).resolve().parent.parent.parent / "docs" / "operations").glob("*.md"))

ARGUMENTS = {
    ("deployment", "run"): 1,
    ("work-pool", "create"): 1,
    ("work-pool", "update"): 1,
    ("work-queue", "set-concurrency-limit"): 2,
}
"""Commands to how many words without a dash follow them."""


def commands_of_prefect(text: str) -> Iterator[list[str]]:
    blocks = "\n".join(re.findall(r"(?ms)^```\n(.*?)^```", text)).replace("\\\n", " ")
    spans = re.findall(r"`(prefect [^`]+)`", re.sub(r"(?ms)^```.*?^```", "", text))
    for line in [*blocks.splitlines(), *spans]:
        command = re.sub(r"^\s*(?:\w+=\S+ )+", "", line).strip().removesuffix("&")
        if command.startswith("prefect "):
            yield shlex.split(command, comments=True)


def test_the_guides_have_commands() -> None:
    assert sum(len(list(commands_of_prefect(page.read_text(encoding="utf-8")))) for page in PAGES) > 5


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_commands_of_prefect_and_settings_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for command in commands_of_prefect(text):
        check_prefect_command(command, ARGUMENTS.get((command[1], command[2]), 0))
    unknown = set(re.findall(r"PREFECT_[A-Z_]+", text)) - set(_get_valid_setting_names(Settings))
    assert unknown == set()
