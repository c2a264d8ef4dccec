"""What is said of a value that a field does not take: which field, where it was given, what is allowed, in words of our own."""

from __future__ import annotations

import datetime
import re
from pathlib import Path
from typing import Any

import pytest

from lavad_core.config.load import load_config
from lavad_core.config.tree import SettingRow, in_words, rows
from lavad_core.errors import ConfigError
from lavad_core.stage_names import STAGE_NAMES

PYTHON = {"kind": "python", "model": "a:b"}
SERVED = {"kind": "openai", "model": "m"}
STAGES = ", ".join(f"`{stage}`" for stage in (*STAGE_NAMES, "evaluate"))


def refused(**sources: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        load_config(**{"environ": {}, **sources})
    return str(caught.value)


def nested(path: str, value: Any) -> dict[str, Any]:
    for name in reversed(path.split(".")):
        value = {name: value}
    return value  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        pytest.param("window.samples", 0, "window.samples = 0 (AT): allowed: integer, ≥ 1, ≤ 1000", id="an integer too small"),
        pytest.param("window.samples", 2.5, "window.samples = 2.5 (AT): allowed: integer, ≥ 1, ≤ 1000", id="a fraction"),
        pytest.param("window.samples", "x", "window.samples = 'x' (AT): allowed: integer, ≥ 1, ≤ 1000", id="no integer"),
        pytest.param("window.samples", None, "window.samples = null (AT): allowed: integer, ≥ 1, ≤ 1000", id="null"),
        pytest.param("window.samples", [3], "window.samples (AT): allowed: integer, ≥ 1, ≤ 1000", id="a list"),
        pytest.param("window.samples", {"a": 1}, "unknown key 'window.samples.a' (AT): window.samples has no keys; "
                     "allowed: integer, ≥ 1, ≤ 1000", id="a section"),
        pytest.param("window.duration_s", 0, "window.duration_s = 0 (AT): allowed: number, > 0, ≤ 3600", id="a bound left out"),
        pytest.param("window.duration_s", "1e400",
                     "window.duration_s = '1e400' (AT): allowed: finite number, > 0, ≤ 3600", id="an infinite number"),
        pytest.param("detect.low_threshold", 2,
                     "detect.low_threshold = 2 (AT): allowed: number, ≥ 0, ≤ 1 or null", id="a number or null"),
        pytest.param("run.targets", [],
                     "run.targets (AT): a run without a stage does nothing; name at least one, such as [detect]",
                     id="an empty list"),
        pytest.param("evaluate.first_frame", 2, "evaluate.first_frame = 2 (AT): allowed: `0`, `1` or null", id="numbers alone"),
        pytest.param("semantics", "papre",
                     "semantics = 'papre' (AT): allowed: `paper`, `reference`; did you mean 'paper'?", id="a choice"),
        pytest.param("semantics", "x", "semantics = 'x' (AT): allowed: `paper`, `reference`", id="nothing near"),
        pytest.param("clean.enabled", 2, "clean.enabled = 2 (AT): allowed: true, false", id="true or false"),
        pytest.param("store", 3, "store = 3 (AT): allowed: path; put it in quotes", id="a path"),
        pytest.param("chat.model", 7, "chat.model = 7 (AT): allowed: text; put it in quotes", id="a text"),
        pytest.param("chat.revision", [7], "chat.revision (AT): allowed: text or null", id="a text or null"),
        pytest.param("chat.api_key", 7,
                     "chat.api_key = '**********' (AT): allowed: secret text or null; put it in quotes", id="a secret"),
        pytest.param("run.targets", "clean",
                     f"run.targets = 'clean' (AT): allowed: list of {STAGES}, such as [clean]", id="a text for a list"),
        pytest.param("run.targets", ["refin"],
                     f"run.targets.0 = 'refin' (AT): allowed: list of {STAGES}; did you mean 'refine'?", id="in a list"),
        pytest.param("imports.captions", "x",
                     "imports.captions = 'x' (AT): allowed: a mapping, {name: path}", id="a text for a mapping"),
        pytest.param("imports.captions", {"a": 3},
                     "imports.captions.a = 3 (AT): allowed: path; put it in quotes", id="in a mapping"),
        pytest.param("window", 3, "window = 3 (AT): allowed: a section, {key: value}", id="a number for a section"),
        pytest.param("encoder", None, "encoder = null (AT): allowed: a section, {key: value}", id="an empty section"),
        pytest.param("encoder", {"kind": "clipp"}, "encoder.kind = 'clipp' (AT): allowed: `imagebind`, `clip`, `python`; "
                     "did you mean 'clip'?", id="a kind"),
        pytest.param("chat", PYTHON | {"options": "x"},
                     "chat.options = 'x' (AT): allowed: a mapping, {name: any JSON value}", id="in a section of a kind"),
        pytest.param("window.x", 1, "unknown key 'window.x' (AT); keys of window are duration_s, align, samples, sampling, "
                     "frame_rate, constant_frame_rate, vector, clips", id="a key like no other"),
        pytest.param("captioners", True, "captioners = true (AT): allowed: a mapping, {name: section}", id="captioners"),
        pytest.param("captioners", {}, "captioners (AT): no captioner is left; give one, such as "
                     "--set captioners.NAME.model=MODEL", id="no captioner"),
        pytest.param("captioners", {"v": SERVED | {"retries": 1000}},
                     "captioners.v.retries = 1000 (AT): allowed: integer, ≥ 0, ≤ 100", id="in a captioner"),
        pytest.param("captioners", {"v": {}}, "captioners.v.model (AT) must be given: Hub id, local folder, or "
                     "random:blip2-opt / random:blip2-t5 (tests)", id="an empty captioner"),
        pytest.param("imports", {"list": "/a"}, "imports (AT): imports.list needs imports.frame_rate: how many frames a second "
                     "the videos have", id="settings of a section that need another"),
        pytest.param("detect", {"low_threshold": 0.9}, "detect.low_threshold 0.9 is above detect.threshold 0.5 "
                     "(detect.low_threshold: AT)", id="settings that do not fit together"),
    ],
)  # fmt: skip
def test_what_is_said_of_it(path: str, value: Any, says: str) -> None:
    assert refused(settings=nested(path, value)) == says.replace("AT", "the given settings")


@pytest.mark.parametrize(
    ("sources", "origin"),
    [
        pytest.param({"overrides": ["detect.threshold=2"]}, "--set detect.threshold", id="--set"),
        pytest.param({"overrides": ["detect={threshold: 2}"]}, "--set detect", id="--set of the section"),
        pytest.param({"environ": {"LAVAD_DETECT__THRESHOLD": "2"}}, "environment variable LAVAD_DETECT__THRESHOLD",
                     id="variable"),
        pytest.param({"settings": {"detect": {"threshold": 2}}}, "the given settings", id="settings"),
        pytest.param({"overrides": ["captioners.null={model: m, batch_size: 0}"]}, "--set captioners.null", id="captioner"),
        pytest.param(
            {"environ": {"LAVAD_CAPTIONERS": "{a: {model: m}}", "LAVAD_CAPTIONERS__B__DEVICE": "cpu"}},
            "environment variable LAVAD_CAPTIONERS__B__DEVICE", id="a captioner's variable beside the one for all",
        ),
    ],
)  # fmt: skip
def test_where_it_was_given(sources: dict[str, Any], origin: str) -> None:
    assert f" ({origin})" in refused(**sources)


def test_where_it_was_given_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("detect:\n  threshold: 2\nencoder:\n  kind: python\n")
    message = refused(files=[file])
    assert f"detect.threshold = 2 ({file}:2)" in message
    assert f"encoder.model ({file}:4) must be given" in message


def message(section: str, given: dict[str, Any]) -> str:
    """What is said of it; empty if it is accepted."""
    try:
        load_config(settings=nested(section, given) if section else given, environ={})
    except ConfigError as error:
        return str(error)
    return ""


BAD: list[Any] = [
    None,
    True,
    -1,
    10**12,
    1.5,
    1e300,
    "x",
    ["x"],
    [None],
    [[1]],
    {"a": []},
    datetime.date(2024, 1, 1),
    b"x",
    {1},
]
FIELDS = {in_words(row.shape): row for row in rows()}
RAW = re.compile(r"nput|should|\bvalid\b|<class|\^|Config\b|\(default\)|datetime|dictionary|tuple")
"""Words of pydantic, and an origin that is none."""


@pytest.mark.parametrize("row", FIELDS.values(), ids=FIELDS)
def test_no_words_of_the_library_reach_the_user(row: SettingRow) -> None:
    """A field of each type and range, with values of every type."""
    path = row.path.replace(".NAME.", ".a.")
    section, _, name = path.rpartition(".")
    kind = {"kind": row.kinds[0], "model": "a:b"} if row.kinds else {}
    messages = [said for value in BAD if (said := message(section, kind | {name: value}))]
    assert len(messages) > 3
    assert [said for said in messages if RAW.search(said) or path not in said] == []
