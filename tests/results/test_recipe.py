"""How scores were made is part of every report, and comparisons say what differs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.command import lavad
from support.filled_store import fill

from lavad_core.evaluation.protocol import protocol_lines
from lavad_core.evaluation.sealed_json import EVALUATION
from lavad_core.results.open import open_results
from lavad_core.results.recipe import NOT_KNOWN, in_short, recipe_differences
from lavad_core.results.types import Recipe

NAMES = ("captioners", "encoder", "chat model", "prompts", "semantics", "window", "neighbours", "switches")

CHANGES = {
    "T": ("window.duration_s=5", "window", "T 5 s"),
    "N": ("window.samples=20", "window", "N 20"),
    "the sampling": ("window.sampling=any-frame", "semantics", "paper, but window.sampling any-frame"),
    "K": ("refine.neighbours=3", "neighbours", "K 3 of all"),
    "the pool": ("refine.pool=unique", "neighbours", "K 10 of unique"),
    "a context prompt by name": ("score.context_prompt=both", "prompts", "P_C both"),
    "a context prompt of one's own": ("score.context_prompt=Rate it.", "prompts", "P_C own (SHA-256 "),
    "the summary prompt": ("summarise.prompt=Sum up.", "prompts", "P_S own (SHA-256 "),
    "the format prompt": ("score.format_prompt=A number.", "prompts", "P_F own (SHA-256 "),
    "no cleaning": ("clean.enabled=false", "switches", "clean off"),
    "no refinement": ("refine.enabled=false", "neighbours", "none"),
    "the temperature": ("score.temperature=0", "answers", "temperature 0"),
    "the answers": ("score.answer=free-text", "answers", "free-text"),
    "the seed": ("chat.seed=8", "chat model", "seed 8"),
    "the interval": ("video.frame_interval=16", "window", "every 16th frame"),
}


@pytest.mark.parametrize("word", CHANGES)
def test_the_recipe_says_it_and_a_comparison_names_it(word: str, tmp_path: Path) -> None:
    setting, line, said = CHANGES[word]
    before, _ = fill(tmp_path, "first")
    after, _ = fill(tmp_path, "first", more=(setting,))
    one, other = open_results(tmp_path, before).recipe, open_results(tmp_path, after).recipe
    assert set(NAMES) <= one.lines.keys()
    assert said in other.lines[line]
    named = [name for name, _, _ in recipe_differences(one, other)]
    path = setting.partition("=")[0]
    assert (path in named) == (word != "the interval")  # 16 is the default
    assert recipe_differences(one, one) == ()


def test_another_way_to_scores_is_said_and_nothing_about_what_it_does_not_do(tmp_path: Path) -> None:
    fill(tmp_path, more=("score.method=zero-shot", "zero_shot.temperature=2", "about.origin=A paper, 2026"))
    lines = open_results(tmp_path).recipe.lines
    assert lines["method"].startswith("zero-shot: vector frame, normal a standard scene, anomalous a scene with")
    assert lines["method"].endswith("temperature 2.0")
    assert lines.keys() & {"switches", "answers"} == set()
    assert (lines["chat model"], lines["captioners"], lines["neighbours"]) == ("none", "none", "none")
    header = [lines[name] for name in ("origin", "looks ahead", "fitted on the test set", "expected")]
    assert header == ["A paper, 2026", "0 s", "nothing, as far as is known", "no figure is published"]
    assert "lavad threshold" in lines["threshold of segments"]
    assert "method: zero-shot: vector frame" in in_short(open_results(tmp_path).recipe)


def test_prompts_are_those_that_are_asked(tmp_path: Path) -> None:
    fill(tmp_path, more=("score.method=definitions", "definitions.rubric=Mind."))
    lines = open_results(tmp_path).recipe.lines
    assert lines["prompts"].startswith("P_S paper, rubric own (SHA-256 ")
    assert lines["prompts"].endswith("…), question the program's")
    assert lines["answers"] == "yes/no, first token YES or NO"


def test_imported_stages_are_no_models(tmp_path: Path) -> None:
    more = ("imports.summaries=/somewhere", "imports.scores=/somewhere", "run.targets=[score]")
    fill(tmp_path, more=more)
    lines = open_results(tmp_path).recipe.lines
    assert (lines["chat model"], lines["prompts"]) == ("none", "none")
    assert "summarise imported, score imported" in lines["switches"]


def test_a_path_of_this_machine_is_left_out(tmp_path: Path) -> None:
    fill(tmp_path, more=("chat.model=/models/of/mine/llama",))
    recipe = open_results(tmp_path).recipe
    assert "transformers" in recipe.lines["chat model"]
    assert "/models" not in json.dumps(dict(recipe.lines))


def test_what_an_import_does_not_say(tmp_path: Path) -> None:
    run, _ = fill(tmp_path / "store", "first")
    (tmp_path / "scores").mkdir()
    (tmp_path / "scores" / "first.json").write_text(json.dumps({0: 0.1, 16: 0.2, 32: 0.3}))
    (tmp_path / "list.txt").write_text("first 0 39 7\n")
    (tmp_path / "labels.txt").write_text("first.mp4  Normal  -1  -1  -1  -1\n")
    labels = ["--dataset", "ucf-crime", "--labels", str(tmp_path / "labels.txt"), "--list", str(tmp_path / "list.txt")]
    store = ["--store", str(tmp_path / "store")]
    made = lavad("import", "--scores", str(tmp_path / "scores"), *labels, *store, "--json")
    assert made.exit_code == 0, made.stderr
    imported = json.loads(made.stdout)["run"]
    lines = open_results(tmp_path / "store", imported).recipe.lines
    assert lines["encoder"] == lines["chat model"] == NOT_KNOWN
    assert "SHA-256" in lines["imported scores"]
    printed = lavad("evaluate", "--run", imported, *labels, *store, "--resamples", "0").stdout
    assert "imported scores: scores, 1 file" in printed  # wider than the other names, and apart from its text

    evaluated = lavad("evaluate", "--run", run, *labels, *store, "--resamples", "0", "--json")
    assert evaluated.exit_code == 0, evaluated.stderr
    header = EVALUATION.parse(evaluated.stdout).header
    assert set(NAMES) <= header.recipe.keys()
    assert dict(protocol_lines(header))["prompts"] == "P_S paper, P_C impersonation, P_F paper"
    shown = lavad("evaluate", "--run", run, *labels, *store, "--resamples", "0").stdout
    assert all(f"\n{name}:" in shown for name in NAMES)

    compared = lavad("compare", run, imported, *labels, *store, "--resamples", "0")
    assert compared.exit_code == 0, compared.stderr
    assert NOT_KNOWN in compared.stdout
    same = lavad("compare", run, run, *labels, *store, "--resamples", "0")
    assert "nothing that results depend on differs between A and B" in same.stdout
    assert "both: semantics: paper" in same.stdout

    listed = lavad("status", "--all", *store).stdout
    assert "chat model: random:llama" in listed
    rows = json.loads(lavad("status", "--all", "--json", *store).stdout)
    assert [set(NAMES) <= row["recipe"].keys() for row in rows] == [True, True]

    pages = lavad("report", "--run", run, *labels, *store, "--resamples", "0", "--output", str(tmp_path / "report"))
    assert pages.exit_code in (0, 1), pages.stderr
    index = (tmp_path / "report" / "index.html").read_text(encoding="utf-8")
    assert all(f"<dt>{name}</dt>" in index for name in NAMES)


def test_a_short_form_leaves_out_what_is_not_known() -> None:
    assert in_short(Recipe({"encoder": NOT_KNOWN, "captioners": "a, b", "program": "x"})) == "captioners: a, b"


def test_weights_and_versions_of_stages_are_compared() -> None:
    one = Recipe({}, {"model of clean": "sha256:1", "version of refine": "1", "chat.seed": "0"})
    other = Recipe({}, {"model of clean": "sha256:2", "version of refine": "2", "chat.seed": "0"})
    assert [name for name, _, _ in recipe_differences(one, other)] == ["model of clean", "version of refine"]


def test_a_secret_of_a_commit_is_not_shown(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A setting of the fingerprint, and so of the commit; the record has it masked."""
    fill(tmp_path, "first", more=("score.context_prompt=Rate it; password=hunter2",))
    found = open_results(tmp_path)
    assert "hunter2" not in str(found.recipe)
    assert "hunter2" not in caplog.text
