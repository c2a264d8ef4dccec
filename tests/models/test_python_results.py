"""What a user's own model gives back is checked, and named where it is wrong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.fake_models import FakeCaptioner, FakeChat, FakeEncoder

from lavad_core.config.models import PythonCaptionerConfig, PythonChatConfig, PythonEncoderConfig
from lavad_core.errors import ModelError, ServiceUnavailable
from lavad_core.models.kinds import load_model
from lavad_core.models.protocols import ChatAnswer, ChatRequest

IMAGES = [np.full((16, 16, 3), level, np.uint8) for level in (10, 200)]
CHOICES = ("[0]", "[1.0]")


def no_folder(name: str) -> Path:
    raise AssertionError(name)


def request(**change: Any) -> ChatRequest:
    fields: dict[str, Any] = {
        "messages": (("user", "level 2"),),
        "max_tokens": 8,
        "temperature": 0,
        "top_p": 1,
        "seed": 0,
    }
    return ChatRequest(**fields | change)


def says(model: Any, ask: Callable[[Any], Any]) -> str:
    with pytest.raises(ModelError) as caught:
        ask(model)
    return str(caught.value)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        pytest.param(["one"], "1 texts for 2 images", id="too few"),
        pytest.param(["a", "b", "c"], "3 texts for 2 images", id="too many"),
        pytest.param(["a", None], "a NoneType, not a text, for image 1", id="None"),
        pytest.param([b"a", "b"], "a bytes, not a text, for image 0", id="bytes"),
        pytest.param([1.5, 2], "a float, not a text", id="numbers"),
        pytest.param("ab", "a str, not a list", id="one text"),
        pytest.param(None, "a NoneType, not a list", id="nothing"),
        pytest.param(np.array([["a"], ["b"]]), "a ndarray, not a list", id="an array"),
    ],
)
def test_captions_are_a_text_for_each_image(monkeypatch: pytest.MonkeyPatch, given: Any, words: str) -> None:
    monkeypatch.setattr(FakeCaptioner, "caption", lambda self, images: given)
    config = PythonCaptionerConfig(model="support.fake_models:FakeCaptioner", options={"name": "a"})
    message = says(load_model(config, random_folder=no_folder), lambda model: model.caption(IMAGES))
    assert words in message
    assert "support.fake_models:FakeCaptioner: caption()" in message


def test_an_error_of_theirs_names_its_place_and_one_of_ours_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    config = PythonCaptionerConfig(model="support.fake_models:FakeCaptioner", options={"name": "a"})
    captioner = load_model(config, random_folder=no_folder)
    for error in (ValueError("no\nsuch thing"), KeyError("x"), RuntimeError("CUDA error"), IndexError()):
        monkeypatch.setattr(FakeCaptioner, "caption", _raising(error))
        message = says(captioner, lambda model: model.caption(IMAGES))
        assert f"FakeCaptioner fails in caption(): {type(error).__name__}: " in message
        assert "such thing" not in message
    monkeypatch.setattr(FakeCaptioner, "caption", _raising(ServiceUnavailable("later")))
    with pytest.raises(ServiceUnavailable):
        captioner.caption(IMAGES)


def _raising(error: Exception) -> Callable[..., Any]:
    def fail(*_: Any) -> Any:
        raise error

    return fail


GOOD = np.eye(2, 4, dtype=np.float32)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        pytest.param(GOOD * np.nan, "2 of 2 vectors values that are not finite", id="NaN"),
        pytest.param(
            np.where(GOOD[:, :1] > 0, GOOD, np.inf), "1 of 2 vectors values that are not finite", id="infinite"
        ),
        pytest.param(GOOD * [[1], [0]], "1 of 2 vectors zeros alone, the first at 1", id="zero"),
        pytest.param(GOOD * 7, "2 of 2 vectors a length that is not 1", id="not of unit length"),
        pytest.param(GOOD[:1], "[1, 4], not an array [2, 4]", id="too few"),
        pytest.param(GOOD[:, :3], "[2, 3], not an array [2, 4]", id="another dimension"),
        pytest.param([["a"] * 4] * 2, "not an array [2, 4] of numbers", id="texts"),
        pytest.param(None, "a NoneType", id="nothing"),
    ],
)
def test_vectors(monkeypatch: pytest.MonkeyPatch, given: Any, words: str) -> None:
    config = PythonEncoderConfig(model="support.fake_models:FakeEncoder")
    for name, argument in (("embed_images", IMAGES), ("embed_texts", ["a", "b"])):
        monkeypatch.setattr(FakeEncoder, name, lambda self, items: given)
        message = says(
            load_model(config, random_folder=no_folder), lambda model, n=name, a=argument: getattr(model, n)(a)
        )
        assert f"{name}() of what FakeEncoder() returned gave" in message
        assert words in message


def test_good_vectors_pass_and_clips_need_no_unit_length(monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = load_model(PythonEncoderConfig(model="support.fake_models:FakeEncoder"), random_folder=no_folder)
    assert encoder.embed_images(IMAGES).shape == (2, 4)
    assert np.linalg.norm(encoder.embed_clips([(IMAGES[0], IMAGES[1])])) < 0.98
    monkeypatch.setattr(FakeEncoder, "dimension", "4")
    assert "dimension of what FakeEncoder() returned is a str, not a int" in says(
        encoder, lambda model: model.dimension
    )


ANSWER = ChatAnswer("[0]", "stop", 3, 2)


@pytest.mark.parametrize(
    ("given", "change", "words"),
    [
        pytest.param([], {}, "left 1 of 1 requests", id="none"),
        pytest.param([(0, ANSWER), (0, ANSWER)], {}, "where none is open", id="twice"),
        pytest.param([(5, ANSWER)], {}, "at 5, where none is open", id="of nobody's request"),
        pytest.param([ANSWER], {}, "not a position and a ChatAnswer", id="no position"),
        pytest.param([(0, "[0]")], {}, "not a position and a ChatAnswer", id="a text"),
        pytest.param([(0, ChatAnswer(None, "stop", 3, 2))], {}, "its text is not a text", id="None"),  # type: ignore[arg-type]
        pytest.param(
            [(0, ChatAnswer("[0.5]", "stop", 3, 2))], {"choices": CHOICES}, "not one of the 2", id="no choice"
        ),
        pytest.param([(0, ANSWER)], {"choices": CHOICES, "distribution": True}, "no log-probability", id="none given"),
        pytest.param(
            [(0, ChatAnswer("[0]", "stop", 3, 2, {"[0]": -9.0, "[1.0]": -9.0}))],
            {"choices": CHOICES, "distribution": True},
            "do not sum to 1",
            id="no distribution",
        ),
        pytest.param(
            [(0, ChatAnswer("[0]", "stop", 3, 2, {"[0]": float("nan"), "[1.0]": -9.0}))],
            {"choices": CHOICES, "distribution": True},
            "do not sum to 1",
            id="NaN",
        ),
        pytest.param(None, {}, "fails in answer(): TypeError", id="no iterator"),
    ],
)
def test_answers(monkeypatch: pytest.MonkeyPatch, given: Any, change: dict[str, Any], words: str) -> None:
    monkeypatch.setattr(FakeChat, "answer", lambda self, requests: given)
    chat = load_model(PythonChatConfig(model="support.fake_models:FakeChat"), random_folder=no_folder)
    assert words in says(chat, lambda model: list(model.answer([request(**change)])))


def test_good_answers_pass_and_an_abandoned_call_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    chat = load_model(PythonChatConfig(model="support.fake_models:FakeChat"), random_folder=no_folder)
    assert len(list(chat.answer([request(), request(seed=1)]))) == 2
    closed = []

    def endless(self: Any, requests: Any) -> Any:
        try:
            for position in range(len(requests)):
                yield position, ANSWER
        finally:
            closed.append(True)

    monkeypatch.setattr(FakeChat, "answer", endless)
    answers: Any = chat.answer([request(), request(seed=1)])
    next(answers)
    answers.close()
    assert closed == [True]
