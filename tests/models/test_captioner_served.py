"""The served captioner against a scripted HTTP server."""

from __future__ import annotations

import base64
import io
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
import pytest
from PIL import Image as PillowImage
from pydantic import SecretStr

from lavad_core.config.models import OpenAICaptionerConfig
from lavad_core.errors import ModelError, RequestRejected, ServiceTimeout, ServiceUnavailable
from lavad_core.models.captioners.served import ServedCaptioner
from lavad_core.models.kinds import load_model
from lavad_core.models.protocols import Captioner, Image
from lavad_core.video.types import Geometry

Reply = tuple[int, dict[str, Any] | bytes]


class Script:
    """A server that answers as ``reply`` says and keeps what it was asked."""

    def __init__(self, reply: Callable[[dict[str, Any], int], Reply]) -> None:
        self.bodies: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        self.lock, script = threading.Lock(), self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with script.lock:
                    script.bodies.append(body)
                    script.keys.append(self.headers["Authorization"])
                    number = len(script.bodies)
                status, answer = reply(body, number)
                content = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
                with suppress(ConnectionError):  # the client need not wait for the answer
                    self.send_response(status)
                    self.send_header("Content-Length", str(len(content)))
                    self.end_headers()
                    self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()

    def stop(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def serve() -> Iterator[Callable[..., Script]]:
    scripts: list[Script] = []

    def start(reply: Callable[[dict[str, Any], int], Reply]) -> Script:
        scripts.append(Script(reply))
        return scripts[-1]

    yield start
    for script in scripts:
        script.stop()


@pytest.fixture
def caption_with() -> Iterator[Callable[..., list[str]]]:
    opened: list[ServedCaptioner] = []

    def caption(url: str, images: list[Image], **settings: Any) -> list[str]:
        settings = {"retries": 3, "max_backoff_s": 0.01, "timeout_s": 10.0, **settings}
        config = OpenAICaptionerConfig(model="some/vlm", base_url=url, **settings)
        opened.append(ServedCaptioner(config))
        return opened[-1].caption(images)

    yield caption
    for captioner in opened:
        captioner.close()


def said(text: str | None, reason: str = "stop") -> Reply:
    return 200, {"choices": [{"index": 0, "finish_reason": reason, "message": {"role": "assistant", "content": text}}]}


def picture_of(body: dict[str, Any]) -> np.ndarray[Any, Any]:
    url = body["messages"][0]["content"][0]["image_url"]["url"]
    head, _, data = url.partition(",")
    assert head == "data:image/jpeg;base64"
    with PillowImage.open(io.BytesIO(base64.b64decode(data))) as image:
        assert image.format == "JPEG"
        return np.asarray(image)


def grey(level: int) -> Image:
    return np.full((48, 64, 3), level, np.uint8)


def test_what_is_sent(serve: Callable[..., Script], caption_with: Callable[..., list[str]]) -> None:
    script = serve(lambda *_: said(" A quiet\nstreet. "))
    captions = caption_with(
        script.url, [grey(200)], prompt="What is this?", max_new_tokens=33, api_key=SecretStr("geheim")
    )
    assert captions == ["A quiet street."]
    (body,) = script.bodies
    assert np.abs(picture_of(body).astype(int) - 200).max() <= 1
    assert picture_of(body).shape == (48, 64, 3)
    assert body["messages"][0]["role"] == "user"
    assert body["messages"][0]["content"][1] == {"type": "text", "text": "What is this?"}
    sent = {key: value for key, value in body.items() if key != "messages"}
    assert sent == {"model": "some/vlm", "max_tokens": 33, "temperature": 0, "seed": 0}
    assert script.keys == ["Bearer geheim"]


def test_each_caption_belongs_to_its_picture(
    serve: Callable[..., Script], caption_with: Callable[..., list[str]]
) -> None:
    script = serve(lambda body, _: said(f"level {round(picture_of(body).mean())}"))
    levels = list(range(0, 250, 10))
    captions = caption_with(script.url, [grey(level) for level in levels], concurrency=4)
    assert captions == [f"level {level}" for level in levels]
    assert len(script.bodies) == len(levels)


def test_no_pictures(serve: Callable[..., Script], caption_with: Callable[..., list[str]]) -> None:
    script = serve(lambda *_: said("x"))
    assert caption_with(script.url, []) == []
    assert script.bodies == []


@pytest.mark.parametrize(
    ("reply", "caption"),
    [
        pytest.param(said("cut at the most tok", "length"), "cut at the most tok", id="length is an answer"),
        pytest.param(said("A man walks. He is tur", "length"), "A man walks.", id="half a sentence goes"),
        pytest.param(said("<think>A\nfight?</think>\n\nA man\nwalks."), "A man walks.", id="thought"),
        pytest.param(said("Okay, a fight?</think>A man walks."), "A man walks.", id="thought begun in the prompt"),
        pytest.param(said("<think>A fight", "length"), "", id="thought without an end"),
        pytest.param(said("A man hi", "content_filter"), "", id="content filter"),
        pytest.param((400, {"error": {"message": "no", "code": "content_filter"}}), "", id="content filter with 400"),
        pytest.param(said(""), "", id="empty"),
        pytest.param(said(None), "", id="null"),
    ],
)
def test_answers_that_count(
    serve: Callable[..., Script], caption_with: Callable[..., list[str]], reply: Reply, caption: str
) -> None:
    assert caption_with(serve(lambda *_: reply).url, [grey(1)]) == [caption]


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param(said("half a capt", "abort"), id="server stopping: 200 and abort"),
        pytest.param((200, {"choices": []}), id="no choice"),
        pytest.param((200, {"choices": [{"finish_reason": "stop", "message": {"content": [1]}}]}), id="not a text"),
        pytest.param((200, {"object": "list"}), id="another object"),
        pytest.param((200, b"<html>busy</html>"), id="HTML"),
        pytest.param((503, {"error": {"message": "busy"}}), id="503"),
        pytest.param((500, b"Internal Server Error"), id="500"),
    ],
)
class TestPassing:
    def test_is_asked_again(
        self, serve: Callable[..., Script], caption_with: Callable[..., list[str]], bad: Reply
    ) -> None:
        script = serve(lambda _, number: bad if number <= 2 else said("a van"))
        assert caption_with(script.url, [grey(1)]) == ["a van"]
        assert len(script.bodies) == 3

    def test_is_an_error_in_the_end(
        self, serve: Callable[..., Script], caption_with: Callable[..., list[str]], bad: Reply
    ) -> None:
        script = serve(lambda *_: bad)
        with pytest.raises(ServiceUnavailable):
            caption_with(script.url, [grey(1)], retries=2)
        assert len(script.bodies) == 3


@pytest.mark.parametrize(
    ("reply", "error", "asked"),
    [
        # 2: a picture that shows nothing, to see whether it is the picture that is refused
        pytest.param((400, {"error": {"message": "no", "type": "BadRequestError"}}), RequestRejected, 2, id="400"),
        pytest.param((400, {"error": {"message": "no", "param": "seed"}}), RequestRejected, 1, id="a parameter"),
        pytest.param(
            (404, {"error": {"message": "no `x`", "type": "NotFoundError", "param": "model"}}),
            ModelError,
            1,
            id="no model",
        ),
        pytest.param((401, {"error": "Unauthorized"}), RequestRejected, 1, id="key"),
    ],
)
def test_refusals_are_not_retried(
    serve: Callable[..., Script],
    caption_with: Callable[..., list[str]],
    reply: Reply,
    error: type[Exception],
    asked: int,
) -> None:
    script = serve(lambda *_: reply)
    with pytest.raises(error):
        caption_with(script.url, [grey(1)])
    assert len(script.bodies) == asked


def test_one_picture_that_is_refused_in_plain_words_has_no_caption(
    serve: Callable[..., Script], caption_with: Callable[..., list[str]]
) -> None:
    def reply(body: dict[str, Any], _: int) -> Reply:
        return said("a van") if picture_of(body).mean() > 100 else (400, {"error": {"message": "Content Exists Risk"}})

    script = serve(reply)
    assert caption_with(script.url, [grey(200), grey(1), grey(210)], concurrency=1) == ["a van", "", "a van"]
    assert len(script.bodies) == 4


def test_silence_ends(serve: Callable[..., Script], caption_with: Callable[..., list[str]]) -> None:
    gone = threading.Event()

    def wait(*_: object) -> Reply:
        gone.wait(5)
        return said("late")

    script = serve(wait)
    try:
        with pytest.raises(ServiceTimeout):
            caption_with(script.url, [grey(1)], timeout_s=0.2, retries=0)
    finally:
        gone.set()


def test_is_a_captioner_of_its_configured_geometry() -> None:
    config = OpenAICaptionerConfig(model="m", image_side=300)
    captioner = load_model(config, random_folder=lambda name: pytest.fail(f"asked for {name}"))
    try:
        assert isinstance(captioner, Captioner)
        assert captioner.geometry == Geometry("short_side", 300)
    finally:
        captioner.close()


def test_extra_fields_go_with_each_request_and_do_not_replace_ours(
    serve: Callable[..., Script], caption_with: Callable[..., list[str]]
) -> None:
    script = serve(lambda *_: said("a van"))
    extra = {"chat_template_kwargs": {"enable_thinking": False}, "min_p": 0.1}
    caption_with(script.url, [grey(1)], extra_body=extra)
    assert extra.items() <= script.bodies[0].items()
    assert script.bodies[0]["temperature"] == 0


def test_a_caption_longer_than_its_tokens_can_be(
    serve: Callable[..., Script], caption_with: Callable[..., list[str]]
) -> None:
    script = serve(lambda *_: said("a van " * 900_000))
    with pytest.raises(RequestRejected, match=r"an answer of 5400000 characters, where 40 tokens were asked for"):
        caption_with(script.url, [grey(1)])
    assert len(script.bodies) == 1


def test_a_server_that_knows_the_newer_name_of_max_tokens_alone(
    serve: Callable[..., Script], caption_with: Callable[..., list[str]]
) -> None:
    def reply(body: dict[str, Any], number: int) -> Reply:
        if "max_tokens" in body:
            return 400, {"error": {"message": "no", "param": "max_tokens", "code": "unsupported_parameter"}}
        return said(f"{body['max_completion_tokens']} tokens")

    script = serve(reply)
    assert caption_with(script.url, [grey(1)] * 4, concurrency=1) == ["40 tokens"] * 4
    assert len(script.bodies) == 5
