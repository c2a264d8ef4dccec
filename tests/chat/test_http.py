"""The client against a scripted server: what is retried, what is not, what is bounded, what stays secret."""

from __future__ import annotations

import dataclasses
import gc
import logging
import os
import pickle
import re
import socket
import threading
import tracemalloc
from collections.abc import Awaitable, Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
import tenacity
from pydantic import SecretStr
from support.scripted_server import BUSY, DEAD, NO_MODEL, TOO_LONG, Reply, ScriptedServer, Seen, chat_body, scripted

from lavad_core.errors import ConfigError, ModelError, RequestRejected, ServiceError, ServiceTimeout, ServiceUnavailable
from lavad_core.models.chat import http, one_server
from lavad_core.models.chat.http import Call, JsonPool, Post

GOOD = Reply(body={"said": "yes"})
HTML = b"<html><body>502 upstream</body></html>"


def pool_of(server: ScriptedServer | str, **settings: Any) -> JsonPool:
    url = server if isinstance(server, str) else server.base_url
    given = {"concurrency": 8, "timeout_s": 5.0, "retries": 3, "max_backoff_s": 0.01, **settings}
    return JsonPool(url, given.pop("api_key", None), **given)


def ask(server: ScriptedServer, **settings: Any) -> dict[str, Any]:
    pool = pool_of(server, **settings)
    try:
        return pool.ask("POST", Call("x", {"question": 1}))
    finally:
        pool.close()


def posted(pool: JsonPool, calls: Iterable[Call]) -> Iterator[tuple[int, dict[str, Any]]]:
    def job(call: Call) -> Callable[[Post], Awaitable[dict[str, Any]]]:
        return lambda post: post(call)

    return pool.run(job(call) for call in calls)


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds to wait before each further try; nothing is waited."""
    asked: list[float] = []
    delay_s = JsonPool._delay_s

    def recorded(pool: JsonPool, state: tenacity.RetryCallState) -> float:
        asked.append(delay_s(pool, state))
        return 0.0

    monkeypatch.setattr(JsonPool, "_delay_s", recorded)
    return asked


PASSES = [
    pytest.param(Reply(429, BUSY), "429", id="429"),
    pytest.param(Reply(408, BUSY), "408", id="408"),
    pytest.param(Reply(409, BUSY), "409", id="409"),
    pytest.param(Reply(425, BUSY), "425", id="425"),
    pytest.param(Reply(503, BUSY), "503 The engine is currently busy", id="503"),
    pytest.param(Reply(500, DEAD), "500 EngineCore encountered an issue", id="500"),
    pytest.param(Reply(502, HTML, content_type="text/html"), "502 <html>", id="502-html"),
    pytest.param(Reply(200, HTML, content_type="text/html"), "not a JSON object: <html>", id="200-html"),
    pytest.param(Reply(200, b'{"said": "y'), "not a JSON object", id="200-cut-json"),
    pytest.param(Reply(200, b'{"said": "yes"}', cut=4), "server up", id="closed-within-the-body"),
    pytest.param(Reply(200, b""), r"\(empty\)", id="200-empty"),
    pytest.param(Reply(200, b"[1, 2]"), "not a JSON object", id="200-list"),
    pytest.param(Reply(200, b"[" * 100_000), "not a JSON object", id="200-nested-100000-deep"),
    pytest.param(Reply(200, b'{"a": "\xff\xfe"}'), "not a JSON object", id="200-not-utf8"),
    pytest.param(Reply(200, b"xx", headers={"Content-Encoding": "gzip"}), "server up", id="200-bad-gzip"),
    pytest.param(Reply(reset=True), "server up", id="reset"),
]


@pytest.mark.parametrize(("reply", "word"), PASSES)
def test_what_may_pass_is_tried_again(reply: Reply, word: str) -> None:
    with scripted(reply, reply, GOOD) as server:
        assert ask(server) == {"said": "yes"}
        assert len(server.seen) == 3


@pytest.mark.parametrize(("reply", "word"), PASSES)
def test_what_does_not_pass_is_an_error_in_the_end(reply: Reply, word: str) -> None:
    with scripted(reply) as server, pytest.raises(ServiceUnavailable, match=word):
        ask(server, retries=2)
    assert len(server.seen) == 3


@pytest.mark.parametrize(
    ("reply", "error", "word"),
    [
        pytest.param(
            Reply(400, TOO_LONG), RequestRejected, "400 This model's maximum context length", id="400-too-long"
        ),
        pytest.param(Reply(401, {"error": "Unauthorized"}), RequestRejected, "key is read from api_key", id="401"),
        pytest.param(Reply(403, b""), RequestRejected, "key is read from api_key", id="403"),
        pytest.param(Reply(404, NO_MODEL), ModelError, "Valid aliases: tiny", id="404-model"),
        pytest.param(Reply(404, {"detail": "Not Found"}), RequestRejected, "including /v1", id="404-path"),
        pytest.param(Reply(422, {"detail": [{"loc": ["body"]}]}), RequestRejected, "422", id="422"),
        pytest.param(Reply(307, b"", headers={"Location": "/y"}), RequestRejected, "redirects", id="307"),
    ],
)
def test_a_refusal_is_not_tried_again(reply: Reply, error: type[Exception], word: str) -> None:
    with scripted(reply) as server, pytest.raises(error, match=word) as caught:
        ask(server)
    assert len(server.seen) == 1
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_no_server_is_an_error_that_says_where() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        pool = pool_of(f"http://127.0.0.1:{closed.getsockname()[1]}/v1", retries=1)
        with pytest.raises(ServiceUnavailable, match=r"GET http://127\.0\.0\.1:\d+/v1/models: .*base_url"):
            pool.ask("GET", Call("models", {}))
        pool.close()


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(Reply(body={}, delay_s=30), id="slow-first-byte"),
        pytest.param(Reply(body={"a": "b" * 1000}, trickle_s=0.05), id="slow-trickle"),
    ],
)
def test_the_time_limit_is_of_the_whole_request(reply: Reply, waits: list[float]) -> None:
    with scripted(reply) as server, pytest.raises(ServiceTimeout, match=r"within 0\.3 s \(timeout_s\)"):
        ask(server, timeout_s=0.3, retries=1)
    assert len(waits) == 2, "one behind each try"


def test_an_endless_answer_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(one_server, "MAX_ANSWER_BYTES", 10_000)
    with scripted(Reply(body={"a": "b" * 20_000})) as server, pytest.raises(ServiceUnavailable, match="10000 bytes"):
        ask(server, retries=0)


def test_backoff_doubles_up_to_the_cap(waits: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http.random, "uniform", lambda low, high: high)
    monkeypatch.setattr(http, "FIRST_BACKOFF_S", 0.05)
    with scripted(Reply(503, BUSY)) as server, pytest.raises(ServiceUnavailable):
        ask(server, retries=4, max_backoff_s=0.2)
    assert waits == pytest.approx([0.05, 0.1, 0.2, 0.2, 0.2])  # tenacity asks behind the last try too


OWN_S = 0.5
"""The wait of our own, where a server asks for none."""


@pytest.mark.parametrize(
    ("header", "waited_s"),
    [
        pytest.param(lambda: "10", 10.0, id="seconds"),
        pytest.param(lambda: "3600", 15.0, id="an-hour-is-cut-to-the-cap"),
        pytest.param(lambda: format_datetime(datetime.now(UTC) + timedelta(hours=1)), 15.0, id="date"),
        pytest.param(lambda: format_datetime(datetime.now(UTC) - timedelta(hours=1)), OWN_S, id="past-date"),
        pytest.param(lambda: "soon", OWN_S, id="nonsense"),
        pytest.param(lambda: "-5", OWN_S, id="negative"),
        pytest.param(lambda: "9" * 400, 15.0, id="beyond-every-number"),
    ],
)
def test_retry_after_is_honoured_up_to_the_cap(
    header: Callable[[], str], waited_s: float, waits: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http.random, "uniform", lambda low, high: high)
    monkeypatch.setattr(http, "FIRST_BACKOFF_S", OWN_S)
    with scripted(Reply(429, BUSY, headers={"Retry-After": header()}), GOOD) as server:
        ask(server, max_backoff_s=15.0)
    assert waits == [waited_s]


def numbered(seen: Seen) -> Reply:
    return Reply(body={"number": seen.body["number"]})


def test_every_call_is_answered_once_and_concurrency_is_bounded() -> None:
    def full() -> bool:
        return server.most_at_once >= 8

    with scripted(script=lambda seen: dataclasses.replace(numbered(seen), until=full)) as server:
        pool = pool_of(server, concurrency=8, timeout_s=60)
        answers = list(posted(pool, (Call("x", {"number": number}) for number in range(200))))
        pool.close()
        assert sorted(number for number, _ in answers) == list(range(200))
        assert all(answer == {"number": number} for number, answer in answers)
        assert server.most_at_once == 8


def test_what_threads_ask_has_no_more_connections_than_are_configured() -> None:
    with scripted(script=lambda seen: dataclasses.replace(numbered(seen), delay_s=0.01)) as server:
        pool = pool_of(server, concurrency=3, timeout_s=60)
        with ThreadPoolExecutor(16) as threads:
            answers = list(threads.map(lambda number: pool.ask("POST", Call("x", {"number": number})), range(48)))
        pool.close()
    assert [answer["number"] for answer in answers] == list(range(48))
    assert server.most_at_once == 3


def test_calls_are_read_only_as_results_are_taken() -> None:
    read = 0

    def calls() -> Iterator[Call]:
        nonlocal read
        for read in range(1, 10**9):
            yield Call("x", {"number": read})

    with scripted(script=numbered) as server:
        pool = pool_of(server, concurrency=4)
        answers = posted(pool, calls())
        for taken in range(1, 101):
            next(answers)
            assert read <= taken + 2 * 4
        answers.close()  # type: ignore[attr-defined]
        pool.close()


def test_memory_does_not_grow_with_the_number_of_calls() -> None:
    with scripted(script=lambda seen: Reply(body={"text": "x" * 50_000})) as server:
        pool = pool_of(server, concurrency=4)
        pool.ask("POST", Call("x", {}))
        sizes = []
        tracemalloc.start()
        try:
            for number, _ in posted(pool, (Call("x", {"text": "y" * 50_000}) for _ in range(160))):
                server.seen.clear()
                if number in (40, 140):
                    gc.collect()
                    sizes.append(tracemalloc.get_traced_memory()[0])
        finally:
            tracemalloc.stop()
            pool.close()
    assert sizes[1] - sizes[0] < 2_000_000  # the 100 calls between hold 10 MB


def test_what_came_before_a_failure_is_yielded() -> None:
    def script(seen: Seen) -> Reply:
        if seen.body["number"] == 50:
            return Reply(400, TOO_LONG)
        return Reply(body={"number": seen.body["number"]})

    with scripted(script=script) as server:
        pool = pool_of(server, concurrency=4)
        answers: dict[int, dict[str, Any]] = {}
        with pytest.raises(RequestRejected, match="maximum context length"):
            answers.update(posted(pool, (Call("x", {"number": number}) for number in range(1000))))
        assert set(answers) >= set(range(40))
        assert len(server.seen) < 70
        assert pool.ask("POST", Call("x", {"number": 1})) == {"number": 1}
        pool.close()


def test_closing_abandons_what_is_in_flight() -> None:
    with scripted(script=lambda seen: Reply(body={}, delay_s=0.0 if seen.body["number"] == 0 else 60)) as server:
        pool = pool_of(server, concurrency=4, timeout_s=3600)
        answers = posted(pool, (Call("x", {"number": number}) for number in range(8)))
        assert next(answers) == (0, {})
        answers.close()  # type: ignore[attr-defined]
        pool.close()
        assert server.answered <= 1, "closing waited for the answers"


def test_an_answer_that_its_check_refuses_is_tried_again() -> None:
    attempts = []

    def check(answer: dict[str, Any], attempt: int, last: int) -> None:
        attempts.append((attempt, last))
        if attempt < 3:
            raise ServiceUnavailable("half an answer")

    with scripted(GOOD) as server:
        pool = pool_of(server, retries=5)
        assert list(posted(pool, [Call("x", {}, check)])) == [(0, {"said": "yes"})]
        pool.close()
    assert attempts == [(1, 6), (2, 6), (3, 6)]


def test_paths_below_the_root() -> None:
    with scripted(GOOD) as server:
        pool = pool_of(server.base_url + "/")
        pool.ask("POST", Call("tokenize", {}, at_root=True))
        pool.ask("POST", Call("chat/completions", {}))
        pool.close()
        assert [seen.path for seen in server.seen] == ["/tokenize", "/v1/chat/completions"]


@pytest.mark.parametrize(
    "url",
    [
        pytest.param("127.0.0.1:8000/v1", id="no-scheme"),
        pytest.param("ftp://host/v1", id="other-scheme"),
        pytest.param("http:///v1", id="no-host"),
        pytest.param("http://me:hunter2@host:port/v1", id="bad-port"),
        pytest.param("http://host/v1?key=hunter2", id="query"),
        pytest.param("http://host/v1\n", id="control-character"),
        pytest.param("", id="empty"),
    ],
)
def test_an_address_that_is_none(url: str) -> None:
    with pytest.raises(ConfigError, match="base_url") as caught:
        pool_of(url)
    assert "hunter2" not in str(caught.value)


def test_a_key_with_a_line_break_is_sent_without_it() -> None:
    with scripted(Reply(200, {"x": 1})) as server:
        pool = pool_of(server, api_key=SecretStr("sk-hunter2\n"), retries=0)  # as mounted secrets end
        pool.ask("POST", Call("x", {}))
        pool.close()
        assert server.seen[0].headers["authorization"] == "Bearer sk-hunter2"


@pytest.mark.parametrize("key", ["sk-hun\nter2", "sk-huntér2", "sk-hunter2\x00x"])
def test_a_key_that_no_header_can_hold_is_refused_and_not_shown(key: str) -> None:
    with pytest.raises(ConfigError, match=r"chat\.api_key has characters") as caught:
        JsonPool(
            "http://127.0.0.1:9/v1", SecretStr(key), concurrency=1, timeout_s=1, retries=0, max_backoff_s=0,
            key_setting="chat.api_key",
        )  # fmt: skip
    assert "hun" not in str(caught.value)


def test_secrets_are_sent_but_never_shown(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    words = {"error": {"message": "Incorrect API key provided: sk-hunter2\x1b[31m", "type": "invalid_request_error"}}
    shown = []
    for status in (401, 500):
        with scripted(Reply(status, words)) as server:
            pool = pool_of(server, api_key=SecretStr("sk-hunter2"), retries=0, key_setting="chat.api_key")
            with pytest.raises((RequestRejected, ServiceError)) as caught:
                pool.ask("POST", Call("x", {}))
            shown += [str(caught.value), repr(caught.value), repr(pool), repr(vars(caught.value))]
            pool.close()
            assert server.seen[0].headers["authorization"] == "Bearer sk-hunter2"
    with scripted(Reply(401, {"error": {"message": "no hunter2 here, and no bWU6aHVudGVyMg=="}})) as server:
        pool = pool_of(server.base_url.replace("http://", "http://me:hunter2@"), retries=0)
        with pytest.raises(RequestRejected) as caught:
            pool.ask("POST", Call("x", {}))
        shown += [str(caught.value), pool.shown_url]
        pool.close()
        assert server.seen[0].headers["authorization"].startswith("Basic ")
    everything = "\n".join([*shown, caplog.text])
    assert "hunter2" not in everything
    assert "bWU6aHVudGVyMg" not in everything, "user and password as they are sent"
    assert "\x1b" not in everything
    assert "chat.api_key" in everything
    assert re.search(r"Incorrect API key provided: \*{10}\\x1b", everything)


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")  # that is the point
def test_a_forked_child_has_a_loop_of_its_own() -> None:
    with scripted(GOOD) as server:
        ask(server)
        child = os.fork()
        if child == 0:
            os._exit(0 if ask(server) == {"said": "yes"} else 1)
        assert os.waitpid(child, 0)[1] == 0


def test_many_pools_share_one_thread() -> None:
    with scripted(GOOD) as server:
        for _ in range(5):
            ask(server)
    assert [thread.name for thread in threading.enumerate()].count("lavad-http") == 1


def test_a_lone_surrogate_is_the_servers_to_refuse() -> None:
    with scripted(Reply(body=chat_body("ok"))) as server:
        pool = pool_of(server)
        pool.ask("POST", Call("x", {"text": "caf\udce9"}))
        pool.close()
        assert server.seen[0].body == {"text": "caf\udce9"}


@pytest.mark.parametrize("proxy", ["gopher://u:hunter2@host:1", "http://u:hunter2@[::1"])
def test_a_proxy_that_cannot_be_used_is_a_fault_of_the_environment(proxy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", proxy)
    with pytest.raises(ConfigError, match=r"http://gpu-box:1/v1 .*proxies of the environment") as caught:
        pool_of("http://gpu-box:1/v1")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "localhost", "box.localhost", "[::1]", "0.0.0.0"])
def test_no_proxy_is_asked_for_this_machine(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:9")
    pool_of(f"http://{host}:1/v1").close()
