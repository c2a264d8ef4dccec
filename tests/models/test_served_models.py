"""Which model is behind a served name: asked, kept, compared, and what a change means for the keys of results."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.scripted_server import NO_MODEL, Reply, ScriptedServer, Seen, chat_body, error_body, scripted

from lavad_core.config.models import OpenAICaptionerConfig, VllmChatConfig
from lavad_core.config.schema import LavadConfig
from lavad_core.errors import ModelError
from lavad_core.models.kinds import model_identity
from lavad_core.models.kinds.local_chat import FOLDED
from lavad_core.models.served import known_models
from lavad_core.models.served.ask_server import ask_for_facts
from lavad_core.models.served.known_models import ServedModels
from lavad_core.models.served.model_facts import ServerFacts, fact_differences
from lavad_core.pipeline.resources import RunResources


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    """As in a process of its own."""
    known_models._met.clear()
    known_models._told.clear()
    yield
    known_models._met.clear()
    known_models._told.clear()


class Model:
    """What a server has: change it while it serves."""

    def __init__(self, **given: Any) -> None:
        self.root: Any = given.get("root", "/models/llama")
        self.version: Any = given.get("version", "0.32.0")
        self.says: Any = given.get("says", "cars, trees, people")
        self.takes_system = given.get("takes_system", "yes")
        self.tokenizes = given.get("tokenizes", True)
        self.usage = given.get("usage", True)
        self.bare = given.get("bare", False)
        self.asked = 0

    def __call__(self, seen: Seen) -> Reply:
        if seen.path == "/version":
            return Reply(404, b"") if self.bare else Reply(body={"version": self.version})
        messages = seen.body["messages"]
        system = [message["content"] for message in messages if message["role"] == "system"]
        if system and self.takes_system == "refuses":
            return Reply(400, error_body("Conversation roles must alternate", "BadRequestError", 400))
        if system and self.takes_system == "fails":
            return Reply(500, b"Internal Server Error")
        heard = [
            message["content"] for message in messages if message["role"] != "system" or self.takes_system == "yes"
        ]
        count = 10 + len(json.dumps(heard)) // 4
        if seen.path == "/tokenize":
            return Reply(body={"count": count}) if self.tokenizes else Reply(404, b"")
        self.asked += 1
        says = self.says(self.asked) if callable(self.says) else self.says
        body = chat_body(says)
        body["usage"] = {"prompt_tokens": count if self.usage else 50, "completion_tokens": 3}
        return Reply(body=body)

    def serve(self, server: ScriptedServer) -> None:
        row = {"id": "tiny", "root": self.root, "max_model_len": 4096}
        server.models = Reply(404, b"") if self.bare else Reply(body={"data": [row]})


def chat(server: ScriptedServer, **settings: Any) -> VllmChatConfig:
    return VllmChatConfig(**{"model": "tiny", "base_url": server.base_url, "timeout_s": 10, **settings})


class TestMeeting:
    @pytest.mark.parametrize(
        ("given", "folds"),
        [
            pytest.param({}, False, id="takes it"),
            pytest.param({"takes_system": "refuses"}, True, id="refuses it"),
            pytest.param({"takes_system": "fails"}, True, id="fails on it"),
            pytest.param({"takes_system": "drops"}, True, id="drops it silently"),
            pytest.param({"tokenizes": False}, False, id="takes it, does not count"),
            pytest.param({"tokenizes": False, "takes_system": "refuses"}, True, id="refuses it, does not count"),
            pytest.param({"tokenizes": False, "takes_system": "fails"}, True, id="fails on it, does not count"),
            pytest.param({"tokenizes": False, "takes_system": "drops"}, True, id="drops it, seen in the usage"),
            pytest.param({"tokenizes": False, "usage": False}, False, id="the usage is the same for all"),
        ],
    )
    def test_system_messages(self, given: dict[str, Any], folds: bool) -> None:
        model = Model(**given)
        with scripted(script=model) as server:
            model.serve(server)
            facts = ask_for_facts(chat(server))
        assert facts == ServerFacts("/models/llama", "0.32.0", "cars, trees, people", folds)

    def test_a_captioner_is_shown_a_picture(self) -> None:
        model = Model(says="a white square")
        with scripted(script=model) as server:
            model.serve(server)
            config = OpenAICaptionerConfig(model="tiny", base_url=server.base_url, extra_body={"top_k": 3})
            assert ask_for_facts(config) == ServerFacts("/models/llama", "0.32.0", "a white square", None)
            picture, _ = server.seen[-1].body["messages"][0]["content"]
            assert picture["image_url"]["url"].startswith("data:image/png;base64,")
            assert server.seen[-1].body["top_k"] == 3

    @pytest.mark.parametrize("odd", [None, 7, [], {"a": 1}, ""])
    def test_odd_facts_are_none(self, odd: Any) -> None:
        model = Model(root=odd, version=odd)
        with scripted(script=model) as server:
            model.serve(server)
            facts = ask_for_facts(chat(server))
        assert (facts.root, facts.version) == (None, None)

    def test_control_characters_and_lengths(self) -> None:
        model = Model(root="\x1b[31m" + "x" * 10_000)
        with scripted(script=model) as server:
            model.serve(server)
            root = ask_for_facts(chat(server)).root
        assert root is not None
        assert root.isprintable()
        assert len(root) < 400

    def test_one_that_answers_otherwise_each_time_has_no_answer(self) -> None:
        model = Model(says=lambda number: f"answer {number}")
        with scripted(script=model) as server:
            model.serve(server)
            assert ask_for_facts(chat(server)).answer is None

    def test_nothing_but_answers(self) -> None:
        model = Model(bare=True, tokenizes=False)
        with scripted(script=model) as server:
            model.serve(server)
            assert ask_for_facts(chat(server)) == ServerFacts(None, None, "cars, trees, people", False)

    @pytest.mark.parametrize(
        "reply", [Reply(401, {"error": "no"}), Reply(503, b""), Reply(404, NO_MODEL), Reply(reset=True)]
    )
    def test_nothing_at_all(self, reply: Reply) -> None:
        with scripted(reply) as server:
            server.models = reply
            config = chat(server)
            assert ServedModels(Path("/nowhere")).suffix(config) == ""


LLAMA = ServerFacts("/models/llama", "0.32", "cars, trees")


@pytest.mark.parametrize(
    ("now", "differs"),
    [
        pytest.param(LLAMA, False, id="the same"),
        pytest.param(ServerFacts("/models/llama", "0.33", "cars, trees"), False, id="an update"),
        pytest.param(ServerFacts("/mnt/other/llama/", "0.32", "cars, trees"), False, id="another folder"),
        pytest.param(ServerFacts(None, None, None), False, id="it says nothing"),
        pytest.param(ServerFacts(None, None, "cars, trees"), False, id="it says less"),
        pytest.param(ServerFacts("/models/llama-2", "0.32", "cars, trees"), True, id="other weights, the same words"),
        pytest.param(ServerFacts("/models/llama", "0.32", "dogs"), True, id="other words"),
        pytest.param(ServerFacts(None, None, "dogs"), True, id="nothing but other words"),
        pytest.param(ServerFacts("/models/x", None, None), True, id="nothing but other weights"),
    ],
)
def test_what_is_another_model(now: ServerFacts, differs: bool) -> None:
    assert bool(fact_differences(LLAMA, now)) is differs


class TestChanges:
    @pytest.fixture
    def model(self) -> Model:
        return Model()

    @pytest.fixture
    def server(self, model: Model) -> Iterator[ScriptedServer]:
        with scripted(script=model) as server:
            model.serve(server)
            yield server

    def suffix(self, server: ScriptedServer, path: Path, on_change: str = "warn", **settings: Any) -> str:
        return ServedModels(path, record=True).suffix(chat(server, on_change=on_change, **settings))

    def swap(self, server: ScriptedServer, model: Model, **to: Any) -> None:
        for name, value in to.items():
            setattr(model, name, value)
        model.serve(server)

    def test_a_swap_is_said_each_time_and_changes_no_key(
        self, server: ScriptedServer, model: Model, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        path = tmp_path / "servers.json"
        assert self.suffix(server, path) == ""
        assert not caplog.records
        self.swap(server, model, root="/models/mistral", says="a street")
        for _ in range(2):
            known_models._told.clear()
            caplog.clear()
            assert self.suffix(server, path) == ""
            (record,) = caplog.records
            assert "may not be the model" in record.message
            assert "'/models/mistral', and served '/models/llama'" in record.message
            assert "chat.on_change=new" in record.message

    def test_an_update_is_not(
        self, server: ScriptedServer, model: Model, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        self.suffix(server, tmp_path / "s.json")
        self.swap(server, model, version="0.40.0", root="/elsewhere/llama")
        for on_change in ("refuse", "warn", "new", "accept"):
            assert self.suffix(server, tmp_path / "s.json", on_change) == ""
        assert not caplog.records

    def test_refused(self, server: ScriptedServer, model: Model, tmp_path: Path) -> None:
        self.suffix(server, tmp_path / "s.json")
        self.swap(server, model, says="a street")
        with pytest.raises(
            ModelError, match=r"is not the model that the results.*'a street', and answered 'cars, trees"
        ):
            self.suffix(server, tmp_path / "s.json", "refuse")

    def test_a_new_model_has_keys_of_its_own_and_the_old_one_keeps_its(
        self, server: ScriptedServer, model: Model, tmp_path: Path
    ) -> None:
        path = tmp_path / "s.json"
        assert self.suffix(server, path, "new") == ""
        self.swap(server, model, says="a street", root="/models/b")
        second = self.suffix(server, path, "new")
        assert second.startswith("#")
        self.swap(server, model, says="a house", root="/models/c")
        third = self.suffix(server, path, "new")
        assert third not in ("", second)
        self.swap(server, model, says="a street", root="/mnt/b", version="9")
        assert self.suffix(server, path, "new") == second
        self.swap(server, model, says="cars, trees, people", root="/models/llama")
        assert self.suffix(server, path, "new") == ""

    def test_accepted_it_is_the_known_one(
        self, server: ScriptedServer, model: Model, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        path = tmp_path / "s.json"
        self.suffix(server, path)
        self.swap(server, model, says="a street")
        assert self.suffix(server, path, "accept") == ""
        assert "as asked" in caplog.text
        caplog.clear()
        assert self.suffix(server, path, "refuse") == ""
        assert not caplog.records

    def test_folded_messages_are_part_of_the_identity(
        self, server: ScriptedServer, model: Model, tmp_path: Path
    ) -> None:
        path = tmp_path / "s.json"
        assert self.suffix(server, path) == ""
        assert self.suffix(server, path, system_role="fold") == FOLDED
        assert self.suffix(server, path, system_role="refuse") == ""
        self.swap(server, model, takes_system="refuses")
        with pytest.raises(ModelError, match=r"takes no system message.*chat\.system_role=auto or fold"):
            self.suffix(server, path, system_role="refuse")
        assert self.suffix(server, path) == FOLDED
        assert self.suffix(server, path, system_role="send") == ""

    def test_a_server_that_is_not_there_is_what_it_was_last(
        self, server: ScriptedServer, model: Model, tmp_path: Path
    ) -> None:
        path = tmp_path / "s.json"
        gone = {"base_url": "http://127.0.0.1:9/v1"}
        assert self.suffix(server, path, "new", **gone) == ""
        assert not path.exists()
        self.suffix(server, path, "new")
        self.swap(server, model, says="a street", takes_system="refuses")
        second = self.suffix(server, path, "new")
        assert second.endswith(FOLDED)
        assert self.suffix(server, path, "new", **gone) == second
        assert self.suffix(server, path, "warn", **gone) == FOLDED

    def test_one_that_comes_up_otherwise_ends_the_stage_with_the_way_out(
        self, server: ScriptedServer, model: Model, tmp_path: Path
    ) -> None:
        self.swap(server, model, takes_system="refuses")
        served = ServedModels(tmp_path / "s.json", record=True)
        assert served.ready(chat(server), FOLDED).system_role == "fold"
        with pytest.raises(ModelError, match=r"was not there when the run began.*run again"):
            served.ready(chat(server), "")

    @pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b'{"a": 1}', b"\xff", b"[" * 100_000])
    def test_a_damaged_record_counts_as_none(self, server: ScriptedServer, tmp_path: Path, content: bytes) -> None:
        path = tmp_path / "s.json"
        path.write_bytes(content)
        assert self.suffix(server, path) == ""
        (row,) = (row for row in json.loads(path.read_text()).values() if isinstance(row, dict))
        assert row["models"][0]["root"] == "/models/llama"

    def test_looking_writes_nothing(self, server: ScriptedServer, tmp_path: Path) -> None:
        assert ServedModels(tmp_path / "s.json").suffix(chat(server)) == ""
        assert list(tmp_path.iterdir()) == []

    def test_a_server_is_asked_once_a_run(self, server: ScriptedServer, tmp_path: Path) -> None:
        served = ServedModels(tmp_path / "s.json", record=True)
        served.suffix(chat(server))
        asked = len(server.seen)
        served.suffix(chat(server))
        served.ready(chat(server), "")
        ServedModels(tmp_path / "s.json").suffix(chat(server))
        assert len(server.seen) == asked
        ServedModels(tmp_path / "s.json", record=True).suffix(chat(server))
        assert len(server.seen) == 2 * asked


def test_the_keys_of_a_run(tmp_path: Path) -> None:
    """Without a server, with it, and with another: which results of earlier runs are found."""
    model = Model(takes_system="refuses")
    with scripted(script=model) as server:
        model.serve(server)

        def identities(base_url: str, **settings: Any) -> Any:
            config = LavadConfig(
                store=tmp_path / "store",
                chat=chat(server, base_url=base_url, **settings),
                captioners={"vlm": OpenAICaptionerConfig(model="tiny", base_url=base_url)},
                imports={"scores": tmp_path},  # type: ignore[arg-type]
                encoder={"kind": "clip", "model": "random:clip"},  # type: ignore[arg-type]
            )
            return RunResources(config, record=True).graph.identities

        plain = model_identity(chat(server), None)
        assert identities("http://127.0.0.1:9/v1")["chat"] == plain
        assert identities(server.base_url)["chat"] == plain + FOLDED
        assert identities(server.base_url)["captioner:vlm"] == plain
        model.says = "a street"
        assert identities(server.base_url)["chat"] == plain + FOLDED
        assert identities(server.base_url, on_change="new")["chat"].startswith(f"{plain}#")
