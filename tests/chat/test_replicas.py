"""Several servers of one model: who is asked, what a dead one does to a run (nothing), and that all are the same model."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
from support.scripted_server import BUSY, DEAD, MODELS, NO_MODEL, Reply, ScriptedServer, Seen, chat_body, scripted

from lavad_core.config.models import VllmChatConfig
from lavad_core.errors import ModelError, ServiceError
from lavad_core.models.chat import replicas
from lavad_core.models.chat.openai_server import ServedChat
from lavad_core.models.protocols import ChatRequest
from lavad_core.models.served.several import meet_all

VIDEOS = [f"video {number}" for number in range(24)]
GONE = Reply(reset=True)


def requests(count: int, about: str = "a dog") -> list[ChatRequest]:
    return [ChatRequest((("user", f"{about} and {number} cars"),), 50, 0.6, 0.9, number) for number in range(count)]


class Script:
    """A server's replies; ``fault`` is sent in their place while it is set, also to what asks for its models."""

    def __init__(self, *, answer: str = "fine.", count: int = 20) -> None:
        self.answer, self.count = answer, count
        self.fault: Reply | None = None
        self.good: int | None = None  # chat answers before the fault
        self.server: ScriptedServer

    def __call__(self, seen: Seen) -> Reply:
        if self.good is not None and self.about_cars(seen):
            self.good -= 1
            if self.good < 0:
                self.fault, self.server.models = GONE, GONE
        if self.fault is not None:
            return self.fault
        if seen.path == "/tokenize":
            return Reply(body={"count": self.count + len(str(seen.body["messages"]))})
        if seen.path == "/v1/chat/completions":
            return Reply(body=chat_body(self.answer))
        return Reply(404, {"detail": "Not Found"})

    def set(self, fault: Reply | None) -> None:
        self.fault, self.server.models = fault, fault or Reply(body=MODELS)

    @staticmethod
    def about_cars(seen: Seen) -> bool:
        return seen.path == "/v1/chat/completions" and "cars" in str(seen.body)

    @property
    def asked(self) -> list[str]:
        """The questions of requests, in order."""
        return [seen.body["messages"][-1]["content"] for seen in self.server.seen if self.about_cars(seen)]


@contextmanager
def serving(*scripts: Script) -> Iterator[list[str]]:
    """The addresses of servers."""
    with ExitStack() as stack:
        for script in scripts:
            script.server = stack.enter_context(scripted(script=script))
        yield [script.server.base_url for script in scripts]


def config(addresses: Any, **settings: Any) -> VllmChatConfig:
    given = {
        "model": "tiny",
        "retries": 2,
        "max_backoff_s": 0.01,
        "timeout_s": 5.0,
        "concurrency": 4,
        "tokenizer": None,
    }
    return VllmChatConfig(**{**given, "base_url": addresses, **settings})


@contextmanager
def chat(addresses: Any, **settings: Any) -> Iterator[ServedChat]:
    model = ServedChat(config(addresses, **settings))
    try:
        yield model
    finally:
        model.close()


def answered(model: ServedChat, wanted: list[ChatRequest], together: str) -> int:
    numbers = [number for number, _ in model.answer(wanted, together)]
    assert sorted(numbers) == list(range(len(wanted)))
    return len(numbers)


def home(model: ServedChat, scripts: list[Script], script: Script) -> str:
    """A video whose requests go to this server."""
    for video in VIDEOS:
        answered(model, requests(1, video), video)
        if any(video in text for text in script.asked):
            return video
    pytest.fail("no video has this server")


def test_the_requests_of_a_video_stay_together_and_videos_are_spread() -> None:
    scripts = [Script(), Script()]
    with serving(*scripts) as addresses, chat(addresses) as model:
        for video in VIDEOS:
            answered(model, requests(5, video), video)
        for script in scripts:
            per_video = Counter(text.partition(" and ")[0] for text in script.asked)
            assert 4 <= len(per_video) <= 20
            assert set(per_video.values()) == {5}


def test_a_server_that_dies_in_the_middle_loses_nothing_and_nothing_is_asked_twice_that_was_answered(
    caplog: pytest.LogCaptureFixture,
) -> None:
    first, second = scripts = [Script(), Script()]
    with serving(*scripts) as addresses, chat(addresses, retries=0) as model:
        video = home(model, scripts, first)
        first.good = 10
        before = len(first.asked)
        answered(model, requests(60), video)
        assert len(first.asked) > before + 10, "none of its requests failed"
        by_first = set(first.asked[before : before + 10])
        assert by_first.isdisjoint(second.asked)
        assert Counter(text for text in second.asked if text.startswith("a dog")).most_common(1)[0][1] == 1
    assert [words.startswith(f"{addresses[0]} is left out") for words in said(caplog)] == [True]


FAULTS = [
    pytest.param(GONE, id="reset"),
    pytest.param(Reply(500, DEAD), id="500"),
    pytest.param(Reply(503, BUSY), id="503"),
    pytest.param(Reply(200, b"<html>"), id="not-json"),
    pytest.param(Reply(body={}, delay_s=60), id="hangs"),
    pytest.param(Reply(404, NO_MODEL), id="has-another-model"),
]


@pytest.mark.parametrize("fault", FAULTS)
def test_without_one_try_more_the_other_is_asked(fault: Reply) -> None:
    first, second = scripts = [Script(), Script()]
    with serving(*scripts) as addresses, chat(addresses, retries=0, timeout_s=0.5) as model:
        video = home(model, scripts, first)
        first.set(fault)
        answered(model, requests(6), video)
        assert len([text for text in second.asked if text.startswith("a dog")]) == 6


@pytest.mark.parametrize(
    "absent",
    [
        pytest.param(Reply(501, {"error": {"message": "no such thing"}}), id="501"),
        pytest.param(Reply(404, NO_MODEL), id="404, as of a model"),
    ],
)
def test_servers_without_an_endpoint_that_they_need_not_have_stay_up(
    absent: Reply, caplog: pytest.LogCaptureFixture
) -> None:
    scripts = [Script(), Script()]
    with serving(*scripts) as addresses, chat(addresses) as model:
        for script in scripts:
            script.server.script = lambda seen, own=script: absent if seen.path == "/tokenize" else own(seen)  # type: ignore[misc]
        assert model.count_tokens((("user", "hello there"),)) == 20
        answered(model, requests(4), VIDEOS[0])
    assert [words.partition(",")[0] for words in said(caplog)] == ["token counts of 'tiny' are estimates"]


def test_a_server_that_asks_for_patience_is_given_it() -> None:
    first, second = scripts = [Script(), Script()]
    with serving(*scripts) as addresses, chat(addresses) as model:
        video = home(model, scripts, first)
        before = len(second.asked)
        first.fault = Reply(429, BUSY)
        with pytest.raises(ServiceError, match="429"):
            answered(model, requests(1), video)
        assert len(second.asked) == before


def test_back_again_it_has_its_videos_again(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(replicas, "DOWN_S", 0.0)
    first, second = scripts = [Script(), Script()]
    with serving(*scripts) as addresses, chat(addresses) as model:
        video = home(model, scripts, first)
        first.set(GONE)
        answered(model, requests(3), video)
        first.set(None)
        before, deadline = len(first.asked), time.monotonic() + 30
        while len(first.asked) == before and time.monotonic() < deadline:
            answered(model, requests(1, "again"), video)
        there = len(second.asked)
        answered(model, requests(8, "later"), video)
        assert len(second.asked) == there
    assert f"{addresses[0]} answers again" in said(caplog)


def test_only_without_any_is_it_an_error() -> None:
    scripts = [Script(), Script()]
    with serving(*scripts) as addresses, chat(addresses) as model:
        answered(model, requests(1), "a")
        for script in scripts:
            script.set(GONE)
        with pytest.raises(ServiceError):
            answered(model, requests(1, "b"), "a")
        scripts[1].set(None)
        answered(model, requests(1, "c"), "a")


def test_one_that_is_down_at_the_start_is_looked_at_when_it_answers(caplog: pytest.LogCaptureFixture) -> None:
    first, second = scripts = [Script(), Script()]
    with serving(*scripts) as addresses:
        first.set(GONE)
        with chat(addresses) as model:
            answered(model, requests(4), VIDEOS[0])
            assert not first.asked
            first.set(None)
            second.set(GONE)
            answered(model, requests(4), VIDEOS[0])
            paths = [(seen.path, Script.about_cars(seen)) for seen in first.server.seen]
    cars = paths.index(("/v1/chat/completions", True))
    assert ("/tokenize", False) in paths[:cars], "it was asked before it was looked at"
    assert any(words.startswith(f"{addresses[0]} is left out") for words in said(caplog))


def said(caplog: pytest.LogCaptureFixture, level: int = logging.WARNING) -> list[str]:
    """What the program told, not the scripted server's loop."""
    return [one.message for one in caplog.records if one.name.startswith("lavad_core") and one.levelno >= level]


def served(**row: Any) -> Reply:
    return Reply(body={"data": [{**MODELS["data"][0], **row}]})  # type: ignore[index]


OTHERS: list[Any] = [
    pytest.param(Script(), served(root="/models/other"), r"it serves '/models/other', and the other '/models/l", id="root"),
    pytest.param(Script(answer="odd."), None, "it answers a fixed question with 'odd.'.*on_change=accept", id="answer"),
    pytest.param(Script(), served(root="/models/llama", max_model_len=512), "context is 512 tokens.*2048", id="context"),
    pytest.param(Script(count=21), None, r"prompts have .* tokens there", id="tokenizer"),
    pytest.param(Script(), served(id="someone/else"), "does not serve the model 'tiny'; it serves 'someone/else'", id="name"),
]  # fmt: skip


def alike(*scripts: Script) -> None:
    for script in scripts:
        script.server.models = served(root="/models/llama")


@pytest.mark.parametrize(("other", "listed", "says"), OTHERS)
@pytest.mark.parametrize("place", [0, 2], ids=["first", "last"])
def test_another_model_is_an_error_that_names_its_server(
    other: Script, listed: Reply | None, says: str, place: int
) -> None:
    scripts = [Script(), Script()]
    scripts.insert(place, other)
    with serving(*scripts) as addresses:
        alike(*scripts)
        other.server.models = listed or other.server.models
        for look in (meet_all, lambda section: ServedChat(section)):
            with pytest.raises(ModelError, match=says) as caught:
                look(config(addresses))
            assert str(caught.value).startswith(addresses[place])
        other.server.models = served(root="/elsewhere/llama")
        if other.answer == "odd.":
            assert meet_all(config(addresses, on_change="accept")).facts.root


@pytest.mark.parametrize("refusing", [1, 2], ids=["one", "all"])
@pytest.mark.parametrize("version", [{}, {"version": "0.12.0"}], ids=["says nothing else", "says its version"])
def test_a_refused_key_is_said_as_such(refusing: int, version: dict[str, str]) -> None:
    no_key = Reply(401, {"error": "Unauthorized"})
    scripts = [Script(), Script()]
    with serving(*scripts) as addresses:
        alike(*scripts)
        for script in scripts[2 - refusing :]:
            script.server.models = no_key
            script.server.script = lambda seen: Reply(body=version) if version and seen.path == "/version" else no_key
        for look in (meet_all, lambda section: ServedChat(section)):
            with pytest.raises(ModelError, match=r"/v1 refuses the key: .* 401 Unauthorized") as caught:
                look(config(addresses))
            assert str(caught.value).startswith(addresses[2 - refusing])


@pytest.mark.parametrize(("other", "listed", "says"), OTHERS)
def test_another_model_that_comes_up_later_is_never_asked(
    other: Script, listed: Reply | None, says: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replicas, "DOWN_S", 0.0)
    good = Script()
    with serving(good, other) as addresses:
        alike(good)
        other.set(GONE)
        with chat(addresses) as model:
            answered(model, requests(4), VIDEOS[0])
            other.set(None)
            alike(other)
            other.server.models = listed or other.server.models
            deadline = time.monotonic() + 30
            while not said(caplog, logging.ERROR):
                assert time.monotonic() < deadline
                for video in VIDEOS:
                    answered(model, requests(1), video)
            good.set(GONE)
            with pytest.raises(ServiceError):
                answered(model, requests(4), VIDEOS[0])
        assert not other.asked
    assert said(caplog, logging.ERROR)[0].startswith(f"{addresses[1]} is not asked: {addresses[1]}")


def test_each_server_has_the_concurrency_that_is_configured() -> None:
    scripts = [Script(), Script()]

    def full(script: Script) -> Callable[[Seen], Reply]:
        def reply(seen: Seen) -> Reply:
            found = script(seen)
            found.until = (lambda: script.server.most_at_once >= 4) if Script.about_cars(seen) else None
            return found

        return reply

    with serving(*scripts) as addresses, chat(addresses, timeout_s=60) as model:
        videos = [home(model, scripts, script) for script in scripts]
        for script in scripts:
            script.server.script = full(script)
        for video in videos:
            answered(model, requests(40), video)
        assert [script.server.most_at_once for script in scripts] == [4, 4]
