"""Shell completion: the script, what it offers, and what it does not load for that."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.command import COMMANDS, REPOSITORY, environment
from support.filled_store import fill

SPY = (
    "import sys; from lavad.deployments.cli.main import main\n"
    "try: main()\n"
    "finally: print([name for name in ('torch', 'transformers', 'prefect', 'av', 'pyarrow', 'numpy') "
    "if name in sys.modules], file=sys.stderr)"
)


def offered(line: str, **variables: str) -> list[str]:
    """What bash is told for the last word of a line."""
    words = {"COMP_WORDS": line, "COMP_CWORD": str(len(line.split(" ")) - 1), "_LAVAD_COMPLETE": "complete_bash"}
    done = subprocess.run(
        [sys.executable, "-c", SPY],
        env=environment(**words, **variables), cwd=REPOSITORY, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stderr.splitlines()[-1] == "[]", "nothing heavy is imported"
    return done.stdout.split()


@pytest.mark.parametrize(
    ("line", "words"),
    [
        pytest.param("lavad thr", ["threshold"], id="a command"),
        pytest.param("lavad run --lim", ["--limit"], id="an option"),
        pytest.param("lavad config show --preset t", ["tiny"], id="a preset"),
        pytest.param("lavad status --store /nowhere x", [], id="no store"),
    ],
)
def test_words(line: str, words: list[str]) -> None:
    assert offered(line) == words


TAKES = {
    "RUN": "base", "A B": "base", "[NAME=]RUN": "base", "VIDEO": "clip", "[VIDEO]…": "clip",
}  # fmt: skip
"""What is written for a value in the help, to what a store with one run is to offer for it."""

NAMED = [
    (command, parameter)
    for command, found in COMMANDS.items()
    for parameter in found.params
    if parameter.metavar in TAKES or parameter.name in ("run", "runs")
]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("store")
    fill(root, "clip", "two words", name="base")
    return root


def test_the_commands_that_take_a_run_or_a_video_are_known() -> None:
    look = {"status", "show", "report", "overlay", "plot"}
    assert {command for command, _ in NAMED} == look | {
        "plan",
        "store known-bad",
        "study plan",
        "leaderboard",
        "retry",
        "evaluate",
        "compare",
        "threshold",
        "export",
    }


@pytest.mark.parametrize(
    ("command", "parameter"), [pytest.param(*case, id=f"{case[0]} {case[1].name}") for case in NAMED]
)
def test_runs_and_videos_are_offered_wherever_one_is_taken(
    command: str, parameter: Any, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAVAD_STORE", str(store))
    word = TAKES[parameter.metavar]
    with COMMANDS[command].make_context(command, [], resilient_parsing=True) as context:
        offered = [item.value for item in parameter.shell_complete(context, word[:2])]
    assert offered == [word]


def test_the_run_of_a_legend(store: Path) -> None:
    assert offered("lavad plot --roc --run ours=b", LAVAD_STORE=str(store)) == ["ours=base"]


def test_runs_of_the_store_but_no_name_that_a_shell_would_run(tmp_path: Path) -> None:
    first, _ = fill(tmp_path, "a", name="base")
    second, _ = fill(tmp_path, "a", name="$(touch x)")
    assert offered("lavad status ", LAVAD_STORE=str(tmp_path)) == ["base", second, first]
    assert offered(f"lavad retry --store {tmp_path} b") == ["base"]


@pytest.fixture
def bash(tmp_path: Path) -> dict[str, str]:
    """The environment of a bash in which ``lavad`` is a command, with a home folder of its own."""
    command = tmp_path / "bin" / "lavad"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m lavad.deployments.cli.main "$@"\n')
    command.chmod(0o755)
    variables = environment(HOME=str(tmp_path), LAVAD_STORE=str(tmp_path / "none"))
    return {**variables, "PATH": f"{command.parent}:{variables['PATH']}"}


@pytest.mark.parametrize(
    "installing",
    [
        pytest.param('eval "$(lavad --show-completion)"', id="show"),
        pytest.param("lavad --install-completion >/dev/null; . ~/.bashrc", id="install"),
    ],
)
def test_in_a_shell(installing: str, bash: dict[str, str]) -> None:
    script = f'{installing}; COMP_WORDS=(lavad plo); COMP_CWORD=1; _lavad_completion lavad; echo "${{COMPREPLY[*]}}"'
    done = subprocess.run(["bash", "-c", script], env=bash, capture_output=True, text=True, check=False, timeout=60)
    assert (done.stdout, done.stderr) == ("plot\n", "")
