"""Settings that a user gave and that no stage reads: which are named, and which are not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lavad_core.config.definitions_file import package_definitions
from lavad_core.config.load import load, presets
from lavad_core.pipeline.unread_settings import captioners_of_both, without_effect


def lines(*overrides: str, preset: str | None = None, **given: Any) -> list[str]:
    return without_effect(load(preset=preset, overrides=overrides, environ={}, **given))


@pytest.mark.parametrize(
    ("given", "preset", "named", "why"),
    [
        (["smooth.sigma_s=3"], None, "smooth.sigma_s", "needs smooth.kind gaussian or kernel or half-gauss"),
        (["smooth.prior=centre"], None, "smooth.prior", "needs smooth.kind other than none"),
        (["definitions.file=FILE"], None, "definitions.file", "needs score.method bank or definitions"),
        (["rescore.band=0.2"], None, "rescore.band", "needs rescore.enabled true"),
        (
            ["rescore.enabled=true", "imports.refined=/refined", "chat.kind=openai"],
            None,
            "rescore.enabled",
            "needs imports.refined null",
        ),
        (
            ["score.answer=free-text", "score.method=definitions"],
            None,
            "score.answer",
            "needs score.method lavad or direct or clips or events",
        ),
        (
            ["score.expected=true"],
            "definitions",
            "score.expected",
            "needs score.method lavad or direct or clips or events",
        ),
        (["score.thresholds=3"], None, "score.thresholds", "needs score.answer ordinal"),
        (["refine.neighbours=3"], "bank", "refine.neighbours", "no stage of this configuration reads it"),
        (["bank.neighbours=3"], "bank", "bank.neighbours", "needs bank.rule neighbours"),
        (["window.constant_frame_rate=25"], None, "window.constant_frame_rate", "needs window.frame_rate constant"),
        (
            ["chat.model=other"],
            "bank",
            "chat.model",
            "needs score.method lavad or direct or clips or events or definitions",
        ),
        (
            ["captioners.vlm.model=other"],
            "bank",
            "captioners.vlm.model",
            "needs score.method lavad or events or definitions",
        ),
        (["imports.tags=/tags.json"], None, "imports.tags", "no stage of this configuration reads it"),
    ],
    ids=lambda value: value if isinstance(value, str) and value.count(".") == 1 and " " not in value else "",
)
def test_what_has_no_effect_is_named(
    given: list[str], preset: str | None, named: str, why: str, tmp_path: Path
) -> None:
    file = tmp_path / "own.yaml"
    file.write_text(package_definitions(), encoding="utf-8")
    found = lines(*(one.replace("FILE", str(file)) for one in given), preset=preset)
    assert found == [f"without effect: {named} (--set {named}): {why}"]


@pytest.mark.parametrize(
    ("given", "preset"),
    [
        (["smooth.sigma_s=3", "smooth.kind=gaussian"], None),
        (["smooth.sigma_s=5.333", "score.expected=false"], "bank"),  # their defaults
        (["definitions.file=FILE", "score.context_prompt=definitions"], None),
        (["definitions.file=FILE"], "bank"),
        (["definitions.file=FILE"], "definitions"),
        (["rescore.enabled=true", "rescore.tags=import", "imports.tags=/tags.json"], None),
        (["imports.scores=/scores", "imports.summaries=/summaries"], None),
        (["imports.list=/list.txt", "imports.frame_rate=25", "imports.scores=/scores"], None),
        (["captioners.vlm.model=other", "encoder.kind=clip", "chat.model=other", "chat.seed=1"], None),
        (["detect.threshold=0.6", "run.targets=[caption]"], None),  # a run of the rest may follow
        (["run.workers=2", "chat.base_url=http://a:1/v1", "store=/s", "evaluate.labels=/l", "video.threads=2"], "bank"),
    ],
)
def test_what_counts_is_not(given: list[str], preset: str | None, tmp_path: Path) -> None:
    file = tmp_path / "own.yaml"
    file.write_text(package_definitions(), encoding="utf-8")
    assert lines(*(one.replace("FILE", str(file)) for one in given), preset=preset) == []


@pytest.mark.parametrize("preset", list(presets()))
def test_a_preset_as_a_file_of_one_s_own_raises_no_alarm(preset: str, tmp_path: Path) -> None:
    file = tmp_path / "own.yaml"
    file.write_text(presets()[preset], encoding="utf-8")
    # A rate of the data set that `semantics: reference` alone counts with.
    unread = [one for one in lines(files=[file]) if (preset, "constant_frame_rate" in one) != ("xd-violence", True)]
    assert unread == []


def test_neither_a_preset_nor_the_environment_is_the_user_s(tmp_path: Path) -> None:
    shared = {"LAVAD_CHAT__MODEL": "other", "LAVAD_SMOOTH__SIGMA_S": "3"}
    assert without_effect(load(preset="causal", overrides=["smooth.kind=none"], environ=shared)) == []


def test_settings_that_lack_the_same_are_one_line(tmp_path: Path) -> None:
    file = tmp_path / "own.yaml"
    file.write_text("rescore: {band: 0.2}\n")
    assert lines("rescore.pictures=4", files=[file]) == [
        f"without effect: rescore.band ({file}:1), rescore.pictures (--set rescore.pictures): needs rescore.enabled true"
    ]


@pytest.mark.parametrize(
    ("chosen", "told"),
    [
        ({"overrides": ["score.method=bank"]}, ["smooth"]),
        ({"preset": "bank"}, ["smooth"]),
        ({}, ["smooth", "bank"]),
    ],
    ids=["by a setting", "by a preset", "not at all"],
)
def test_a_file_may_serve_several_methods(chosen: dict[str, Any], told: list[str], tmp_path: Path) -> None:
    file = tmp_path / "own.yaml"
    file.write_text(
        "captioners: {vlm: {model: other}}\nrefine: {neighbours: 3}\nbank: {top: 0.4}\nsmooth: {sigma_s: 3}\n"
        "chat: {kind: openai, model: other}\nsummarise: {temperature: 0}\n"
    )
    found = without_effect(load(files=[file], environ={}, **chosen))
    assert sorted(line.split()[2].partition(".")[0] for line in found) == sorted(told)


@pytest.mark.parametrize(
    ("text", "preset", "told"),
    [
        (
            "captioners: {mine: {model: other}}",
            "generic",
            "beside mine of your file; --set captioners.NAME=null",
        ),
        ("captioners: {blip2-flan-t5-xl: {device: cpu}}", "generic", ""),
        ("captioners: {mine: {model: other}}", "bank", ""),
        ("captioners: {mine: {model: other}}", None, ""),
        ("captioners: {mine: {model: other}}", "probe-vad", ""),
    ],
    ids=["both", "a setting of the preset's", "a preset without", "no preset", "none needed"],
)
def test_captioners_of_a_preset_beside_those_of_a_file(
    text: str, preset: str | None, told: str, tmp_path: Path
) -> None:
    file = tmp_path / "own.yaml"
    file.write_text(text)
    found = captioners_of_both(load(preset=preset, files=[file], environ={}))
    assert bool(found) == bool(told)
    assert told in found
    assert ("blip2-flan-t5-xl (preset generic" in found) == bool(told)


def test_a_file_that_nothing_reads_need_not_be_there() -> None:
    (line,) = lines("definitions.file=/nowhere/definitions.yaml")
    assert "definitions.file" in line
