"""The small language model learns, and what is written can be loaded and asked."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from lavad.demo.training.llama import CONTEXT, LlamaShape, TrainingPlan, single_token_words, train_llama
from lavad.demo.training.llama_measures import measure
from lavad_core.config.models import LocalChatConfig
from lavad_core.method import prompts
from lavad_core.method.scoring import choices, parse_choice, score_messages
from lavad_core.method.summarising import summary_messages
from lavad_core.models.chat.in_process import LocalChat
from lavad_core.models.llama_text import llama_tokenizer
from lavad_core.models.protocols import ChatRequest

PLAN = TrainingPlan(clips=4, windows=64, steps=30, batch=8, rate=3e-3)
SHAPE = LlamaShape(width=32, layers=1, inner=64)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, object], list[str]]:
    folder, said = tmp_path_factory.mktemp("llama"), []
    return folder, train_llama(folder, 0, said.append, PLAN, SHAPE), said


def test_loss_falls(trained: tuple[Path, dict[str, object], list[str]]) -> None:
    _, card, said = trained
    losses = [loss for _, loss in card["losses"]]  # type: ignore[attr-defined]
    assert losses[-1] < 0.8 * losses[0]
    assert card["steps"] == PLAN.steps
    assert card["seed"] == 0
    assert 3 < len(said) < 15


def test_written_in_half_precision_and_loaded_in_single(trained: tuple[Path, dict[str, object], list[str]]) -> None:
    folder = trained[0]
    names = {file.name for file in folder.iterdir()}
    assert {"config.json", "generation_config.json", "model.safetensors", "tokenizer.json"} <= names
    assert json.loads((folder / "config.json").read_text())["dtype"] == "float16"
    chat = LocalChat.load(LocalChatConfig(model=str(folder), device="cpu"), str(folder))
    assert {each.dtype for each in chat._model.parameters()} == {torch.float32}
    assert chat.context_tokens == CONTEXT


def test_answers_both_questions(trained: tuple[Path, dict[str, object], list[str]]) -> None:
    folder = trained[0]
    chat = LocalChat.load(LocalChatConfig(model=str(folder), device="cpu"), str(folder))
    summarise = summary_messages(["a man walks in a park"] * 10, prompts.SUMMARY, "\n ")
    rate = score_messages("A man walks in a park", prompts.CONTEXT["both"], prompts.FORMAT)
    requests = [ChatRequest(summarise, 8, 0.0, 1.0, 0), ChatRequest(rate, 16, 0.0, 1.0, 0, choices())]
    answers = dict(chat.answer(requests))
    assert answers[0].completion_tokens >= 1
    assert parse_choice(answers[1].text) is not None


def test_measured(trained: tuple[Path, dict[str, object], list[str]]) -> None:
    measures = measure(trained[0], windows=6, clips=16)
    assert set(measures) == {"validation", "held_out"}
    assert all(0 <= value <= 1 for name, value in measures["validation"].items() if name != "windows")


def test_words_are_one_token_each() -> None:
    tokenizer = llama_tokenizer(single_token_words(), CONTEXT)
    for text in ("For some time two women fight in a yard at night", "Smoke rises beside a bench. A bus passes by"):
        tokens = tokenizer.tokenize(text)
        assert len(tokens) == len(text.split()) + text.count("."), tokens


def test_the_same_seed_makes_the_same_model(tmp_path: Path) -> None:
    plan = TrainingPlan(clips=2, windows=16, steps=2, batch=4)
    files = []
    for name, seed in (("one", 0), ("two", 0), ("other", 1)):
        train_llama(tmp_path / name, seed, lambda _: None, plan, SHAPE)
        files.append((tmp_path / name / "model.safetensors").read_bytes())
    assert files[0] == files[1] != files[2]
