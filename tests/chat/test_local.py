"""The chat model in process, on a random Llama with a Llama-2-shaped tokenizer."""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from typing import Any

import pytest
import torch
from support.local_chat import BOTH, SCENES, answers_of, score_of, summary_of

from lavad_core.errors import DeviceOutOfMemory, Interrupted, ModelError, RequestRejected
from lavad_core.method import prompts
from lavad_core.models.chat.in_process import LocalChat
from lavad_core.models.chat.read_answer import read_answers
from lavad_core.models.chat.thoughts import without_thoughts
from lavad_core.models.loading import cache_name
from lavad_core.models.protocols import ChatRequest

pytestmark = pytest.mark.usefixtures("one_thread")


def test_greedy_is_what_generate_says(model: LocalChat) -> None:
    requests = [summary_of(scene) for scene in SCENES]
    for request, answer in zip(requests, answers_of(model, requests), strict=True):
        prompt = torch.tensor([model._render(request.messages)])
        generated = model._model.generate(
            prompt,
            attention_mask=torch.ones_like(prompt),
            max_new_tokens=30,
            do_sample=False,
            pad_token_id=model._tokenizer.eos_token_id,
        )
        text = model._tokenizer.decode(generated[0, prompt.shape[1] :], skip_special_tokens=True)
        assert answer.text.strip() == text.strip()
        assert answer.prompt_tokens == prompt.shape[1] == model.count_tokens(request.messages)
        assert answer.completion_tokens == generated.shape[1] - prompt.shape[1]
        ended = generated[0, -1] == model._tokenizer.eos_token_id
        assert answer.finish_reason == ("stop" if ended else "length")


def test_a_thought_that_the_template_begins_is_part_of_the_answer(
    model: LocalChat, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else it could not be told from the answer where it is cut off."""
    begun = list(model._tokenizer("<think>\n", add_special_tokens=False)["input_ids"])
    render = model._render
    plain = answers_of(model, [summary_of(SCENES[2])])[0]
    assert not plain.text.startswith("<think>")
    monkeypatch.setattr(model, "_render", lambda messages: [*render(messages), *begun])
    answer = answers_of(model, [summary_of(SCENES[2])])[0]
    assert answer.text.startswith("<think>")
    assert read_answers([answer])[0].fault == "only_thought"
    assert answers_of(model, [score_of(SCENES[2])])[0].text in prompts.SCORE_CHOICES


def test_special_tokens_around_a_thought_stay(model: LocalChat, monkeypatch: pytest.MonkeyPatch) -> None:
    """``[THINK]`` of Magistral is a special token: without it the thought would be the beginning of the answer."""
    monkeypatch.setitem(vars(model), "_thought_marks", {1: "[THINK]", 2: "[/THINK]"})
    ids = model._tokenizer("a dog", add_special_tokens=False)["input_ids"]
    text = model._text(list(ids), [1, *ids, 2, *ids])
    assert text.startswith("[THINK]")
    assert without_thoughts(text) == model._tokenizer.decode(ids).strip()


def test_the_prompt_has_one_first_token(model: LocalChat) -> None:
    ids = model._render(summary_of("a dog.").messages)
    assert ids.count(model._tokenizer.bos_token_id) == 1
    assert ids[0] == model._tokenizer.bos_token_id


@pytest.mark.parametrize("temperature", [pytest.param(0.0, id="greedy"), pytest.param(0.9, id="sampled")])
def test_an_answer_does_not_depend_on_its_batch(model: LocalChat, temperature: float) -> None:
    requests = [
        make(scene, temperature=temperature, top_p=0.9, seed=seed)
        for make, scene, seed in itertools.product((summary_of, score_of), SCENES, (1, 2))
    ]
    alone = [answers_of(model, [request])[0] for request in requests]
    assert answers_of(model, requests) == alone
    assert answers_of(model, requests[::-1]) == alone[::-1]


def test_the_seed_decides(model: LocalChat) -> None:
    requests = [summary_of(SCENES[0], temperature=1.0, seed=seed) for seed in range(12)]
    texts = [answer.text for answer in answers_of(model, requests)]
    assert texts == [answer.text for answer in answers_of(model, requests)]
    assert len(set(texts)) > 6


def test_a_small_nucleus_is_greedy(model: LocalChat) -> None:
    greedy = answers_of(model, [summary_of(scene) for scene in SCENES])
    assert answers_of(model, [summary_of(scene, temperature=1.5, top_p=1e-9) for scene in SCENES]) == greedy


def test_answers_are_choices(model: LocalChat) -> None:
    requests = [score_of(scene, temperature=2.0, seed=seed) for scene, seed in itertools.product(SCENES, range(20))]
    answers = answers_of(model, requests)
    assert {answer.text for answer in answers} <= set(prompts.SCORE_CHOICES)
    assert len({answer.text for answer in answers}) > 4
    assert all(answer.finish_reason == "stop" and answer.log_probabilities is None for answer in answers)


def every_spelling(model: LocalChat, messages: tuple[tuple[str, str], ...]) -> dict[str, float]:
    """The definition, with the tokenizer's raw tokens and whole forward passes."""
    pieces = {}
    for token, number in model._tokenizer.get_vocab().items():
        byte = bytes([int(token[3:5], 16)]) if token.startswith("<0x") else None
        pieces[number] = byte.decode("latin-1") if byte else token.replace("▁", " ")
    prompt = model._render(messages)
    total: dict[str, float] = defaultdict(float)
    beginnings: list[tuple[list[int], str, float]] = [([], "", 1.0)]
    while beginnings:  # all of one length
        with torch.inference_mode():
            rows = (
                model._model(torch.tensor([prompt + tokens for tokens, _, _ in beginnings]), logits_to_keep=1)
                .logits[:, -1]
                .double()
            )
        longer = []
        for (tokens, text, mass), logits in zip(beginnings, rows, strict=True):
            allowed = [number for number, piece in pieces.items() if any(c.startswith(text + piece) for c in BOTH)]
            for number, p in zip(allowed, torch.softmax(logits[allowed], 0).tolist(), strict=True):
                if text + pieces[number] in BOTH:
                    total[(text + pieces[number]).strip()] += mass * p
                else:
                    longer.append(([*tokens, number], text + pieces[number], mass * p))
        beginnings = longer
    return total


def test_distribution_is_the_sum_over_all_spellings(model: LocalChat) -> None:
    # Short prompts: brute force reads each of them some 600 times.
    requests = [
        score_of("", messages=(("user", scene),), distribution=True, temperature=1.0, seed=3) for scene in SCENES[:2]
    ]
    for request, answer in zip(requests, answers_of(model, requests), strict=True):
        assert answer.log_probabilities is not None
        assert list(answer.log_probabilities) == list(prompts.SCORE_CHOICES)
        assert math.fsum(map(math.exp, answer.log_probabilities.values())) == pytest.approx(1.0, abs=1e-12)
        for value, probability in every_spelling(model, request.messages).items():
            assert math.exp(answer.log_probabilities[value]) == pytest.approx(probability, abs=1e-3)


def test_what_a_free_answer_would_begin_with(model: LocalChat) -> None:
    requests = [score_of(scene) for scene in SCENES[:3]] + [score_of(SCENES[0], distribution=True)]
    answers = answers_of(model, requests)
    for request, answer in zip(requests, answers, strict=True):
        with torch.inference_mode():
            ids = torch.tensor([model._render(request.messages)])
            first = torch.softmax(model._model(ids).logits[0, -1, : len(model._tokenizer)].double(), dim=0)
        assert request.choices is not None
        inside = sum(
            float(first[number])
            for number, piece in model._pieces.items()
            if piece and any(choice.startswith(piece) for choice in request.choices)
        )
        assert answer.outside == pytest.approx(1 - inside, abs=1e-6)
        assert (answer.outside or 0) > 0.9, "a random model does not want to say a number"
    assert answers_of(model, [summary_of(SCENES[0])])[0].outside is None
    logs = answers[-1].log_probabilities
    assert logs is not None
    assert answers[-1].text == max(logs, key=logs.__getitem__)


def test_sampled_choices_follow_the_distribution(model: LocalChat) -> None:
    request = score_of(SCENES[0], distribution=True)
    logs = answers_of(model, [request])[0].log_probabilities
    assert logs is not None
    draws = answers_of(model, [score_of(SCENES[0], temperature=1.0, seed=seed) for seed in range(200)])
    for value, log in logs.items():
        share = sum(answer.text == value for answer in draws) / len(draws)
        assert share == pytest.approx(math.exp(log), abs=4 * math.sqrt(0.25 / len(draws)))


def test_an_answer_that_is_cut(model: LocalChat) -> None:
    answers = answers_of(model, [summary_of(scene) for scene in SCENES])
    scene, whole = max(zip(SCENES, answers, strict=True), key=lambda pair: pair[1].completion_tokens)
    (cut,) = answers_of(model, [summary_of(scene, max_tokens=2)])
    assert (cut.finish_reason, cut.completion_tokens) == ("length", 2)
    assert whole.text.startswith(cut.text)
    assert len(whole.text) > len(cut.text)


@pytest.mark.parametrize(
    ("request_", "word"),
    [
        pytest.param(summary_of("a dog. " * 1500), "exceed the model's context of 4096", id="prompt-too-long"),
        pytest.param(summary_of("a dog.", max_tokens=4096), "exceed the model's context", id="answer-too-long"),
        pytest.param(summary_of("", messages=(("user", "a"), ("user", "b"))), "refuses the messages", id="roles"),
        pytest.param(score_of("a dog.", max_tokens=2), "max_tokens 2 ended the answer", id="too-short-for-a-choice"),
    ],
)
def test_requests_that_are_refused(model: LocalChat, request_: ChatRequest, word: str) -> None:
    with pytest.raises(RequestRejected, match=word):
        list(model.answer([request_]))


def test_memory_that_runs_out_halves_the_batch(
    model: LocalChat, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    requests = [score_of(scene, distribution=True) for scene in SCENES]
    expected = answers_of(model, requests)
    forward, most = model._model.forward, 2

    def small(input_ids: torch.Tensor, **more: Any) -> Any:
        if len(input_ids) > most:
            raise torch.OutOfMemoryError("pretended")
        return forward(input_ids=input_ids, **more)

    monkeypatch.setattr(model._model, "forward", small)
    monkeypatch.setattr(model._batcher, "batch_size", 4)
    halved = answers_of(model, requests)
    assert [answer.text for answer in halved] == [answer.text for answer in expected]
    assert "going on with 2" in caplog.text
    most = 0
    with pytest.raises(DeviceOutOfMemory, match="one of the requests alone"):
        list(model.answer(requests))


def test_either_name_of_the_cache(model: LocalChat) -> None:
    """The keys and values go from step to step under the name that this version of transformers has for them: without
    them each step would see one token only, and with a deprecated name a later version would refuse the call."""
    seen: list[str] = []

    class Renamed:
        """The same model as another version of transformers shows it."""

        def __init__(self, inner: Any, name: str) -> None:
            self._inner, self._name = inner, name
            self._theirs = cache_name(inner)
            self.config, self.generation_config, self.dtype = inner.config, inner.generation_config, inner.dtype

        def _run(self, arguments: dict[str, Any]) -> Any:
            seen.append(self._name)
            arguments[self._theirs] = arguments.pop(self._name)
            output = self._inner(**arguments)
            return Output(output.logits, self._name, output[self._theirs])

    class Output(dict[str, Any]):
        def __init__(self, logits: torch.Tensor, name: str, cache: Any) -> None:
            super().__init__({name: cache})
            self.logits = logits

    class Old(Renamed):
        def forward(self, past_key_values: Any = None, **arguments: Any) -> Any:
            return self._run(arguments | {"past_key_values": past_key_values})

        __call__ = forward

    class New(Renamed):
        def forward(self, cache: Any = None, **arguments: Any) -> Any:
            return self._run(arguments | {"cache": cache})

        __call__ = forward

    requests = [summary_of("a dog runs."), score_of(SCENES[0])]
    expected = [answer.text for answer in answers_of(model, requests)]
    for kind, name in ((Old, "past_key_values"), (New, "cache")):
        seen.clear()
        shown = LocalChat(kind(model._model, name), model._tokenizer, model._device, 4, model._template, folds=False)
        assert [answer.text for answer in answers_of(shown, requests)] == expected
        assert set(seen) == {name}


def test_an_interrupt_ends_the_batch_and_gives_what_is_finished(
    model: LocalChat, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Scores end after a few tokens, a summary goes on."""
    requests = [score_of(SCENES[0]), score_of(SCENES[1]), summary_of(SCENES[0], max_tokens=60), score_of(SCENES[2])]
    expected = answers_of(model, requests)
    chat = LocalChat(model._model, model._tokenizer, model._device, 4, model._template, folds=model._folds)
    forward, steps = chat._model.forward, []

    def counted(**arguments: Any) -> Any:
        steps.append(1)
        if len(steps) == 12:
            chat.interrupt()
        return forward(**arguments)

    monkeypatch.setattr(chat._model, "forward", counted)
    answers = chat.answer(requests)
    given = []
    for _ in range(3):
        given.append(next(answers))
        assert answers.ready == 3 - len(given)
    with pytest.raises(Interrupted):
        next(answers)
    assert dict(given) == {number: expected[number] for number in (0, 1, 3)}
    assert len(steps) == 12


def test_logits_that_are_no_numbers(model: LocalChat, monkeypatch: pytest.MonkeyPatch) -> None:
    forward = model._model.forward

    def broken(**arguments: Any) -> Any:
        output = forward(**arguments)
        output.logits[0, -1, 5] = float("nan")
        return output

    monkeypatch.setattr(model._model, "forward", broken)
    with pytest.raises(ModelError, match="not finite"):
        list(model.answer([summary_of("a dog.")]))
