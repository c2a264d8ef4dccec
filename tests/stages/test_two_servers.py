"""Two servers of one chat model under a run: the same bytes as with one, and each video's requests at one of them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

from support.counting_server import CountingServer
from support.fake_models import FakePool
from support.scripted_server import Reply, ScriptedServer, scripted
from support.served import config_of
from support.whole_runs import tree

from lavad_core.models.chat.openai_server import ServedChat
from lavad_core.video.types import VideoSource

CHAT = "/v1/chat/completions"


def asked(server: ScriptedServer) -> int:
    return sum(seen.path == CHAT and "left after" in str(seen.body["messages"]) for seen in server.seen)


def scores(make_bench: Callable[..., Any], street: VideoSource, store: Path, servers: list[ScriptedServer]) -> Any:
    """The files of a store that a run with these servers fills."""
    addresses = [server.base_url for server in servers]
    config = config_of(servers[0], base_url=addresses[0] if len(addresses) == 1 else tuple(addresses), tokenizer=None)
    with closing(ServedChat(config)) as model:
        pool = FakePool()
        pool.chat_model = model  # type: ignore[assignment]
        with closing(make_bench(pool, store=store, chat=config.model_dump(exclude={"api_key"}))) as bench:
            assert bench.run(bench.prepare(street)) == {}
    return tree(store)


def test_one_server_two_servers_and_two_of_which_one_dies(
    make_bench: Callable[..., Any], street: VideoSource, tmp_path: Path
) -> None:
    with ExitStack() as stack:
        one, two, three = (stack.enter_context(scripted(script=CountingServer())) for _ in range(3))
        found = scores(make_bench, street, tmp_path / "one", [one])
        assert scores(make_bench, street, tmp_path / "two", [two, three]) == found != {}
        home, other = sorted((two, three), key=asked, reverse=True)
        assert asked(home) == asked(one) > 0
        assert asked(other) == 0

        script = home.script

        def dies(seen: Any) -> Reply:  # at the first score
            return Reply(reset=True) if seen.path == CHAT and "left after" in str(seen.body) else script(seen)

        home.script = dies
        before = asked(home)
        assert scores(make_bench, street, tmp_path / "three", [two, three]) == found
        assert asked(home) > before, "it was not asked"
        assert asked(other) == asked(one)
