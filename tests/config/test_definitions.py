"""A user's own definitions: what their file may hold, and what is made of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from lavad_core.config.definitions_file import package_definitions, parse_definitions
from lavad_core.config.load import load_config, load_recorded
from lavad_core.config.recipes import used_bank
from lavad_core.config.secrets import public_settings
from lavad_core.errors import ConfigError

FILE = """\
# ours
- name: road accident
  hazard: A vehicle crashes into another.
  look_alikes: [A car parks., A car waits.]
  questions: ["Is a vehicle damaged?"]
- name: fire
  hazard: [Something burns., There are flames.]
"""

CONTEXT = """\
How would you rate the scene described on a scale from 0 to 1, with 0 representing a standard scene and 1 denoting a scene \
with one of the following?
Road accident: A vehicle crashes into another. This is not meant: A car parks. A car waits.
Fire: Something burns. There are flames."""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "definitions.yaml"
    path.write_text(FILE)
    return path


def test_a_context_prompt_is_made_of_them(file: Path) -> None:
    given = ["score.context_prompt=definitions", f"definitions.file={file}"]
    config = load_config(overrides=given, environ={})
    assert config.score.context_prompt == CONTEXT
    file.unlink()
    assert load_recorded(public_settings(config)).score.context_prompt == CONTEXT, "a record needs no file"


def test_a_bank_is_made_of_them(file: Path) -> None:
    given = ["score.method=bank", f"definitions.file={file}", "definitions.normal=[All is calm.]"]
    config = load_config(overrides=given, environ={})
    bank = used_bank(config.bank, config.definitions)
    assert [(one.name, one.anomalous, one.normal) for one in bank.categories] == [
        ("road accident", ("A vehicle crashes into another.",), ("A car parks.", "A car waits.", "All is calm.")),
        ("fire", ("Something burns.", "There are flames."), ("All is calm.",)),
    ]
    assert config.bank.digest == bank.digest
    file.write_text(FILE.replace("flames", "sparks"))
    assert load_config(overrides=given, environ={}).bank.digest != bank.digest
    with pytest.raises(
        ConfigError, match=r"definitions\.yaml' has other texts .* begin a new run, without bank\.digest"
    ):
        used_bank(config.bank, config.definitions)


def test_a_bank_is_one_file(file: Path) -> None:
    given = ["score.method=bank", f"definitions.file={file}", f"bank.file={file}"]
    with pytest.raises(ConfigError, match=r"bank\.file and definitions\.file both say"):
        load_config(overrides=given, environ={})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("", "it has to be a list of", id="empty"),
        pytest.param("name: fire", "it has to be a list of", id="a mapping"),
        pytest.param("[]", "with 1 to 100 items", id="no definition"),
        pytest.param("- fire", "item 1 is not a definition", id="a word"),
        pytest.param("- {name: a}", "item 1 has no hazard", id="no hazard"),
        pytest.param("- {hazard: a}", "item 1 has no name", id="no name"),
        pytest.param(
            "- {name: a, hazard: b, harmless: c}", "has the key 'harmless'; keys are name, hazard", id="a key"
        ),
        pytest.param("- {name: a, hazard: []}", r"item 1 \(a\), hazard: give at least one text", id="an empty hazard"),
        pytest.param("- {name: a, hazard: [b, 3]}", "hazard: a value is not a text", id="a number"),
        pytest.param("- {name: a, hazard: b, look_alikes: ' '}", "look_alikes: a text has 0 characters", id="blank"),
        pytest.param(f"- {{name: a, hazard: {'b' * 401}}}", "hazard: a text has 401 characters.*1 to 400", id="long"),
        pytest.param(
            r'- {name: a, hazard: "b\ud800"}', "hazard: .* holds half of a character", id="half of a character"
        ),
        pytest.param("- {name: a, hazard: [b, 'b ']}", "hazard: 'b' is given twice", id="a hazard twice"),
        pytest.param("- {name: a, hazard: b, look_alikes: b}", "'b' is a hazard and a look-alike", id="on both sides"),
        pytest.param("- {name: [], hazard: c}", "item 1 has no name", id="an empty list of names"),
        pytest.param("- {name: [a, b], hazard: c}", "name: 2 texts are given; at most 1", id="two names"),
        pytest.param(
            "- {name: a, hazard: b}\n- {name: a, hazard: c}", "'a' is given twice; put its texts into one", id="twice"
        ),
    ],
)
@pytest.mark.parametrize("use", ["score.method=bank", "score.context_prompt=definitions"])
def test_a_bad_file_is_refused_when_the_configuration_is_read(
    use: str, text: str, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message) as caught:
        load_config(overrides=[use, f"definitions.file={path}"], environ={})
    assert "mine.yaml" in str(caught.value)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        pytest.param("score.yes=N", r"score\.yes 'N' and score\.no 'NO' begin alike", id="words that begin alike"),
        pytest.param("definitions.normal=[]", "definitions.normal.*at least one text", id="nothing normal"),
        pytest.param("definitions.normal=[calm, ' ']", "definitions.normal.*none without a word", id="blank"),
    ],
)
def test_settings_that_do_not_fit(override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_config(overrides=["score.method=definitions", override], environ={})


def test_those_of_the_package_are_whole() -> None:
    found = parse_definitions(package_definitions(), "the package's definitions")
    assert len(found) == 10
    assert all(one.look_alikes for one in found)
    config = load_config(overrides=["score.context_prompt=definitions"], environ={})
    assert config.score.context_prompt.count("\n") == 10
