"""Captioners by name: their order, how sources change them, and the numbered list of earlier versions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support.configuration import config, refused

from lavad_core.config.load import load, load_recorded
from lavad_core.config.secrets import public_settings, settings_of_record
from lavad_core.masking import masked

A, B = {"kind": "blip2", "model": "a/a"}, {"kind": "blip2", "model": "b/b"}
TWO = {"captioners": {"b-6.7b": B, "a": A}}
UCF = ["blip2-opt-6.7b-coco", "blip2-opt-6.7b", "blip2-flan-t5-xxl", "blip2-flan-t5-xl", "blip2-flan-t5-xl-coco"]
DEFAULT = "blip2-flan-t5-xxl"


@pytest.mark.parametrize(
    ("sources", "names"),
    [
        pytest.param({}, [DEFAULT], id="the default"),
        pytest.param({"settings": TWO}, ["b-6.7b", "a"], id="in the order given, in place of the default"),
        pytest.param({"overrides": [f"captioners.{DEFAULT}.device=cpu"]}, [DEFAULT], id="a part of the default"),
        pytest.param({"preset": "ucf-crime"}, UCF, id="a preset's"),
        pytest.param(
            {"preset": "ucf-crime", "settings": TWO, "overrides": ["captioners.blip2-opt-6.7b.device=cpu"]},
            [*UCF, "b-6.7b", "a"],
            id="later ones come behind",
        ),
        pytest.param({"settings": TWO, "overrides": ["captioners.b-6.7b=null"]}, ["a"], id="null takes one out"),
        pytest.param(
            {"preset": "ucf-crime", "overrides": ["captioners=null", "captioners.a.model=m"]}, ["a"], id="null takes all out"
        ),
        pytest.param(
            {"settings": TWO, "environ": {"LAVAD_CAPTIONERS": '{"c": {"model": "m"}}', "LAVAD_CAPTIONERS__C__DEVICE": "cpu"}},
            ["c", "b-6.7b", "a"],
            id="a variable gives one",
        ),
        pytest.param(
            {"preset": "ucf-crime", "environ": {"LAVAD_CAPTIONERS__X__MODEL": "m"}, "settings": {"captioners": [{"a": A}]}},
            ["a"],
            id="a program's list is all there is",
        ),
    ],
)  # fmt: skip
def test_names_in_order(sources: dict[str, Any], names: list[str]) -> None:
    assert list(config(**sources).captioners) == names


@pytest.mark.parametrize(
    ("sources", "name", "device"),
    [
        pytest.param({"overrides": ["captioners.b-6.7b.device=cuda:1"]}, "b-6.7b", "cuda:1", id="a name with a dot"),
        pytest.param(
            {"overrides": ["captioners.b-6.7b={device: cpu}"]}, "b-6.7b", "cpu", id="a section of such a name"
        ),
        pytest.param({"environ": {"LAVAD_CAPTIONERS__B_6_7B__DEVICE": "cpu"}}, "b-6.7b", "auto", id="settings win"),
    ],
)
def test_one_field(sources: dict[str, Any], name: str, device: str) -> None:
    settings = {"captioners": {"b-6.7b": {**B, "device": "auto"}, "a": A}}
    assert config(settings=settings, **sources).captioners[name].device == device


def test_a_variable_means_the_name_that_is_written_so(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("captioners: {Opt-6.7B: {model: m}}")
    loaded = load(files=[file], environ={"LAVAD_CAPTIONERS__OPT_6_7B__DEVICE": "cpu"})
    assert loaded.config.captioners["Opt-6.7B"].device == "cpu"  # type: ignore[union-attr]
    assert loaded.origins["captioners.Opt-6.7B.device"] == "environment variable LAVAD_CAPTIONERS__OPT_6_7B__DEVICE"


@pytest.mark.parametrize(
    ("sources", "says"),
    [
        pytest.param({"overrides": ["captioners.c=null"]}, ["captioners.c (--set captioners.c)", "there is b-6.7b, a"],
                     id="one that is not there taken out"),
        pytest.param({"overrides": ["captioners.b-6.7=null"]}, ["takes out one that does not exist"], id="a part of a name"),
        pytest.param({"overrides": ["captioners.aa.device=cpu"]},
                     ["captioners.aa.model (--set captioners.aa.device) must be given", "did you mean captioner 'a'?"],
                     id="misspelt name"),
        pytest.param({"overrides": ["captioners.b-6.7b.batchsize=3"]}, ["did you mean 'captioners.b-6.7b.batch_size'?"],
                     id="misspelt field"),
        pytest.param({"overrides": ["captioners.a.name=b"]}, ["captioners.a.name", "is its key, 'a'; leave `name` out"],
                     id="a name inside"),
        pytest.param({"overrides": ["captioners.a b={model: m}"]}, ["captioners.a b", "write --set 'captioners.a-b={"],
                     id="no name"),
        pytest.param({"overrides": ["captioners=3"]}, ["captioners = 3", "a mapping, {name: section}"], id="no mapping"),
        pytest.param({"settings": {"captioners": {"a-b": A, "a.b": A}}, "environ": {"LAVAD_CAPTIONERS__A_B__DEVICE": "cpu"}},
                     ["LAVAD_CAPTIONERS__A_B__DEVICE may mean captioner a-b or a.b"], id="written alike"),
    ],
)  # fmt: skip
def test_refused(sources: dict[str, Any], says: list[str]) -> None:
    message = refused(**{"settings": TWO, **sources})
    assert all(words in message for words in says), message


OPT = "{kind: openai, name: opt, model: m, api_key: hunter2hunter2}"
SERVED = {"kind": "openai", "name": "v", "model": "m", "base_url": "http://u:hunter2hunter2@h/v1"}


@pytest.mark.parametrize(
    ("sources", "write"),
    [
        pytest.param({"overrides": ["captioners.0.device=cuda:1"]}, f"--set captioners.{DEFAULT}.device=cuda:1", id="default"),
        pytest.param({"preset": "tiny", "overrides": ["captioners.1.dtype=float16"]},
                     "--set captioners.random-blip2-t5.dtype=float16", id="a preset's second"),
        pytest.param({"preset": "tiny", "overrides": ["captioners.1={device: cuda:1}"]},
                     "--set 'captioners.random-blip2-t5={\"device\": \"cuda:1\"}'", id="a part of its section"),
        pytest.param({"preset": "tiny", "overrides": ["captioners.2.model=m"]},
                     "--set captioners.NAME.model=m", id="a new one"),
        pytest.param({"preset": "tiny", "environ": {"LAVAD_CAPTIONERS__0__DEVICE": "cuda:1"}},
                     "LAVAD_CAPTIONERS__RANDOM_BLIP2_OPT__DEVICE=cuda:1", id="a variable"),
        pytest.param({"settings": TWO, "environ": {"LAVAD_CAPTIONERS__0__API_KEY": "hunter2hunter2"}},
                     "LAVAD_CAPTIONERS__B_6_7B__API_KEY='**********'", id="a secret variable"),
        pytest.param({"overrides": [f"captioners=[{OPT}]"]},
                     """--set 'captioners={"opt": {"kind": "openai", "model": "m", "api_key": "**********"}}'""", id="a list"),
        pytest.param({"preset": "tiny", "settings": {"captioners": [{"name": "a", **A}]}},
                     'captioners: {"random-blip2-opt": null, "random-blip2-t5": null, "a": {"kind": "blip2", "model": "a/a"}}',
                     id="in place of a preset's"),
        pytest.param({"settings": {"captioners": [SERVED]}},
                     'captioners: {"v": {"kind": "openai", "model": "m", "base_url": "http://**********@h/v1"}}',
                     id="a password"),
        pytest.param({"preset": "tiny", "settings": {"captioners": {"0": {"device": "cpu"}}}},
                     'captioners: {"random-blip2-opt": {"device": "cpu"}}', id="a number in settings"),
        pytest.param({"preset": "tiny", "overrides": ["captioners.1={kind: blip2, model: m}"]},
                     """--set 'captioners.random-blip2-t5={"kind": "blip2", "model": "m"}'""", id="a whole section by --set"),
        pytest.param({"settings": {"captioners": {"1": A}}},
                     'captioners: {"NAME": {"kind": "blip2", "model": "a/a"}}', id="a whole section in settings"),
        pytest.param({"environ": {"LAVAD_CAPTIONERS__1": "{kind: blip2, model: m}"}},
                     """LAVAD_CAPTIONERS__NAME='{"kind": "blip2", "model": "m"}'""", id="a whole section in a variable"),
        pytest.param({"overrides": [f"captioners.{'9' * 5000}.model=m"]},
                     "--set captioners.NAME.model=m", id="a number of many digits"),
        pytest.param({"overrides": ["captioners.².model=m"]}, "--set captioners.NAME.model=m", id="digits of another kind"),
        pytest.param({"overrides": ["captioners=[{a: {model: m}}, {b.1: {model: n}}]"]},
                     """--set 'captioners={"a": {"model": "m"}, "b.1": {"model": "n"}}'""", id="a record's list by --set"),
        pytest.param({"environ": {"LAVAD_CAPTIONERS": "[{a: {model: m}}]"}},
                     """LAVAD_CAPTIONERS='{"a": {"model": "m"}}'""", id="a record's list in a variable"),
        pytest.param({"overrides": ["captioners=[]"]},
                     """--set 'captioners={"NAME": {"model": "MODEL"}}'""", id="an empty list"),
        pytest.param({"overrides": ["captioners=[a/a]"]},
                     """--set 'captioners={"NAME0": {"model": "a/a"}}'""", id="a list of models"),
        pytest.param({"overrides": ["captioners.model=m"]}, "--set captioners.NAME.model=m", id="no name"),
        pytest.param({"settings": {"captioners": {"kind": "openai", "model": "m", "api_key": "hunter2hunter2"}}},
                     'captioners: {"NAME": {"kind": "openai", "model": "m", "api_key": "**********"}}', id="no name: settings"),
        pytest.param({"environ": {"LAVAD_CAPTIONERS__API_KEY": "hunter2hunter2"}},
                     "LAVAD_CAPTIONERS__NAME__API_KEY='**********'", id="no name in a variable"),
        pytest.param({"overrides": ["captioners.opt=m"]}, "--set captioners.opt.model=m", id="a model for a section"),
        pytest.param({"overrides": ["captioners.opt=[m]"]}, "--set captioners.opt.model=MODEL", id="a list for a section"),
        pytest.param({"overrides": ["captioners.a/b.model=m"]}, "--set captioners.a-b.model=m", id="a name with a slash"),
        pytest.param({"environ": {"LAVAD_CAPTIONERS": json.dumps([{"name": "a", **A}])}},
                     """LAVAD_CAPTIONERS='{"a": {"kind": "blip2", "model": "a/a"}}'""", id="a list in a variable"),
    ],
)  # fmt: skip
def test_the_list_of_earlier_versions_is_refused_with_what_to_write(sources: dict[str, Any], write: str) -> None:
    message = refused(**sources)
    assert message.endswith(f"write {write}"), message
    assert "hunter2" not in message


def test_each_number_is_refused_with_a_line_of_its_own() -> None:
    message = refused(preset="tiny", overrides=["captioners.0.device=cuda:0", "captioners.1.device=cuda:1"])
    assert "write --set captioners.random-blip2-opt.device=cuda:0; captioners.1" in message
    more = refused(preset="tiny", overrides=["captioners.0.device=cuda:0", "captioners.0.dtype=float16"])
    assert "write --set captioners.random-blip2-opt.device=cuda:0; captioners.0" in more
    assert more.endswith("write --set captioners.random-blip2-opt.dtype=float16")


def test_a_list_in_a_file_is_refused_with_the_mapping(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("window: {samples: 3}\ncaptioners:\n- opt: {model: m}\n- t5: {model: n}\n")
    assert refused(files=[file]).endswith('write captioners: {"opt": {"model": "m"}, "t5": {"model": "n"}}')


@pytest.mark.parametrize("way", ["file", "--set", "variable", "settings"])
@pytest.mark.parametrize("name", ["no", "1.50", "2026-11-27", "null", "true", "1e3", "0x10", "_a"])
def test_a_name_is_the_text_that_was_written(name: str, way: str, tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(f"captioners: {{{name}: {{model: m}}}}")
    sources: dict[str, Any] = {
        "file": {"files": [file]},
        "--set": {"overrides": [f"captioners={{{name}: {{model: m}}}}"]},
        "variable": {"environ": {"LAVAD_CAPTIONERS": f"{{{name}: {{model: m}}}}"}},
        "settings": {"settings": {"captioners": {name: {"model": "m"}}}},
    }
    if name == "_a":
        assert "letter or digit first; write" in refused(**sources[way])
    else:
        assert list(config(**sources[way]).captioners) == [name]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        pytest.param("{no: {model: m}, 'False': {model: n}}", ["no", "False"], id="a word for false"),
        pytest.param("{1.5: {model: m}, 1.50: {model: n}}", ["1.5", "1.50"], id="equal numbers"),
    ],
)
def test_names_that_yaml_would_read_as_one_are_two(text: str, names: list[str], tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(f"captioners: {text}")
    assert list(config(files=[file]).captioners) == names


@pytest.mark.parametrize(
    ("text", "says"),
    [
        pytest.param(
            "a: {model: m}\n  a: {model: n}",
            "a.yaml:3: captioners.a is given twice; first at FOLDER/a.yaml:2",
            id="plain",
        ),
        pytest.param("no: {model: m}\n  'no': {model: n}", "a.yaml:3: captioners.no is given twice", id="in quotes"),
        pytest.param("? a\n  : {model: m}\n  a: {model: n}", "captioners.a is given twice", id="a long key"),
        pytest.param("!x a: {model: m}", "has a tag", id="a tag"),
    ],
)
def test_a_key_given_twice_in_a_file_is_refused(text: str, says: str, tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(f"captioners:\n  {text}\n")
    assert says.replace("FOLDER", str(tmp_path)) in refused(files=[file])


@pytest.mark.parametrize(
    ("captioners", "says"),
    [
        pytest.param([{"a": A}, {"a": B}], "captioners (the given settings): 'a' is given twice", id="a list"),
        pytest.param([{"name": "a", **A}, {"name": "a", **B}], "'a' is given twice", id="a list of earlier versions"),
        pytest.param({1.5: A}, "a key is 1.5; keys are texts", id="a number"),
        pytest.param({None: A}, "a key is None; keys are texts", id="None"),
        pytest.param({7: A, "7": B}, "'7' is given twice", id="a number and its text"),
        pytest.param([], "no captioner is left", id="none"),
    ],
)
def test_what_a_program_may_not_give(captioners: Any, says: str) -> None:
    assert says in refused(settings={"captioners": captioners})


@pytest.mark.parametrize(
    ("name", "near"),
    [
        pytest.param("blip2-opt-6.7", "; did you mean captioner 'blip2-opt-6.7b'?", id="near"),
        pytest.param("llava-1.7b", "", id="the same letters behind a dot"),
    ],
)
def test_only_near_names_are_offered(name: str, near: str) -> None:
    message = refused(preset="ucf-crime", overrides=[f"captioners.{name}.device=cpu"])
    assert message.endswith(f"random:blip2-opt / random:blip2-t5 (tests){near}")


def test_a_captioner_of_a_kind_is_meant_as_a_new_one() -> None:
    message = refused(preset="ucf-crime", overrides=["captioners.blip2-opt-2.7b.kind=blip2"])
    assert "captioners.blip2-opt-2.7b.model (--set captioners.blip2-opt-2.7b.kind) must be given" in message
    assert "did you mean" not in message


def test_what_is_to_be_written_is_the_same_configuration(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("captioners:\n- {name: a, model: a/a, batch_size: 3}\n- {name: b, kind: blip2, model: ./b}\n")
    message = refused(preset="tiny", files=[file])
    assert f"({file}:1)" in message
    file.write_text(message.rpartition("write ")[2])
    found = config(preset="tiny", files=[file]).captioners
    assert [(name, one.model, one.batch_size) for name, one in found.items()] == [
        ("a", "a/a", 3), ("b", str(tmp_path / "b"), "auto"),
    ]  # fmt: skip


class TestRecords:
    """What a run records, and a flow's parameters hold, is read again in the same order."""

    def test_the_order_survives_a_database_that_sorts_keys(self) -> None:
        found = config(settings=TWO)
        stored = json.loads(json.dumps(public_settings(found), sort_keys=True))
        assert list(config(settings=stored).captioners) == ["b-6.7b", "a"]

    def test_names_that_sound_secret_are_none(self) -> None:
        found = config(settings={"captioners": {"key-frames": A, "name": B}})
        assert load_recorded(masked(public_settings(found))).captioners == found.captioners

    @pytest.mark.parametrize(
        "listed", [[{"name": "b", **B}, {"name": "0", **A}], [{"b": B}, {"0": A}]], ids=["before", "now"]
    )
    def test_records_of_earlier_versions(self, listed: list[Any]) -> None:
        found = load_recorded(settings_of_record({"captioners": listed, "window": {"samples": 3}}))
        assert {name: one.model for name, one in found.captioners.items()} == {"b": "b/b", "0": "a/a"}
        assert list(found.captioners) == ["b", "0"]
        assert found.window.samples == 3
