"""What a configuration may not be: values that are read in two ways, too large or no text; and what errors do not repeat."""

from __future__ import annotations

from pathlib import Path

import pytest

from lavad_core.config import render
from lavad_core.config.load import load_config
from lavad_core.errors import ConfigError

PYTHON = "encoder: {kind: python, model: 'a:b', options: {a: %s}}"

AMBIGUOUS = {
    "a word for true": ("window: {samples: yes}", "window.samples .*true is neither a number"),
    "a word for false": ("window: {duration_s: off}", "window.duration_s .*false is neither"),
    "true": ("window: {samples: true}", "window.samples .*true is neither"),
    "true as a text": ("chat: {model: on}", "chat.model .*true is neither"),
    "base 60": ("window: {samples: 1:30}", "window.samples = 1:30 is a number to the base 60"),
    "base 60 with a fraction": ("window: {duration_s: 1:30.5}", "base 60"),
    "octal": ("window: {samples: 010}", "window.samples = 010 is an octal number"),
    "octal with a sign": ("chat: {seed: -017}", "octal"),
    "octal as a text": ("chat: {revision: 0123456}", "octal.*quotes"),
    "many digits": ("window: {samples: %s}" % ("9" * 10_000), "number of 10000 characters"),
    "more than 64 bits": ("chat: {seed: 9223372036854775808}", "more than 63 bits"),
    "a huge exponent": ("window: {duration_s: 1.0e+999999999}", "finite"),
    "infinity": ("window: {duration_s: .inf}", "finite"),
    "no number": ("window: {duration_s: .nan}", "finite"),
    "a date": ("window: {samples: 2024-01-01}", "window.samples"),
    "a date that is none": ("window: {samples: 2024-99-99}", "form of a number or a date"),
    "a key twice": ("window: {samples: 3, samples: 4}", "given twice"),
    "a key that is a list": ("? [a, b]\n: 1", "a key is a list"),
    "bytes": ("chat: {model: !!binary aGk=}", "has a tag"),
    "a set": ("run: {targets: !!set {clean}}", "has a tag"),
    "NUL in a path": ('store: "a\\0b"', "store .*NUL"),
    "NUL in a text": ('chat: {model: "a\\0b"}', "chat.model .*NUL"),
    "half a character": ('chat: {model: "\\ud800"}', "half a character"),
    "half a character in a path": ('store: "\\ud800"', "half a character"),
    "a word in options": (PYTHON % "no", "encoder.options.a .*no is true or false for some"),
    "infinity in options": (PYTHON % ".inf", "finite"),
    "a huge number in options": (PYTHON % "[1, 99999999999999999999]", "63 bits"),
    "NUL in options": (PYTHON % '{b: "\\0"}', "NUL"),
}


@pytest.mark.parametrize(("text", "says"), AMBIGUOUS.values(), ids=AMBIGUOUS.keys())
def test_what_a_file_may_not_say(text: str, says: str, tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=says):
        load_config(files=[file], environ={})


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("window.samples", "yes", "true is neither"),
        ("window.samples", "1:30", "base 60"),
        ("window.samples", "010", "octal"),
        ("window.samples", "9" * 5000, "5000 characters"),
        ("window.duration_s", ".inf", "finite"),
        ("window.duration_s", "1e400", "finite"),
        ("captioners", "{a: {model: m}, a: {model: n}}", "given twice"),
        ("chat", '{"kind": "openai", "seed": 1,\t"seed": 2}', "not YAML|given twice"),
        ("store", '"a\\0b"', "NUL"),
        ("chat.model", '"\\ud800"', "half a character"),
    ],
)
@pytest.mark.parametrize("way", ["--set", "environment"])
def test_what_the_other_sources_may_not_say(way: str, key: str, value: str, says: str) -> None:
    variable = "LAVAD_" + key.upper().replace(".", "__")
    given = {"overrides": [f"{key}={value}"], "environ": {}} if way == "--set" else {"environ": {variable: value}}
    with pytest.raises(ConfigError, match=says):
        load_config(**given)  # type: ignore[arg-type]


def test_what_programs_may_not_give() -> None:
    for settings in ({"window": {"samples": True}}, {"chat": {"seed": 2**63}}, {"store": "a\0b"}):
        with pytest.raises(ConfigError):
            load_config(settings=settings, environ={})


def test_words_for_true_and_false_where_they_are_meant(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("clean: {enabled: off}\nscore: {expected: yes}\nvideo: {max_pixels: 1_000_000}\nchat: {seed: 0}\n")
    found = load_config(files=[file], environ={})
    assert (found.clean.enabled, found.score.expected, found.video.max_pixels) == (False, True, 1_000_000)


def test_one_setting_from_two_variables_is_refused() -> None:
    with pytest.raises(ConfigError, match="is the same setting as LAVAD_WINDOW__SAMPLES"):
        load_config(environ={"LAVAD_WINDOW__SAMPLES": "3", "LAVAD_window__samples": "4"})


SECRETS = {
    "a line that is no YAML": "chat:\n  api_key: hunter2hunter2: x\n",
    "an alias": "chat: {api_key: *hunter2hunter2}",
    "a tag": "chat: {api_key: !hunter2hunter2 x}",
    "a tab": "chat:\n\tapi_key: hunter2hunter2\n",
    "a quote without end": 'chat: {api_key: "hunter2hunter2\n',
    "an anchor twice": "chat: {api_key: &hunter2hunter2 hunter2hunter2 x: [}",
    "a percent sign": "chat:\n  api_key: %hunter2hunter2\n",
    "an at sign": "chat:\n  api_key: @hunter2hunter2\n",
    "a key file": "hunter2hunter2",
    "a secret of the wrong kind": "chat: {api_key: [hunter2hunter2]}",
    "a password in no address": "chat: {base_url: 'http://user:hunter2/hunter2@host:8000/v1'}",
    "a password that begins as a port": "chat: {base_url: 'http://user:12/hunter2hunter2@host/v1'}",
    "a password with #": "chat: {base_url: 'http://user:hunter2#hunter2@host/v1'}",
    "a port that is none": "chat: {base_url: 'http://user:hunter2hunter2@host:port/v1'}",
    "no scheme": "chat: {base_url: 'user:hunter2hunter2@host/v1'}",
    "half a scheme": "chat: {base_url: 'http:/user:hunter2hunter2@host/v1'}",
    "brackets": "chat: {base_url: 'http://user:hunter2hunter2@[::1/v1'}",
    "a space": "chat: {base_url: 'http://user:hunter2 hunter2@host/v1'}",
    "another scheme": "chat: {base_url: 'ftp://user:hunter2hunter2@host/v1'}",
    "a query": "chat: {base_url: 'http://host/v1?token=hunter2hunter2'}",
    "a fragment": "chat: {base_url: 'http://host/v1#hunter2hunter2'}",
    "an address of a list": "chat: {base_url: ['http://host/v1', 'http://user:hunter2/hunter2@host/v1']}",
    "a mapping in a list": "chat: {base_url: [{a: 'http://user:hunter2hunter2@host/v1'}]}",
    "an address twice": "chat: {base_url: ['http://u:hunter2hunter2@h/v1', 'http://u:hunter2hunter2@h/v1']}",
    "a list for one address": "captioners: {v: {kind: openai, model: m, base_url: ['http://u:hunter2hunter2@h/v1']}}",
    "of a captioner": "captioners: {v: {kind: openai, model: m, base_url: 'http://u:hunter2hunter2@h:x/v1'}}",
    "in the address of a model": "chat: {model: 'https://user:hunter2hunter2@hub/m'}",
}


@pytest.mark.parametrize("text", SECRETS.values(), ids=SECRETS.keys())
def test_an_error_repeats_no_secret(text: str, tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_config(files=[file], environ={})
    assert "hunter2" not in str(caught.value)
    assert "hunter2" not in str(caught.value.__cause__ or "")


def test_a_yaml_error_says_where(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("window: {samples: 3}\nchat:\n  api_key: a: b\n")
    with pytest.raises(ConfigError, match=r"is not YAML: line 3, column 13: mapping values are not allowed here"):
        load_config(files=[file], environ={})


def test_nothing_in_the_printed_configuration_turns_text_around() -> None:
    text = "a\u202eb\u2066c\x1b[31m\u200f"
    found = load_config(settings={"summarise": {"prompt": text}, "chat": {"model": text}}, environ={})
    printed = render.resolved_yaml(found, {"chat.model": f"file {text}:3"})
    assert all(line.isprintable() for line in printed.splitlines())
    assert "\\u202e" in printed.lower()
