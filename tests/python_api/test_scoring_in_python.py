"""How ``score_videos`` records a run that goes well for some videos, for none, or ends on its way. Stages are made up."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.fake_stages import Action, FakeStages, make_videos, raising, rejecting, settings

from lavad_core import InputError, LavadConfig, ModelError, ServiceError, load_config, score_videos
from lavad_core.errors import ServiceUnavailable
from lavad_core.models.pool import ModelPool
from lavad_core.runs.manifest import RunManifest, load_run
from lavad_core.runs.records import StageRecord

NODES = 12


@pytest.fixture
def stages(monkeypatch: pytest.MonkeyPatch) -> FakeStages:
    return FakeStages(monkeypatch)


@pytest.fixture
def config(tmp_path: Path) -> LavadConfig:
    return load_config(settings=settings(tmp_path / "store"), environ={})


def outcomes(run: RunManifest) -> dict[str, tuple[str, str]]:
    return {video.name: (video.status, video.reason) for video in run.videos}


def test_stage_by_stage_and_a_bad_video_stops_no_other(stages: FakeStages, config: LavadConfig, tmp_path: Path) -> None:
    videos = make_videos(tmp_path / "videos", "a.mp4", "b.mp4", "c.mp4")
    (videos / "same.mp4").write_bytes((videos / "a.mp4").read_bytes())
    stages.actions["b", "clean"] = rejecting("no-captions")
    stages.status["c", "probe"] = "ok_with_gaps"
    heard: list[StageRecord] = []
    results = score_videos(config, [videos], name="first", listener=heard.append)
    run = load_run(config.store, "first")
    assert run.run_id == results.set_id
    assert run.status == "partially-failed"
    assert run.message == "1 of 4 videos have no scores (1 rejected)"
    assert outcomes(run) == {
        "a": ("ok", ""), "b": ("rejected", "no-captions"), "c": ("ok_with_gaps", "gaps"), "same": ("ok", ""),
    }  # fmt: skip
    assert ("same", "probe") not in stages.calls
    nodes = [node for _, node in stages.order]
    assert nodes == sorted(nodes, key=nodes.index), "a stage begins when the one before it is over"
    assert stages.released[:2] == ["captioner:a", "captioner:b"]
    assert set(stages.released[2:]) == {"encoder", "chat"}
    assert {record.node for record in heard} == set(nodes)


def test_the_next_call_computes_only_what_is_not_there(stages: FakeStages, config: LavadConfig, tmp_path: Path) -> None:
    videos = make_videos(tmp_path / "videos", "a.mp4")
    score_videos(config, [videos])
    assert len(stages.order) == NODES
    score_videos(config, [videos])
    assert len(stages.order) == NODES
    assert load_run(config.store).status == "completed"
    score_videos(config, [videos], refresh=True)
    assert len(stages.order) == 2 * NODES


@pytest.mark.parametrize(
    ("action", "raised", "status", "message"),
    [
        pytest.param(raising(ServiceUnavailable("it is down")), ServiceError, "failed", "it is down", id="service"),
        pytest.param(raising(KeyboardInterrupt()), KeyboardInterrupt, "interrupted", "stopped before", id="Ctrl-C"),
    ],
)
def test_what_ends_a_run_is_recorded_and_raised(
    action: Action,
    raised: type[BaseException],
    status: str,
    message: str,
    stages: FakeStages,
    config: Any,
    tmp_path: Path,
) -> None:
    videos = make_videos(tmp_path / "videos", "a.mp4", "b.mp4", "c.mp4")
    stages.actions["a", "score"] = action
    with pytest.raises(raised):
        score_videos(config, [videos])
    run = load_run(config.store)
    assert run.status == status
    assert message in run.message
    assert {status for status, _ in outcomes(run).values()} == {"not-run"}
    del stages.actions["a", "score"]
    score_videos(config, [videos])
    assert {calls for (_, node), calls in stages.calls.items() if node not in ("score", "refine")} == {1}


@pytest.mark.parametrize("loads", [False, True], ids=["cannot be loaded", "refuses one video"])
def test_a_model_that_cannot_be_loaded_ends_the_run(
    loads: bool, stages: FakeStages, config: LavadConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    videos = make_videos(tmp_path / "videos", "a.mp4", "b.mp4")
    stages.actions["a", "embed_captions"] = raising(ModelError("a vector without direction"))
    monkeypatch.setattr(ModelPool, "failed_to_load", lambda pool, role: not loads)
    if loads:
        assert dict(score_videos(config, [videos]).unscored) == {"a": "failed: ModelError: a vector without direction"}
    else:
        with pytest.raises(ModelError):
            score_videos(config, [videos])
        assert load_run(config.store).status == "failed"


@pytest.mark.parametrize(
    ("changed", "inputs", "says"),
    [
        pytest.param({}, [], "no videos are given", id="no input"),
        pytest.param({}, ["/nowhere.mp4"], "/nowhere.mp4", id="input that names nothing"),
        pytest.param({"evaluate": {"labels": "/nowhere.txt"}}, ["videos"], "/nowhere.txt", id="labels"),
        pytest.param(
            {"imports": {"list": "x.txt", "frame_rate": 25}}, ["videos"], "no other inputs", id="list and inputs"
        ),
    ],
)
def test_what_cannot_work_is_said_before_the_work(
    changed: dict[str, Any],
    inputs: list[str],
    says: str,
    stages: FakeStages,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    make_videos(tmp_path / "videos", "a.mp4")
    monkeypatch.chdir(tmp_path)
    config = load_config(settings=settings(tmp_path / "store") | changed, environ={})
    with pytest.raises(InputError, match=says):
        score_videos(config, inputs)
    assert load_run(config.store).status == "failed"
    assert not stages.order
