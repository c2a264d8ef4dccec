"""Pages name files and commands that exist."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from support.pages import pages

from lavad.deployments.cli.main import app

FOLDERS = "lavad_core|tasks|flows|deployments|demo|tests|docs|docker|benchmarks"

NAMED = re.compile(rf"(?<![\w/.-])(?:{FOLDERS})/[\w./-]*\w/?(?![\w<*{{…])")
"""A path from the root of the checkout."""

INSIDE = re.compile(r"`((?:[a-z_]+/)+\w+\.(?:py|yaml|md|jinja))`|(?m:^((?:[a-z]+/)+[a-z_]+) {2,}\S)")
"""A path from within ``lavad_core`` or beside the page, in the text or at the left of a drawing."""

ELSEWHERE = {
    "docker/.env": "a copy of docker/.env.example that its user fills in",
    "lavad_core/stages/motion.py": "the stage that docs/stages.md makes up",
    "mteb/models/model_implementations/blip2_models.py": "a file of another repository",
}

COMMAND = typer.main.get_command(app)

BLOCK = re.compile(r"(?ms)^ *```\w*\n(.*?)^ *```")


def files_in(text: str) -> set[str]:
    inside = {one or other for one, other in INSIDE.findall(text)}
    return {name.rstrip("/") for name in (*NAMED.findall(text), *inside)} - ELSEWHERE.keys()


def commands_in(text: str) -> Iterator[list[str]]:
    """The words of each ``lavad …`` and ``make …``, in code spans and in blocks of code."""
    lines = [line.strip() for block in BLOCK.findall(text) for line in block.replace("\\\n", " ").splitlines()]
    for line in [*lines, *re.findall(r"`([^`\n]+)`", BLOCK.sub("", text))]:
        command = re.sub(r"^(?:\$ |[A-Z_]+=\S+ )+", "", line)
        if command.startswith(("lavad ", "make ")):
            yield shlex.split(command, comments=True)


def what_is_wrong(words: list[str], targets: set[str]) -> str:
    """What a command line names that does not exist; empty if all of it does."""
    if words[0] == "make":
        return "" if words[1] in targets else f"the Makefile has no {words[1]}"
    command = COMMAND
    for word in words[1:]:
        if word in ("|", ">", "&&"):
            break
        if word.startswith("--"):
            known = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
            if word.partition("=")[0] not in {*known, "--help"}:
                return f"{command.name} has no {word}"
        elif getattr(command, "commands", None) and re.fullmatch(r"[a-z-]+", word):
            if word not in command.commands:
                return f"{command.name} has no command {word}"
            command = command.commands[word]
    return ""


def targets_of(repository: Path) -> set[str]:
    return set(re.findall(r"(?m)^([a-z-]+):", (repository / "Makefile").read_text(encoding="utf-8")))


def test_files_that_pages_name_exist(repository: Path) -> None:
    names = {page: files_in(page.read_text(encoding="utf-8")) for page in pages(repository)}
    assert sum(map(len, names.values())) > 100
    missing = [
        f"{page.relative_to(repository)}: {name}"
        for page, named in names.items()
        for root in [(repository, repository / "lavad_core", page.parent)]
        for name in sorted(named)
        if not any((folder / name).exists() or (folder / f"{name}.py").exists() for folder in root)
    ]
    assert missing == []


def test_commands_that_pages_give_exist(repository: Path) -> None:
    targets = targets_of(repository)
    given = [(page, words) for page in pages(repository) for words in commands_in(page.read_text(encoding="utf-8"))]
    assert len(given) > 100
    wrong = [
        f"{page.relative_to(repository)}: {' '.join(words)}: {why}"
        for page, words in given
        if (why := what_is_wrong(words, targets))
    ]
    assert wrong == []


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        pytest.param("`lavad run videos/ --preset ucf-crime`", "", id="fine"),
        pytest.param("`lavad store check`", "store has no command check", id="no command"),
        pytest.param("```\n$ A=b lavad run x --pre y\n```", "run has no --pre", id="no option, in a block"),
        pytest.param("```\nlavad run x \\\n    --pre y\n```", "run has no --pre", id="no option, on the next line"),
        pytest.param("`make demos`", "the Makefile has no demos", id="no target"),
    ],
)
def test_commands_that_do_not_exist_are_found(text: str, wrong: str, repository: Path) -> None:
    (words,) = commands_in(text)
    assert what_is_wrong(words, targets_of(repository)) == wrong


def test_files_are_found_in_texts_and_drawings() -> None:
    text = "See `lavad_core/a.py`, `models/b.py` and tests/c/.\n```\nvideo/d      sends it\n```\n"
    assert files_in(text) == {"lavad_core/a.py", "models/b.py", "tests/c", "video/d"}
