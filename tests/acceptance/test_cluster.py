"""The demonstration's set on a cluster of processes, in six shards from and to a storage: what one plain run makes, also when
parts of the cluster die. What is compared and what is not: docs/design/scheduling.md, "Tested as a cluster"."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterName
from support import postgres
from support.cluster import Cluster, running_cluster, wait_until
from support.command import lavad
from support.s3_server import S3Server
from support.video_factory import make_video
from support.whole_runs import finish, tree

from lavad.demo.acts import FRAME_RATE
from lavad.demo.places import HEIGHT, WIDTH
from lavad.demo.script import script
from lavad_core.location import s3_home
from lavad_core.runs.manifest import RunManifest, load_run

CLIPS, SHARDS, REPLICAS = 8, 6, 2

TIMES = 3
"""How often each thing is done to a run."""

SHORT_FRAMES = 128
"""Of the clips for runs that are disturbed."""

END_S = 1800.0

LEFT_S = 120.0
"""In which nothing is left Running: a lost process is known by its heartbeats after 90."""


@pytest.fixture(scope="module")
def cluster(s3: S3Server, vllm_environment: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    if postgres.programs() is None:
        pytest.skip("no PostgreSQL below /usr/lib/postgresql (Debian's package postgresql): no cluster")
    with running_cluster(tmp_path_factory.mktemp("cluster"), s3, clips=CLIPS, replicas=REPLICAS) as started:
        yield started


def run(cluster: Cluster, name: str, videos: str, store: str, *more: str) -> RunManifest:
    """`lavad run` to its end, on a machine of that name."""
    arguments = ["run", videos, "--config", str(cluster.file), "--store", store, "--plain", *more]
    log = cluster.log(name)
    assert finish(arguments, cluster.environment(name), log, END_S) == 0, log.read_text()[-3000:] + cluster.said()
    return load_run(s3_home(store) if store.startswith("s3:") else Path(store))


@pytest.mark.cluster
def test_six_shards_on_three_workers_make_what_one_run_makes(cluster: Cluster) -> None:
    labels = ["--labels", str(cluster.labels)]
    alone = run(cluster, "plain", str(cluster.videos), str(cluster.folder / "plain"), *labels)
    whole = run(cluster, "head", "s3://bucket/videos", "s3://bucket/store", *labels, "--shards", str(SHARDS))
    assert cluster.s3.tree("s3://bucket/store") == tree(cluster.folder / "plain")
    assert set(cluster.s3.commits_put("store").values()) == {1}, "a result was committed twice"
    assert whole.shard is not None
    assert (whole.status, whole.shard.number, whole.shard.of) == ("completed", 0, SHARDS)
    assert whole.metrics == alone.metrics is not None
    shown = json.loads(lavad("status", "--json", "--store", "s3://bucket/store").stdout)
    assert {video["name"]: video["status"] for video in [*shown["videos"], *shown["earlier"]]} == {
        video.name: video.status for video in alone.videos
    }
    assert f"{whole.run_id}/evaluation.json" in cluster.s3.names("s3://bucket/store/cache/reports")
    given = [one.parameters["settings"]["store"] for one in shards_of(cluster, whole.run_id)]
    assert given == ["s3://bucket/store"] * SHARDS, "a shard was given a place of another machine"
    wait_until(lambda: not cluster.under_way(), "flow runs are left Running", LEFT_S)


def shards_of(cluster: Cluster, run_id: str) -> list[Any]:
    named = FlowRunFilter(name=FlowRunFilterName(like_=f"of {run_id}"))
    with cluster.server.client() as client:
        return client.read_flow_runs(flow_run_filter=named)


@pytest.fixture(scope="module")
def short(cluster: Cluster) -> Path:
    """Videos of eight seconds from the demonstration's clips, also on the storage, and beside them what a plain run makes."""
    videos = cluster.folder / "short"
    videos.mkdir()
    for number in range(CLIPS):
        clip = script("demo", 0, number)
        make_video(
            videos / f"{clip.name}.mp4", SHORT_FRAMES, (WIDTH, HEIGHT), FRAME_RATE,
            draw=lambda index, size, clip=clip: clip.picture(index)[0],
        )  # fmt: skip
    cluster.upload(videos)
    run(cluster, "plain-short", str(videos), str(cluster.folder / "plain-short"))
    return cluster.folder / "plain-short"


def kill_shard(cluster: Cluster, number: int) -> None:
    at_work = wait_until(cluster.at_work, "no shard is at work")
    list(at_work.values())[number % len(at_work)].kill()


def kill_worker(cluster: Cluster, number: int) -> None:
    name = sorted(wait_until(cluster.at_work, "no shard is at work"))[0]
    cluster.kill_worker(name)
    cluster.start_worker(name)


def restart_prefect(away_s: float) -> Callable[[Cluster, int], None]:
    """The first two times while shards wait for the language model, so that all of them live through it; the third time some
    end while the server is away."""

    def restart(cluster: Cluster, number: int) -> None:
        for one in cluster.replicas:
            one.freeze()
        cluster.server.kill()
        if number == TIMES - 1:
            for one in cluster.replicas:
                one.thaw()
        time.sleep(away_s)
        cluster.server.start()
        for one in cluster.replicas:
            one.thaw()

    return restart


def kill_replica(cluster: Cluster, number: int) -> None:
    cluster.restart_replica(number % REPLICAS)


def take_store_away(cluster: Cluster, number: int) -> None:
    """Busy, not answering, closing connections."""
    how = ("503", "frozen", "drop")[number]
    process, outage = cluster.s3.process, cluster.s3.outage
    if how == "frozen":
        os.kill(process.pid, signal.SIGSTOP)
    else:
        outage.write_text(how)
    time.sleep(20)
    if how == "frozen":
        os.kill(process.pid, signal.SIGCONT)
    else:
        outage.unlink()


@pytest.mark.kills
@pytest.mark.parametrize(
    ("name", "disturbances", "retries"),
    [
        pytest.param("workers", [kill_shard, kill_worker], 1, id="SIGKILL of shards and of workers with their shards"),
        pytest.param("services", [take_store_away, kill_replica], 0, id="the store away for 20 s, SIGKILL of a vLLM"),
        pytest.param("prefect", [restart_prefect(15), restart_prefect(130)], 1, id="Prefect away for 15 and 130 s"),
    ],
)
def test_a_run_that_is_disturbed(
    cluster: Cluster, short: Path, name: str, disturbances: list[Callable[[Cluster, int], None]], retries: int
) -> None:
    expected = tree(short)
    results = sum(path.endswith("commit.json") for path in expected)
    flow_run_id = cluster.start_run("s3://bucket/short", f"s3://bucket/{name}", SHARDS)
    tried = 0

    def reached(place: int) -> bool:
        """Whether the run has so many results or has ended; where it has ended red it is tried again, as often as allowed."""
        nonlocal tried
        found = cluster.flow_run(flow_run_id)
        if found.state is not None and found.state.is_final():
            if found.state_name == "Completed" or tried == retries:
                return True
            tried += 1
            cluster.retry(flow_run_id)
        return len(cluster.s3.commits_put(name)) >= place

    planned = [(number, disturb) for number in range(TIMES) for disturb in disturbances]
    for at, (number, disturb) in enumerate(planned):
        place = results * (2 * at + 1) // (2 * len(planned))
        wait_until(partial(reached, place), f"not {place} results")
        disturb(cluster, number)
    wait_until(partial(reached, sys.maxsize), "the run over the set has not ended")
    ended = cluster.flow_run(flow_run_id)
    print(f"{name}: {ended.state_name} after {tried} retries")
    assert ended.state_name == "Completed", f"{ended.state}\n{cluster.said()}"
    assert cluster.s3.tree(f"s3://bucket/{name}") == expected
    assert set(cluster.s3.commits_put(name).values()) == {1}, "a result was committed twice"
    wait_until(lambda: not cluster.under_way(), "flow runs are left Running", LEFT_S)
