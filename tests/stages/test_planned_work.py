"""The work that a plan counts is the work that a run does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lavad_core.config.schema import LavadConfig
from lavad_core.pipeline.graph import build_graph
from lavad_core.planning.cost import RunCost, work_of
from lavad_core.planning.rates import packaged_rates
from lavad_core.planning.survey import cost_of_videos
from lavad_core.planning.video_length import VideoLength, length_from_header, length_from_list
from lavad_core.runs import work
from lavad_core.stages import units
from lavad_core.stages.embed_windows import VIEWS_PER_CLIP
from lavad_core.stages.passes import sharing_a_pass
from lavad_core.video.types import VideoHeader, VideoSource


def steady(frames: int, rate: float = 30.0) -> VideoLength:
    return VideoLength("v", frames, np.arange(frames) / rate, frames / rate, "list")


def works(footage: VideoLength, **settings: Any) -> dict[str, dict[str, int]]:
    config = LavadConfig(**settings)
    return work_of(config, build_graph(config, dict.fromkeys(config.models, "?")), footage)


@pytest.mark.parametrize(
    ("word", "settings"),
    [
        ("paper", {}),
        ("reference", {"semantics": "reference", "score": {"answer": "choice"}}),
        ("another window", {"window": {"duration_s": 4.8, "samples": 4, "clips": 2}}),
        ("no cleaning", {"clean": {"enabled": False}}),
        ("no refinement", {"refine": {"enabled": False}}),
        ("no summaries", {"summarise": {"enabled": False}}),
        ("windows from frames", {"encoder": {"kind": "clip"}}),
        ("each model decodes", {"run": {"frame_cache_bytes": 0}}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_run_does_what_was_counted(
    make_bench: Callable[..., Any], street: VideoSource, word: str, settings: dict[str, Any]
) -> None:
    resources = make_bench(**settings)
    video = resources.prepare(street)
    assert resources.run(video) == {}
    done: Counter[str] = Counter()
    for record in resources.recorder.records:
        done.update(record.work)
    counted: Counter[str] = Counter()
    footage = steady(200, 10.0)
    nodes = work_of(resources.config, resources.graph, footage)
    sharing = sharing_a_pass(resources.config, resources.graph, nodes)
    for node_id, amounts in nodes.items():
        counted.update(amounts)
        if node_id in sharing:
            counted[work.VIDEOS_DECODED] -= 1
        rows = len(resources.rows(video, node_id))
        if node_id in ("embed_captions", "embed_summaries"):
            assert rows <= amounts[units.ROWS], node_id
        elif node_id != "detect":
            assert rows == amounts[units.ROWS], node_id
    for unit in (work.VIDEOS_DECODED, work.CAPTIONS_MADE, work.IMAGES_ENCODED, work.VIEWS_ENCODED):
        assert done[unit] == counted[unit], unit
    assert done[work.TEXTS_ENCODED] <= counted[work.TEXTS_ENCODED]
    assert done[work.LLM_REQUESTS] + done[work.LLM_REPEATED] == counted[work.LLM_REQUESTS]
    assert done[work.FRAMES_DELIVERED] <= counted[units.FRAMES_DECODED]


def test_views_of_a_clip_are_those_of_the_encoder() -> None:
    from lavad_core.models.encoders.imagebind.encoder import ImageBindEncoder

    assert VIEWS_PER_CLIP["imagebind"] == ImageBindEncoder.views_per_clip


def test_views_of_an_encoder_of_the_users_own_are_not_made_up() -> None:
    own = {"kind": "python", "model": "/a.py:load", "encodes_clips": True}
    found = works(steady(320), encoder=own)["embed_windows"]
    assert found[units.CLIPS_ENCODED] > 0
    assert work.VIEWS_ENCODED not in found
    assert units.VISION_PASSES not in found


def test_imported_values_are_no_work() -> None:
    imports = {"captions": {"a": "f"}, "summaries": "s", "scores": "t"}
    found = works(steady(320), imports=imports)
    for node_id in ("caption:a", "summarise", "score"):
        assert set(found[node_id]) == {units.ROWS}, node_id


@pytest.mark.parametrize(
    ("stage", "settings", "expected"),
    [
        ("summarise", {}, (448, 512, 512)),
        ("summarise", {"summarise": {"total_tokens": 300, "min_answer_tokens": 40}}, (260, 300, 300)),
        ("summarise", {"chat": {"context_tokens": 400}}, (336, 400, 400)),
        ("score", {}, (448, 64, 512)),
        ("score", {"score": {"answer": "free-text"}}, (448, 512, 512)),
        ("score", {"chat": {"kind": "transformers", "model": "m"}}, (448, 64, 512)),
    ],
)
def test_token_bounds(stage: str, settings: dict[str, Any], expected: tuple[int, int, int]) -> None:
    one = works(steady(16), **settings)[stage]
    assert (one[work.PROMPT_TOKENS], one[work.COMPLETION_TOKENS], one[units.TOKENS]) == expected


@pytest.mark.parametrize(
    ("word", "header", "expected"),
    [
        ("all", VideoHeader(300, 25.0, 12.0), (300, 12.0)),
        ("no frames", VideoHeader(None, 25.0, 12.0), (300, 12.0)),
        ("no rate", VideoHeader(300, None, 10.0), (300, 10.0)),
        ("frames only", VideoHeader(300, None, None), (300, 10.0)),
        ("duration only", VideoHeader(None, None, 12.0), None),
        ("nothing", VideoHeader(None, None, None), None),
        ("no duration", VideoHeader(0, 25.0, 0.0), None),
    ],
)
def test_lengths_from_headers(word: str, header: VideoHeader, expected: tuple[int, float] | None) -> None:
    found = length_from_header("v", header, 30.0)
    assert (None if found is None else (found.frames, pytest.approx(found.duration_s))) == expected


def test_a_list_without_a_count_tells_nothing() -> None:
    from lavad_core.datasets.types import LabelledVideo

    assert length_from_list(LabelledVideo("v"), 30.0) is None
    found = length_from_list(LabelledVideo("v", frames=60), 30.0)
    assert found is not None
    assert (found.frames, found.duration_s) == (60, 2.0)


@pytest.fixture
def identities(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Of models that are here, without looking for them; a role taken out is one of a model that is not."""
    from support.fake_models import IDENTITIES

    from lavad_core.planning import survey

    here = dict(IDENTITIES)

    def known(config: LavadConfig, cache: Any) -> tuple[dict[str, str], dict[str, str]]:
        return here, {role: "not downloaded" for role in IDENTITIES if role not in here}

    monkeypatch.setattr(survey, "known_identities", known)
    return here


def cost(config: LavadConfig, *sources: VideoSource, **options: Any) -> RunCost:
    return cost_of_videos(config, list(sources), packaged_rates(), **options)


def unfinished_of(found: RunCost) -> set[str]:
    return {stage.node for stage in found.stages if stage.left.videos}


def test_only_what_is_not_in_the_store_is_left(
    make_bench: Callable[..., Any], street: VideoSource, identities: dict[str, str]
) -> None:
    resources = make_bench()
    before = cost(resources.config, street)
    assert unfinished_of(before) == {stage.node for stage in before.stages}
    assert (dict(before.lengths), before.left) == ({"header": 1}, before.everything)
    assert resources.run(resources.prepare(street)) == {}
    after = cost(resources.config, street)
    assert unfinished_of(after) == set()
    assert dict(after.lengths) == {"probe": 1}
    assert (after.left.frames, after.left.part.videos, after.left.part.work) == (0, 0, {})
    assert after.everything.part.work == before.everything.part.work, "header and probe agree on this video"
    assert unfinished_of(cost(resources.config, street, refresh=True)) == unfinished_of(before)
    changed = make_bench(window={"samples": 5}).config
    assert unfinished_of(cost(changed, street)) == {
        "embed_windows",
        "summarise",
        "score",
        "embed_summaries",
        "refine",
        "detect",
    }


def test_what_the_store_tells_makes_bounds_smaller(
    make_bench: Callable[..., Any], street: VideoSource, identities: dict[str, str]
) -> None:
    resources = make_bench()
    resources.run(resources.prepare(street))
    told = cost(resources.config, street, refresh=True)
    done: Counter[str] = Counter()
    for record in resources.recorder.records:
        done.update(record.work)
    expected = told.left.part.expected
    assert expected[work.TEXTS_ENCODED] == done[work.TEXTS_ENCODED]
    of_score = next(stage.left for stage in told.stages if stage.node == "score")
    (scored,) = (record for record in resources.recorder.records if record.node == "score")
    assert of_score.expected[work.LLM_REQUESTS] == scored.work[work.LLM_REQUESTS]
    assert any("characters a token" in note for note in told.notes), (
        "its runs had no configuration: texts are all there is"
    )
    assert expected[work.PROMPT_TOKENS] < told.left.part.work[work.PROMPT_TOKENS]


def test_what_a_model_that_is_not_here_made_counts_as_left(
    make_bench: Callable[..., Any], street: VideoSource, identities: dict[str, str]
) -> None:
    resources = make_bench()
    resources.run(resources.prepare(street))
    del identities["chat"]
    found = cost(resources.config, street)
    assert unfinished_of(found) == {"summarise", "score", "embed_summaries", "refine", "detect"}
    assert any("chat is not here" in note for note in found.notes)


def test_a_bad_video_is_not_counted_and_the_others_are(
    make_bench: Callable[..., Any], street: VideoSource, tmp_path: Path, identities: dict[str, str]
) -> None:
    (tmp_path / "bad.mp4").write_bytes(b"no video at all")
    (tmp_path / "empty.mp4").touch()
    bad = [VideoSource(name, tmp_path / f"{name}.mp4") for name in ("bad", "empty", "missing")]
    resources = make_bench()
    assert cost(resources.config, street, *bad).uncounted.keys() == {"bad", "empty", "missing"}
    resources.run(resources.prepare(street), resources.prepare(bad[0]))
    found = cost(resources.config, street, *bad)
    assert found.everything.part.videos == 1
    assert {name: why.partition(":")[0] for name, why in found.uncounted.items()} == {
        "bad": "rejected by an earlier run",
        "empty": "empty",
        "missing": "missing",
    }
