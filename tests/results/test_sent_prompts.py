"""What a run asked its language model, shown later: the very texts, for a model in this process and for a served one."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support import templates
from support.command import lavad
from support.scripted_server import Reply, Seen, chat_body, error_body, scripted
from support.video_factory import make_video

from lavad_core import LavadConfig, load_config, score_videos
from lavad_core.models.chat.in_process import LocalChat
from lavad_core.models.chat.own_counts import tokenizer_in
from lavad_core.models.random_models import random_folder
from lavad_core.models.served import known_models
from lavad_core.planning.prompt_check import prompts_of
from lavad_core.results.sent_prompts import sent_prompts

FRAMES = 40
CAPTIONS = {0: "a man walks", 16: "a man runs from a fire in a street", 32: "a car"}

Config = Callable[..., LavadConfig]

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    known_models._met.clear()
    yield
    known_models._met.clear()


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """Nothing is to be computed but by the language model."""
    make_video(tmp_path / "clip.mp4", frames=FRAMES)
    (tmp_path / "captions").mkdir()
    (tmp_path / "captions" / "clip.json").write_text(json.dumps(CAPTIONS))

    def of(chat: dict[str, Any], **sections: Any) -> LavadConfig:
        settings = {
            "store": str(tmp_path / "store"),
            "imports": {"captions": {"random-blip2-opt": str(tmp_path / "captions")}},
            "captioners": {"random-blip2-t5": None},
            "clean": {"enabled": False},
            "refine": {"enabled": False},
            "chat": chat,
            **sections,
        }
        return load_config(preset="tiny", settings=settings, environ={})

    return of


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A language model whose template a test may change."""
    return shutil.copytree(random_folder("llama"), tmp_path / "model")


def rated_again(folder: Path) -> dict[str, Any]:
    """Settings of a second rating, with imported tags; whatever the scores, the video is in doubt."""
    (folder / "tags.json").write_text('{"clip": ["fire"]}')
    imports = {"captions": {"random-blip2-opt": str(folder / "captions")}, "tags": str(folder / "tags.json")}
    return {"rescore": {"enabled": True, "band": 0.5, "tags": "import"}, "imports": imports}


@pytest.mark.parametrize(
    ("room", "again"),
    [(None, False), (12, False), (1, False), (None, True)],
    ids=["for all", "for some captions", "for a word", "and a second rating"],
)
@pytest.mark.parametrize("source", [templates.LLAMA_2, templates.MISTRAL], ids=["llama-2", "mistral"])
def test_in_this_process_they_are_what_the_model_read(
    config: Config, folder: Path, source: str, room: int | None, again: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "chat_template.jinja").write_text(source)
    chat = {"kind": "transformers", "model": str(folder), "device": "cpu"}
    fixed = prompts_of(config(chat))[0].fixed_tokens
    total = {} if room is None else {"summarise": {"min_answer_tokens": 24, "total_tokens": fixed + 24 + room}}
    given = config(chat, **total, **(rated_again(folder.parent) if again else {}))
    read: list[list[int]] = []
    items = LocalChat._items

    def noted(self: LocalChat, requests: Any) -> Any:
        found = items(self, requests)
        read.extend(item.prompt for item in found)
        return found

    monkeypatch.setattr(LocalChat, "_items", noted)
    results = score_videos(given, [given.store.parent / "clip.mp4"])
    sent = sent_prompts(results, "clip", given.store)
    tokenizer = tokenizer_in(folder / "tokenizer.json")
    shown = [tokenizer.encode(prompt.rendered, add_special_tokens=False).ids for prompt in sent.prompts]
    assert {*map(tuple, shown)} == {*map(tuple, read)}
    assert sent.folds is (source is templates.MISTRAL)
    assert sent.notes == ()
    assert (sent.prompts[0].frame, sent.prompts[0].stage) == (0, "summarise")
    assert ("rescore" in {prompt.stage for prompt in sent.prompts}) is again
    text = str(sent.prompts[0].rendered)
    assert text.startswith("<s>[INST] ")
    assert ("<<SYS>>" in text) is (source is templates.LLAMA_2)
    assert ("a car" in text) is (room is None)


class Server:
    """Refuses system messages where it is to, and keeps what it was sent."""

    def __init__(self, *, refuses: bool) -> None:
        self.refuses = refuses
        self.messages: list[Any] = []

    def __call__(self, seen: Seen) -> Reply:
        if seen.path != "/v1/chat/completions":
            return Reply(404, b"")
        messages = seen.body["messages"]
        if self.refuses and messages[0]["role"] == "system":
            return Reply(400, error_body("roles must alternate", "BadRequestError", 400))
        self.messages.append(messages)
        return Reply(body=chat_body("[0.1]" if "structured_outputs" in seen.body else "A man walks."))


@pytest.mark.parametrize("tokenizer", ["named", "auto", None], ids=["with its tokenizer", "found by itself", "without"])
@pytest.mark.parametrize("refuses", [True, False], ids=["folded", "sent"])
def test_of_a_served_model_they_are_what_it_was_sent(
    config: Config, folder: Path, refuses: bool, tokenizer: str | None
) -> None:
    (folder / "chat_template.jinja").write_text(templates.MISTRAL if refuses else templates.LLAMA_2)
    server = Server(refuses=refuses)
    with scripted(script=server) as at:
        at.models = Reply(body={"data": [{"id": "tiny", "root": str(folder), "max_model_len": 2048}]})
        chat = {
            "kind": "openai",
            "model": "tiny",
            "base_url": at.base_url,
            "tokenizer": str(folder) if tokenizer == "named" else tokenizer,
        }
        given = config(chat, score={"expected": False})
        results = score_videos(given, [given.store.parent / "clip.mp4"])
    sent = sent_prompts(results, "clip", given.store)  # the server is gone
    for prompt in sent.prompts:
        assert [{"role": role, "content": text} for role, text in prompt.messages] in server.messages
    assert sent.folds is refuses
    assert {len(prompt.messages) for prompt in sent.prompts} == {1 if refuses else 2}
    summarise = str(sent.prompts[0].rendered)
    if tokenizer:
        asked = "\n ".join(CAPTIONS.values())
        assert summarise.endswith(f"{asked} [/INST]")
        assert summarise.startswith("<s>[INST] Please" if refuses else "<s>[INST] <<SYS>>\nPlease")
    else:
        assert all(prompt.rendered is None for prompt in sent.prompts)
        assert "messages are shown as they were sent" in sent.notes[0]


def test_the_command(config: Config) -> None:
    given = config({"kind": "transformers", "model": "random:llama", "device": "cpu"})
    score_videos(given, [given.store.parent / "clip.mp4"])

    def shown(*options: str) -> str:
        result = lavad("show", "clip", "--store", str(given.store), *options)
        assert result.exit_code == 0, result.output
        return result.stdout

    every, one = shown("--prompts"), shown("--prompts", "--at", "30")
    assert [line for line in every.splitlines() if line.startswith("# frame ")] == [
        f"# frame {frame}, {stage}" for frame in CAPTIONS for stage in ("summarise", "score")
    ]
    assert one in every
    assert one.startswith("# frame 32, summarise\n")
    document = json.loads(shown("--prompts", "--json"))
    assert (document["format"], document["system_folded"], document["notes"]) == ("lavad-video", False, [])
    assert all(prompt["rendered"] in every for prompt in document["prompts"])
    assert "video,frame,stage,prompt" in shown("--prompts", "--format", "csv")
    for wrong, words in (
        (["--at", "3"], "give --prompts too"),
        (["--prompts", "--frames"], "give one of"),
        (["--prompts", "--at", "999999"], "and none is 999999; the last one is "),
    ):
        result = lavad("show", "clip", "--store", str(given.store), *wrong)
        assert (result.exit_code, words in result.stderr) == (2, True), result.output
