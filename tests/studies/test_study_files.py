"""Studies as files: what ships, what is refused, and which configurations the rows are."""

from __future__ import annotations

from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import SecretStr

from lavad_core.config.load import load_config
from lavad_core.errors import ConfigError, InputError
from lavad_core.evaluation.published import published_rows
from lavad_core.method.prompts import CONTEXT
from lavad_core.studies.study_file import find_study, parse_study, shipped_studies
from lavad_core.studies.study_run import placed
from lavad_core.studies.study_runs import PlannedRow, StudyBase, planned_rows

TABLES = {f"table{number}": str(number) for number in range(1, 9)}

GOOD = {
    "title": "Mine",
    "preset": "tiny",
    "reference": "all",
    "metrics": ["auc"],
    "rows": [{"name": "all"}, {"name": "K = 3", "settings": {"refine": {"neighbours": 3}}}],
}


SECOND = {"mistral-7b-instruct": "http://other:8001/v1", "llava-1.5": "http://third:8002/v1"}
"""Where the language models of rows are that have one of their own."""

LLAMA = "meta-llama/Llama-2-13b-chat-hf"


def planned(name: str, base: StudyBase | None = None) -> dict[str, PlannedRow]:
    called, study = find_study(name)
    return {one.row.name: one for one in planned_rows(called, study, base or StudyBase(stand_ins=SECOND))}


def test_the_tables_ship() -> None:
    assert {*shipped_studies()} == {*TABLES, "fig2", "fig6", "smoothing"}


@pytest.mark.parametrize("name", TABLES)
def test_a_shipped_study_has_every_row_of_its_table(name: str) -> None:
    study = shipped_studies()[name]
    assert study.stands_for == f"Table {TABLES[name]}"
    expected = [row for row in published_rows() if row.table == TABLES[name]]
    quoted = [row for row in study.published if row.training in study.quotes]
    assert [*quoted, *(study.published_row(row) for row in study.rows if row.paper)] == expected
    assert expected


def test_the_reference_rows_are_the_paper_s_own_setting() -> None:
    for name, study in shipped_studies().items():
        (config,) = planned(name)[study.reference].configs
        xd = name in ("table2", "table5", "table7")
        assert [*config.captioners] == [*load_config(preset="xd-violence" if xd else "ucf-crime").captioners]
        assert config.score.context_prompt == CONTEXT["prior" if xd else "impersonation"]
        assert config.window.constant_frame_rate == (24 if xd else 30)
        assert (config.window.duration_s, config.window.samples, config.refine.neighbours) == (10, 10, 10)


def test_equal_configurations_of_rows_have_one_place_and_keys_tell_others_apart() -> None:
    rows = [*planned("fig6").values()]
    chat = rows[0].configs[0].chat
    keys = [chat.model_copy(update={"api_key": SecretStr(key)}) for key in ("one", "two", "one")]
    served = [replace(rows[0], configs=(rows[0].configs[0].model_copy(update={"chat": key}),)) for key in keys]
    configs, places = placed([*rows, replace(rows[0], configs=()), rows[3], *served])
    assert places == [*([at] for at in range(10)), [], [3], [10], [11], [10]]
    assert len(configs) == 12


@pytest.mark.parametrize("name", ["table4", "table5"])
def test_the_four_prompts_are_those_that_their_rows_are_called_by(name: str) -> None:
    rows = planned(name)
    assert [one.configs[0].score.context_prompt for one in rows.values()] == [
        CONTEXT[key] for key in ("plain", "prior", "impersonation", "both")
    ]


def test_a_caption_scored_directly_has_nothing_before_or_behind_its_score() -> None:
    *alone, full = planned("fig2").values()
    whole = full.configs[0]
    assert {(one.configs[0].chat.model, *one.configs[0].captioners) for one in alone} == {
        (model, name) for model in (LLAMA, "mistralai/Mistral-7B-Instruct-v0.1") for name in whole.captioners
    }
    for one in alone:
        config = one.configs[0]
        assert [config.clean.enabled, config.summarise.enabled, config.refine.enabled] == [False] * 3
    assert [whole.clean.enabled, whole.summarise.enabled, whole.refine.enabled] == [True] * 3
    assert whole.chat.model == LLAMA


def test_a_row_has_a_language_model_of_its_own(tmp_path: Path) -> None:
    def chat(own: str) -> Any:
        return planned("fig2", StudyBase(stand_ins={"mistral-7b-instruct": own}))["opt-6.7b, Mistral"].configs[0].chat

    served = chat("http://other:8001/v1")
    assert (served.kind, served.base_url, served.system_role) == ("openai", "http://other:8001/v1", "auto")
    file = tmp_path / "mistral.yaml"
    file.write_text("chat: {kind: transformers, model: ./weights, system_role: fold}")
    local = chat(str(file))
    assert (local.kind, local.model, local.system_role) == ("transformers", str(tmp_path / "weights"), "fold")
    file.write_text("chat: {}\nstore: elsewhere")
    with pytest.raises(ConfigError, match=r"a section `chat` and nothing else; found chat, store"):
        chat(str(file))
    with pytest.raises(ConfigError, match=r"row 'flan-t5-xl, Mistral': .*--model mistral-7b-instruct=ADDRESS"):
        planned("fig2", StudyBase())


def test_without_cleaning_each_captioner_is_a_run() -> None:
    row = planned("table3")["without caption cleaning"]
    assert [[*config.captioners] for config in row.configs] == [
        [one] for one in load_config(preset="ucf-crime").captioners
    ]
    assert not any(config.clean.enabled for config in row.configs)


def test_settings_of_a_row_win_over_those_of_the_command_line() -> None:
    base = StudyBase(overrides=["refine.neighbours=7", "window.samples=4"])
    rows = planned("fig6", base)
    assert {one.configs[0].refine.neighbours for one in rows.values()} == {*range(1, 11)}
    assert {one.configs[0].window.samples for one in rows.values()} == {4}


BESIDE = ("table1", "table2")
"""The studies with rows that have models of their own."""


@pytest.mark.parametrize("name", BESIDE)
def test_the_baselines_are_stages_of_their_own(name: str) -> None:
    rows = {one.row.name: config for one in planned(name).values() for config in one.configs}
    lavad = rows.pop("LAVAD")
    assert {
        title: [config.score.method, config.encoder.kind, config.refine.enabled] for title, config in rows.items()
    } == {
        title: ["direct" if title == "LLaVA-1.5" else "zero-shot", "clip" if "CLIP" in title else "imagebind", False]
        for title in rows
    }
    assert len(rows) == 7
    for title, config in rows.items():
        assert (config.zero_shot.vector == "window") == ("(video)" in title)
        assert config.zero_shot.temperature == (1 if "temperature 1" in title else "model")
    assert rows["ZS CLIP"].encoder.model == "openai/clip-vit-base-patch32"
    assert rows["LLaVA-1.5"].score.context_prompt == lavad.score.context_prompt
    assert rows["LLaVA-1.5"].chat.model != lavad.chat.model
    assert rows["LLaVA-1.5"].chat.base_url == SECOND["llava-1.5"]
    base = StudyBase(overrides=["semantics=reference"], stand_ins=SECOND)
    for config in (row.configs[0] for row in planned(name, base).values()):
        assert config.semantics == "reference"


@pytest.mark.parametrize("name", BESIDE)
def test_the_demonstration_has_no_models_of_rows(name: str) -> None:
    captioners = dict.fromkeys(load_config(preset="ucf-crime").captioners, "random-blip2-t5")
    rows = planned(name, StudyBase(preset="tiny", own_encoders=False, stand_ins=captioners))
    assert {rows[title].configs[0].encoder.model for title in ("ZS CLIP", "ZS ImageBind (image)")} == {
        "random:imagebind"
    }
    assert rows["ZS CLIP"].note == "'ZS CLIP': the demonstration's own encoder stands for openai/clip-vit-base-patch32"
    assert (rows["LLaVA-1.5"].configs, rows["LLaVA-1.5"].row.quoted) == ((), True)
    assert "--model llava-1.5=ADDRESS" in rows["LLaVA-1.5"].note
    assert rows["LAVAD"].note == ""


@pytest.mark.parametrize("own_encoders", [True, False], ids=["on one's own models", "in the demonstration"])
def test_a_row_that_nothing_stands_for_and_nobody_published_is_named(tmp_path: Path, own_encoders: bool) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(yaml.safe_dump({**GOOD, "rows": [*GOOD["rows"], {"name": "other", "chat": "m"}]}))
    with pytest.raises(ConfigError, match=r"row 'other': its language model is 'm', .*--model m=ADDRESS"):
        planned(str(file), StudyBase(own_encoders=own_encoders))


def test_other_captioners_stand_for_the_paper_s() -> None:
    own = ["random-blip2-opt", "random-blip2-t5"]
    stand_ins = {name: own["t5" in name] for name in load_config(preset="ucf-crime").captioners}
    rows = planned("table6", StudyBase(preset="tiny", stand_ins=stand_ins))
    assert [[*one.configs[0].captioners] for one in rows.values()] == [own[1:]] * 3 + [own[:1]] * 2 + [own]


def test_a_captioner_that_is_not_there_is_named_with_a_way_out() -> None:
    with pytest.raises(
        ConfigError,
        match=r"study 'table6', row 'flan-t5-xl': captioners: the configuration has no captioner 'blip2-flan-t5-xl'; it has "
        r"random-blip2-opt, random-blip2-t5.*\(--captioner blip2-flan-t5-xl=NAME\)",
    ):
        planned("table6", StudyBase(preset="tiny"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param({"rowz": []}, "study 'own.yaml': rowz: unknown key; .*did you mean 'rows'", id="a key"),
        pytest.param(
            {"rows": [{"name": "all", "setings": {}}]},
            "row 'all': setings: unknown key; .*did you mean 'settings'",
            id="a key of a row",
        ),
        pytest.param({"rows": [{}]}, r"row 1 \(without a name\): name: is missing", id="a row without a name"),
        pytest.param({"reference": "al"}, "reference: 'al' is not a row.*did you mean 'all'", id="no such reference"),
        pytest.param({"metrics": ["auv"]}, "there is no metric 'auv'.*did you mean 'auc'", id="no such metric"),
        pytest.param({"table": "33"}, "the paper's numbers have no table '33'", id="no such table"),
        pytest.param({"preset": "tini"}, "preset: there is no preset 'tini'.*did you mean 'tiny'", id="no such preset"),
        pytest.param({"rows": [{"name": "all"}] * 2}, "two rows are called 'all'", id="two of a name"),
        pytest.param(
            {"table": "3", "rows": [{"name": "all", "paper": "LAVADD"}]},
            "row 'all': paper: Table 3 has no row 'LAVADD'.*did you mean 'LAVAD'",
            id="no such row of the paper",
        ),
        pytest.param(
            {"rows": [{"name": "all"}, {"name": "x", "quoted": True}]}, "row 'x': quoted: .*needs the paper's", id="quote"
        ),
        pytest.param(
            {"rows": [{"name": "all", "captioners": ["a"], "settings": {"captioners": {}}}]},
            "row 'all': captioners: named both",
            id="captioners twice",
        ),
        pytest.param(
            {"rows": [{"name": "all", "models": {"encoder": {}}}]}, "row 'all': models: unknown key", id="unknown key of a row"
        ),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(change: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_study(yaml.safe_dump({**GOOD, **change}), "own.yaml")


def test_a_wrong_setting_names_study_and_row(tmp_path: Path) -> None:
    rows = [*GOOD["rows"], {"name": "bad", "settings": {"refine": {"neighbors": 3}}}]
    file = tmp_path / "mine.yaml"
    file.write_text(yaml.safe_dump({**GOOD, "rows": rows}))
    with pytest.raises(
        ConfigError, match=r"'refine\.neighbors' \(study 'mine', row 'bad'\); did you mean 'refine\.neighbours'"
    ):
        planned(str(file))


def test_an_unknown_study_is_an_error_with_the_nearest() -> None:
    with pytest.raises(InputError, match=r"there is no study 'tabel3'.*did you mean 'table3'"):
        find_study("tabel3")


def test_shipped_files_say_in_words_what_they_are() -> None:
    folder = resources.files("lavad_core.studies") / "files"
    assert all(entry.read_text().startswith("# ") for entry in folder.iterdir() if entry.name.endswith(".yaml"))
