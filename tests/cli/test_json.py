"""``--json``: every command that prints facts has it, and then there is one document on stdout and nothing else."""

from __future__ import annotations

import json

import pytest
from support.command import COMMANDS, REPOSITORY, lavad
from support.filled_store import EVIL, fill
from support.video_factory import make_video

WITHOUT = {
    "demo": "its page and its run have the facts",
    "overlay": "writes a file",
    "plot": "writes a file",
    "config schema": "is JSON",
    "config bank": "is a YAML file",
    "config definitions": "is a YAML file",
    "watch": "its stdout is a line of JSON for each notice",
}
"""Commands without the option, and why they need none."""


LABELS = "--labels {labels} --store {store} --run base"

DOCUMENTS = {
    "run {videos} --preset tiny --store {new} --dry-run": "dry-run",
    "plan {videos} --preset tiny --store {store}": "plan",
    "status --store {store}": "run",
    "status --all --store {store}": "list",
    "dataset list": "list",
    "dataset check folder {videos} --no-count": "dataset-check",
    "compare --labels {labels} --store {store} base base --resamples 0": "comparison",
    "compare --dataset ucf-crime --labels {labels} --store {store} --published": "published-comparison",
    f"evaluate {LABELS} --resamples 0": "evaluation",
    f"threshold {LABELS}": "threshold",
    "import --scores {scores} --videos {videos} --interval 16 --name theirs --store {new}": "import",
    "config show --preset ucf-crime": "config",
    "config presets": "presets",
    "config presets tiny": "presets",
    "config prompts --preset tiny": "prompts",
    "show first --run base --store {store}": "video",
    "show first --frames --store {store}": "video",
    "report --output {new}/pages --run base --store {store}": "report",
    "export csv {new}/scores.csv --run base --store {store}": "export",
    "store ls --store {store}": "list",
    "store verify --store {store}": "list",
    "store known-bad --store {store}": "known-bad",
    "store gc --dry-run --store {store}": "gc",
}
"""Command to the name of its document; ``list``: of a time before documents had names."""


def test_the_page_names_the_documents() -> None:
    page = (REPOSITORY / "docs" / "commands.md").read_text(encoding="utf-8")
    assert [name for name in DOCUMENTS.values() if name != "list" and f"`lavad-{name}`" not in page] == []


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_prints_json_or_says_why_not(name: str) -> None:
    options = {option for parameter in COMMANDS[name].params for option in parameter.opts}
    assert ("--json" in options) != (name in WITHOUT)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A store, a video, scores and labels."""
    root = tmp_path_factory.mktemp("world")
    fill(root / "store", "first", EVIL, name="base")
    (root / "videos").mkdir()
    make_video(root / "videos" / "first.mp4", frames=40)
    (root / "labels.txt").write_text(
        "first.mp4 Arson 4 20 -1 -1\nStra\u00dfe\x85\u202e.mp4 Arson 4 20 -1 -1\n", "utf-8"
    )
    (root / "scores").mkdir()
    (root / "scores" / "first.json").write_text(json.dumps({"0": 0.1, "16": 0.9, "32": 0.0}))
    paths = {"store": "store", "videos": "videos", "labels": "labels.txt", "scores": "scores", "new": "new"}
    return {name: str(root / path) for name, path in paths.items()}


@pytest.mark.parametrize(
    ("command", "document"),
    [
        pytest.param(command, name, id=f"{command.partition(' -')[0].partition(' {')[0]} ({name})")
        for command, name in DOCUMENTS.items()
    ],
)
def test_stdout_holds_one_document_with_its_name(command: str, document: str, world: dict[str, str]) -> None:
    result = lavad(*command.format(**world).split(), "--json")
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)
    if document == "list":
        assert isinstance(found, list)
    else:
        assert (found["format"], found["version"]) == (f"lavad-{document}", 1)
    assert result.stdout.isascii(), "a terminal does nothing with it, whatever names and titles hold"


@pytest.mark.parametrize(
    ("command", "code"),
    [
        pytest.param("status 20200101T000000000-000000 --store {store}", 2, id="no such run"),
        pytest.param("store ls --store {new}/none", 4, id="no store"),
        pytest.param("plan {videos} --preset tinny", 2, id="no such preset"),
    ],
)
def test_an_error_leaves_stdout_empty_and_has_its_code(command: str, code: int, world: dict[str, str]) -> None:
    given = command.format(**world).split()
    result = lavad(*given, "--json")
    assert (result.exit_code, result.stdout) == (code, "")
    assert result.stderr == lavad(*given).stderr


def test_config_as_json_is_the_configuration_with_origins_and_masks() -> None:
    variables = {"LAVAD_CHAT__API_KEY": "hush"}
    result = lavad("config", "show", "--preset", "ucf-crime", "--set", "window.samples=4", "--json", env=variables)
    found = json.loads(result.stdout)
    assert found["settings"]["window"]["samples"] == 4
    assert found["origins"]["window.samples"] == "--set window.samples"
    assert "hush" not in result.output
