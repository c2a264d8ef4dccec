"""``lavad import`` and ``lavad export``."""

from __future__ import annotations

import json
import shlex
import shutil
from pathlib import Path

import pytest
import yaml
from support import small_set
from support.command import lavad
from support.s3_server import S3Server
from support.small_set import FRAMES

from lavad_core.config.load import load_config
from lavad_core.pipeline.graph import build_graph


def test_import_status_show_and_export(tmp_path: Path) -> None:
    store = ["--store", str(tmp_path / "store")]
    options = small_set.dataset_files(tmp_path / "set")
    layout = small_set.layout(tmp_path / "data")
    made = lavad("import", "--layout", str(layout), *options, *store, "--json")
    assert made.exit_code == 0, made.stderr
    said = json.loads(made.stdout)
    assert (said["videos_scored"], said["interval"], said["unscored"]) == (4, 16, {})
    assert said["videos"].keys() == FRAMES.keys()

    listed = json.loads(lavad("status", "--all", "--json", *store).stdout)
    assert [(run["run"], run["outcomes"]) for run in listed] == [(said["run"], "4 ok")]
    for kind in ((), ("--frames",), ("--segments",)):
        shown = lavad("show", "Arson004", *store, *kind, "--format", "json")
        assert shown.exit_code == 0, shown.stderr
        assert json.loads(shown.stdout)["video"] == "Arson004"
    assert "imported" in lavad("show", "Arson004", *store).stderr

    exported = lavad("export", "authors", str(tmp_path / "out"), *store)
    assert exported.exit_code == 0, exported.stderr
    again = json.loads(lavad("import", "--layout", str(tmp_path / "out"), *options, *store, "--json").stdout)
    assert (again["digest"], again["videos"]) == (said["digest"], said["videos"])
    assert again["run"] != said["run"]


def test_the_command_that_goes_on_runs_as_it_is_printed(tmp_path: Path) -> None:
    options = small_set.dataset_files(tmp_path / "set")
    made = lavad(
        "import", "--scores", str(small_set.scores(tmp_path / "a")), *options, "--store", str(tmp_path / "a store")
    )
    assert made.exit_code == 0, made.stderr
    command = made.stderr.partition("`lavad ")[2].partition(" --dataset …`")[0]
    assert command.startswith("evaluate --run ")
    evaluated = lavad(*shlex.split(command), *options)
    assert evaluated.exit_code == 0, evaluated.stderr


def test_an_import_into_an_object_storage_is_named_by_its_address(tmp_path: Path, s3: S3Server) -> None:
    options = small_set.dataset_files(tmp_path / "set")
    scores = small_set.scores(tmp_path / "a")
    made = lavad("import", "--scores", str(scores), *options, "--store", "s3://bucket/imported")
    assert made.exit_code == 0, made.stderr
    assert "is in s3://bucket/imported: `lavad evaluate --run " in made.stderr
    assert " --store s3://bucket/imported --dataset" in made.stderr


def test_an_import_outlives_the_removal_of_unreachable_results(tmp_path: Path) -> None:
    store = ["--store", str(tmp_path / "store")]
    options = small_set.dataset_files(tmp_path / "set")
    assert lavad("import", "--scores", str(small_set.scores(tmp_path / "a")), *options, *store).exit_code == 0
    removed = lavad("store", "gc", "--unreachable", "--yes", "--older-than-h", "0", "--preset", "tiny", *store)
    assert removed.exit_code == 0, removed.stderr
    assert "removed: 0 results" in removed.stderr
    assert lavad("store", "verify", *store).exit_code == 0
    assert lavad("export", "csv", str(tmp_path / "t.csv"), *store).exit_code == 0


@pytest.mark.parametrize("form", ["csv", "json", "parquet", "intervals"])
def test_export_of_a_named_import(form: str, tmp_path: Path) -> None:
    store = ["--store", str(tmp_path / "store")]
    options = small_set.dataset_files(tmp_path / "set")
    first = lavad("import", "--scores", str(small_set.scores(tmp_path / "a")), *options, *store, "--json")
    assert lavad("import", "--scores", str(small_set.scores(tmp_path / "b", 0.5)), *options, *store).exit_code == 0
    run = json.loads(first.stdout)["run"]
    assert lavad("export", form, str(tmp_path / "named"), "--run", run, *store).exit_code == 0
    assert lavad("export", form, str(tmp_path / "latest"), *store).exit_code == 0
    assert (tmp_path / "named").read_bytes() != (tmp_path / "latest").read_bytes()
    refused = lavad("export", form, str(tmp_path / "named"), *store)
    assert refused.exit_code == 2
    assert "is not overwritten" in refused.stderr


def test_a_video_that_is_missing_is_counted(tmp_path: Path) -> None:
    folder = small_set.scores(tmp_path / "scores")
    (folder / "Arson004.json").unlink()
    store = ["--store", str(tmp_path / "store")]
    made = lavad("import", "--scores", str(folder), *small_set.dataset_files(tmp_path / "set"), *store)
    assert made.exit_code == 1
    assert "1 of 4 videos have no scores, and are counted as unscored: 'Arson004'" in made.stderr
    shown = lavad("show", "Arson004", *store)
    assert shown.exit_code == 1
    assert "has no scores in import" in shown.stderr
    retried = lavad("retry", *store)
    assert retried.exit_code == 2
    assert "is an import" in retried.stderr


@pytest.mark.parametrize(
    ("case", "arguments", "says"),
    [
        ("nothing", [], "nothing to import: there are no scores"),
        ("twice", ["--scores", "a", "--segments", "b"], "--scores or --segments"),
        ("captions without a name", ["--captions", "/x"], "is not NAME=PATH"),
        ("captions of one name", ["--captions", "a=/x", "--captions", "a=/y"], "with a name of its own"),
        ("no adapter", ["--scores", "a", "--labels", "b"], "give --dataset"),
        ("no interval", ["--scores", "a", "--interval", "0"], "--interval"),
        ("segments alone", ["--segments", "s.csv"], "nothing says how many frames the videos have"),
        ("no folder", ["--layout", "none"], "is not a folder"),
        ("until without settings", ["--layout", "a", "--until", "captions"], "--settings"),
    ],
)
def test_wrong_use(case: str, arguments: list[str], says: str, tmp_path: Path) -> None:
    result = lavad("import", *arguments, "--store", str(tmp_path / "store"))
    assert result.exit_code == 2, case
    assert says in " ".join(result.stderr.split()), case
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["intervals", "x", "--frames"], "intervals has no rows"),
        (["csv", "x", "--threshold", "0.5"], "csv has scores, not segments"),
        (["pdf", "x"], "pdf"),
        (["csv", ""], "the path is empty"),
    ],
)
def test_wrong_use_of_export(arguments: list[str], says: str, tmp_path: Path) -> None:
    result = lavad("export", *arguments, "--store", str(tmp_path))
    assert result.exit_code == 2
    assert says in " ".join(result.stderr.split())


@pytest.mark.parametrize(
    ("until", "imported", "roles"),
    [
        ("captions", {"captions"}, {"chat", "encoder"}),
        ("cleaned", {"captions", "cleaned"}, {"chat", "encoder"}),
        ("summaries", {"captions", "cleaned", "summaries"}, {"chat", "encoder"}),
        ("scores", {"captions", "cleaned", "summaries", "scores"}, {"encoder"}),
        (None, {"captions", "cleaned", "summaries", "scores", "refined", "similarities"}, set()),
    ],
)
def test_settings_go_on_from_any_step(until: str | None, imported: set[str], roles: set[str], tmp_path: Path) -> None:
    folder = small_set.layout(tmp_path / "data")
    result = lavad("import", "--settings", str(folder), *(["--until", until] if until else []))
    assert result.exit_code == 0, result.stderr
    path = tmp_path / "settings.yaml"
    path.write_text(result.stdout, encoding="utf-8")
    assert yaml.safe_load(result.stdout)["imports"].keys() == imported
    config = load_config(files=[path], environ={})
    assert config.imports.captions["blip2-a"] == folder / "captions/raw/Salesforce/blip2-a"
    graph = build_graph(config, dict.fromkeys(config.models, "?"))
    assert set(graph.identities) == roles
    assert graph.has("detect")
    assert config.semantics == ("reference" if "cleaned" in imported else "paper")


def test_settings_of_scores_alone_make_no_texts(tmp_path: Path) -> None:
    folder = small_set.layout(tmp_path / "data")
    for gone in ("captions", "scores/raw"):
        shutil.rmtree(folder / gone)
    result = lavad("import", "--settings", str(folder))
    config = load_config(settings=yaml.safe_load(result.stdout), environ={})
    graph = build_graph(config, {})
    assert [node.id for node in graph.nodes] == ["probe", "refine", "detect"]


def test_labels_alone_are_any_temporal_annotation(tmp_path: Path) -> None:
    """As for `lavad evaluate`: no adapter is needed; the lengths of videos may stand in the lines."""
    labels = tmp_path / "labels.txt"
    labels.write_text("".join(f"{name}.mp4 {frames} Arson 2 9\n" for name, frames in small_set.FRAMES.items()))
    store = ["--store", str(tmp_path / "store")]
    scores = small_set.scores(tmp_path / "scores")
    result = lavad("import", "--scores", str(scores), "--labels", str(labels), *store)
    assert result.exit_code == 0, result.stderr
    assert "4 of 4 videos, 139 frames" in result.stderr
    evaluated = lavad("evaluate", "--labels", str(labels), *store, "--resamples", "0")
    assert evaluated.exit_code == 0, evaluated.stderr
    assert "4 scored of 4 listed" in evaluated.stdout
    refused = lavad("import", "--scores", str(scores), "--list", str(labels), *store)
    assert (refused.exit_code, "whose labels? Give --dataset" in " ".join(refused.stderr.split())) == (2, True)
