"""Prompts of a served model counted on this side: when that is done, what it gives, and the requests that it saves."""

from __future__ import annotations

import logging
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support import templates
from support.counting_server import LLAMA, CountingServer, llama_count, models_of
from support.scripted_server import Reply, Seen, scripted
from support.served import served

from lavad_core.config.schema import LavadConfig
from lavad_core.errors import InputError
from lavad_core.method import prompts
from lavad_core.method.scoring import score_messages
from lavad_core.method.summarising import Messages
from lavad_core.models.chat.optional import as_objects, estimated_tokens
from lavad_core.models.chat.prompt_counts import CHECKED
from lavad_core.models.protocols import ChatModel
from lavad_core.stages.score import score_request
from lavad_core.stages.summarise import summary_request

TEXTS = [
    "a man walks.",
    "  two spaces,\n\na\ttab, 3.14159 ",
    "übung: 車 🚗 </s> [INST] <s>",
    "a dog. " * 300,
    "[0.5]" * 40,
]
MESSAGES: list[Messages] = [
    *((("system", prompts.SUMMARY), ("user", text)) for text in TEXTS),
    *((("user", text),) for text in TEXTS),
]


def tokenizer_without(folder: Path, *missing: str, **written: str) -> Path:
    """A copy of the tokenizer's files, some of them missing, others with another content."""
    copy = shutil.copytree(LLAMA, folder / "model", ignore=shutil.ignore_patterns(*missing, "*.safetensors"))
    for name, text in written.items():
        (copy / name.replace("__", ".")).write_text(text)
    return copy


def said(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    """What this program logs, without what asyncio says of a server that is taken down."""
    return [record for record in caplog.records if record.name.startswith("lavad_core")]


def test_what_the_server_counts_the_same_is_not_asked_again(caplog: pytest.LogCaptureFixture) -> None:
    script = CountingServer()
    with scripted(script=script) as server, served(server, tokenizer=str(LLAMA)) as model:
        assert script.paths == {"/tokenize": len(CHECKED)}
        assert [model.count_tokens(messages) for messages in MESSAGES] == [
            llama_count(as_objects(messages)) for messages in MESSAGES
        ]
        assert script.paths == {"/tokenize": len(CHECKED)}
    assert not said(caplog)


@pytest.mark.parametrize("tokenizer", [None, str(LLAMA)], ids=["the server", "the tokenizer"])
def test_no_prompt_is_longer_than_the_bound(tokenizer: str | None) -> None:
    script = CountingServer()
    with scripted(script=script) as server, served(server, tokenizer=tokenizer) as model:
        for messages in MESSAGES:
            assert llama_count(as_objects(messages)) <= model.at_most_tokens(messages)  # type: ignore[attr-defined]
        assert script.paths["/tokenize"] == (4 if tokenizer is None else len(CHECKED)), (
            "with and without, and two texts"
        )


def spaced(folder: Path) -> str:
    """A template with a space more than the server's."""
    return str(
        tokenizer_without(
            folder, chat_template__jinja=(LLAMA / "chat_template.jinja").read_text().replace(" [/", "  x [/")
        )
    )


@pytest.mark.parametrize(
    ("tokenizer", "wrong", "words"),
    [
        pytest.param(
            lambda _: str(LLAMA),
            1,
            rf"the prompt 'Ein Kind .*' has \d+ tokens by '{LLAMA}' and \d+ by http://127",
            id="count",
        ),
        pytest.param(
            spaced, 0, r"the prompt 'A man walks .*' has \d+ tokens by .* and \d+ by http://127", id="template"
        ),
        pytest.param(
            lambda _: "no/such", 0, "'no/such' is not a folder, and its tokenizer.json cannot be downloaded", id="name"
        ),
        pytest.param(lambda _: "no such", 0, "'no such' is not a folder", id="no-name"),
        pytest.param(str, 0, r"has no tokenizer.json that can be read", id="empty-folder"),
        pytest.param(
            lambda folder: str(tokenizer_without(folder, tokenizer__json="{}")),
            0,
            "has no tokenizer.json",
            id="damaged",
        ),
        pytest.param(
            lambda folder: str(tokenizer_without(folder, "*.jinja")), 0, "has no chat template", id="no-template"
        ),
        pytest.param(
            lambda folder: str(tokenizer_without(folder, chat_template__jinja="{% if %}")),
            0,
            "the chat template of 'tiny' cannot be used: TemplateSyntaxError",
            id="broken-template",
        ),
        pytest.param(
            lambda folder: str(tokenizer_without(folder, chat_template__jinja="{{ raise_exception('no') }}")),
            0,
            "refuses the messages",
            id="template-that-refuses",
        ),
    ],
)
def test_a_tokenizer_that_is_not_the_servers(
    tokenizer: Callable[[Path], str],
    wrong: int,
    words: str,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    script = CountingServer(wrong=wrong)
    with scripted(script=script) as server, served(server, tokenizer=tokenizer(tmp_path)) as model:
        before = script.paths["/tokenize"]
        for messages in MESSAGES:
            assert model.count_tokens(messages) == script.count(Seen("", "", {}, {"messages": as_objects(messages)}))
        assert script.paths["/tokenize"] == before + len(MESSAGES)
    (record,) = said(caplog)
    assert record.levelno == logging.WARNING
    assert "chat.tokenizer is not used" in record.message
    assert "chat.tokenizer=null" in record.message
    assert re.search(words, record.message), record.message


@pytest.mark.parametrize(
    ("server", "exact", "trials"),
    [
        pytest.param({"tokenize": False}, True, len(CHECKED), id="the same usage"),
        pytest.param({"tokenize": False, "wrong": 1}, False, 2, id="another usage"),
        pytest.param({"tokenize": False, "usage": False}, False, 2, id="neither"),
    ],
)
def test_a_server_without_an_endpoint_for_counts_is_asked_short_questions(
    server: dict[str, Any], exact: bool, trials: int, caplog: pytest.LogCaptureFixture
) -> None:
    script = CountingServer(**server)
    with scripted(script=script) as scripted_server, served(scripted_server, tokenizer=str(LLAMA)) as model:
        assert script.paths == {"/tokenize": 2, "/v1/chat/completions": trials}
        for messages in MESSAGES:
            expected = llama_count(as_objects(messages)) if exact else estimated_tokens(messages)
            assert model.count_tokens(messages) == expected
        assert script.paths == {"/tokenize": 2 if exact else 4, "/v1/chat/completions": trials}
    words = [] if exact else ["chat.tokenizer is not used", "are estimates"]
    assert [word in record.message for word, record in zip(words, said(caplog), strict=True)] == [True] * len(words)


@pytest.mark.parametrize(
    ("root", "used"),
    [
        pytest.param(str(LLAMA), True, id="a folder that is here"),
        pytest.param("/models/somewhere/else", False, id="a folder that is not"),
        pytest.param("demo/models/llama", False, id="a relative folder"),
        pytest.param("org/cached", True, id="a downloaded hub id"),
        pytest.param("org/other", False, id="another hub id"),
        pytest.param("two words", False, id="no hub id"),
        pytest.param("\0", False, id="no path"),
        pytest.param(None, False, id="nothing"),
        pytest.param(7, False, id="a number"),
    ],
)
def test_auto_takes_what_is_here_and_says_nothing_otherwise(
    root: object, used: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    repository = tmp_path / "models--org--cached"
    shutil.copytree(LLAMA, repository / "snapshots" / ("0" * 40), ignore=shutil.ignore_patterns("*.safetensors"))
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("0" * 40)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    script = CountingServer()
    with scripted(script=script) as server:
        server.models = models_of(root)
        with served(server) as model:
            model.count_tokens(MESSAGES[0])
    assert script.paths == {"/tokenize": len(CHECKED) if used else 1}
    assert not said(caplog)


def test_a_tokenizer_of_the_hub_that_was_downloaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(LLAMA, tmp_path / "models--org--m" / "snapshots" / ("0" * 40))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    script = CountingServer()
    with (
        scripted(script=script) as server,
        served(server, tokenizer="org/m", tokenizer_revision="0" * 40) as model,
    ):
        assert model.count_tokens(MESSAGES[0]) == llama_count(as_objects(MESSAGES[0]))
    assert script.paths == {"/tokenize": len(CHECKED)}


def test_of_a_hub_repository_the_small_files_of_one_commit_are_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched = []
    snapshot = shutil.copytree(LLAMA, tmp_path / ("0" * 40))

    def fetch(name: str, file: str, *, revision: str, **_: Any) -> str:
        fetched.append((name, file, revision))
        if not (snapshot / file).is_file():
            raise FileNotFoundError(file)
        return str(snapshot / file)

    monkeypatch.setattr("huggingface_hub.hf_hub_download", fetch)
    with scripted(script=CountingServer()) as server, served(server, tokenizer="org/m", tokenizer_revision="v2"):
        pass
    assert fetched[0] == ("org/m", "tokenizer.json", "v2")
    others = ("tokenizer_config.json", "chat_template.jinja", "special_tokens_map.json")
    assert fetched[1:] == [("org/m", file, "0" * 40) for file in others]


def test_a_model_that_takes_no_system_message_is_counted_as_it_is_asked(tmp_path: Path) -> None:
    folder = tokenizer_without(tmp_path, chat_template__jinja=templates.GEMMA)
    template = (folder / "chat_template.jinja").read_text()
    count = CountingServer().count

    def script(seen: Seen) -> Reply:
        if seen.body["messages"][0]["role"] == "system":
            return Reply(400, {"error": "System role not supported"})
        seen.body["chat_template_kwargs"] = {"chat_template": template}
        return Reply(body={"count": count(seen)})

    with scripted(script=script) as server, served(server, tokenizer=str(folder)) as model:
        asked = len(server.seen)
        assert asked == len(CHECKED) + 2, "two of the prompts have a system message"
        folded = [{"role": "user", "content": "Be brief.\n\nWhat?"}]
        expected = llama_count(folded, chat_template=template)
        assert model.count_tokens((("system", "Be brief."), ("user", "What?"))) == expected
        assert len(server.seen) == asked


def test_fields_of_the_template_count(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    template = (LLAMA / "chat_template.jinja").read_text() + "{% if thinking %}{{ 'a man walks' }}{% endif %}"
    folder = tokenizer_without(tmp_path, chat_template__jinja=template)
    given = {"chat_template_kwargs": {"thinking": True}, "top_k": 20}
    count = CountingServer().count

    def script(seen: Seen) -> Reply:
        seen.body["chat_template_kwargs"]["chat_template"] = template
        return Reply(body={"count": count(seen)})

    with scripted(script=script) as server, served(server, tokenizer=str(folder), extra_body=given) as model:
        expected = llama_count([{"role": "user", "content": "What?"}], chat_template=template, thinking=True)
        assert model.count_tokens((("user", "What?"),)) == expected
        assert len(server.seen) == len(CHECKED)
    assert not said(caplog)


WINDOWS = [[f"a man walks {number}.", "a car stops."] for number in range(12)]


def ask_all(model: ChatModel, config: LavadConfig) -> None:
    """What the two stages ask for a video."""
    list(model.answer([summary_request(config, model, captions, 0)[0] for captions in WINDOWS]))
    list(model.answer([score_request(config, model, f"A man walks {number}.")[0] for number in range(len(WINDOWS))]))


@pytest.mark.parametrize(
    ("tokenizer", "tokenize", "counts"),
    [
        pytest.param(None, True, len(WINDOWS) + 1, id="the server counts each summary's prompt, and one score's"),
        pytest.param(str(LLAMA), True, len(CHECKED), id="the tokenizer counts"),
        pytest.param(None, False, 2, id="nobody counts, with a system message or without"),
    ],
)
def test_round_trips_of_a_video(tokenizer: str | None, tokenize: bool, counts: int) -> None:
    script = CountingServer(tokenize=tokenize)
    with scripted(script=script) as server, served(server, tokenizer=tokenizer) as model:
        ask_all(model, LavadConfig())
    assert script.paths == {"/tokenize": counts, "/v1/chat/completions": 2 * len(WINDOWS)}


@pytest.mark.parametrize("tokenizer", [None, str(LLAMA)], ids=["the server", "the tokenizer"])
def test_a_prompt_that_is_too_long_is_cut_or_refused_whoever_counts(tokenizer: str | None) -> None:
    config = LavadConfig(chat={"kind": "openai", "context_tokens": 512})
    too_long = LavadConfig(score={"context_prompt": "Rate it. " * 600})
    with scripted(script=CountingServer()) as server, served(server, tokenizer=tokenizer) as model:
        request, cut = score_request(config, model, "a dog runs. " * 200)
        assert cut
        assert llama_count(as_objects(request.messages)) + config.score.max_answer_tokens <= config.score.total_tokens
        longer = score_messages(
            request.messages[-1][1].removesuffix(".") + " a dog runs", *request.messages[0][1].split(" ", 1)
        )
        assert llama_count(as_objects(longer)) + config.score.max_answer_tokens > config.score.total_tokens
        with pytest.raises(InputError, match="the prompt leaves no room for one character of a caption"):
            score_request(too_long, model, "a dog runs.")
