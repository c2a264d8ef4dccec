"""The command as a whole: help, streams, exit codes, signals."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from support.command import REPOSITORY, environment, lavad, start
from support.filled_store import fill

from lavad.deployments.cli.exits import Exit, code_of, guarded
from lavad.deployments.cli.terminal.text import escape
from lavad_core import errors

COMMANDS = [
    ["run"], ["watch"], ["status"], ["retry"], ["show"], ["doctor"], ["download"],
    ["report"], ["overlay"], ["plot"], ["import"], ["export"],
    ["demo"], ["plan"], ["evaluate"], ["compare"], ["leaderboard"], ["threshold"],
    ["store", "ls"], ["store", "verify"], ["store", "gc"],
    ["config", "show"], ["config", "schema"], ["config", "presets"],
    ["dataset", "list"], ["dataset", "check"],
]  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_has_help(command: list[str]) -> None:
    result = lavad(*command, "--help")
    assert result.exit_code == 0
    assert "Usage:" in result.stdout
    assert result.stderr == ""


def test_help_names_the_commands_and_the_exit_codes() -> None:
    text = " ".join(lavad("--help").stdout.split())
    assert all(f" {command[0]} " in text for command in COMMANDS)
    assert all(f" {code.value} " in text for code in Exit)


PANELS = {
    "Run": ["demo", "plan", "run", "watch", "retry"],
    "Look at results": ["status", "show", "report", "overlay", "plot"],
    "Evaluate": ["evaluate", "compare", "leaderboard", "threshold", "dataset", "study"],
    "Exchange with other programs": ["import", "export"],
    "Maintain": ["doctor", "download", "config", "store"],
}


@pytest.mark.parametrize("rich", ["0", "1"])
def test_help_has_the_commands_in_panels_and_no_markup(rich: str) -> None:
    """In a pipe; whether typer may use rich makes no difference."""
    done = subprocess.run(
        [sys.executable, "-m", "lavad.deployments.cli.main", "--help"],
        env=environment(TYPER_USE_RICH=rich, FORCE_COLOR="1"), capture_output=True, text=True, check=True,
    )  # fmt: skip
    found: dict[str, list[str]] = {}
    for line in done.stdout[: done.stdout.index("Exit codes")].splitlines():
        if line.endswith(":") and not line.startswith(" "):
            panel = found.setdefault(line.removesuffix(":"), [])
        elif found and line[2:3].isalpha():
            panel.append(line.split()[0])
    assert {title: names for title, names in found.items() if title != "Options"} == PANELS
    assert "...\n" not in done.stdout.partition("\n")[2], "a line of help that is cut"
    assert done.stdout.isascii()
    assert "\x1b" not in done.stdout


def test_no_folder_of_the_command_line_is_crowded() -> None:
    root = REPOSITORY / "deployments" / "cli"
    crowded = {
        str(folder.relative_to(root)): count
        for folder in [root, *(path for path in root.rglob("*") if path.is_dir() and path.name != "__pycache__")]
        if (count := len(list(folder.glob("*.py")))) > 12
    }
    assert not crowded


def test_what_commands_share_imports_no_command_and_commands_only_their_neighbours() -> None:
    root, package = REPOSITORY / "deployments" / "cli", "lavad.deployments.cli.commands."
    arrows = []
    for path in root.rglob("*.py"):
        own = path.relative_to(root).parts
        panel = package + own[1] if own[0] == "commands" and len(own) > 2 else None
        arrows += [
            f"{'/'.join(own)}: {line.strip()}"
            for line in path.read_text(encoding="utf-8").splitlines()
            if f"from {package}" in line and (panel is None or f"from {panel}." not in line) and own != ("main.py",)
        ]
    assert arrows == []


def test_start_is_light() -> None:
    """``lavad --help`` and the configuration do without the heavy libraries: that, not a stop-watch, is checked."""
    script = (
        "import sys; from lavad.deployments.cli.main import app; "
        "import lavad.deployments.cli.commands.maintain.config, lavad_core.config.load; "
        "print([name for name in ('torch', 'transformers', 'prefect', 'av', 'pyarrow', 'numpy') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], env=environment(), capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("case", "arguments", "code", "says"),
    [
        ("unknown command", ["rnu"], 2, "rnu"),
        ("unknown option", ["run", "x", "--presett", "tiny"], 2, "--presett"),
        ("unknown key", ["run", "x", "--set", "window.sampels=3"], 2, "did you mean 'window.samples'?"),
        ("no input", ["run"], 2, "INPUTS"),
        ("input that names nothing", ["run", "/nowhere/at/all.mp4"], 2, "'/nowhere/at/all.mp4'"),
        ("unknown preset", ["config", "show", "--preset", "tinny"], 2, "did you mean 'tiny'?"),
        ("unknown preset to print", ["config", "presets", "tinny"], 2, "did you mean 'tiny'?"),
        ("no such file", ["config", "show", "--config", "/nowhere.yaml"], 2, "No such file"),
        ("labels that are not there", ["run", ".", "--labels", "/nowhere.txt"], 2, "/nowhere.txt"),
        ("unknown format", ["show", "x", "--format", "xml"], 2, "--format"),
    ],
)
def test_usage_errors(case: str, arguments: list[str], code: int, says: str, tmp_path: Path) -> None:
    result = lavad(*arguments)
    assert result.exit_code == code, case
    assert says in " ".join(result.stderr.split()), case
    assert result.stdout == "", case
    assert "Traceback" not in result.output, case


WITH_STORE = [
    ["run", "."], ["watch", "."], ["status"], ["retry"], ["show", "x"], ["doctor"], ["download"],
    ["report", "--output", "r"], ["overlay", "x", "--output", "o.mp4"], ["plot", "x", "--output", "p.png"],
    ["import", "--scores", "a.mp4"], ["export", "csv", "o.csv"], ["dataset", "check", "ucf-crime"],
    ["plan", "."], ["evaluate"], ["compare", "A", "B"], ["leaderboard", "ucf-crime"], ["threshold"],
    ["store", "ls"], ["store", "verify"], ["store", "gc"], ["config", "show"],
]  # fmt: skip


@pytest.mark.parametrize("command", WITH_STORE, ids=" ".join)
@pytest.mark.parametrize("given", ["", " "])
def test_an_empty_store_is_not_the_current_folder(
    command: list[str], given: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.mp4").touch()
    result = lavad(*command, "--store", given)
    assert result.exit_code == Exit.USAGE
    assert "'--store': the path is empty" in " ".join(result.stderr.split())
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]


def test_every_command_with_a_store_is_checked() -> None:
    assert {command[0] if command[0] not in ("store", "config") else tuple(command) for command in WITH_STORE} == {
        command[0] if command[0] not in ("store", "config") else tuple(command)
        for command in COMMANDS
        if "--store" in lavad(*command, "--help").stdout
    }


def test_unknown_variables_are_refused() -> None:
    result = lavad("config", "show", env={"LAVAD_STOER": "x"})
    assert result.exit_code == 2
    assert "LAVAD_STOER" in result.stderr
    assert "did you mean 'store'?" in result.stderr


def test_config_show_masks_secrets_and_names_origins() -> None:
    result = lavad(
        "config", "show", "--preset", "ucf-crime", "--set", "window.samples=4", env={"LAVAD_CHAT__API_KEY": "hush"}
    )
    assert result.exit_code == 0
    assert "hush" not in result.output
    assert "samples: 4  # --set window.samples" in result.stdout
    assert "# api_key: **********  # environment variable LAVAD_CHAT__API_KEY" in result.stdout
    bare = lavad("config", "show", "--preset", "ucf-crime", "--no-origins")
    assert "# default" not in bare.stdout


def test_config_show_gives_the_same_again(tmp_path: Path) -> None:
    first = lavad("config", "show", "--preset", "tiny", "--no-origins").stdout
    file = tmp_path / "again.yaml"
    file.write_text(first)
    assert lavad("config", "show", "--config", str(file), "--no-origins").stdout == first


def test_config_schema_is_json() -> None:
    assert json.loads(lavad("config", "schema").stdout)["title"] == "LavadConfig"


def test_config_presets_prints_a_preset() -> None:
    assert lavad("config", "presets", "generic").stdout.splitlines()[-1].strip()
    assert [line.split()[0] for line in lavad("config", "presets").stdout.splitlines()] == [
        "bank", "causal", "definitions", "flashback", "generic", "llava", "nova", "ordinal", "probe-vad",
        "tiny", "ucf-crime", "urf", "vadtree", "xd-violence", "zero-shot-clip", "zero-shot-imagebind",
        "zero-shot-imagebind-video",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.ConfigError(""), 2),
        (errors.InputError(""), 2),
        (errors.ModelError(""), 3),
        (errors.RequestRejected(400, ""), 3),
        (errors.ServiceUnavailable(""), 3),
        (errors.ServiceTimeout(""), 3),
        (errors.DeviceOutOfMemory(""), 3),
        (errors.InternalError(""), 3),
        (errors.StoreUnavailable(""), 4),
        (errors.DamagedResult(""), 4),
    ],
)
def test_exit_code_of_an_error(error: errors.LavadError, code: int) -> None:
    assert code_of(error) == code


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain ü", "plain ü"),
        ("a\nb\tc", "a\\nb\\tc"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("\u202eabc\u2066", "\\u202eabc\\u2066"),
        ("\udcff", "\\udcff"),
        ("\x9b2J", "\\x9b2J"),
        ("[bold]x", "[bold]x"),
    ],
)
def test_escape(text: str, shown: str) -> None:
    assert escape(text) == shown


def test_a_closed_pipe_is_quiet(tmp_path: Path) -> None:
    fill(tmp_path, *(f"video {number} {'x' * 200}" for number in range(30)))
    process = start("status", "--store", str(tmp_path))
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    error = process.stderr.read()
    assert process.wait(60) == Exit.BROKEN_PIPE
    assert "Traceback" not in error
    assert "BrokenPipe" not in error


def fails_to_write(arguments: list[str], tmp_path: Path) -> tuple[int, str]:
    """Exit code and stderr of a command whose stdout is a full disk."""
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "lavad.deployments.cli.main", *arguments],
            stdout=full, stderr=subprocess.PIPE, text=True, env=environment(), cwd=tmp_path, timeout=60, check=False,
        )  # fmt: skip
    return done.returncode, done.stderr


@pytest.mark.parametrize(
    ("case", "arguments"),
    [
        ("a table", ["status", "--store", "store"]),
        ("JSON", ["status", "--json", "--store", "store"]),
        ("CSV", ["show", "v0", "--format", "csv", "--store", "store"]),
        ("more than a buffer", ["config", "schema"]),
        ("another exit code at its end", ["doctor", "--preset", "generic", "--set", "store=/proc/x"]),
        ("help", ["run", "--help"]),
        ("version", ["--version"]),
    ],
)
def test_output_that_cannot_be_written(case: str, arguments: list[str], tmp_path: Path) -> None:
    """A full disk is not a fault of the program, and what was asked for is not done."""
    fill(tmp_path / "store", "v0")
    code, said = fails_to_write(arguments, tmp_path)
    assert code == Exit.OUTPUT, (case, said)
    assert said.strip().splitlines()[-1] == "lavad: the output could not be written: No space left on device", case
    assert "Traceback" not in said, case
    assert "fault of the program" not in said, case


def test_other_errors_of_the_system_stay_faults_of_the_program(capsys: pytest.CaptureFixture[str]) -> None:
    def command() -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(typer.Exit) as caught:
        guarded(command)()
    assert caught.value.exit_code == Exit.NOTHING_DONE
    assert "fault of the program" in capsys.readouterr().err
