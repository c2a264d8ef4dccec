"""A cluster of processes on this machine: Prefect on PostgreSQL, workers, vLLM, a storage that speaks S3.

Every worker has a home of its own, as a machine of its own would: nothing passes between them but through the storage.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import psutil
import yaml
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterState, FlowRunFilterStateType
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.deployments import run_deployment

from lavad.demo.configuration import write_configuration
from lavad.demo.world import write_set
from support.command import REPOSITORY, environment
from support.counting_server import LLAMA
from support.own_prefect import OwnServer, own_server
from support.postgres import postgres
from support.s3_server import S3Server
from support.vllm_server import VllmServer

SERVED_AS = "llama"

END_S = 1800.0
"""For anything that a test waits for; on two quiet cores a run takes two to three minutes."""

UNDER_WAY = [StateType.RUNNING, StateType.PENDING, StateType.CANCELLING]

WORKERS = {"gpu-1": "lavad-gpu", "gpu-2": "lavad-gpu", "gpu-3": "lavad-gpu", "cpu-1": "lavad-cpu"}
"""Name to work pool: three for shards, one for the run over the set."""


def wait_until(what: Callable[[], Any], why: str, timeout_s: float = END_S) -> Any:
    """The first value that is true."""
    deadline = time.monotonic() + timeout_s
    while not (found := what()):
        assert time.monotonic() < deadline, f"{why}: not after {timeout_s:.0f} s"
        time.sleep(0.5)
    return found


CONTEXT_TOKENS: int = json.loads((LLAMA / "config.json").read_text())["max_position_embeddings"]


def replica(log: Path, port: int | None = None) -> VllmServer:
    """A vLLM server with the demonstration's Llama. It reads one prompt at a time and none from a cache: the last digits of
    probabilities depend on what else is in a batch."""
    flags = ["--no-enable-prefix-caching"]
    return VllmServer(LLAMA, log, model=SERVED_AS, max_model_len=CONTEXT_TOKENS, max_num_seqs=1, port=port, extra=flags)


class Cluster:
    """The processes, and what they work on.

    Attributes:
        server: Prefect's.
        s3: the storage.
        replicas: the language model's servers.
        workers: name to process of those that are there.
        folder: for logs and local results.
        file: the configuration: the demonstration's models but for the language model, which is served.
    """

    def __init__(
        self, folder: Path, server: OwnServer, s3: S3Server, replicas: Sequence[VllmServer], clips: int
    ) -> None:
        self.folder, self.server, self.s3, self.replicas = folder, server, s3, list(replicas)
        demonstration = folder / "demonstration"
        self.file = write_configuration(demonstration)
        write_set(demonstration, clips=clips)
        self.videos, self.labels = demonstration / "videos", demonstration / "labels.txt"
        values = yaml.safe_load(self.file.read_text())
        del values["evaluate"], values["run"], values["store"]
        values["chat"] = {
            "kind": "openai",
            "model": SERVED_AS,
            "base_url": [one.base_url for one in replicas],
            "context_tokens": CONTEXT_TOKENS,
        }
        self.file.write_text(yaml.safe_dump(values))
        self.upload(self.videos)
        self.workers: dict[str, subprocess.Popen[bytes]] = {}

    def upload(self, videos: Path) -> None:
        """To ``s3://bucket/NAME`` of the folder."""
        for path in sorted(videos.iterdir()):
            self.s3.client.put_object(Bucket="bucket", Key=f"{videos.name}/{path.name}", Body=path.read_bytes())

    def environment(self, home: str) -> dict[str, str]:
        """Of a process on a machine of that name."""
        own = {
            "PREFECT_API_URL": self.server.url,
            "PREFECT_HOME": self.server.environment["PREFECT_HOME"],
            "PREFECT_WORKER_QUERY_SECONDS": "5",  # a worker ends itself after 45 times this without a server
            "XDG_CACHE_HOME": str(self.folder / "homes" / home),
            "OMP_NUM_THREADS": "1",
        }
        return environment(**{**self.s3.environment, **own})

    def deploy(self) -> None:
        """What ``prefect.yaml`` says."""
        command = [sys.executable, "-m", "lavad.deployments.apply"]
        subprocess.run(command, cwd=REPOSITORY, env=self.environment("apply"), check=True, timeout=END_S)

    def log(self, name: str) -> Path:
        """Of a process."""
        return self.folder / f"{name}.log"

    def start_worker(self, name: str) -> None:
        command = [sys.executable, "-m", "prefect", "worker", "start", "--pool", WORKERS[name], "--name", name]
        limit = ["--limit", "1"] if WORKERS[name] == "lavad-gpu" else []
        with self.log(name).open("ab") as log:
            self.workers[name] = subprocess.Popen(
                [*command, *limit], env=self.environment(name), cwd=REPOSITORY, stdout=log, stderr=log,
                stdin=subprocess.DEVNULL,
            )  # fmt: skip

    def stop_replicas(self) -> None:
        """SIGKILL to all."""
        for one in self.replicas:
            one.kill()

    def restart_replica(self, number: int) -> None:
        """SIGKILL, and the same again at the same address."""
        self.replicas[number].kill()
        self.replicas[number] = replica(self.log(f"vllm-{number + 1}"), self.replicas[number].port)

    def at_work(self) -> dict[str, psutil.Process]:
        """GPU worker to the process of its shard, for those that have one."""
        found = {}
        for name, worker in self.workers.items():
            if WORKERS[name] == "lavad-gpu" and worker.poll() is None:
                for child in psutil.Process(worker.pid).children():
                    found[name] = child
        return found

    def stop_workers(self) -> None:
        """SIGKILL to them and to what they started."""
        for name in list(self.workers):
            self.kill_worker(name)

    def kill_worker(self, name: str) -> None:
        """SIGKILL to it and to all that it started, at once."""
        worker = self.workers.pop(name)
        family = psutil.Process(worker.pid).children(recursive=True) if worker.poll() is None else []
        worker.kill()
        for process in family:
            if process.is_running():
                process.kill()
        worker.wait()

    def start_run(self, videos: str, store: str, shards: int) -> UUID:
        """A run of the deployment ``data-set``: the id of its flow run."""
        given = {
            "inputs": [videos],
            "preset": None,
            "config": str(self.file),
            "settings": {"store": store},
            "shards": shards,
        }
        made: Any = run_deployment("score-data-set/data-set", parameters=given, timeout=0, as_subflow=False)
        return UUID(str(made.id))

    def retry(self, flow_run_id: UUID) -> None:
        """What the Retry button does."""
        command = [sys.executable, "-m", "prefect", "--no-prompt", "flow-run", "retry", str(flow_run_id)]
        subprocess.run(command, cwd=REPOSITORY, env=self.environment("retry"), check=True, timeout=END_S)

    def flow_run(self, flow_run_id: UUID) -> FlowRun:
        with self.server.client() as client:
            return client.read_flow_run(flow_run_id)

    def under_way(self) -> list[str]:
        """Flow runs that have not ended: name and state."""
        wanted = FlowRunFilter(state=FlowRunFilterState(type=FlowRunFilterStateType(any_=UNDER_WAY)))
        with self.server.client() as client:
            return [f"{run.name} is {run.state_name}" for run in client.read_flow_runs(flow_run_filter=wanted)]

    def said(self) -> str:
        """The ends of the workers' logs."""
        return "\n".join(f"--- {name}\n{self.log(name).read_text()[-3000:]}" for name in WORKERS)


@contextmanager
def running_cluster(folder: Path, s3: S3Server, *, clips: int, replicas: int) -> Iterator[Cluster]:
    """All processes, started; this process speaks to the Prefect server."""
    with ExitStack() as stack, ThreadPoolExecutor(replicas) as pool:
        starting = [pool.submit(replica, folder / f"vllm-{number}.log") for number in range(1, replicas + 1)]
        database = {"PREFECT_SERVER_DATABASE_CONNECTION_URL": stack.enter_context(postgres())}
        server = stack.enter_context(own_server(folder / "prefect", database))
        started = [one.result() for one in starting]
        cluster = Cluster(folder, server, s3, started, clips)
        stack.callback(cluster.stop_replicas)
        cluster.deploy()
        stack.callback(cluster.stop_workers)
        for name in WORKERS:
            cluster.start_worker(name)
        yield cluster
