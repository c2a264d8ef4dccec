"""Make the pictures of Prefect's pages in docs/operations/reading-the-ui.md again.

    python docs/images/prefect_ui.py VIDEOS FOLDER

A server on a new database gets the deployments, three workers, two runs with the random models of the preset ``tiny`` (the
second one with a file that is not a video), a run over the data set in four shards, the first of which is killed once, and a
visit by the system's Chromium. FOLDER gets the videos and the store, and the pictures show its name: ``/data``. Host names are
those of :data:`WORKERS`, by ``unshare`` of util-linux. Look at the pictures before they are committed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from io import BytesIO
from pathlib import Path
from typing import Any

import psutil
from PIL import Image
from playwright.sync_api import Page, sync_playwright
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId, ArtifactFilterKey
from prefect.deployments import run_deployment

from lavad.deployments.prefect_server import private_server
from lavad.deployments.prefect_settings import using_api

HERE = Path(__file__).resolve().parent
SETTLED_MS = 5000
"""After which a page has loaded what it shows, on two busy cores."""

COLOURS = 128
"""Of a picture: a third of the bytes, and the eye sees no difference."""

WORKERS = {"gpu-box-0": "lavad-gpu", "gpu-box-1": "lavad-gpu", "head-node": "lavad-cpu"}
"""Host name of a worker to its work pool."""

AT_WORK_S = 15.0
"""Seconds from the start of a shard's process until it is at work."""

NAMED_HOST = ("unshare", "--map-root-user", "--uts", "sh", "-c", 'hostname "$1"; shift; exec "$@"', "sh")


def main(videos: Path, folder: Path) -> None:
    """Write the pictures."""
    with (
        tempfile.TemporaryDirectory() as scratch,
        private_server(print, home=Path(scratch)) as url,
        using_api(url, private=True),
    ):
        environment = os.environ | {
            "PREFECT_API_URL": url,
            "PREFECT_HOME": scratch,
            "PREFECT_WORKER_QUERY_SECONDS": "1",
        }
        apply = [sys.executable, "-m", "lavad.deployments.apply"]
        subprocess.run(apply, cwd=HERE.parent.parent, env=environment, check=True)
        shutil.copytree(videos, folder / "videos")
        with workers(environment) as started:
            run("score-videos/on-demand", folder)
            (folder / "videos" / "half-copied.mp4").write_bytes(b"\0" * 4096)
            red = run("score-videos/on-demand", folder)
            shutil.rmtree(folder / "store")  # so that the shards have work
            whole = run("score-data-set/data-set", folder, started, shards=4, name="ucf-crime")
            visit(url.removesuffix("/api"), red, whole)


@contextmanager
def workers(environment: Mapping[str, str]) -> Iterator[list[psutil.Popen]]:
    """One for each of :data:`WORKERS`."""
    prefect = [sys.executable, "-m", "prefect", "worker", "start", "--limit", "1", "--pool"]
    started = [
        psutil.Popen([*NAMED_HOST, name, *prefect, pool, "--name", name], cwd=HERE.parent.parent, env=environment)
        for name, pool in WORKERS.items()
    ]
    try:
        yield started
    finally:
        for process in [child for worker in started for child in (*worker.children(recursive=True), worker)]:
            process.kill()


def run(deployment: str, folder: Path, to_kill: list[psutil.Popen] | None = None, **more: Any) -> str:
    """The id of a flow run that has ended. The first process of the first of ``to_kill`` is killed."""
    parameters = {"inputs": [str(folder / "videos")], "preset": "tiny", "settings": {"store": str(folder / "store")}}
    started = run_deployment(deployment, parameters={**parameters, **more}, timeout=0)
    with get_client(sync_client=True) as client:
        while True:
            if to_kill and (found := to_kill[0].children()):
                time.sleep(AT_WORK_S)
                with suppress(psutil.NoSuchProcess):  # it was quicker: the next one is tried
                    found[0].kill()
                    to_kill = None
            now = client.read_flow_run(started.id)
            if now.state is not None and now.state.is_final():
                return str(now.id)
            time.sleep(1)


def visit(site: str, red: str, whole: str) -> None:
    """Take the pictures."""
    with get_client(sync_client=True) as client:
        deployment = client.read_deployment_by_name("score-data-set/data-set")
        wanted = ArtifactFilter(
            key=ArtifactFilterKey(any_=["lavad-shards"]), flow_run_id=ArtifactFilterFlowRunId(any_=[whole])
        )
        (shards,) = client.read_artifacts(artifact_filter=wanted)
    with sync_playwright() as browsers:
        browser = browsers.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1200, "height": 1000})
        picture(page, f"{site}/deployments/deployment/{deployment.id}/run", "form")
        picture(page, f"{site}/runs/flow-run/{red}", "artifacts", tab="Artifacts")
        picture(page, f"{site}/runs/flow-run/{whole}", "set", tab="Subflow Runs")
        long = browser.new_page(viewport={"width": 1200, "height": 1660})
        picture(long, f"{site}/runs", "runs", above=600)
        wide = browser.new_page(viewport={"width": 1500, "height": 760})
        picture(wide, f"{site}/deployments", "deployments")
        wide = browser.new_page(viewport={"width": 1760, "height": 560})
        picture(wide, f"{site}/artifacts/artifact/{shards.id}", "shards")
        browser.close()


def picture(page: Page, address: str, name: str, tab: str = "", above: int = 0) -> None:
    """One page as it is seen, or one tab of it, without the pixels ``above``."""
    page.goto(address)
    page.wait_for_timeout(SETTLED_MS)
    if tab:
        page.get_by_text(tab, exact=True).first.click()
        page.wait_for_timeout(SETTLED_MS)
    seen = Image.open(BytesIO(page.screenshot()))
    few = seen.convert("RGB").crop((0, above, *seen.size)).quantize(COLOURS)
    few.save(HERE / f"prefect-{name}.png", optimize=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
