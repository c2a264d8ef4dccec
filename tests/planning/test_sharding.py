"""The plan of a set's shards in a store: probes are shared, and the first plan stays."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from support.fake_stages import FakeStages, make_videos, rejecting, settings
from support.s3_server import S3Server

from lavad_core.config.load import load_config
from lavad_core.errors import DamagedResult, InputError
from lavad_core.planning.sharding import configuration_digest, plan_shards, read_shard, take_shard
from lavad_core.runs.manifest import load_run, new_run_id
from lavad_core.runs.recorder import RunRecorder
from lavad_core.runs.sets import ShardOfRun, note_run, runs_of_shards
from lavad_core.runs.verify import check_records
from lavad_core.runs.video_list import load_sources, runs_of_set, unfinished_of
from lavad_core.store.local import OUTSIDE
from lavad_core.video.discover import discover

VIDEOS = [f"v{number}.mp4" for number in range(6)]


@pytest.fixture
def stages(monkeypatch: pytest.MonkeyPatch) -> FakeStages:
    return FakeStages(monkeypatch)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "store"


def planned(tmp_path: Path, store: Path, count: int = 2, first: float = 0.0, **more: Any) -> Any:
    config = load_config(settings={**settings(store), **more}, environ={})
    return plan_shards(config, discover([tmp_path / "videos"]), count, new_run_id(), first=first)


def test_a_plan_probes_what_is_not_probed_and_stays(stages: FakeStages, tmp_path: Path, store: Path) -> None:
    make_videos(tmp_path / "videos", *VIDEOS)
    plan = planned(tmp_path, store)
    assert stages.calls == {(Path(name).stem, "probe"): 1 for name in VIDEOS}
    again = planned(tmp_path, store, first=0.5)
    assert again == plan
    assert tuple(read_shard(store, plan.set_id, number) for number in (1, 2)) == plan.shards
    assert set(stages.calls.values()) == {1}
    assert [len(shard.videos) for shard in plan.shards] == [3, 3]
    assert plan.unprobed == []


def test_of_equal_videos_the_first_is_probed_wherever_one_begins(
    stages: FakeStages, tmp_path: Path, store: Path
) -> None:
    make_videos(tmp_path / "videos", *VIDEOS)
    (tmp_path / "videos" / "v9.mp4").write_bytes((tmp_path / "videos" / "v0.mp4").read_bytes())
    plan = planned(tmp_path, store, first=0.5)
    assert ("v0", "probe") in stages.calls
    assert ("v9", "probe") not in stages.calls
    (both,) = [shard for shard in plan.shards if "v9" in {video.source.name for video in shard.videos}]
    assert "v0" in {video.source.name for video in both.videos}
    assert sum(shard.grid_frames for shard in plan.shards) == len(VIDEOS)


def test_other_videos_settings_and_numbers_of_shards_are_other_sets(
    stages: FakeStages, tmp_path: Path, store: Path
) -> None:
    make_videos(tmp_path / "videos", *VIDEOS)
    ids = {planned(tmp_path, store).set_id, planned(tmp_path, store, 3).set_id}
    ids.add(planned(tmp_path, store, detect={"threshold": 0.4}).set_id)
    assert planned(tmp_path, store, run={"workers": 3}).set_id in ids
    make_videos(tmp_path / "videos", "new.mp4")
    ids.add(planned(tmp_path, store).set_id)
    assert len(ids) == 4
    assert set(stages.calls.values()) == {1}


def test_videos_that_cannot_be_probed_are_somebodys(stages: FakeStages, tmp_path: Path, store: Path) -> None:
    make_videos(tmp_path / "videos", *VIDEOS)
    (tmp_path / "videos" / "empty.mp4").touch()
    stages.actions["v3", "probe"] = rejecting()
    for _ in range(2):
        plan = planned(tmp_path, store, 3)
        assert {video.source.name: video.why for video in plan.unprobed} == {
            "empty": "'empty': zero bytes",
            "v3": "this is not a video (format)",
        }
    assert sorted(video.source.name for shard in plan.shards for video in shard.videos) == sorted(
        [*(Path(name).stem for name in VIDEOS), "empty"]
    )
    assert stages.calls["v3", "probe"] == 1


@pytest.mark.parametrize("what", ["403 InvalidObjectState", "cut"])
def test_an_object_that_is_not_given_is_somebodys(
    what: str, stages: FakeStages, store: Path, s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    for number in range(3):
        s3.client.put_object(Bucket="bucket", Key=f"set/{number}.mp4", Body=f"content {number}".encode() * 100)
    config = load_config(settings=settings(store), environ={})
    with s3.failing("set/1.mp4", what, "GET"):
        plan = plan_shards(config, discover(["s3://bucket/set"]), 3, new_run_id())
    assert [video.source.name for video in plan.unprobed] == ["1"]
    assert "cannot read 's3://bucket/set/1.mp4'" in plan.unprobed[0].why
    assert sorted(video.source.name for shard in plan.shards for video in shard.videos) == ["0", "1", "2"]
    assert set(stages.calls) == {("0", "probe"), ("2", "probe")}


def test_processes_that_plan_at_once_share_the_probes(stages: FakeStages, tmp_path: Path, store: Path) -> None:
    make_videos(tmp_path / "videos", *VIDEOS)
    both = threading.Barrier(2, timeout=30)
    for name in ("v0", "v3"):  # each begins with another half, and neither is through before the other has begun
        stages.actions[name, "probe"] = lambda context: both.wait() and None
    plans: dict[float, Any] = {}
    threads = [
        threading.Thread(target=lambda first=first: plans.update({first: planned(tmp_path, store, 2, first)}))
        for first in (0.0, 0.5)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert plans[0.0] == plans[0.5]
    assert stages.calls == {(Path(name).stem, "probe"): 1 for name in VIDEOS}


def test_a_plan_that_was_changed_is_refused(stages: FakeStages, tmp_path: Path, store: Path) -> None:
    make_videos(tmp_path / "videos", *VIDEOS)
    plan = planned(tmp_path, store)
    note = store / "sets" / plan.set_id / "shards.json"
    note.write_text(note.read_text().replace('"v1"', '"v2"'))
    with pytest.raises(DamagedResult, match="was changed after it was written"):
        read_shard(store, plan.set_id, 1)
    with pytest.raises(InputError, match="no plan of a set"):
        read_shard(store, "0" * 32, 1)
    note_run(store, ShardOfRun(plan.set_id, 1, 2), "r")
    (apart,) = (store / "sets" / plan.set_id / "apart").iterdir()
    apart.write_text("")
    findings = [(finding.kind, store / finding.path) for finding in check_records(store)]
    assert findings == [("altered", apart), ("altered", note)]
    assert "sets" in OUTSIDE


def test_the_digest_of_a_configuration_is_of_what_results_depend_on(store: Path, tmp_path: Path) -> None:
    def digest(**more: Any) -> str:
        return configuration_digest(load_config(settings={**settings(store), **more}, environ={}))

    assert digest() == digest(store=str(tmp_path / "other")) == digest(run={"workers": 7})
    assert digest() != digest(detect={"threshold": 0.4})


@pytest.fixture
def shards(stages: FakeStages, tmp_path: Path, store: Path) -> Any:
    """Takes a shard of the set, and records how it ended for its videos."""
    make_videos(tmp_path / "videos", *VIDEOS)
    plan = planned(tmp_path, store, 3)

    def work(number: int, status: str = "ok", run: str = "") -> str:
        from lavad_core.runs.manifest import VideoOutcome

        with RunRecorder(store, new_run_id(), config={}) as recorder:
            sources = take_shard(recorder, store, plan.shards[number - 1], ShardOfRun(plan.set_id, number, 3, run))
            for source in sources:
                recorder.outcome(VideoOutcome(source.name, "ab", status))  # type: ignore[arg-type]
            recorder.finish("completed")
        return recorder.run_id

    return work


def test_the_runs_of_shards_are_one_set(shards: Any, store: Path) -> None:
    first, second = shards(1), shards(2, "failed")
    shards(3, run="20260101T000000000-abcdef")  # of another run over the set
    run = load_run(store, second)
    assert run.shard is not None
    assert (run.shard.number, run.shard.of) == (2, 3)
    assert [one.run_id for one in runs_of_set(store, run)] == [second, first]
    assert run.shard is not None
    assert sorted(runs_of_shards(store, run.shard, run.run_id)) == [1, 2]
    left = unfinished_of(store, second)
    assert [source.name for source in left.unfinished] == [s.name for s in load_sources(store, second).own]
    assert {source.name: by for source, by in left.done.items()} == {
        source.name: first for source in load_sources(store, first).own
    }
    again = shards(2)
    assert [one.run_id for one in runs_of_set(store, load_run(store, first))] == [first, again]
    assert unfinished_of(store, first).unfinished == []
    (store / "runs" / f"{again}.json").unlink()
    assert load_run(store, again).shard == load_run(store, second).shard, "from its log"


def test_files_that_other_systems_leave_beside_the_notes_are_no_runs(shards: Any, store: Path) -> None:
    first, second = shards(1), shards(2)
    run = load_run(store, second)
    assert run.shard is not None
    folder = store / "sets" / run.shard.set_id / "apart"
    for name in (".DS_Store", ".nfs000001", "notes.txt", "copy of 1.json", f"._000003-{first}.json", "000003-x.json"):
        (folder / name).touch()
    (folder / "old").mkdir()
    (folder / "old" / f"000003-{first}.json").touch()
    assert [one.run_id for one in runs_of_set(store, run)] == [second, first]
    assert run.shard is not None
    assert sorted(runs_of_shards(store, run.shard, run.run_id)) == [1, 2]


@pytest.mark.parametrize("number", [0, 4])
def test_a_shard_that_is_not_in_the_plan(number: int, stages: FakeStages, tmp_path: Path, store: Path) -> None:
    make_videos(tmp_path / "videos", *VIDEOS)
    plan = planned(tmp_path, store, 3)
    with pytest.raises(InputError, match=f"has 3 shards, and none of number {number}"):
        read_shard(store, plan.set_id, number)
