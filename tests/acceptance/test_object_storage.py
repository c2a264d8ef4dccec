"""``lavad run`` with store and videos at ``s3://`` addresses: the results of a run on a disk, also after a kill."""

from __future__ import annotations

import json
from pathlib import Path

import platformdirs
import pytest
from support.s3_server import SECRET, S3Server
from support.video_factory import make_video
from support.whole_runs import finish, start, tree

from lavad_core.location import s3_home
from lavad_core.runs.manifest import list_runs, load_run
from lavad_core.runs.run_log import load_records

pytestmark = pytest.mark.slow

VIDEOS = 2


class OnStorage:
    """Short videos, on a disk and on the storage, and what a run of them on a disk gives."""

    def __init__(self, folder: Path, s3: S3Server, prefect: str, models: Path) -> None:
        self.folder, self.s3 = folder, s3
        for home in (Path(s3.environment["XDG_CACHE_HOME"]), folder / "another machine"):
            (home / "lavad").mkdir(parents=True)  # the random models need not be made again
            (home / "lavad/random-models").symlink_to(models)
        (folder / "videos").mkdir()
        for number in range(VIDEOS):
            path = folder / "videos" / f"{number}.mp4"
            make_video(path, frames=40 + 8 * number, fps=10)
            s3.client.put_object(Bucket="bucket", Key=f"videos/{number}.mp4", Body=path.read_bytes())
        self.environment = {**s3.environment, "PREFECT_API_URL": prefect, "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30"}
        assert self.run("local", str(folder / "videos"), str(folder / "local")) == 0, self.log("local").read_text()[
            -3000:
        ]
        self.expected = tree(folder / "local")

    def log(self, name: str) -> Path:
        return self.folder / f"{name}.log"

    def arguments(self, videos: str, store: str) -> list[str]:
        return ["run", videos, "--preset", "tiny", "--store", store, "--plain"]

    def run(self, name: str, videos: str, store: str) -> int:
        return finish(self.arguments(videos, store), self.environment, self.log(name))


@pytest.fixture(scope="module")
def models() -> Path:
    """Before the server's fixture names another cache."""
    return Path(platformdirs.user_cache_dir("lavad")) / "random-models"


@pytest.fixture(scope="module")
def work(models: Path, prefect_server: str, s3: S3Server, tmp_path_factory: pytest.TempPathFactory) -> OnStorage:
    return OnStorage(tmp_path_factory.mktemp("objects"), s3, prefect_server, models)


def test_the_results_are_those_of_a_disk_also_after_a_kill(work: OnStorage) -> None:
    arguments = work.arguments("s3://bucket/videos/", "s3://bucket/killed")
    process = start(arguments, work.environment, work.log("killed"))
    while process.is_alive() and len(work.s3.commits_put("killed")) < len(work.expected) // 4:
        process.join(0.02)
    process.kill()
    process.join()
    there = {tuple(name.split("/")[:2]) for name in work.s3.tree("s3://bucket/killed") if name.endswith("commit.json")}
    assert there
    assert work.run("killed", "s3://bucket/videos/", "s3://bucket/killed") == 0, work.log("killed").read_text()[-3000:]
    assert work.s3.tree("s3://bucket/killed") == work.expected
    assert set(work.s3.commits_put("killed").values()) == {1}
    home = s3_home("s3://bucket/killed")
    again = list(load_records(home, load_run(home).run_id))
    made = {(one.node, one.video_id) for one in again if not one.cached}
    assert not {(node, video_id) for node, video_id in made if (node, video_id) in there}
    assert [load_run(home, run_id).status for run_id in list_runs(home)] == ["interrupted", "completed"]


def test_two_processes_on_one_store(work: OnStorage) -> None:
    arguments = work.arguments("s3://bucket/videos/", "s3://bucket/two")
    elsewhere = {**work.environment, "XDG_CACHE_HOME": str(work.folder / "another machine")}
    both = [start(arguments, environment, work.log("two")) for environment in (work.environment, elsewhere)]
    for process in both:
        process.join(300)
        assert process.exitcode == 0, work.log("two").read_text()[-3000:]
    assert work.s3.tree("s3://bucket/two") == work.expected
    runs = list_runs(s3_home("s3://bucket/two"))
    assert [load_run(s3_home("s3://bucket/two"), run_id).status for run_id in runs] == ["completed", "completed"]


def test_nothing_holds_a_key(work: OnStorage) -> None:
    """No object, no file of a home, no output: they were there to look at."""
    objects = work.s3.names("s3://bucket")
    files = {path for folder in (work.folder, work.s3.requests.parent) for path in folder.rglob("*") if path.is_file()}
    assert {one.split("/")[0] for one in objects} == {"videos", "killed", "two"}
    assert {work.log("two"), work.log("killed")} < files
    held = [one for one, content in objects.items() if SECRET.encode() in content]
    assert held + [str(path) for path in files if SECRET.encode() in path.read_bytes()] == []
    record = next(content for one, content in objects.items() if one.startswith("two/runs/") and one.endswith(".json"))
    assert json.loads(record)["config"]["store"] == "s3://bucket/two"
