"""What is shown never holds what is computed: the channel drops, counts and says."""

from __future__ import annotations

import threading
from contextlib import ExitStack, nullcontext
from typing import Any

import pytest

from lavad.tasks import channel as channel_module
from lavad.tasks.channel import MAX_WAITING, Channel


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> object:
    made = nullcontext(object())
    monkeypatch.setattr(channel_module, "get_client", lambda **given: made)
    return made.enter_result


def test_what_is_put_is_sent_in_order_and_with_a_client_of_its_own(client: object) -> None:
    sent: list[tuple[str, Any]] = []
    shown = Channel()
    for name in "abc":
        shown.put(name, lambda given, name=name: sent.append((name, given)))
    shown.close()
    assert sent == [("a", client), ("b", client), ("c", client)]
    assert shown.all_shown


def test_the_client_is_closed_when_the_channel_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise its socket is left to the garbage collector."""
    closed: list[str] = []
    made = ExitStack()
    made.callback(closed.append, "closed")
    monkeypatch.setattr(channel_module, "get_client", lambda **given: made)
    shown = Channel()
    shown.put("a", lambda _: closed.append("sent"))
    shown.close()
    assert closed == ["sent", "closed"]


def test_only_the_latest_of_a_name_waits(client: object) -> None:
    sent: list[int] = []
    free = threading.Event()
    shown = Channel()
    shown.put("first", lambda _: free.wait(10))
    for number in range(500):
        shown.put("bar", lambda _, number=number: sent.append(number))
    free.set()
    shown.close()
    assert sent[-1] == 499
    assert len(sent) <= 2


def test_a_server_that_hangs_holds_nobody(client: object, caplog: pytest.LogCaptureFixture) -> None:
    hang, answered = threading.Event(), []
    shown = Channel()
    for number in range(MAX_WAITING + 5):
        shown.put(f"artifact {number}", lambda _: answered.append(hang.wait(60)))
    shown.close(0.05)
    assert answered == []
    hang.set()
    assert not shown.all_shown
    assert "not shown in Prefect: " in caplog.text
    assert "artifact 54" in caplog.text


def test_what_fails_is_said_once_and_what_succeeds_later_is_not(
    client: object, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(_: Any) -> None:
        raise ConnectionError("gone \x1b[31m")

    shown = Channel()
    shown.put("bar", broken)
    shown.put("table", broken)
    shown.close()
    assert caplog.text.count("not shown in Prefect: bar, table (ConnectionError: gone") == 1
    assert "\x1b" not in caplog.text
    again = Channel()
    again.close()
    assert again.all_shown
