"""Prompts before a run: rendered, counted, and found not to fit."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support import templates
from support.command import lavad
from support.scripted_server import Reply, Seen, chat_body, error_body, scripted

from lavad_core.config.load import load_config
from lavad_core.config.schema import LavadConfig
from lavad_core.errors import ConfigError, ModelError
from lavad_core.method import prompts
from lavad_core.models.chat.in_process import LocalChat
from lavad_core.models.random_models import random_folder
from lavad_core.models.served import known_models
from lavad_core.planning.prompt_check import check_prompts, prompts_of


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    known_models._met.clear()
    yield
    known_models._met.clear()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model whose template a test may change, without its weights."""
    return shutil.copytree(random_folder("llama"), tmp_path / "model", ignore=shutil.ignore_patterns("*.safetensors"))


def config_of(chat: dict[str, Any], **sections: Any) -> LavadConfig:
    return load_config(preset="tiny", settings={"chat": chat, **sections}, environ={})


def local(folder: Path, **sections: Any) -> LavadConfig:
    return config_of({"kind": "transformers", "model": str(folder)}, **sections)


def test_what_a_model_in_process_reads_is_what_it_is_given() -> None:
    config = config_of({"kind": "transformers", "model": "random:llama"})
    summarise, score = prompts_of(config)
    model = LocalChat.load(config.chat, str(random_folder("llama")))  # type: ignore[arg-type]
    try:
        for prompt in (summarise, score):
            assert model._template.render(prompt.messages) == prompt.rendered
            assert prompt.counted
            assert prompt.fits
        shortest = [("system", prompts.SUMMARY), ("user", "a")]
        assert summarise.fixed_tokens == model.count_tokens(shortest)
        assert (summarise.stage, score.stage) == ("summarise", "score")
    finally:
        model.close()


@pytest.mark.parametrize("source", templates.FOLDS.values(), ids=templates.FOLDS)
def test_a_template_without_a_system_role_shows_the_folded_text(folder: Path, source: str) -> None:
    (folder / "chat_template.jinja").write_text(source)
    for prompt in prompts_of(local(folder)):
        assert prompt.folds
        assert [role for role, _ in prompt.messages] == ["user"]
        assert prompt.rendered is not None
        assert prompt.messages[0][1].strip() in prompt.rendered


def test_sent_as_it_is_a_refusal_is_found_before_the_run(folder: Path) -> None:
    (folder / "chat_template.jinja").write_text(templates.GEMMA)
    config = config_of({"kind": "transformers", "model": str(folder), "system_role": "send"})
    with pytest.raises(Exception, match="refuses the messages: TemplateError: System role not supported"):
        check_prompts(config)


@pytest.mark.parametrize("source", templates.FOLDS.values(), ids=templates.FOLDS)
def test_a_system_text_that_may_not_be_folded(folder: Path, source: str) -> None:
    config = config_of({"kind": "transformers", "model": str(folder), "system_role": "refuse"})
    (folder / "chat_template.jinja").write_text(templates.LLAMA_2)
    assert not any(prompt.folds for prompt in prompts_of(config))
    (folder / "chat_template.jinja").write_text(source)
    with pytest.raises(ModelError, match=r"takes no system message.*Set chat\.system_role=auto or fold"):
        check_prompts(config)


def test_variables_of_the_template(folder: Path) -> None:
    (folder / "chat_template.jinja").write_text(templates.QWEN_3)
    thinks, does_not = (
        [str(prompt.rendered) for prompt in prompts_of(config_of(chat))]
        for chat in (
            {"kind": "transformers", "model": str(folder)},
            {"kind": "transformers", "model": str(folder), "template_kwargs": {"enable_thinking": False}},
        )
    )
    assert does_not == [f"{text}<think>\n\n</think>\n\n" for text in thinks]


@pytest.mark.parametrize(
    ("sections", "stage", "setting"),
    [
        pytest.param({"score": {"total_tokens": 128}}, "score", "score.total_tokens", id="score, total"),
        pytest.param({"score": {"max_answer_tokens": 500}}, "score", "score.total_tokens", id="score, answer"),
        pytest.param({"score": {"format_prompt": "word " * 600}}, "score", "score.total_tokens", id="score, prompt"),
        pytest.param({"summarise": {"total_tokens": 64}}, "summarise", "summarise.total_tokens", id="summarise, total"),
        pytest.param(
            {"summarise": {"prompt": "word " * 600}}, "summarise", "summarise.total_tokens", id="summarise, prompt"
        ),
    ],
)
def test_prompts_that_do_not_fit(sections: dict[str, Any], stage: str, setting: str) -> None:
    config = config_of({"kind": "transformers", "model": "random:llama"}, **sections)
    with pytest.raises(ConfigError, match=rf"the prompt of {stage} does not fit: \d+ tokens .*too many.*\({setting}\)"):
        check_prompts(config)


def test_a_context_that_is_too_short(folder: Path) -> None:
    found = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**found, "max_position_embeddings": 100}))
    with pytest.raises(
        ConfigError, match=r"of 100: that is \d+ too many; allow more tokens \(a model with a longer context\)"
    ):
        check_prompts(local(folder))


@pytest.mark.parametrize("content", [b"", b"{}", b"[" * 100_000])
def test_without_a_tokenizer_in_one_file_it_is_an_estimate(folder: Path, content: bytes) -> None:
    (folder / "tokenizer.json").write_bytes(content)
    assert not any(prompt.counted for prompt in prompts_of(local(folder)))
    check_prompts(local(folder, score={"total_tokens": 128}))  # left to the run


def test_a_model_without_a_template(folder: Path) -> None:
    (folder / "chat_template.jinja").unlink()
    with pytest.raises(ModelError, match="has no chat template"):
        check_prompts(local(folder))


class TestServed:
    def script(self, seen: Seen) -> Reply:
        if seen.path == "/version":
            return Reply(404, b"")
        if seen.path == "/detokenize":
            return Reply(body={"prompt": "<s>what the model reads"})
        messages = seen.body["messages"]
        if any(message["role"] == "system" for message in messages) and self.refuses:
            return Reply(400, error_body("roles must alternate", "BadRequestError", 400))
        if seen.path == "/tokenize":
            return (
                Reply(body={"count": len(json.dumps(messages)) // 4, "tokens": [1, 2]}) if self.counts else Reply(404)
            )
        return Reply(body=chat_body("fine"))

    @pytest.mark.parametrize("refuses", [True, False])
    @pytest.mark.parametrize("counts", [True, False])
    def test_shown(self, refuses: bool, counts: bool, tmp_path: Path) -> None:
        self.refuses, self.counts = refuses, counts
        with scripted(script=self.script) as server:
            chat = {"kind": "openai", "model": "tiny", "base_url": server.base_url}
            for prompt in prompts_of(config_of(chat, store=str(tmp_path))):
                assert prompt.folds is refuses
                assert prompt.counted is counts
                assert prompt.rendered == ("<s>what the model reads" if counts else None)
            with pytest.raises(ConfigError, match="the prompt of score does not fit"):
                check_prompts(config_of(chat, store=str(tmp_path), score={"total_tokens": 100}))

    @pytest.mark.parametrize("counts", [True, False])
    def test_system_messages_that_are_to_be_sent_and_are_refused(self, counts: bool, tmp_path: Path) -> None:
        self.counts = counts
        with scripted(script=self.script) as server:
            chat = {"kind": "openai", "model": "tiny", "base_url": server.base_url, "system_role": "send"}
            config = config_of(chat, store=str(tmp_path))
            self.refuses = True
            with pytest.raises(ModelError, match=r"refuses system messages.*set chat\.system_role=auto or fold"):
                check_prompts(config)
            self.refuses = False
            check_prompts(config)

    @pytest.mark.parametrize("counts", [True, False])
    def test_system_messages_that_may_not_be_folded(self, counts: bool, tmp_path: Path) -> None:
        self.counts, self.refuses = counts, True
        with scripted(script=self.script) as server:
            chat = {"kind": "openai", "model": "tiny", "base_url": server.base_url, "system_role": "refuse"}
            config = config_of(chat, store=str(tmp_path))
            with pytest.raises(ModelError, match=r"takes no system message.*Set chat\.system_role=auto or fold"):
                check_prompts(config)
            known_models._met.clear()
            self.refuses = False
            assert not any(prompt.folds for prompt in prompts_of(config))

    def test_what_changes_the_template_goes_along(self, tmp_path: Path) -> None:
        self.refuses, self.counts = False, True
        extra = {"chat_template_kwargs": {"enable_thinking": False}, "min_p": 0.1}
        with scripted(script=self.script) as server:
            chat = {"kind": "openai", "model": "tiny", "base_url": server.base_url, "extra_body": extra}
            prompts_of(config_of(chat, store=str(tmp_path)))
            bodies = [seen.body for seen in server.seen if seen.path == "/tokenize"]
        assert {json.dumps(body.get("chat_template_kwargs")) for body in bodies} == {'{"enable_thinking": false}'}
        assert not any("min_p" in body for body in bodies)

    def test_a_server_that_is_not_there_is_left_to_the_run(self, tmp_path: Path) -> None:
        chat = {"kind": "openai", "model": "tiny", "base_url": "http://127.0.0.1:9/v1"}
        check_prompts(config_of(chat, store=str(tmp_path), score={"total_tokens": 64, "max_answer_tokens": 8}))


def test_a_model_of_the_users_own_alone_knows() -> None:
    assert prompts_of(config_of({"kind": "python", "model": "/a.py:load"})) == []


@pytest.mark.parametrize("more", [[], ["--dry-run"]])
def test_it_is_said_before_anything_is_done(more: list[str], tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"no video")
    store = tmp_path / "store"
    options = ["--preset", "tiny", "--store", str(store), "--set", "score.total_tokens=100"]
    result = lavad("run", str(tmp_path / "a.mp4"), *options, *more)
    assert result.exit_code == 2, result.output
    assert "the prompt of score does not fit" in result.stderr
    assert not store.exists()
