"""Tables of rates: what they may hold, which rate counts, and hours from them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lavad_core.config.schema import LavadConfig
from lavad_core.datasets.types import Dataset, LabelledVideo
from lavad_core.errors import InputError
from lavad_core.pipeline.graph import build_graph
from lavad_core.planning.cost import PlannedVideo, run_cost
from lavad_core.planning.experience import Experience
from lavad_core.planning.rates import Rate, RateTable, packaged_rates, rates_of_run, read_rates
from lavad_core.planning.survey import cost_of_dataset
from lavad_core.planning.video_length import VideoLength
from lavad_core.runs.manifest import RunManifest
from lavad_core.runs.records import StageTotals

LINE = "{stages: [caption], unit: captions_made, per_second: 4, kind: measured, machine: a GPU, source: by hand}"


def table(tmp_path: Path, text: str) -> RateTable:
    path = tmp_path / "rates.yaml"
    path.write_text(text, encoding="utf-8")
    return read_rates(path)


def rate(**values: Any) -> Rate:
    known = {"stages": ["caption"], "unit": "captions_made", "per_second": 1.0, "kind": "stated", "source": "s"}
    return Rate(**{**known, **values})


def test_the_package_invents_nothing() -> None:
    found = packaged_rates()
    assert found.rates
    for one in found.rates:
        assert one.source
        assert one.kind == ("stated" if one.per_second is None else "measured"), (
            "operations are counted, seconds measured"
        )
        assert one.model
    assert all(device.source for device in found.devices)


def test_a_table_of_the_users_own(tmp_path: Path) -> None:
    found = table(tmp_path, f"rates:\n  - {LINE}\n")
    assert found.rates[0].per_second == 4.0


@pytest.mark.parametrize(
    ("case", "text", "says"),
    [
        ("no mapping", "- 1", "holds no mapping"),
        ("no YAML", "rates: [", "is not YAML"),
        ("unknown key", "rate: []", "rate: Extra inputs"),
        (
            "no source",
            "rates: [{stages: [caption], unit: captions_made, per_second: 1, kind: stated}]",
            "rates.0.source",
        ),
        ("unknown unit", "rates: [" + LINE.replace("captions_made", "furlongs") + "]", "rates.0.unit"),
        ("no number", "rates: [" + LINE.replace("4", "fast") + "]", "got 'fast'"),
        ("zero", "rates: [" + LINE.replace("4", "0") + "]", "greater than 0"),
        ("infinite", "rates: [" + LINE.replace("4", ".inf") + "]", "rates.0.per_second"),
        ("measured nowhere", "rates: [" + LINE.replace("machine: a GPU, ", "") + "]", "needs the machine"),
        ("both", "rates: [" + LINE.replace("source", "tflop: 1, source") + "]", "either per_second or tflop"),
    ],
)
def test_what_is_wrong_with_a_table_is_said(tmp_path: Path, case: str, text: str, says: str) -> None:
    with pytest.raises(InputError, match=r"rates\.yaml") as caught:
        table(tmp_path, text)
    assert says in str(caught.value)


def test_a_table_of_another_size_is_no_table(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the most that is read"):
        table(tmp_path, "#" * (1 << 21))
    with pytest.raises(InputError, match="does not exist"):
        read_rates(tmp_path / "none.yaml")


@pytest.mark.parametrize(
    ("case", "rates", "node", "model", "expected"),
    [
        ("any model", [rate()], "caption:a", "x", 1.0),
        ("that model", [rate(model="Org/x")], "caption:a", "/weights/x/", 1.0),
        ("another model", [rate(model="Org/y")], "caption:a", "Org/x", None),
        ("that captioner", [rate(stages=["caption:b"]), rate(per_second=2.0)], "caption:a", "x", 2.0),
        ("the first", [rate(per_second=3.0), rate(per_second=2.0)], "caption:a", "x", 3.0),
        ("a unit that is not known", [rate(unit="tokens"), rate(per_second=2.0)], "caption:a", "x", 2.0),
        ("another stage", [rate(stages=["score"])], "caption:a", "x", None),
        ("operations only", [rate(per_second=None, tflop=1.0)], "caption:a", "x", None),
    ],
)
def test_which_rate_counts(case: str, rates: list[Rate], node: str, model: str, expected: float | None) -> None:
    found = RateTable(rates=tuple(rates)).first("per_second", node, model, {"captions_made": 5})
    assert (None if found is None else found.per_second) == expected


CAPTIONERS = {"a": {"kind": "blip2", "model": "Salesforce/blip2-opt-6.7b"}}
DATASET = Dataset(
    "own",
    "Two clips",
    {"one": LabelledVideo("one", frames=3200), "two": LabelledVideo("two", frames=1), "three": LabelledVideo("three")},
    (),
)


def test_notes_are_about_stages_with_something_to_do() -> None:
    told = Experience(
        {"score": 0.5, "score_definitions": 0.5, "embed_captions": 0.5},
        sources=dict.fromkeys(("score", "score_definitions", "embed_captions"), "it"),
    )

    def notes(method: str, left: frozenset[str]) -> list[str]:
        config = LavadConfig(captioners=CAPTIONERS, store="/nowhere", score={"method": method})
        graph = build_graph(config, dict.fromkeys(config.models, "?"))
        items = [PlannedVideo(VideoLength("one", 3200, np.arange(3200) / 30, 107.0, "list"), left)]
        found = run_cost(config, graph, items, RateTable(), told, basis="list", uncounted={}).notes
        return [note.partition(" by ")[0] for note in found if "expected" in note]

    every = frozenset({"embed_captions", "score", "score_definitions"})
    captions = "embed_captions: expected number of texts"
    assert notes("lavad", every) == ["score: expected number of requests", captions]
    assert notes("definitions", every) == ["score_definitions: expected number of requests", captions]
    assert notes("lavad", frozenset({"score"})) == ["score: expected number of requests"]


def test_hours_are_work_by_rate_and_unknown_stays_unknown() -> None:
    config = LavadConfig(captioners=CAPTIONERS, store="/nowhere")
    mine = RateTable(rates=(rate(per_second=0.5, kind="measured", machine="m"),))
    found = cost_of_dataset(config, DATASET, mine.over(packaged_rates()), None)
    by_node = {stage.node: stage for stage in found.stages}
    captions = 200 + 1
    assert by_node["caption:a"].left.hours == pytest.approx(captions / 0.5 / 3600)
    assert by_node["caption:a"].left.tflop == pytest.approx(captions * 1.20)
    assert by_node["summarise"].left.hours is None
    known = [stage.left.hours for stage in found.stages if stage.left.hours is not None]
    assert found.left.part.hours == pytest.approx(sum(known))
    assert found.left.part.hours > by_node["caption:a"].left.hours
    assert found.left.unknown_hours == ("summarise", "score")
    assert dict(found.uncounted) == {"three": "the list has no frame count"}
    assert (found.left, dict(found.lengths), found.basis) == (found.everything, {"list": 2}, "list")
    assert found.left.frames == 3201
    assert any("estimate from the list of Two clips alone, at 30 frames a second" in note for note in found.notes)


@pytest.mark.parametrize(
    ("settings", "is_said"),
    [
        pytest.param({}, True, id="summaries of windows"),
        pytest.param(
            {"score": {"method": "zero-shot"}, "zero_shot": {"vector": "window"}}, True, id="vectors of windows"
        ),
        pytest.param(
            {"score": {"method": "zero-shot"}, "zero_shot": {"vector": "frame"}}, False, id="vectors of frames"
        ),
        pytest.param({"score": {"method": "direct"}}, False, id="each frame by itself"),
    ],
)
def test_short_windows_are_said_where_there_are_windows(settings: dict[str, Any], is_said: bool) -> None:
    config = LavadConfig(captioners=CAPTIONERS, store="/nowhere", window={"duration_s": 1.0}, **settings)
    found = cost_of_dataset(config, DATASET, packaged_rates(), None)
    assert any("have fewer candidate frames than window.samples" in note for note in found.notes) is is_said


def test_no_rate_no_hours_and_no_width_no_bytes() -> None:
    own = {"a": {"kind": "blip2", "model": "my/captioner"}}
    config = LavadConfig(captioners=own, store="/nowhere", encoder={"kind": "clip", "model": "my/own"})
    found = cost_of_dataset(config, DATASET, packaged_rates(), 25.0)
    assert found.left.part.hours is None
    assert found.left.part.bytes is None
    assert "embed_frames" in found.left.uncounted
    assert "embed_windows" not in found.left.uncounted, "means of vectors that are there: no model's work"


def run(**stages: StageTotals) -> RunManifest:
    return RunManifest(
        run_id="20260101T000000000-abcdef",
        status="completed",
        config={
            "captioners": [{"a": {"model": "m"}}],
            "encoder": {"model": "e"},
            "chat": {"model": "c"},
            "run": {"workers": 2},
        },
        versions={},
        host={"name": "box", "system": "Linux", "cpus": 4},
        git_revision=None,
        started="",
        ended="",
        seconds=1.0,
        peak_rss_bytes=0,
        stages={node.replace("_of_", ":"): totals for node, totals in stages.items()},
        work={},
        videos=(),
    )


def test_rates_that_a_run_measured() -> None:
    found = rates_of_run(
        run(
            caption_of_a=StageTotals(done=2, seconds=4.0, work={"captions_made": 8}),
            embed_frames=StageTotals(done=2, seconds=5.0, work={"images_encoded": 8, "views_encoded": 42}),
            embed_windows=StageTotals(cached=2, seconds=0.1),
            summarise=StageTotals(done=1, seconds=2.0, work={"llm_requests": 0, "llm_cached": 8}),
        )
    )
    assert {one.stages: (one.model, one.unit, one.per_second) for one in found.rates} == {
        ("caption:a",): ("m", "captions_made", 2.0),
        ("embed_frames", "embed_windows"): ("e", "vision_passes", 10.0),
    }
    assert all(one.kind == "measured" and "box, Linux, 4 CPUs" in one.machine for one in found.rates)
    assert "2 videos at once" in found.rates[0].source


def test_a_run_that_found_everything_in_the_store_measured_nothing() -> None:
    with pytest.raises(InputError, match="did no work of a model"):
        rates_of_run(run(caption_of_a=StageTotals(cached=2, seconds=0.1)))
