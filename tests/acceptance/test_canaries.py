"""Secrets that nothing may show, in everything that runs of a data set leave, with the failures that quote a lot."""

from __future__ import annotations

import base64
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import platformdirs
import psutil
import pytest
from prefect.blocks.notifications import CustomWebhookNotificationBlock
from prefect.client.schemas.filters import (
    FlowFilter,
    FlowFilterName,
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.deployments import run_deployment
from support.command import REPOSITORY, environment
from support.counting_server import CountingServer
from support.own_prefect import OwnServer, own_server
from support.postgres import postgres, programs
from support.prefect_workers import kill_family, workers
from support.s3_server import SECRET, S3Server, running
from support.scripted_server import Reply, ScriptedServer, Seen, error_body, scripted
from support.video_factory import make_video
from support.whole_runs import finish

pytestmark = pytest.mark.slow

CANARIES = {
    "S3 key": SECRET,
    "API key": "canary-api-4d1b8e62c97f",
    "wrong API key": "canary-wrong-90ab3e5f71d2",
    "password of the database": "canary-db-6e2f70c4b189",
    "password in an address": "canary-address-27c5d9e0f3a8",
    "password of a proxy": "canary-proxy-b83f16a2d4e7",
    "password in the storage's address": "canary-endpoint-5a0c7e9d21b6",
    "address of a notification block": "canary-block-c94d6b3f08e1",
}

WAIT_S = 900.0
"""For a flow run to begin or end, on two busy cores."""

NOBODY = "http://192.0.2.1:8000/v1"
"""An address that is kept for documentation; it is reached through the proxy alone."""


class Demanding:
    """A chat server that knows the key, and quotes another one in its refusal."""

    def __init__(self) -> None:
        self.refused: list[str] = []
        self._answer = CountingServer()

    def __call__(self, seen: Seen) -> Reply:
        given = seen.headers.get("authorization", "")
        if given == f"Bearer {CANARIES['API key']}":
            return self._answer(seen)
        self.refused.append(given)
        told = error_body(f"Incorrect API key provided: {given}", "AuthenticationError", 401)
        return Reply(401, told, headers={"WWW-Authenticate": f'Bearer realm="{given}"'})


@dataclass
class World:
    """Servers, and where everything is that they and the runs leave."""

    folder: Path
    s3: S3Server
    database: str | None
    prefect: OwnServer
    chat: ScriptedServer
    script: Demanding
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def settings(self) -> dict[str, Any]:
        """Of all runs, in their parameters."""
        labels = {"labels": str(self.folder / "labels.txt")}
        run = {"scratch": str(self.folder / "scratch")}
        return {"store": "s3://bucket/store", "evaluate": labels, "run": run}

    def begun(self, deployment: str, **more: Any) -> FlowRun:
        """A flow run of a deployment."""
        parameters = {"inputs": ["s3://bucket/videos"], "preset": "tiny", "settings": self.settings, **more}
        run = run_deployment(deployment, parameters=parameters, timeout=0)
        assert isinstance(run, FlowRun)
        return run

    def ended(self, run: FlowRun) -> tuple[str, str]:
        """Name and message of its last state."""
        deadline = time.monotonic() + WAIT_S
        with self.prefect.client() as client:
            while (state := client.read_flow_run(run.id).state) is None or not state.is_final():
                assert time.monotonic() < deadline, (self.folder / "workers.log").read_text()[-5000:]
                time.sleep(1)
        return str(state.name), str(state.message)

    def lavad(self, name: str, *arguments: str, **variables: str) -> str:
        """What the command prints; its environment is that of the workers, and ``variables``."""
        log = self.folder / f"{name}.log"
        given = ["run", "s3://bucket/videos", "--preset", "tiny", "--refresh", "--plain", *arguments]
        finish(given, {**self.environment, **variables}, log, WAIT_S)
        return log.read_text()

    def everything(self) -> Iterator[tuple[str, bytes]]:
        """Name and content of whatever there is."""
        yield from self.s3.names("s3://bucket").items()
        for root in (self.folder, self.s3.requests.parent):
            for path in root.rglob("*"):
                if path.is_file() and not path.is_symlink():
                    yield str(path), path.read_bytes()
        if self.database is not None:
            dump = [f"{programs()}/pg_dump", self.database.replace("+asyncpg", "")]
            yield "database", subprocess.run(dump, capture_output=True, check=True).stdout


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    models = Path(platformdirs.user_cache_dir("lavad")) / "random-models"
    folder = tmp_path_factory.mktemp("canaries")
    with ExitStack() as stack:
        s3 = stack.enter_context(running(tmp_path_factory.mktemp("s3")))
        (Path(s3.environment["XDG_CACHE_HOME"]) / "lavad").mkdir(parents=True)
        (Path(s3.environment["XDG_CACHE_HOME"]) / "lavad/random-models").symlink_to(models)
        database = None if programs() is None else stack.enter_context(postgres())
        if database is not None:  # it takes any password
            database = database.replace("@", f":{CANARIES['password of the database']}@")
        settings = {} if database is None else {"PREFECT_SERVER_DATABASE_CONNECTION_URL": database}
        prefect = stack.enter_context(own_server(folder / "home", settings, folder / "server.log"))
        script = Demanding()
        chat = stack.enter_context(scripted(script=script))
        found = World(folder, s3, database, prefect, chat, script)
        found.environment = environment(
            **s3.environment,
            PREFECT_API_URL=prefect.url,
            PREFECT_HOME=str(folder / "home of workers"),
            PREFECT_FLOWS_HEARTBEAT_FREQUENCY="30",
            LAVAD_RUN__RETRIES="0",
            TMPDIR=str(folder / "tmp"),
            LAVAD_CHAT__KIND="openai",
            LAVAD_CHAT__MODEL="tiny",
            LAVAD_CHAT__RETRIES="1",
            LAVAD_CHAT__MAX_BACKOFF_S="0.1",
            LAVAD_CHAT__SYSTEM_ROLE="send",
            LAVAD_CHAT__API_KEY=CANARIES["API key"],
            LAVAD_CHAT__BASE_URL=chat.base_url,
        )
        for name in ("tmp", "scratch"):
            (folder / name).mkdir()
        for number in range(3):
            path = folder / f"{number}.mp4"
            make_video(path, frames=32 + 16 * number, fps=10)
            s3.client.put_object(Bucket="bucket", Key=f"videos/{number}.mp4", Body=path.read_bytes())
        s3.client.put_object(Bucket="bucket", Key="videos/bad.mp4", Body=b"no video")
        (folder / "labels.txt").write_text("".join(f"{name}.mp4  Fire  8  20  -1  -1\n" for name in (0, 1, 2, "bad")))
        hook = f"{chat.base_url}/{CANARIES['address of a notification block']}"
        block: Any = CustomWebhookNotificationBlock
        block(name="ops", url=hook, json_data={"text": "{{subject}}"}).save("ops")
        yield found


def applied(world: World) -> str:
    command = [sys.executable, "-m", "lavad.deployments.apply", "--notify", "custom-webhook/ops"]
    made = {**world.environment, "PREFECT_HOME": str(world.folder / "home of workers")}
    done = subprocess.run(command, cwd=REPOSITORY, env=made, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (world.folder / "apply.log").write_text(done.stdout + done.stderr)
    return done.stdout


def kill_at_work(world: World, worker: psutil.Popen, flow: str, run: FlowRun) -> None:
    """SIGKILL to the process of the worker's flow run, once one of this flow is running for ``run``."""
    wanted = FlowFilter(name=FlowFilterName(any_=[flow]))
    running = FlowRunFilter(state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.RUNNING])))
    deadline = time.monotonic() + WAIT_S
    with world.prefect.client() as client:
        while not client.read_flow_runs(flow_filter=wanted, flow_run_filter=running):
            state = client.read_flow_run(run.id).state
            assert time.monotonic() < deadline
            assert state is None or not state.is_final(), (world.folder / "workers.log").read_text()[-5000:]
            time.sleep(1)
    time.sleep(3)
    worker.children()[-1].kill()


def is_prefects_own(what: str, path: Path) -> bool:
    """Whether Prefect itself keeps the secret there (docs/operations/faults.md): the environment of a run whose worker was
    killed, which its user alone can read; the address of a webhook that failed, in the server's log and database."""
    if path.name == "workspace.json" and path.parent.name.startswith("prefect-workspace-attempt-"):
        return path.stat().st_mode & 0o077 == 0
    of_server = path.name in ("server.log", "database") or path.name.startswith("prefect.db")
    return of_server and what == "address of a notification block"


def forms() -> Iterator[tuple[str, bytes]]:
    """What a secret is, and how it may stand in a text."""
    for what, canary in CANARIES.items():
        yield what, canary.encode()
        yield what, base64.b64encode(f"ops:{canary}".encode()).rstrip(b"=")


def test_nothing_shows_a_secret(world: World) -> None:
    """No log, artifact, event, parameter, report, record, object or scratch does."""
    assert "custom-webhook" not in applied(world)
    pools = {"gpu": "lavad-gpu", "cpu": "lavad-cpu"}
    with workers(pools, world.environment, world.folder / "workers.log") as started:
        assert world.ended(world.begun("score-videos/on-demand", settings={"nope": 1}))[0] == "Failed"
        whole = world.begun("score-data-set/data-set", shards=2)
        kill_at_work(world, started["gpu"], "score-shard", whole)
        assert world.ended(whole) == ("PartiallyFailed", "1 of 4 videos have no scores (1 rejected)")
        kill_at_work(world, started["gpu"], "score-videos", world.begun("score-videos/on-demand", refresh=True))
        kill_family(started["gpu"])

    own = ["--store", str(world.folder / "own")]
    key, address = CANARIES["wrong API key"], CANARIES["password in an address"]
    assert "401" in world.lavad("wrong key", *own, LAVAD_CHAT__API_KEY=key)
    assert f"Bearer {key}" in world.script.refused
    with_password = world.chat.base_url.replace("//", f"//ops:{address}@")
    world.lavad("address", *own, LAVAD_CHAT__BASE_URL=with_password, LAVAD_CHAT__API_KEY="")
    assert any(given.startswith("Basic") for given in world.script.refused)
    proxy = f"http://ops:{CANARIES['password of a proxy']}@127.0.0.1:9"
    through = {"HTTP_PROXY": proxy, "HTTPS_PROXY": proxy, "NO_PROXY": "127.0.0.1", "LAVAD_CHAT__BASE_URL": NOBODY}
    assert "192.0.2.1" in world.lavad("proxy", *own, **through)
    endpoint = CANARIES["password in the storage's address"]
    away = f"http://ops:{endpoint}@127.0.0.1:9"
    world.lavad("endpoint", "--store", "s3://bucket/away", AWS_ENDPOINT_URL=away)

    found = dict(world.everything())
    everywhere = b"".join(found.values())
    for known in (b"lavad-shards", b"lavad.videos.failed", b"nope", b"1 of 4 videos have no scores", b"Crashed"):
        assert known in everywhere, "the sweep has looked at nothing"
    held = {
        (what, name)
        for what, form in forms()
        for name, content in found.items()
        if form in content and not is_prefects_own(what, Path(name))
    }
    assert held == set()
