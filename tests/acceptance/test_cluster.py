"""The demonstration's set on a cluster of processes, in six shards from and to a storage: what one plain run makes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import postgres
from support.cluster import Cluster, running_cluster
from support.command import lavad
from support.s3_server import S3Server
from support.whole_runs import finish, tree

from lavad_core.location import s3_home
from lavad_core.runs.manifest import load_run

CLIPS, SHARDS, REPLICAS = 8, 6, 1


@pytest.fixture(scope="module")
def cluster(
    s3: S3Server, vllm_environment: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Cluster]:
    if postgres.programs() is None:
        pytest.skip("no PostgreSQL below /usr/lib/postgresql (Debian's package postgresql): no cluster")
    with running_cluster(tmp_path_factory.mktemp("cluster"), s3, clips=CLIPS, replicas=REPLICAS) as started:
        yield started


@pytest.fixture(scope="module")
def plain(cluster: Cluster) -> Path:
    """The store of a plain run over the same videos, with the same models, in a folder."""
    store, log = cluster.folder / "plain", cluster.log("plain")
    arguments = ["run", str(cluster.videos), "--config", str(cluster.file), "--store", str(store), "--plain"]
    assert finish(arguments, cluster.environment("plain"), log, timeout_s=1800) == 0, log.read_text()[-3000:]
    return store


@pytest.mark.cluster
def test_six_shards_on_three_workers_make_what_one_run_makes(cluster: Cluster, plain: Path) -> None:
    run = cluster.finished(cluster.start_run("s3://bucket/store", SHARDS))
    assert run.state_name == "Completed", f"{run.state}\n{cluster.said()}"
    assert cluster.s3.tree("s3://bucket/store") == tree(plain)
    assert set(cluster.s3.commits_put("store").values()) == {1}, "a result was committed twice"
    whole, alone = load_run(s3_home("s3://bucket/store")), load_run(plain)
    assert whole.shard is not None
    assert (whole.shard.number, whole.shard.of) == (0, SHARDS)
    assert whole.metrics == alone.metrics
    shown = json.loads(lavad("status", "--json", "--store", "s3://bucket/store").stdout)
    assert {video["name"]: video["status"] for video in [*shown["videos"], *shown["earlier"]]} == {
        video.name: video.status for video in alone.videos
    }
    assert cluster.under_way() == []
