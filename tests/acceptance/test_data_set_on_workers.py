"""A data set in shards on three workers of a real pool: what comes out is what one run makes, also when workers die."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolCreate
from support.command import REPOSITORY, environment, lavad
from support.video_factory import make_audio, make_video
from support.whole_runs import commits, finish, start, tree

from lavad_core.runs.manifest import list_runs, load_run
from lavad_core.runs.run_log import load_records

pytestmark = pytest.mark.slow

POOL = "lavad-gpu"

DEPLOY = """
from lavad.flows.score_shard import score_shard
score_shard.from_source(source={source!r}, entrypoint="flows/score_shard.py:score_shard").deploy(
    "shard", work_pool_name={pool!r}, print_next_steps=False
)
"""


@pytest.fixture
def workers(prefect_server: str, tmp_path: Path) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Three of them, each taking one shard at a time."""
    with get_client(sync_client=True) as client:
        client.create_work_pool(WorkPoolCreate(name=POOL, type="process"), overwrite=True)
    made = environment(PREFECT_API_URL=prefect_server, PREFECT_HOME=os.environ["PREFECT_HOME"])
    deploy = DEPLOY.format(source=str(REPOSITORY), pool=POOL)
    subprocess.run([sys.executable, "-c", deploy], env=made, cwd=REPOSITORY, check=True, timeout=120)
    command = [sys.executable, "-m", "prefect", "worker", "start", "--pool", POOL, "--limit", "1", "--name"]
    log = (tmp_path / "workers.log").open("wb")
    started = [
        subprocess.Popen(
            [*command, f"w{number}"],
            env={**made, "PREFECT_WORKER_QUERY_SECONDS": "1"},
            cwd=REPOSITORY,
            stdout=log,
            stderr=log,
        )
        for number in range(3)
    ]
    yield started
    for worker in started:
        family = [*psutil.Process(worker.pid).children(recursive=True)] if worker.poll() is None else []
        worker.kill()
        worker.wait()
        for process in family:
            process.kill()
    log.close()


def shard_processes(workers: list[subprocess.Popen[bytes]]) -> list[psutil.Process]:
    return [child for worker in workers for child in psutil.Process(worker.pid).children()]


def test_shards_on_workers_one_of_which_is_killed(
    prefect_server: str, workers: list[subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    videos = tmp_path / "videos"
    videos.mkdir()
    for number in range(6):
        make_video(videos / f"{number}.mp4", frames=40 + 16 * number, fps=10)
    make_audio(videos / "bad.mp4")
    labels = tmp_path / "labels.txt"
    labels.write_text("".join(f"{path.name}  Fire  8  20  -1  -1\n" for path in sorted(videos.iterdir())))
    given = ["--preset", "tiny", "--labels", str(labels), "--set", "chat.batch_size=1", "--plain"]
    variables = {"PREFECT_API_URL": prefect_server}
    plain, store = tmp_path / "plain", tmp_path / "store"
    assert finish(["run", str(videos), *given, "--store", str(plain)], variables, tmp_path / "plain.log") == 1

    log = tmp_path / "set.log"
    whole = start(["run", str(videos), *given, "--store", str(store), "--shards", "6"], variables, log)
    deadline = time.monotonic() + 240
    while len(commits(store)) < 30 and time.monotonic() < deadline:
        whole.join(0.2)
    before = commits(store)
    victim = shard_processes(workers)[0]
    os.kill(victim.pid, signal.SIGKILL)
    whole.join(400)
    said = log.read_text() + (tmp_path / "workers.log").read_text()[-3000:]
    assert whole.exitcode == 1, said
    assert tree(store) == tree(plain)
    after = commits(store)
    assert {path: after[path] for path in before} == before, "a committed result was written again"
    made = Counter(
        (record.node, record.video_id)
        for run_id in list_runs(store)
        for record in load_records(store, run_id)
        if not record.cached and record.status == "ok" and not record.node.startswith("caption:")
    )
    assert set(made.values()) == {1}, "computed twice"
    run = load_run(store)
    assert run.shard is not None
    assert (run.status, run.shard.number, run.shard.of) == ("partially-failed", 0, 6)
    assert run.metrics == load_run(plain).metrics
    assert (store / "cache" / "reports" / run.run_id / "evaluation.json").exists()
    shown = json.loads(lavad("status", "--json", "--store", str(store)).stdout)
    assert {video["name"]: video["status"] for video in [*shown["videos"], *shown["earlier"]]} == {
        video.name: video.status for video in load_run(plain).videos
    }
