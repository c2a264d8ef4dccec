"""Direct scores: each frame shown to a served model, and what becomes of its answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from support.fake_models import FakePool
from support.scripted_server import Reply, ScriptedServer, chat_body, error_body, looking, picture_in, scripted

from lavad_core.config.load import load_config
from lavad_core.errors import ConfigError, LavadError, ModelError, VideoRejected
from lavad_core.method import prompts
from lavad_core.models.chat.cached import request_key
from lavad_core.models.protocols import ChatRequest
from lavad_core.pipeline.execute import run_graph
from lavad_core.pipeline.resources import RunResources
from lavad_core.recipes.direct import direct_messages
from lavad_core.runs import work
from lavad_core.runs.manifest import new_run_id
from lavad_core.runs.recorder import RunRecorder
from lavad_core.video.types import VideoSource

GRID = list(range(0, 200, 16))
BRIGHT = [48, 64, 80]


def rating(picture: NDArray[np.uint8]) -> Reply:
    """Bright pictures are anomalous."""
    return Reply(body=chat_body("[0.9]" if picture.mean() > 120 else "[0.1]"))


class Run:
    """A run of the method on one video."""

    def __init__(self, store: Path, video: VideoSource, server: ScriptedServer, *overrides: str) -> None:
        chat = f"chat={{kind: openai, model: tiny, base_url: '{server.base_url}', retries: 0, tokenizer: null}}"
        given = (f"store={store}", "score.method=direct", chat, "direct.image_side=32", *overrides)
        self.resources = RunResources(load_config(preset="tiny", overrides=given, environ={}))
        self.video = self.resources.prepare(video)
        self.recorder = RunRecorder(store, new_run_id(), config={})
        self.failed: dict[str, LavadError] = run_graph(self.resources, [self.video], self.recorder)

    def rows(self, node: str) -> list[dict[str, Any]]:
        return self.resources.store.read(self.commit(node)).to_pylist()

    def commit(self, node: str) -> Any:
        return self.resources.store.find(self.resources.graph.keys(self.video)[node])


@contextmanager
def run(
    store: Path, video: VideoSource, script: Callable[[NDArray[np.uint8]], Reply], *overrides: str
) -> Iterator[Any]:
    with scripted(script=looking(script)) as server:
        made = Run(store, video, server, *overrides)
        yield made, server
        made.resources.close()


def test_each_frame_is_shown_and_rated(tmp_path: Path, street: VideoSource) -> None:
    with run(tmp_path, street, rating) as (made, server):
        assert made.failed == {}
        assert [node.id for node in made.resources.graph.nodes] == ["probe", "score_direct", "refine", "detect"]
        rows = made.rows("score_direct")
        assert [row["frame"] for row in rows] == GRID
        assert {row["frame"]: row["score"] for row in rows} == {at: 0.9 if at in BRIGHT else 0.1 for at in GRID}
        assert {(row["origin"], row["reason"] == row["answer"]) for row in rows} == {("said", True)}
        assert [row["score"] for row in made.rows("refine")] == [row["score"] for row in rows]
        (segment,) = made.rows("detect")
        assert (segment["start_frame"], segment["end_frame"], segment["summary"]) == (48, 95, "[0.9]")
        asked = [(seen.body, picture) for seen in server.seen if (picture := picture_in(seen)) is not None]
        assert made.recorder.totals()[work.LLM_REQUESTS] == len(asked)
    assert {min(picture.shape[:2]) for _, picture in asked} == {32}
    bodies = [body for body, _ in asked]
    for body in bodies:
        (message,) = body["messages"]
        assert [message["role"], *(part["type"] for part in message["content"])] == ["user", "image_url", "text"]
        assert message["content"][1]["text"] == f"{prompts.CONTEXT['impersonation']} {prompts.FORMAT}"
        assert "[0.5]" in body["structured_outputs"]["choice"]
    assert len({body["seed"] for body in bodies}) == len(bodies) > 1, "each picture is drawn for anew"


def test_nothing_is_asked_twice(tmp_path: Path, street: VideoSource) -> None:
    with run(tmp_path, street, rating) as (first, _):
        expected = first.rows("score_direct")
    with run(tmp_path, street, rating, "score.max_unparsed_fraction=0.5") as (again, server):
        assert again.failed == {}
        assert again.rows("score_direct") == expected
        assert again.commit("score_direct") != first.commit("score_direct")
        assert not [seen for seen in server.seen if picture_in(seen) is not None], "the answers are known"


def test_an_answer_without_a_score_is_filled_in_and_counted(tmp_path: Path, street: VideoSource) -> None:
    def script(picture: NDArray[np.uint8]) -> Reply:
        return Reply(body=chat_body("[0.8]")) if picture.mean() > 120 else Reply(body=chat_body("I cannot say."))

    with run(tmp_path, street, script, "score.answer=free-text", "score.reject_unparsed_fraction=1") as (made, _):
        assert made.failed == {}
        rows = made.rows("score_direct")
        assert [row["frame"] for row in rows if row["origin"] == "said"] == BRIGHT
        assert {row["score"] for row in rows} == {0.8}, "of those around them, and never 0.5"
        commit = made.commit("score_direct")
        assert (commit.status, commit.counts["unparsed"]) == ("ok_with_gaps", len(GRID) - len(BRIGHT))
        assert "10 of 13 answers held no score and were interpolated" in commit.message


def test_a_video_without_any_score_is_rejected(tmp_path: Path, street: VideoSource) -> None:
    with run(tmp_path, street, lambda picture: Reply(body=chat_body("No.")), "score.answer=free-text") as (made, _):
        assert isinstance(made.failed["street"], VideoRejected)
        assert "none of 13 windows" in str(made.failed["street"])


def test_a_refused_picture_is_one_answer_and_not_the_run(tmp_path: Path, street: VideoSource) -> None:
    """The server takes a question of the same form about a grey picture: so it is the picture that it refuses."""

    def script(picture: NDArray[np.uint8]) -> Reply:
        if picture.mean() > 180:
            return Reply(status=400, body=error_body("I will not look at this.", "BadRequestError", 400))
        return Reply(body=chat_body("[0.1]"))

    with run(tmp_path, street, script) as (made, _):
        assert made.failed == {}
        rows = made.rows("score_direct")
        assert [row["frame"] for row in rows if row["origin"] == "interpolated"] == BRIGHT
        assert made.commit("score_direct").counts["refused"] == len(BRIGHT)


def test_a_server_that_takes_no_pictures_ends_the_run(tmp_path: Path, street: VideoSource) -> None:
    refusal = Reply(status=400, body=error_body("tiny is not a multimodal model", "BadRequestError", 400))
    with (
        scripted(script=looking(lambda picture: refusal)) as server,
        pytest.raises(LavadError, match="not a multimodal model"),
    ):
        raise Run(tmp_path, street, server).failed["street"]


def test_a_model_in_this_process_takes_texts_alone() -> None:
    with pytest.raises(ConfigError, match=r"shows pictures to the chat model.*chat\.kind=openai"):
        load_config(preset="tiny", overrides=["score.method=direct"], environ={})


def test_a_model_of_the_user_s_own_must_say_that_it_sees(make_bench: Callable[..., Any], street: VideoSource) -> None:
    chat = {"kind": "python", "model": "chat.py:load"}
    ((_, question),) = direct_messages(prompts.CONTEXT["impersonation"], prompts.FORMAT)
    bench = make_bench(FakePool(answers={question: "[0.4]"}), score={"method": "direct"}, chat=chat)
    failed = bench.run(bench.prepare(street))
    assert isinstance(failed["street"], ModelError)
    assert "sees_pictures is not True" in str(failed["street"])
    bench.pool.chat_model.sees_pictures = True
    assert bench.run(bench.prepare(street)) == {}
    assert all(len(request.pictures) == 1 for request in bench.pool.chat_model.asked)


def test_requests_without_pictures_have_the_keys_that_they_had() -> None:
    """The key is that of the program before there were pictures."""
    request = ChatRequest((("user", "a"),), 8, 0.0, 1.0, 7)
    assert request_key("model", request) == "9d192a29f63a2a19291b7325189cc8b6"
    keys = {request_key("model", replace(request, pictures=pictures)) for pictures in ((), ("data:a",), ("data:b",))}
    assert len(keys) == 3
