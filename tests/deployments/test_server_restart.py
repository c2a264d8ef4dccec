"""A Prefect server that is restarted while a deployment's run is at work."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from support.fake_stages import make_videos, settings
from support.own_prefect import OwnServer, own_server

from lavad.deployments.prefect_advice import server_advice

pytestmark = pytest.mark.slow

AWAY_S = 8.0
RENEWED_S = 15.0
"""Five renewals, with their tries."""
END_S = 120.0

RUN = """
import os, runpy, sys, time
import pytest
from prefect.concurrency import _leases
import lavad.flows.score_videos  # before the stages are replaced
from support.fake_stages import FakeStages

_leases._RENEWAL_FRACTION = 0.01  # every three seconds, not every 225

def busy(context):
    print("busy", flush=True)
    while not os.path.exists(sys.argv[2]):
        time.sleep(0.1)

FakeStages(pytest.MonkeyPatch()).actions["one", "clean"] = busy
os.environ["PREFECT__FLOW_RUN_ID"] = sys.argv[1]
runpy.run_module("prefect.engine", run_name="__main__")  # what a worker starts
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> Iterator[OwnServer]:
    with own_server(tmp_path_factory.mktemp("own") / "home") as server:
        subprocess.run(
            [sys.executable, "-m", "lavad.deployments.apply"], cwd=repository, env=server.environment, check=True,
            capture_output=True, timeout=180,
        )  # fmt: skip
        yield server


@pytest.mark.parametrize(
    ("limit", "end"),
    [
        pytest.param(None, "Completed", id="as applied: nothing to renew"),
        pytest.param(1, "Crashed", id="with a limit: the restarted server does not know the lease"),
    ],
)
def test_a_restart_in_the_middle_of_a_run(
    server: OwnServer, tmp_path: Path, repository: Path, limit: int | None, end: str
) -> None:
    with server.client() as client:
        deployment = client.read_deployment_by_name("score-videos/on-demand")
        answer = client.request(
            "PATCH", "/deployments/{id}", path_params={"id": deployment.id}, json={"concurrency_limit": limit}
        )
        assert answer.status_code == 204
        assert [advice for advice in server_advice(client) if "on-demand" not in advice] == []
        assert len(server_advice(client)) == (limit is not None)
        given = {
            "inputs": [str(make_videos(tmp_path / "videos", "one.mp4"))],
            "preset": None,
            "settings": settings(tmp_path / "store"),
        }
        run = client.create_flow_run_from_deployment(deployment.id, parameters=given)
        answer = client.request(
            "POST", "/flow_runs/{id}/set_state", path_params={"id": run.id}, json={"state": {"type": "PENDING"}}
        )
        assert answer.json()["status"] == "ACCEPT"
    path = os.pathsep.join([str(repository), str(repository / "tests")])
    process = subprocess.Popen(
        [sys.executable, "-c", RUN, str(run.id), str(tmp_path / "enough")],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**server.environment, "PYTHONPATH": path},
    )
    try:
        assert process.stdout is not None
        said = []
        for line in process.stdout:
            said.append(line)
            if line.strip() == "busy":
                break
        else:
            raise AssertionError("".join(said))
        server.kill()
        time.sleep(AWAY_S)
        server.start()
        with suppress(subprocess.TimeoutExpired):
            process.wait(RENEWED_S)
        (tmp_path / "enough").touch()
        said += process.communicate(timeout=END_S)[0]
        with server.client() as client:
            state = client.read_flow_run(run.id).state
        assert state is not None
        assert state.name == end, "".join(said)
    finally:
        process.kill()
        process.wait()
