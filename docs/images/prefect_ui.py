"""Make the pictures of Prefect's pages in docs/operations/reading-the-ui.md again: ``python docs/images/prefect_ui.py VIDEOS``.

A server on a new database gets the deployments, two runs with the random models of the preset ``tiny`` (the second one with a
file that is not a video), and a visit by the system's Chromium. Look at the pictures before they are committed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Page, sync_playwright
from prefect import tags
from prefect.client.orchestration import get_client

from lavad.deployments.prefect_server import private_server
from lavad.deployments.prefect_settings import using_api
from lavad.flows.score_videos import score_videos

HERE = Path(__file__).resolve().parent
SETTLED_MS = 5000
"""After which a page has loaded what it shows, on two busy cores."""


def main(videos: Path) -> None:
    """Write the pictures."""
    with (
        tempfile.TemporaryDirectory() as scratch,
        private_server(print, home=Path(scratch) / "home") as url,
        using_api(url, private=True),
    ):
        environment = os.environ | {"PREFECT_API_URL": url, "PREFECT_HOME": str(Path(scratch) / "home")}
        subprocess.run(
            [sys.executable, "-m", "lavad.deployments.apply"], cwd=HERE.parent.parent, env=environment, check=True
        )
        folder = Path(scratch) / "videos"
        shutil.copytree(videos, folder)
        scored(folder, Path(scratch) / "store")
        (folder / "half-copied.mp4").write_bytes(b"\0" * 4096)
        run_id = scored(folder, Path(scratch) / "store")
        with get_client(sync_client=True) as client:
            deployment = client.read_deployment_by_name("score-videos/on-demand")
        with sync_playwright() as browsers:
            browser = browsers.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
            page = browser.new_page(viewport={"width": 1200, "height": 1000})
            site = url.removesuffix("/api")
            picture(page, f"{site}/deployments", "deployments")
            picture(page, f"{site}/deployments/deployment/{deployment.id}/run", "form")
            picture(page, f"{site}/runs", "runs")
            picture(page, f"{site}/runs/flow-run/{run_id}", "artifacts", tab="Artifacts")
            browser.close()


def scored(videos: Path, store: Path) -> str:
    """Score the videos as a deployment would; the id of the flow run."""
    with tags("lavad"):
        state = score_videos([str(videos)], preset="tiny", settings={"store": str(store)}, return_state=True)
    return str(state.state_details.flow_run_id)


def picture(page: Page, address: str, name: str, tab: str = "") -> None:
    """One page as it is seen, or one tab of it."""
    page.goto(address)
    page.wait_for_timeout(SETTLED_MS)
    if tab:
        page.get_by_text(tab, exact=True).first.click()
        page.wait_for_timeout(SETTLED_MS)
    page.screenshot(path=HERE / f"prefect-{name}.png")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
