"""The small language model learns to say yes and no, keeps what it knew, and is asked about pictures through a captioner."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.local_chat import answers_of
from transformers import AutoTokenizer, LlamaForCausalLM

from lavad.demo.eyes import about, decoded, load
from lavad.demo.script import script
from lavad.demo.train import MODELS, QUESTIONS
from lavad.demo.training.llama import CONTEXT, LlamaShape, TrainingPlan, to_rate, train_llama, windows_of
from lavad.demo.training.questions import (
    ORDINARY,
    WORDS,
    question_texts,
    statement_dialog,
    statements_of,
    threshold_dialog,
    train_to_answer,
    truth,
)
from lavad_core.config.models import LocalChatConfig
from lavad_core.method import prompts
from lavad_core.method.summarising import Messages
from lavad_core.models.chat.in_process import LocalChat
from lavad_core.models.picture_parts import data_uri
from lavad_core.models.protocols import ChatRequest
from lavad_core.models.random_text import words_of
from lavad_core.recipes.direct import direct_messages
from lavad_core.recipes.ordinal import spellings

PLAN = TrainingPlan(clips=4, windows=64, steps=12, batch=8, rate=3e-3)
MEASURED = TrainingPlan(clips=60, windows=150)


@pytest.mark.parametrize(
    ("statement", "text", "true"),
    [
        pytest.param("two men fight", "Two men fight in a yard. A bus passes by", 1.0, id="told"),
        pytest.param("a bus passes by", "Two men fight in a yard. A bus passes by", 1.0, id="beside"),
        pytest.param("a man runs", "For a moment a man in red runs in a park", 1.0, id="words are left out"),
        pytest.param("two women fight", "Two men fight in a yard", 0.0, id="others"),
        pytest.param("a man points a gun at a woman", "a woman points a gun at a man", 0.0, id="the other way round"),
        pytest.param("two men fight", "Perhaps two men fight in a yard", 0.4, id="perhaps"),
        pytest.param(ORDINARY, "A man walks in a park", 1.0, id="an ordinary scene"),
        pytest.param(ORDINARY, "For some time two men fight", pytest.approx(0.3), id="no ordinary scene"),
    ],
)
def test_how_true_a_statement_is(statement: str, text: str, true: float) -> None:
    assert truth(statement, text) == true


def test_a_threshold_is_reached_up_to_the_rating() -> None:
    random = np.random.default_rng(0)
    said = {}
    for _ in range(300):
        messages, answer = threshold_dialog("For a moment two men fight", random)
        said[messages[1][1].partition(" at least ")[2][:3]] = answer
    assert said == {f"{step / 10:.1f}": WORDS[step > 5] for step in range(1, 11)}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, dict[str, Any]]:
    """A tiny model, one trained on from it, and what was done."""
    base, folder = tmp_path_factory.mktemp("base"), tmp_path_factory.mktemp("questions")
    train_llama(base, 0, lambda _: None, PLAN, LlamaShape(width=32, layers=1, inner=64))
    return base, folder, train_to_answer(base, folder, 0, lambda _: None, PLAN)


def test_loss_falls(trained: tuple[Path, Path, dict[str, Any]]) -> None:
    losses = [loss for _, loss in trained[2]["losses"]]
    assert min(losses[-3:]) < 0.8 * max(losses[:3])


def test_words_of_the_questions_are_one_token_each_and_others_read_as_before(
    trained: tuple[Path, Path, dict[str, Any]],
) -> None:
    before, after = (AutoTokenizer.from_pretrained(folder) for folder in trained[:2])
    known = before.get_vocab()
    assert len(after) > len(known)
    for text in ("For some time two women fight in a yard", prompts.SUMMARY):
        assert after.tokenize(text) == before.tokenize(text)
    for word in words_of(question_texts()):
        assert after.tokenize(word) == [f"▁{word}"]
    assert LlamaForCausalLM.from_pretrained(trained[1], dtype=torch.float32).config.vocab_size == len(after)


@pytest.fixture(scope="module")
def chat() -> LocalChat:
    """The model of the demonstration."""
    folder = str(MODELS / QUESTIONS)
    return LocalChat.load(LocalChatConfig(model=folder, device="cpu", batch_size=64), folder)


def question(messages: Messages, pictures: tuple[str, ...] = ()) -> ChatRequest:
    return ChatRequest(tuple(messages), 1, 1.0, 1.0, 0, spellings(*WORDS), distribution="free", pictures=pictures)


@pytest.mark.parametrize(("kind", "least"), [("thresholds", 0.95), ("statements", 0.75)])
def test_the_model_of_the_demonstration_answers_as_the_rules_do(chat: LocalChat, kind: str, least: float) -> None:
    """Half of the statements are true, and a fifth nearly: a wrong person or thing."""
    random = np.random.default_rng(3)
    texts = to_rate(windows_of(MEASURED, 1001, lambda _: None), random)
    told = statements_of(texts)
    dialogs = [
        threshold_dialog(text, random) if kind == "thresholds" else statement_dialog(text, told, random)
        for text in texts
        if not text.startswith("Perhaps")  # of these statements are neither true nor false
    ]
    answers = answers_of(chat, [question(messages) for messages, _ in dialogs])
    right = np.mean([answer.text == wanted for answer, (_, wanted) in zip(answers, dialogs, strict=True)])
    assert right >= least
    assert max(answer.outside or 0.0 for answer in answers) < 0.05, "it begins with one of the two words"


def test_pictures_are_told_in_words_and_asked_about() -> None:
    clips = [script("demo", 5, number) for number in range(20)]
    clip, event = next((one, event) for one in clips for event in one.truth().events if event.kind == "robbery")
    shown = [clip.picture(frame)[0] for frame in range(event.first, event.last, 16)]
    uris = tuple(data_uri(picture, 95) for picture in shown)
    assert decoded(uris[0]).shape == shown[0].shape
    idle = next(one for one in clips if not one.truth().events)
    calm = tuple(data_uri(idle.picture(frame)[0], 95) for frame in range(0, 90, 16))
    random = np.random.default_rng(0)
    (system, (role, asked)), _ = threshold_dialog("", random)
    alone = asked.partition("\n\n")[2].replace(asked.partition(" at least ")[2][:3], "0.4")
    model = load()
    try:
        found = answers_of(
            model, [question((system, (role, alone)), pictures) for pictures in (uris, calm, uris[:1], calm[:1])]
        )
    finally:
        model.close()
    yes = [np.exp((answer.log_probabilities or {})["YES"]) for answer in found]
    assert min(yes[0], yes[2]) > 0.5 > max(yes[1], yes[3]), "clips and single pictures"


def test_a_question_without_a_system_message_is_one_about_a_summary() -> None:
    messages = direct_messages("How bad?", "Say a number.")
    assert about(messages, "a man walks") == (("system", "How bad? Say a number."), ("user", "a man walks."))
    assert about((("system", "rubric"), ("user", "Is it?")), "a man walks") == (
        ("system", "rubric"), ("user", "Caption of the current video clip: a man walks\n\nIs it?"),
    )  # fmt: skip
    assert CONTEXT >= 1024
