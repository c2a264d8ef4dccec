"""A whole run whose chat model is a real vLLM server, and the same run with the same weights in process."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.video_factory import make_video
from support.vllm_server import VllmServer
from support.whole_runs import finish

from lavad_core.runs.manifest import RunManifest, load_run
from lavad_core.runs.run_log import load_records
from lavad_core.store.files import FileStore
from lavad_core.store.types import Key

GREEDY = ["--set", "summarise.temperature=0", "--set", "score.temperature=0"]


def summaries(store: Path, run: RunManifest) -> dict[str, list[str]]:
    """Video name to the texts of its ``summarise`` result."""
    found = {}
    for record in load_records(store, run.run_id):
        if record.node == "summarise":
            results = FileStore(store)
            commit = results.find(Key("summarise", record.video_id, record.fingerprint))
            assert commit is not None
            found[record.video] = results.read(commit, ["summary"])["summary"].to_pylist()
    return found


@pytest.mark.vllm
def test_greedy_summaries_are_those_of_the_model_in_process(
    prefect_server: str, vllm_server: VllmServer, tmp_path: Path
) -> None:
    environment = {"PREFECT_API_URL": prefect_server}
    videos = tmp_path / "videos"
    videos.mkdir()
    for number in range(2):
        make_video(videos / f"{number}.mp4", frames=60 + 30 * number, fps=10)
    served = ["--set", f"chat={{kind: openai, model: {vllm_server.model}, base_url: '{vllm_server.base_url}'}}"]
    local = ["--set", f"chat={{kind: transformers, model: '{vllm_server.folder}', device: cpu}}"]
    found = {}
    for name, chat in (("served", served), ("local", local)):
        store, log = tmp_path / name, tmp_path / f"{name}.log"
        arguments = ["run", str(videos), "--preset", "tiny", "--store", str(store), "--plain", *GREEDY, *chat]
        assert finish(arguments, environment, log) == 0, log.read_text()[-3000:]
        run = load_run(store)
        assert run.work["llm_requests"] > 0
        found[name] = summaries(store, run)
    assert found["served"] == found["local"]
    assert all(text for texts in found["served"].values() for text in texts)
