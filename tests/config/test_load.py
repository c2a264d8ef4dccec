"""Where settings come from, which wins, and what is said about wrong ones."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from support.configuration import config, refused, written

from lavad_core.config import render
from lavad_core.config.load import load, load_config, load_recorded
from lavad_core.config.models import VllmChatConfig
from lavad_core.config.secrets import export_secrets, public_settings, secret_values
from lavad_core.errors import ConfigError
from lavad_core.masking import masked


def test_each_source_wins_over_the_one_before(tmp_path: Path) -> None:
    first, second = written(tmp_path, "{window: {samples: 3}}"), written(tmp_path, "{window: {samples: 4}}", "b.yaml")
    environ = {"LAVAD_WINDOW__SAMPLES": "5"}
    given: dict[str, Any] = {}
    found = [config().window.samples]
    for more in (
        {"preset": "ucf-crime"},
        {"files": [first]},
        {"files": [first, second]},
        {"environ": environ},
        {"settings": {"window": {"samples": 6}}},
        {"overrides": ["window.samples=7"]},
        {"overrides": ["window.samples=7", "window.samples=8"]},
    ):
        given |= more
        found.append(config(**given).window.samples)
    assert found == [10, 10, 3, 4, 5, 6, 7, 8]


def test_origins_name_the_line_the_variable_or_the_option(tmp_path: Path) -> None:
    path = written(tmp_path, "window:\n  samples: 3\n  duration_s: 4\n")
    loaded = load(
        preset="xd-violence",
        files=[path],
        environ={"LAVAD_RUN__WORKERS": "1"},
        overrides=["window.duration_s=5", "semantics=reference"],
    )
    wanted = {
        "window.samples": f"{path}:2",
        "window.duration_s": "--set window.duration_s",
        "run.workers": "environment variable LAVAD_RUN__WORKERS",
        "window.sampling": "semantics: reference",
        "captioners.blip2-flan-t5-xxl.batch_size": "default",
        "run.retries": "default",
    }
    assert {key: loaded.origins[key] for key in wanted} == wanted
    assert loaded.origins["captioners.blip2-flan-t5-xxl.model"].startswith("preset xd-violence:")


@pytest.mark.parametrize(
    "above",
    [
        pytest.param({"overrides": ["chat.kind=openai"]}, id="--set"),
        pytest.param({"settings": {"chat": {"kind": "openai"}}}, id="settings of a run"),
    ],
)
def test_another_kind_keeps_what_only_it_has(above: dict[str, Any], tmp_path: Path) -> None:
    in_process = written(tmp_path, "chat: {kind: transformers, model: a/b, seed: 3, device: cpu}")
    environ = {"LAVAD_CHAT__BASE_URL": "http://gpu:9/v1"}
    loaded = load(files=[in_process], environ=environ, **above)
    assert isinstance(chat := loaded.config.chat, VllmChatConfig)
    assert (chat.base_url, chat.seed) == ("http://gpu:9/v1", 0)
    assert loaded.origins["chat.base_url"] == "environment variable LAVAD_CHAT__BASE_URL"
    assert loaded.origins["chat.seed"] == "default"


@pytest.mark.parametrize(
    ("case", "sources", "path", "value"),
    [
        ("a number", {"overrides": ["window.duration_s=2.5"]}, "window.duration_s", 2.5),
        ("a number with an exponent", {"overrides": ["run.retry_backoff_s=1e-3"]}, "run.retry_backoff_s", 0.001),
        ("null", {"overrides": ["detect.low_threshold=null"]}, "detect.low_threshold", None),
        ("a list", {"overrides": ["run.targets=[refine]"]}, "run.targets", ("refine",)),
        ("a JSON list in the environment", {"environ": {"LAVAD_RUN__TARGETS": '["refine"]'}}, "run.targets", ("refine",)),
        ("an empty variable", {"environ": {"LAVAD_WINDOW__SAMPLES": " "}}, "window.samples", 10),
        ("a revision of digits", {"overrides": ["chat.revision=0123456"]}, "chat.revision", "0123456"),
        ("a revision that looks like a float", {"environ": {"LAVAD_CHAT__REVISION": "1.0e5"}}, "chat.revision", "1.0e5"),
        ("no revision", {"overrides": ["chat.revision=null"]}, "chat.revision", None),
        ("a text with an equals sign", {"overrides": ["summarise.prompt=a=b"]}, "summarise.prompt", "a=b"),
        ("a text in quotes", {"overrides": [r'summarise.separator="\n"']}, "summarise.separator", "\n"),
        ("a field of the default captioner", {"overrides": ["captioners.blip2-flan-t5-xxl.batch_size=3"]},
         "captioners.blip2-flan-t5-xxl.batch_size", 3),
        ("the same from the environment", {"environ": {"LAVAD_CAPTIONERS__BLIP2_FLAN_T5_XXL__BATCH_SIZE": "3"}},
         "captioners.blip2-flan-t5-xxl.batch_size", 3),
        ("a batch as large as fits", {"overrides": ["captioners.blip2-flan-t5-xxl.batch_size=auto"]},
         "captioners.blip2-flan-t5-xxl.batch_size", "auto"),
        ("its model stays", {"overrides": ["captioners.blip2-flan-t5-xxl.batch_size=3"]},
         "captioners.blip2-flan-t5-xxl.model", "Salesforce/blip2-flan-t5-xxl"),
        ("another kind", {"overrides": ["encoder.kind=clip"]}, "encoder.model", "laion/CLIP-ViT-H-14-laion2B-s32B-b79K"),
        ("a preset's revision", {"preset": "generic"}, "encoder.revision", "1c2b8495b28150b8a4922ee1c8edee224c284c0c"),
        ("goes with its model", {"preset": "generic", "overrides": ["encoder.model=a/b"]}, "encoder.revision", None),
        ("not when it is named again", {
            "preset": "generic", "overrides": ["encoder.model=laion/CLIP-ViT-H-14-laion2B-s32B-b79K"]
        }, "encoder.revision", "1c2b8495b28150b8a4922ee1c8edee224c284c0c"),
        ("and is given with it", {"preset": "generic", "overrides": ["encoder.revision=c", "encoder.model=a/b"]},
         "encoder.revision", "c"),
        ("a name with dots", {"overrides": ["imports.captions.a-6.7b=/x"]}, "imports.captions", {"a-6.7b": Path("/x")}),
        ("a section given whole, then a part", {
            "overrides": ["captioners.a.device=cpu", "captioners={a: {kind: blip2, model: m}}"]
        }, "captioners.a.device", "cpu"),
        ("another variable of ours", {"environ": {"LAVAD_TEST_ANYTHING": "1"}}, "window.samples", 10),
    ],
)  # fmt: skip
def test_values(case: str, sources: dict[str, Any], path: str, value: object) -> None:
    found: Any = config(**sources)
    for name in path.split("."):
        found = found[name] if isinstance(found, dict) else getattr(found, name)
    assert found == value, case


@pytest.mark.parametrize(
    ("case", "sources", "says"),
    [
        ("misspelt key", {"overrides": ["window.sampels=3"]}, ["'window.sampels'", "--set", "did you mean 'window.samples'?"]),
        ("misspelt section", {"overrides": ["windw.samples=3"]}, ["'windw'", "--set windw.samples", "did you mean 'window'?"]),
        ("misspelt section, environment", {"environ": {"LAVAD_WINDW__SAMPLES": "3"}},
         ["'windw'", "variable LAVAD_WINDW__SAMPLES", "did you mean 'window'?"]),
        ("one of several misspelt", {"overrides": ["window.samples=3", "windw.a=1", "vide.b=2"]},
         ["'windw' (--set windw.a)", "'vide' (--set vide.b)"]),
        ("wrong section", {"overrides": ["video.neighbours=3"]}, ["did you mean 'refine.neighbours'?"]),
        ("environment", {"environ": {"LAVAD_WINDOW__SAMPELS": "3"}}, ["variable LAVAD_WINDOW__SAMPELS", "'window.samples'?"]),
        ("unknown variable", {"environ": {"LAVAD_STOER": "x"}}, ["LAVAD_STOER", "did you mean 'store'?"]),
        ("no batch", {"overrides": ["captioners.blip2-flan-t5-xxl.batch_size=0"]},
         ["captioners.blip2-flan-t5-xxl.batch_size = 0", "give auto, or a whole number of at least 1"]),
        ("a word for a batch", {"overrides": ["captioners.blip2-flan-t5-xxl.batch_size=all"]},
         ["batch_size = 'all'", "give auto, or a whole number of at least 1"]),
        ("captioner's key", {"overrides": ["captioners.a.batchsize=3"]}, ["did you mean 'captioners.a.batch_size'?"]),
        ("settings", {"settings": {"refine": {"neighbors": 3}}}, ["the given settings", "'refine.neighbours'?"]),
        ("hyphens", {"overrides": ["clean.en-abled=1"]}, ["did you mean 'clean.enabled'?"]),
        ("key of another kind", {"overrides": ["encoder.kind=clip", "encoder.long_text=keep-end"]},
         ["'encoder.long_text'", "is a key of kind imagebind", "encoder is of kind 'clip'"]),
        ("unknown kind", {"overrides": ["encoder.kind=clipp"]}, ["`imagebind`, `clip`", "did you mean 'clip'?"]),
        ("unknown choice", {"overrides": ["window.sampling=gird"]}, ["`grid`, `any-frame`", "did you mean 'grid'?", "--set"]),
        ("out of range", {"environ": {"LAVAD_REFINE__NEIGHBOURS": "0"}}, ["refine.neighbours = 0", "integer, ≥ 1, ≤ 10000"]),
        ("too large", {"overrides": ["detect.threshold=1.5"]}, ["detect.threshold = 1.5", "number, ≥ 0, ≤ 1"]),
        ("infinite", {"overrides": ["video.stall_timeout_s=.inf"]}, ["video.stall_timeout_s", "finite"]),
        ("no number", {"overrides": ["window.samples=many"]}, ["window.samples = 'many'", "integer"]),
        ("a text for a list", {"overrides": ["run.targets=refine"]}, ["run.targets", "such as [refine]"]),
        ("unknown semantics", {"overrides": ["semantics=papre"]}, ["`paper`, `reference`", "did you mean 'paper'?"]),
        ("a value for a section", {"overrides": ["window=3"]}, ["window", "--set window"]),
        ("a value for the section of scores", {"overrides": ["score=3"]}, ["score = 3", "--set score"]),
        ("a list for it", {"settings": {"score": [1]}}, ["score (the given settings)"]),
        ("a key below a value", {"overrides": ["store.a=3"]}, ["'store.a'"]),
        ("metrics without labels", {"overrides": ["run.targets=[evaluate]"]}, ["'evaluate'", "evaluate.labels"]),
        ("no captioners", {"overrides": ["captioners=null"]}, ["captioners", "no captioner is left"]),
        ("thresholds crossed", {"overrides": ["detect.low_threshold=0.9"]}, ["low_threshold 0.9 is above"]),
        ("expected score of free text", {"overrides": ["semantics=reference", "score.expected=true"]},
         ["score.expected needs score.answer 'choice'", "set score.answer=choice"]),
        ("no equals sign", {"overrides": ["window.samples"]}, ["--set 'window.samples'", "key.subkey=value"]),
        ("empty part", {"overrides": ["window..samples=1"]}, ["key.subkey=value"]),
        ("empty variable name", {"environ": {"LAVAD_WINDOW__": "1"}}, ["LAVAD_WINDOW__ names no setting"]),
        ("empty path", {"overrides": ["store="]}, ["--set store", "empty"]),
        ("empty path in quotes", {"overrides": ['store=""']}, ["--set store", "empty"]),
        ("empty path in the environment", {"environ": {"LAVAD_STORE": "''"}}, ["variable LAVAD_STORE", "empty"]),
        ("empty path in settings", {"settings": {"store": ""}}, ["store (the given settings)", "empty"]),
        ("empty path of labels", {"settings": {"evaluate": {"labels": " "}}}, ["evaluate.labels", "empty"]),
        ("empty path of imports", {"settings": {"imports": {"captions": {"a.b": ""}}}}, ["imports.captions.a.b", "empty"]),
        ("similarities of nothing", {"overrides": ["imports.similarities=/x"]}, ["imports.refined", "not given"]),
        ("no YAML", {"overrides": ["run.targets=[a"]}, ["--set run.targets", "YAML"]),
        ("unknown preset", {"preset": "ucf_crime"}, ["'ucf_crime'", "did you mean 'ucf-crime'?"]),
        ("whole and part", {"settings": {"chat": 3}, "overrides": ["chat.seed=3"]}, ["chat.model"]),
    ],
)  # fmt: skip
def test_refused(case: str, sources: dict[str, Any], says: list[str]) -> None:
    if case == "whole and part":  # the part wins over a value that is no section at all
        assert config(**sources).chat.seed == 3
        return
    message = refused(**sources)
    assert all(words in message for words in says), f"{case}: {message}"


@pytest.mark.parametrize(
    ("case", "text", "says"),
    [
        ("unknown key", "\nwindow:\n  sampels: 3\n", ["a.yaml:3", "'window.sampels'"]),
        ("wrong value", "window:\n  samples: 0\n", ["a.yaml:2", "window.samples = 0"]),
        ("key twice", "window: {samples: 3}\nwindow: {samples: 4}\n", ["a.yaml:2", "window is given twice", "a.yaml:1"]),
        ("not YAML", "window: [\n", ["is not YAML", "line"]),
        ("a list", "- 1\n", ["keys and values are wanted, found a list"]),
        ("a Python object", "store: !!python/object/apply:os.system ['true']\n", ["of plain values", "line 1 has"]),
        ("contains itself", "window: &a {samples: *a}\n", ["deep"]),
        ("brackets without end", "window: " + "[" * 5000, ["is not YAML"]),
        ("billion laughs", "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
            f"{new}: &{new} [{','.join(['*' + old] * 10)}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
        ), ["keys"]),
    ],
)  # fmt: skip
def test_refused_files(case: str, text: str, says: list[str], tmp_path: Path) -> None:
    message = refused(files=[written(tmp_path, text)])
    assert all(words in message for words in says), f"{case}: {message}"


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    assert "No such file" in refused(files=[tmp_path / "none.yaml"])
    assert "directory" in refused(files=[tmp_path]).lower()
    binary = tmp_path / "b.yaml"
    binary.write_bytes(b"\xff\xfe\x00")
    assert "not UTF-8" in refused(files=[binary])
    binary.write_bytes(b"#" * ((1 << 20) + 1))
    assert "larger than" in refused(files=[binary])


def test_no_more_than_five_faults_are_named() -> None:
    message = refused(overrides=[f"window.x{number}=1" for number in range(9)])
    assert message.count("unknown key") == 5
    assert message.endswith("and 4 more")


def test_an_empty_file_changes_nothing(tmp_path: Path) -> None:
    assert config(files=[written(tmp_path, "# nothing\n")]) == config()


def test_paths_in_a_file_are_relative_to_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project, elsewhere = tmp_path / "project", tmp_path / "elsewhere"
    project.mkdir()
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    monkeypatch.setenv("HOME", str(tmp_path))
    text = """
store: results
evaluate: {labels: ../labels.txt}
imports: {captions: {a: captions/a}, summaries: ~/summaries}
encoder: {model: weights/imagebind.safetensors, tokenizer: clip}
chat: {tokenizer: ./llama}
captioners:
  a: {kind: blip2, model: ./blip2}
  b: {kind: blip2, model: Salesforce/blip2-opt-2.7b}
"""
    found = config(files=[written(project, text)])
    assert found.store == project / "results"
    assert found.evaluate.labels == tmp_path / "labels.txt"
    assert found.imports.captions == {"a": project / "captions" / "a"}
    assert found.imports.summaries == tmp_path / "summaries"
    assert found.encoder.model == str(project / "weights" / "imagebind.safetensors")
    assert found.encoder.tokenizer == project / "clip"
    assert found.chat.tokenizer == str(project / "llama")
    assert [one.model for one in found.captioners.values()] == [str(project / "blip2"), "Salesforce/blip2-opt-2.7b"]


def test_other_paths_are_relative_to_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert config().store == tmp_path / "lavad-store"
    assert config(preset="generic").store == tmp_path / "lavad-store"
    assert config(environ={"LAVAD_STORE": "a"}).store == tmp_path / "a"
    found = config(overrides=["store=../b", "encoder.model=w.pth"])
    assert found.store == tmp_path.parent / "b"
    assert found.encoder.model == str(tmp_path / "w.pth")
    assert config().encoder.model == config(preset="ucf-crime").encoder.model == str(tmp_path / "imagebind_huge.pth")
    assert config(overrides=["encoder.model=random:imagebind"]).encoder.model == "random:imagebind"
    assert config(overrides=["chat.tokenizer=~/llama"]).chat.tokenizer == str(Path.home() / "llama")
    for name in ("org/model", "auto"):
        assert config(overrides=[f"chat.tokenizer={name}"]).chat.tokenizer == name


def test_semantics_set_their_fields_unless_given() -> None:
    found = config(overrides=["semantics=reference", "refine.pool=all"])
    assert (found.window.sampling, found.window.vector, found.refine.pool) == ("any-frame", "ends", "all")
    assert found.encoder.long_text == "lose-end"
    assert config(overrides=["semantics=reference", "encoder.kind=clip"]).encoder.kind == "clip"


class TestSecrets:
    """A secret reaches the model's client and nothing else."""

    def test_from_the_environment(self) -> None:
        found = config(environ={"LAVAD_CHAT__API_KEY": "123"})
        assert found.chat.api_key.get_secret_value() == "123"
        assert "123" not in repr(found)

    def test_does_not_choose_between_kinds(self) -> None:
        assert config(preset="tiny", environ={"LAVAD_CHAT__API_KEY": "x"}).chat.kind == "transformers"
        assert config(environ={"LAVAD_CAPTIONERS__OTHER__API_KEY": "x"}) == config()

    def test_fits_a_captioner_that_another_source_names(self) -> None:
        served = {"kind": "openai", "model": "m"}
        environ = {"LAVAD_CAPTIONERS__V_1_5__API_KEY": "x"}
        found = config(settings={"captioners": {"V-1.5": served}}, environ=environ)
        assert found.captioners["V-1.5"].api_key.get_secret_value() == "x"

    def test_command_line_wins(self) -> None:
        found = config(environ={"LAVAD_CHAT__API_KEY": "x"}, overrides=["chat.api_key=y"])
        assert found.chat.api_key.get_secret_value() == "y"

    def test_environment_wins_over_files(self, tmp_path: Path) -> None:
        found = config(files=[written(tmp_path, "chat: {api_key: a}")], environ={"LAVAD_CHAT__API_KEY": "x"})
        assert found.chat.api_key.get_secret_value() == "x"

    def test_never_in_messages(self) -> None:
        for sources in (
            {"overrides": ["chat.api_kye=hush"]},
            {"settings": {"chat": {"api_key": ["hush"]}}},
            {"settings": {"chat": {"api_key": 4711}}},
            {"overrides": ["chat.api_key hush"]},
        ):
            message = refused(**sources)
            assert "hush" not in message.replace("api_key hush", "")
            assert "4711" not in message

    def test_travel_through_the_environment_only(self) -> None:
        secret = "http://user:hush@host:8000/v1"
        served = {"kind": "openai", "model": "m", "api_key": "hush"}
        found = config(settings={"captioners": {"v-1.5": served}, "chat": {"api_key": "hush", "base_url": secret}})
        public = public_settings(found)
        assert "hush" not in str(public)
        assert "hush" not in render.resolved_yaml(found)
        environ: dict[str, str] = {}
        export_secrets(found, environ)
        assert config(settings=public, environ=environ) == found
        assert "LAVAD_CHAT__BASE_URL" in refused(settings=public)

    def test_of_several_servers_travel_in_the_same_way(self) -> None:
        given = ["http://user:hush@a:8000/v1", "http://b:8000/v1"]
        found = config(settings={"chat": {"base_url": given}})
        public = public_settings(found)
        assert public["chat"]["base_url"] == ["http://**********@a:8000/v1", "http://b:8000/v1"]
        assert "hush" not in render.resolved_yaml(found)
        environ: dict[str, str] = {}
        export_secrets(found, environ)
        assert config(settings=public, environ=environ) == found
        assert load_recorded(public).chat.base_url == ("http://a:8000/v1", "http://b:8000/v1")  # type: ignore[union-attr]
        assert "LAVAD_CHAT__BASE_URL" in refused(settings=public)
        assert set(secret_values(found)) == {"user:hush", "hush"}

    def test_a_recorded_configuration_is_readable_without_them(self) -> None:
        address = "http://user:hush@host:8000/v1"
        found = config(settings={"chat": {"api_key": "hush", "base_url": address}, "window": {"samples": 3}})
        recorded = masked(public_settings(found))
        assert "hush" not in str(recorded)
        again = load_recorded(recorded)
        assert (again.window.samples, again.chat.base_url) == (3, "http://host:8000/v1")  # type: ignore[union-attr]

    def test_yaml_with_masks_is_readable_again(self, tmp_path: Path) -> None:
        found = config(overrides=["chat.api_key=hush"])
        again = config(files=[written(tmp_path, render.resolved_yaml(found))])
        assert again.chat.api_key is None


@pytest.mark.parametrize("preset", [None, "ucf-crime", "xd-violence", "generic", "tiny"])
@pytest.mark.parametrize("semantics", ["paper", "reference"])
def test_settings_and_printed_yaml_give_the_configuration_again(
    preset: str | None, semantics: str, tmp_path: Path
) -> None:
    loaded = load(preset=preset, environ={}, overrides=[f"semantics={semantics}", "imports.captions.a.b=x"])
    assert config(settings=public_settings(loaded.config)) == loaded.config
    text = render.resolved_yaml(loaded.config, loaded.origins)
    assert config(files=[written(tmp_path, text)]) == loaded.config


@settings(deadline=None)
@given(text=st.text(min_size=1).filter(lambda text: "\x00" not in text))
def test_any_text_survives_printing(text: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    found = config(settings={"summarise": {"separator": text}})
    printed = yaml.safe_load(render.resolved_yaml(found))
    assert printed["summarise"]["separator"] == text


@settings(deadline=None)
@given(key=st.text(alphabet="abcdefghijklmnopqrstuvwxyz_.0123456789", min_size=1, max_size=40))
def test_no_key_makes_it_crash(key: str) -> None:
    with contextlib.suppress(ConfigError):  # any other exception is a fault
        config(overrides=[f"{key}=1"])


def test_the_process_environment_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("LAVAD_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("LAVAD_WINDOW__SAMPLES", "4")
    assert load_config().window.samples == 4
