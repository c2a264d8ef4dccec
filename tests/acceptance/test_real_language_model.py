"""The language-model half with a real instruct model, on real captions: in process, and served by vLLM on the CPU.

SmolLM2 is far too small to tell crimes from walks; what is asked here is that a model which was not made for the tests goes
through every step, and that both ways to run it agree.
"""

from __future__ import annotations

import json
import lzma
import math
import sqlite3
import tarfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.smollm2 import write_smollm2
from support.video_factory import make_video
from support.vllm_server import VllmServer, free_port

from lavad_core.config.schema import LavadConfig
from lavad_core.errors import ServiceError
from lavad_core.method import prompts
from lavad_core.pipeline.execute import run_graph
from lavad_core.pipeline.resources import RunResources
from lavad_core.runs import work
from lavad_core.runs.manifest import new_run_id
from lavad_core.runs.recorder import RunRecorder
from lavad_core.stages.node import PreparedVideo
from lavad_core.video.types import VideoSource

pytestmark = [pytest.mark.slow]

VIDEOS = ("RoadAccidents021_x264", "RoadAccidents017_x264")
"""The shortest of UCF-Crime's test set: 10 and 16 windows."""

ARCHIVE = "data/urf_ucf_crime/captions.tar.xz"


@pytest.fixture(scope="module")
def captions(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of cleaned captions, one file a video."""
    archive = shared / ARCHIVE
    if not archive.is_file():
        pytest.skip(f"no ../shared/{ARCHIVE}: there are no real captions")
    folder = tmp_path_factory.mktemp("captions")
    with lzma.open(archive) as stream, tarfile.open(fileobj=stream) as tar:
        for member in tar:
            if Path(member.name).stem in VIDEOS and (content := tar.extractfile(member)) is not None:
                (folder / Path(member.name).name).write_bytes(content.read())
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("smollm2")
    write_smollm2(folder)
    return folder


@pytest.fixture(scope="module")
def sources(captions: Path, tmp_path_factory: pytest.TempPathFactory) -> list[VideoSource]:
    """Stand-ins of the videos: only their lengths count, since all captions are imported."""
    folder = tmp_path_factory.mktemp("videos")
    found = []
    for name in VIDEOS:
        frames = max(map(int, json.loads((captions / f"{name}.json").read_text()))) + 1
        grey = np.full((32, 32, 3), 90, np.uint8)
        found.append(VideoSource(name, make_video(folder / f"{name}.mp4", frames, (32, 32), draw=lambda *_, g=grey: g)))
    return found


class Run:
    """One run over both videos."""

    def __init__(
        self, store: Path, captions: Path, sources: list[VideoSource], chat: dict[str, Any], **score: Any
    ) -> None:
        config = LavadConfig.model_validate(
            {
                "store": store,
                "imports": {"cleaned": captions},
                "run": {"targets": ["score"], "workers": 1},
                "summarise": {"temperature": 0.0, "total_tokens": 320, "min_answer_tokens": 48},
                "score": {"temperature": 0.0, **score},
                "chat": chat,
            }
        )
        self.resources = RunResources(config)
        self.videos: list[PreparedVideo] = [self.resources.prepare(source) for source in sources]
        with RunRecorder(store, new_run_id(), config={}) as recorder:
            try:
                self.failed = run_graph(self.resources, self.videos, recorder)
            finally:
                self.totals = recorder.totals()
                self.resources.close()

    def rows(self, stage: str) -> list[dict[str, Any]]:
        found = []
        for video in self.videos:
            commit = self.resources.store.find(self.resources.graph.keys(video)[stage])
            assert commit is not None
            found += self.resources.store.read(commit).to_pylist()
        return found

    def counts(self, stage: str, name: str) -> int:
        commits = [self.resources.store.find(self.resources.graph.keys(video)[stage]) for video in self.videos]
        return sum(commit.counts[name] for commit in commits if commit is not None)


@pytest.fixture(scope="module")
def local(captions: Path, sources: list[VideoSource], model: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    chat = {"kind": "transformers", "model": str(model), "dtype": "float32", "device": "cpu", "batch_size": 16}
    store = tmp_path_factory.mktemp("local")
    Run(store, captions, sources, chat)
    return Run(store, captions, sources, chat, expected=True)  # the same summaries, from the store


@pytest.fixture(scope="module")
def server(vllm_environment: None, model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[VllmServer]:
    with torch.no_grad():
        running = VllmServer(model, tmp_path_factory.mktemp("vllm") / "server.log", model="smollm2", max_num_seqs=16)
    yield running
    running.stop()


def served_chat(url: str, **more: Any) -> dict[str, Any]:
    return {"kind": "openai", "model": "smollm2", "base_url": url, "concurrency": 8, "timeout_s": 300.0, **more}


def test_in_process_every_window_has_a_summary_and_a_score(local: Run) -> None:
    assert local.failed == {}
    summaries = local.rows("summarise")
    assert len(summaries) == 26
    assert sum(bool(row["summary"].strip()) for row in summaries) >= 24
    assert len({row["summary"] for row in summaries}) > 13
    scores = local.rows("score")
    assert all(0 <= row["score"] <= 1 for row in scores)
    assert {row["answer"] for row in scores} <= set(prompts.SCORE_CHOICES)
    assert {row["origin"] for row in scores} <= {"expected", "interpolated"}
    assert all(0 <= row["outside"] <= 1 for row in scores if row["origin"] == "expected")
    print(
        "in process:",
        local.totals,
        "outside",
        np.mean([row["outside"] for row in scores if row["outside"] is not None]),
    )


@pytest.mark.vllm
def test_served_and_in_process_say_the_same(
    server: VllmServer, local: Run, captions: Path, sources: list[VideoSource], tmp_path: Path
) -> None:
    """Greedy answers on the same float32 weights; a tie within rounding may go the other way and change what follows it."""
    run = Run(tmp_path / "store", captions, sources, served_chat(server.base_url), expected=True)
    assert run.failed == {}
    pairs = list(zip(local.rows("summarise"), run.rows("summarise"), strict=True))
    same = [ours["summary"] == theirs["summary"] for ours, theirs in pairs]
    assert sum(same) >= 0.8 * len(same)
    scores = list(zip(local.rows("score"), run.rows("score"), strict=True))
    apart = [abs(ours["score"] - theirs["score"]) for (ours, theirs), alike in zip(scores, same, strict=True) if alike]
    assert max(apart) < 5e-3, "expected scores of equal summaries"
    outside = [
        (ours["outside"], theirs["outside"])
        for (ours, theirs), alike in zip(scores, same, strict=True)
        if alike and theirs["outside"] is not None
    ]
    assert all(math.isclose(ours, theirs, abs_tol=0.02) for ours, theirs in outside)
    answers = run.totals[work.LLM_REQUESTS]
    follow_ups = run.totals.get(work.LLM_FOLLOW_UPS, 0)
    print("served:", run.totals, "the same summaries", sum(same), "of", len(same), "outside", outside)
    assert follow_ups <= 2 * answers, "five a score before answers were led"


@pytest.mark.vllm
def test_a_killed_server_costs_what_was_in_flight(
    vllm_environment: None, model: Path, captions: Path, sources: list[VideoSource], tmp_path: Path
) -> None:
    port = free_port()
    chat = served_chat(f"http://127.0.0.1:{port}/v1", concurrency=2, retries=0, max_backoff_s=0.1)
    server = VllmServer(model, tmp_path / "first.log", model="smollm2", port=port)
    killed = Killing(server, after=6)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lavad_core.store.answers.AnswerCache.put", killed.put)
        with pytest.raises(ServiceError):
            Run(tmp_path / "store", captions, sources, chat)
    server = VllmServer(model, tmp_path / "second.log", model="smollm2", port=port)
    try:
        run = Run(tmp_path / "store", captions, sources, chat)
    finally:
        server.stop()
    assert run.failed == {}
    with closing(sqlite3.connect(tmp_path / "store" / "cache" / "answers.sqlite")) as cache:
        ((answers,),) = cache.execute("SELECT count(*) FROM answers")
    # A stage that was committed before the end is not looked at again, so that not all of these are counted as cached.
    assert run.totals[work.LLM_REQUESTS] == answers - killed.stored, "no answer is asked for twice"
    assert len(run.rows("score")) == 26


class Killing:
    """Ends a server when this many answers are stored."""

    def __init__(self, server: VllmServer, after: int) -> None:
        from lavad_core.store.answers import AnswerCache

        self._server, self._after, self._put = server, after, AnswerCache.put
        self.stored = 0

    @property
    def put(self) -> Any:
        def put(cache: Any, key: str, value: Any) -> None:
            self._put(cache, key, value)
            self.stored += 1
            if self.stored == self._after:
                self._server.kill()

        return put
