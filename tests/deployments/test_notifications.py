"""Events and the automations on them, against a real server and a webhook on the loopback."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from prefect import tags
from prefect.blocks.notifications import CustomWebhookNotificationBlock
from prefect.client.schemas.objects import State
from prefect.events.worker import EventsWorker
from prefect.states import Completed, Running
from support import filled_store
from support.fake_stages import FakeStages, make_videos, raising, settings
from support.filled_store import fill
from support.own_prefect import OwnServer, own_server

from lavad.deployments import automations
from lavad.deployments.apply import notification_block
from lavad.flows.evaluate import evaluate
from lavad.flows.score_videos import score_videos
from lavad.tasks import ending_events
from lavad_core.errors import ModelError
from lavad_core.evaluation.compare import Difference
from lavad_core.evaluation.regression import MetricChange, Regression

pytestmark = pytest.mark.slow

TOLD_S = 60.0
QUIET_S = 10.0
"""Longer than the server takes from an event to the webhook (about one second)."""


@pytest.fixture(scope="module")
def told() -> Iterator[tuple[str, list[str]]]:
    """Address of a webhook, and what it was sent."""
    heard: list[str] = []

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            heard.append(body["text"])
            self.send_response(204)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Hook)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/", heard
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, told: tuple[str, list[str]]) -> Iterator[OwnServer]:
    with own_server(tmp_path_factory.mktemp("own") / "home") as server:
        block = CustomWebhookNotificationBlock(name="ops", url=told[0], json_data={"text": "{{subject}}"})
        block.save("ops")
        automations.apply_automations(notification_block("custom-webhook/ops"))
        time.sleep(2)  # the server's triggers are loaded by their own messages
        yield server


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A store with a run whose scores are right, and a later one whose scores are wrong."""
    root = tmp_path_factory.mktemp("evaluate")
    (root / "labels.txt").write_text("one Fighting 16 31 -1 -1\ntwo Normal -1 -1 -1 -1\n")
    right, _ = fill(root / "store", "one", "two")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(filled_store, "SCORES", [0.7, 0.1, 0.25])
        wrong, _ = fill(root / "store", "one", "two", more=("refine.neighbours=3",))
    return {"root": str(root), "right": right, "wrong": wrong}


def evaluated(runs: dict[str, str], now: str, baseline: str) -> State[Any]:
    root = Path(runs["root"])
    with tags("lavad"):
        state: State[Any] = evaluate(
            labels=root / "labels.txt", settings={"store": str(root / "store")}, resamples=50, run_id=runs[now],
            baseline=runs[baseline], return_state=True,
        )  # fmt: skip
    EventsWorker.drain_all(timeout=30, at_exit=False)  # type: ignore[misc]
    return state


def heard(told: list[str], beginning: str) -> str:
    deadline = time.monotonic() + TOLD_S
    while time.monotonic() < deadline:
        for text in list(told):
            if text.startswith(beginning):
                return text
        time.sleep(0.2)
    raise AssertionError(f"nothing began with {beginning!r}: {told}")


def events(server: OwnServer, name: str) -> list[dict[str, Any]]:
    with server.client() as client:
        wanted = {"filter": {"event": {"name": [name]}}, "limit": 50}
        answer = client.request("POST", "/events/filter", json=wanted).json()
    return list(answer["events"])


def test_a_metric_that_fell_is_told_and_one_that_did_not_is_not(
    server: OwnServer, runs: dict[str, str], told: tuple[str, list[str]]
) -> None:
    assert evaluated(runs, "right", "wrong").name == "Completed"
    time.sleep(QUIET_S)
    assert told[1] == []
    assert evaluated(runs, "wrong", "right").name == "Regressed"
    assert "tolerated" in heard(told[1], "LAVAD: AUC")
    assert heard(told[1], "LAVAD: evaluate · of").endswith("is Regressed")
    finished = events(server, "lavad.evaluation.finished")
    assert sorted(one["payload"]["state"] for one in finished) == ["Completed", "Regressed"]
    assert {one["resource"]["prefect.resource.id"] for one in events(server, "lavad.metric.dropped")} == {
        "lavad.metric.auc",
        "lavad.metric.average_precision",
    }


def test_a_fall_below_the_interval_is_told_apart(told: tuple[str, list[str]]) -> None:
    before = len(told[1])
    changes = [
        MetricChange("auc", None, Difference(0.5, 0.9, -0.4, low, high, None), 0.005)
        for low, high in ((-0.5, -0.3), (-0.9, 0.1))
    ]
    for change in changes:
        ending_events.tell_dropped("now", Regression("before", True, 2, (change,)))
    EventsWorker.drain_all(timeout=30, at_exit=False)  # type: ignore[misc]
    for change, below in zip(changes, ("interval", "tolerance"), strict=True):
        assert heard(told[1], f"LAVAD: {change}").endswith(f", below its {below}")
    time.sleep(QUIET_S)
    assert len(told[1]) == before + 2, "each by one automation"


def test_a_run_that_does_not_end_is_told_and_one_that_ended_is_not(
    server: OwnServer, told: tuple[str, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(automations, "LONG", timedelta(seconds=10))  # no shorter time is taken
    automations.apply_automations(notification_block("custom-webhook/ops"))
    time.sleep(2)  # as above
    with server.client() as client:
        for name, states in (("quick", (Running(), Completed())), ("slow", (Running(),))):
            run = client.create_flow_run(evaluate, name=name, tags=["lavad"])
            for state in states:
                client.set_flow_run_state(run.id, state, force=True)
    assert heard(told[1], "LAVAD: slow").endswith("has not ended")
    assert not [text for text in told[1] if "quick" in text]


def test_videos_without_scores_are_told(
    server: OwnServer, told: tuple[str, list[str]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    stages = FakeStages(monkeypatch)
    stages.actions["b", "detect"] = raising(ModelError("no"))
    videos = make_videos(tmp_path / "videos", "a.mp4", "b.mp4")
    with tags("lavad"):
        score_videos([str(videos)], settings=settings(tmp_path / "store"), name="night", return_state=True)
    EventsWorker.drain_all(timeout=30, at_exit=False)  # type: ignore[misc]
    assert heard(told[1], "LAVAD: night").endswith("is PartiallyFailed")
    (event,) = events(server, "lavad.videos.failed")
    assert event["payload"]["videos"] == {"b": "failed: ModelError"}
