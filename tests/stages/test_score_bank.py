"""Scores by a bank of sentences: the arithmetic against computations of a few lines and published vectors, and what of a run is
computed again."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.fake_models import vector_of

from lavad_core.config.load import load_config, load_recorded
from lavad_core.config.secrets import public_settings
from lavad_core.errors import ConfigError
from lavad_core.exports.dataframes import segments_table
from lavad_core.method.detection import SegmentRule
from lavad_core.recipes.bank import margin_scores, neighbour_scores, normal_anchor, similarities, top_mean
from lavad_core.reports.video import video_report
from lavad_core.results.run import results_of_keys
from lavad_core.runs import work
from lavad_core.video.types import VideoSource

nova = partial(margin_scores, alpha=0.9, temperature=0.03, top=0.5)


@pytest.fixture(scope="module")
def vectors(shared: Path) -> dict[str, Any]:
    """Inputs and results of another program."""
    path = shared / "design" / "recipes_vectors.json"
    if not path.is_file():
        pytest.skip("no ../shared/design/recipes_vectors.json: scores by a bank are not compared with its vectors")
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def test_the_margin_rule_without_and_with_an_anchor(vectors: dict[str, Any]) -> None:
    given = vectors["bank"]
    pictures = np.array(given["X"])
    sides = [[similarities(pictures, np.array(side)) for side in given[name]] for name in ("A", "N")]
    scores = nova(*sides).max(axis=1)
    np.testing.assert_allclose(scores, given["score_no_vna"], rtol=0, atol=5e-6)  # of vectors with six decimals
    anchor = normal_anchor(pictures[:32], scores[:32], 0.3)
    np.testing.assert_allclose(anchor, given["anchor"], rtol=0, atol=2e-6)
    anchored = nova(*sides, to_anchor=pictures @ anchor).max(axis=1)
    np.testing.assert_allclose(anchored, given["score_vna"], rtol=0, atol=5e-6)
    assert np.abs(anchored - scores).max() > 1e-3


def test_the_neighbour_rule(vectors: dict[str, Any]) -> None:
    given, pictures = vectors["flashback"], np.array(vectors["bank"]["X"])
    normal, anomalous = (similarities(pictures, np.array(side)) for side in vectors["bank"]["A"])
    scores = neighbour_scores([anomalous], [normal], alpha=given["alpha"], temperature=1, neighbours=given["K"])
    np.testing.assert_allclose(scores[:, 0], given["score"], rtol=0, atol=2e-6)


def test_margins_by_hand() -> None:
    """One frame; a category of three and two sentences, and one of one and one."""
    anomalous = [np.array([[0.5, 0.1, 0.3]]), np.array([[0.2]])]
    normal = [np.array([[0.4, 0.2]]), np.array([[0.1]])]
    first = 1 / (1 + math.exp(-(0.9 * (0.5 + 0.3) / 2 - 0.4) / 0.03))
    second = 1 / (1 + math.exp(-(0.9 * 0.2 - 0.1) / 0.03))
    np.testing.assert_allclose(nova(anomalous, normal), [[first, second]])
    anchored = 1 / (1 + math.exp(-(0.9 * 0.2 - 0.6) / 0.03))  # half of two sentences
    np.testing.assert_allclose(nova(anomalous, normal, to_anchor=np.array([0.6]))[:, 1], [anchored])


def test_neighbours_by_hand() -> None:
    """The three nearest are 0.72 and 0.36 of the second category, and 0.5 on the normal side."""
    anomalous = [np.array([[0.1, 0.2]]), np.array([[0.8, 0.4]])]
    normal = [np.array([[0.5, 0.3]]), np.array([[0.0]])]
    found = neighbour_scores(anomalous, normal, alpha=0.9, temperature=0.5, neighbours=3)
    weights = [math.exp(value / 0.5) for value in (0.72, 0.36, 0.5)]
    np.testing.assert_allclose(found, [[0, sum(weights[:2]) / sum(weights)]])
    assert neighbour_scores(anomalous, normal, alpha=0.9, temperature=0.5, neighbours=99).shape == (1, 2)


@pytest.mark.parametrize(
    ("count", "share", "kept"),
    [(30, 0.1, 3), (5, 0.5, 3), (4, 0.5, 2), (3, 1.0, 3), (3, 0.01, 1)],
    ids=["0.1 of 30 is no more than 3", "rounded up", "half", "all", "at least one"],
)
def test_how_many_of_a_side_count(count: int, share: float, kept: int) -> None:
    values = np.random.default_rng(0).permuted(np.tile(np.arange(float(count)), (2, 1)), axis=1)
    assert top_mean(values, share).tolist() == [np.arange(count)[-kept:].mean()] * 2


BANK = """\
# levels of grey
glare:
  anomalous: [level 20, level 19]
  normal: [level 3, level 4]
dusk:
  anomalous: [level 12]
  normal: [level 3]
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "bank.yaml"
    path.write_text(BANK)
    return path


def bank(file: Path, **more: Any) -> dict[str, Any]:
    return {"score": {"method": "bank"}, "bank": {"file": str(file), **more}}


def near(level: int, other: int) -> float:
    return float(vector_of(level) @ vector_of(other))


def test_a_frame_s_rows_say_kind_and_both_sentences(
    make_bench: Callable[..., Any], street: VideoSource, file: Path
) -> None:
    bench = make_bench(**bank(file))
    video = bench.prepare(street)
    assert bench.run(video) == {}
    assert [node.id for node in bench.graph.nodes] == ["probe", "embed_frames", "score_bank", "refine", "detect"]
    rows = {row["frame"]: row for row in bench.rows(video, "score_bank")}
    bright = rows[64]
    margin = 0.9 * near(20, 20) - near(20, 4)
    assert bright["score"] == pytest.approx(1 / (1 + math.exp(-margin / 0.03)))
    assert (bright["kind"], bright["anomalous"], bright["normal"]) == ("glare", "level 20", "level 4")
    assert bright["reason"] == f"glare: 1.000 to 'level 20', {near(20, 4):.3f} to 'level 4'"
    assert [each["kind"] for each in bright["kinds"]] == ["glare", "dusk"]
    assert max(each["score"] for each in bright["kinds"]) == bright["score"]
    assert rows[0]["score"] < 0.01
    (segment,) = bench.rows(video, "detect")
    assert (segment["start_frame"], segment["end_frame"]) == (48, 95)
    assert segment["summary"] == rows[segment["peak_frame"]]["reason"]
    assert segment["kind"] == "glare"
    results = results_of_keys(bench.store, bench.config, {"street": bench.graph.keys(video)})
    assert results.scores("street").kinds == [row["kind"] for row in rows.values()]
    stored = results["street"].segments()
    assert stored is not None
    assert stored["kind"].to_pylist() == ["glare"]
    assert segments_table(results)["kind"].tolist() == ["glare"]
    assert [span.label for span in video_report(results["street"], None, SegmentRule()).found] == ["glare"]


def test_sentences_are_encoded_once_for_all_videos(
    make_bench: Callable[..., Any], street: VideoSource, file: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other.mp4"
    other.write_bytes(street.path.read_bytes() + b"\0")
    bench = make_bench(**bank(file))
    videos = [bench.prepare(street), bench.prepare(VideoSource("other", other))]
    assert bench.run(*videos) == {}
    assert bench.pool.encoder_model.texts == [
        "Anomalous scene: level 20", "Anomalous scene: level 19", "Normal scene: level 3", "Normal scene: level 4",
        "Anomalous scene: level 12", "Normal scene: level 3",
    ]  # fmt: skip
    assert bench.recorder.totals()[work.TEXTS_ENCODED] == 6


@pytest.mark.parametrize(
    ("more", "text"),
    [
        pytest.param({}, "Anomalous scene: level 20", id="without the name"),
        pytest.param({"anomalous_prefix": "{category} at "}, "glare at level 20", id="with the category's name"),
    ],
)
def test_what_an_encoder_reads(
    more: dict[str, str], text: str, make_bench: Callable[..., Any], street: VideoSource, file: Path
) -> None:
    bench = make_bench(**bank(file, **more))
    assert bench.run(bench.prepare(street)) == {}
    assert bench.pool.encoder_model.texts[0] == text


def test_the_beginning_of_the_video_is_normal(make_bench: Callable[..., Any], street: VideoSource, file: Path) -> None:
    plain, anchored = make_bench(**bank(file)), make_bench(**bank(file, normal_anchor="first-frames", anchor_frames=3))
    first, second = (bench.prepare(street) for bench in (plain, anchored))
    assert (plain.run(first), anchored.run(second)) == ({}, {})
    before, after = plain.rows(first, "score_bank"), anchored.rows(second, "score_bank")
    assert all(b["score"] <= a["score"] for a, b in zip(before, after, strict=True))
    assert any(b["score"] < a["score"] for a, b in zip(before, after, strict=True))


def test_the_neighbour_rule_in_a_run(make_bench: Callable[..., Any], street: VideoSource, file: Path) -> None:
    bench = make_bench(**bank(file, rule="neighbours", neighbours=2))
    video = bench.prepare(street)
    assert bench.run(video) == {}
    rows = {row["frame"]: row for row in bench.rows(video, "score_bank")}
    assert rows[64]["score"] == pytest.approx(1)
    assert (rows[64]["kind"], rows[0]["score"]) == ("glare", 0)
    assert (rows[0]["normal"], rows[0]["to_normal"]) == ("level 3", pytest.approx(1))


@pytest.mark.parametrize(
    ("change", "again"),
    [
        pytest.param(
            lambda text: text.replace("level 19", "level 18"), ["score_bank", "refine", "detect"], id="a sentence"
        ),
        pytest.param(lambda text: text.replace("# levels", "# other levels"), [], id="a comment"),
        pytest.param(lambda text: text.replace("dusk", "dawn"), ["score_bank", "refine", "detect"], id="a name"),
    ],
)
def test_a_changed_file_runs_the_scores_alone(
    change: Callable[[str], str], again: list[str], make_bench: Callable[..., Any], street: VideoSource, file: Path
) -> None:
    first = make_bench(**bank(file))
    assert first.run(first.prepare(street)) == {}
    file.write_text(change(file.read_text()))
    second = make_bench(**bank(file))
    assert second.run(second.prepare(street)) == {}
    assert [record.node for record in second.recorder.records if not record.cached] == again


def test_a_record_finds_its_results_without_the_file(
    make_bench: Callable[..., Any], street: VideoSource, file: Path
) -> None:
    bench = make_bench(**bank(file))
    video = bench.prepare(street)
    file.unlink()
    again = load_recorded(public_settings(bench.config))
    assert again.bank.digest == bench.config.bank.digest
    failed = bench.run(video)
    assert isinstance(failed["street"], ConfigError)
    assert "does not exist" in str(failed["street"])


def test_a_file_that_changes_during_a_run_ends_it(
    make_bench: Callable[..., Any], street: VideoSource, file: Path
) -> None:
    bench = make_bench(**bank(file))
    file.write_text(BANK.replace("level 20", "level 21"))
    failed = bench.run(bench.prepare(street))
    assert isinstance(failed["street"], ConfigError)
    assert "has other texts" in str(failed["street"])
    assert "begin a new run" in str(failed["street"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("", "names no category", id="empty"),
        pytest.param("- a", "names no category", id="a list"),
        pytest.param("a: [b]", "category 'a': it needs the lists anomalous and normal", id="no sides"),
        pytest.param("a: {anomalous: [b]}", r"and no others \(found: anomalous\)", id="one side"),
        pytest.param("a: {anomalous: [b], normal: [c], calm: [d]}", "found: anomalous, normal, calm", id="three sides"),
        pytest.param("a: {anomalous: b, normal: [c]}", "'a', anomalous: give a list", id="no list"),
        pytest.param("a: {anomalous: [], normal: [c]}", "'a', anomalous: give a list", id="no sentence"),
        pytest.param("a: {anomalous: [b], normal: [c, yes]}", "'a', normal, item 2 is not a text", id="not a text"),
        pytest.param("a: {anomalous: ['  '], normal: [c]}", "item 1 has 0 characters", id="a blank sentence"),
        pytest.param(f"a: {{anomalous: [{'b' * 401}], normal: [c]}}", "has 401 characters.*1 to 400", id="a long one"),
        pytest.param("a: {anomalous: [b, 'b '], normal: [c]}", "item 2: 'b' is given twice", id="twice"),
        pytest.param(
            r'a: {anomalous: ["b\ud800"], normal: [c]}', "item 1: .* holds half of a character", id="half of one"
        ),
        pytest.param("a: {anomalous: [b], normal: [b]}", "'b' is on both sides", id="on both sides"),
        pytest.param("' ': {anomalous: [b], normal: [c]}", "a name has 1 to 400 characters", id="no name"),
        pytest.param("a: {anomalous: [b], normal: [c]}\na: {}", "given twice", id="a category twice"),
        pytest.param("a: [", "is not YAML", id="not YAML"),
    ],
)
def test_a_bad_file_is_refused_when_the_configuration_is_read(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message) as caught:
        load_config(overrides=["score.method=bank", f"bank.file={path}"], environ={})
    assert "mine.yaml" in str(caught.value)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        pytest.param(["bank.file=/nowhere.yaml"], "bank.file: .*nowhere.yaml' does not exist", id="no file"),
        pytest.param(["refine.enabled=true"], "set refine.enabled=false", id="refinement without summaries"),
        pytest.param(["semantics=reference"], "set window.sampling=grid, or bank.vector=window", id="other frames"),
        pytest.param(
            ["bank.rule=neighbours", "bank.normal_anchor=first-frames"],
            "set bank.rule=margin",
            id="an anchor of no use",
        ),
    ],
)
def test_settings_that_do_not_go_together(overrides: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_config(overrides=["score.method=bank", *overrides], environ={})


def test_a_file_that_is_not_used_is_not_read() -> None:
    assert load_config(overrides=["bank.file=/nowhere.yaml"], environ={}).bank.digest is None


def test_too_many_sentences(monkeypatch: pytest.MonkeyPatch, file: Path) -> None:
    monkeypatch.setattr("lavad_core.config.sentence_bank.MAX_SENTENCES", 5)
    with pytest.raises(ConfigError, match="has 6 sentences; at most 5"):
        load_config(overrides=["score.method=bank", f"bank.file={file}"], environ={})
