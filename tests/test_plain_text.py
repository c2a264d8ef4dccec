"""Numbers of things, as people read them."""

from __future__ import annotations

import re

import pytest
from support.command import REPOSITORY

from lavad.deployments.cli.terminal.text import show_table
from lavad_core.plain_text import number_of


@pytest.mark.parametrize(
    ("count", "words", "said"),
    [
        pytest.param(0, ["video"], "0 videos", id="none"),
        pytest.param(1, ["video"], "1 video", id="one"),
        pytest.param(2, ["video"], "2 videos", id="two"),
        pytest.param(1, ["pass"], "1 pass", id="one pass"),
        pytest.param(3, ["pass"], "3 passes", id="passes"),
        pytest.param(1, ["video", "have"], "1 video has", id="one does"),
        pytest.param(2, ["frame", "are"], "2 frames are", id="two do"),
    ],
)
def test_one_thing_has_no_plural(count: int, words: list[str], said: str) -> None:
    assert number_of(count, *words) == said


def test_counts_in_messages_agree_with_what_they_count() -> None:
    """``1 videos`` is said where a number is put before a word; :func:`number_of` says ``1 video``."""
    bare = re.compile(
        r"(?<!of )(?<!all )(?<!last )(?<!the )\{len\([^{}]*\)\} (scored )?(videos|files|results|findings|runs) "
    )
    folders = ("lavad_core", "tasks", "flows", "deployments")
    found = [
        f"{path.relative_to(REPOSITORY)}: {match[0]}"
        for folder in folders
        for path in (REPOSITORY / folder).rglob("*.py")
        for match in bare.finditer(path.read_text(encoding="utf-8"))
    ]
    assert not found, found


def test_columns_that_hold_nothing_are_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    headers = ("video", "reason", "seconds")
    show_table(headers, [("a", "", 1.0), ("bc", None, 20.0)], right=(2,), omit_empty=True)
    assert capsys.readouterr().out == "video  seconds\na        1.000\nbc      20.000\n"
    show_table(headers, [], omit_empty=True)
    assert capsys.readouterr().out == "video  reason  seconds\n"
