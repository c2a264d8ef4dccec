"""How probable it is that a free answer begins with yes or with no: in this process, and from any server that shows it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from support.local_chat import SCENES, answers_of
from support.scripted_server import Reply, Seen, chat_body, error_body, scripted
from support.served import served

from lavad_core.models.chat.cached import request_key
from lavad_core.models.chat.in_process import LocalChat
from lavad_core.models.protocols import ChatAnswer, ChatRequest
from lavad_core.recipes.ordinal import spellings

WORDS = spellings("YES", "NO")


def question(scene: str = "a dog.", words: tuple[str, ...] = WORDS) -> ChatRequest:
    return ChatRequest((("user", scene),), 1, 1.0, 1.0, 7, choices=words, distribution="free")


def yes_of(answer: ChatAnswer) -> float | None:
    logs = answer.log_probabilities
    return None if logs is None else math.exp(logs["YES"])


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("words", [("a", "the"), ("YES", "NO"), ("is it", "at a")])
def test_a_model_in_this_process_says_what_its_logits_say(model: LocalChat, words: tuple[str, str]) -> None:
    """The definition, by whole forward passes: words of one token, and words that the tokenizer splits."""
    pieces = {}
    for token, number in model._tokenizer.get_vocab().items():
        if number not in model._tokenizer.all_special_ids:
            pieces[number] = chr(int(token[3:5], 16)) if token.startswith("<0x") else token.replace("▁", " ")
    wanted = spellings(*words)

    def probability(prompt: list[int], text: str) -> dict[str, float]:
        with torch.inference_mode():
            logits = model._model(torch.tensor([prompt])).logits[0, -1, : len(model._tokenizer)].double()
        found = dict.fromkeys((word.strip() for word in wanted), 0.0)
        for number, p in enumerate(torch.softmax(logits, 0).tolist()):
            longer = text + pieces.get(number, "<")
            if longer in wanted:
                found[longer.strip()] += p
            elif pieces.get(number) and any(word.startswith(longer) for word in wanted):
                for word, rest in probability([*prompt, number], longer).items():
                    found[word] += p * rest
        return found

    requests = [question(scene, wanted) for scene in SCENES[:2]]
    for request, answer in zip(requests, answers_of(model, requests), strict=True):
        found = probability(model._render(request.messages), "")
        assert answer.log_probabilities is not None
        assert answer.text == max(found, key=found.__getitem__)
        for word, p in found.items():
            assert math.exp(answer.log_probabilities[word]) == pytest.approx(p / sum(found.values()), abs=5e-4)


def row(tops: Mapping[str, float | None], said: str = "YES") -> dict[str, Any]:
    given = [{"token": token, "logprob": log} for token, log in tops.items()]
    return {"token": said, "logprob": tops.get(said, -9.0), "top_logprobs": given}


def ask(script: Callable[[Seen], Reply], count: int = 1) -> tuple[list[ChatAnswer], list[Seen]]:
    with scripted(script=script) as server, served(server) as model:
        requests = [question(f"scene {number}") for number in range(count)]
        return answers_of(model, requests), server.seen


def first(tops: Mapping[str, float | None] | None, said: str = "YES") -> Callable[[Seen], Reply]:
    logprobs = None if tops is None else {"content": [row(tops, said)]}
    return lambda seen: Reply(body=chat_body(said, "length", logprobs=logprobs))


@pytest.mark.parametrize(
    ("tops", "expected"),
    [
        pytest.param({"YES": -0.2, "NO": -1.9}, 0.845534735, id="two tokens"),
        pytest.param({"YES": -0.5, "The": -0.7, "NO": -1.1, "Yes": -1.0}, 0.645656306, id="other tokens beside them"),
        pytest.param(
            {"YES": math.log(0.2), " YES": math.log(0.1), "NO": math.log(0.25), "ĠNO": math.log(0.35)},
            1 / 3,
            id="spaces",
        ),
        pytest.param({"YES": -0.0005, "Yes": -8.0}, 1.0, id="the other word is below what is shown"),
        pytest.param({"NO": -0.001}, 0.0, id="one token is shown, and sure"),
        pytest.param(
            {"YES": -2.0, "The": -2.1, "A": -2.2}, None, id="the other word may be as probable as what is shown"
        ),
        pytest.param({"The": -0.1, "A": -3.0}, None, id="neither word"),
        pytest.param({"Y": -0.1, "N": -3.0}, None, id="beginnings that cannot be followed here"),
        pytest.param({"YES": -0.2, "NO": -1.9, "N": -9.0}, 0.845534735, id="a beginning that does not matter"),
        pytest.param({"YES": -0.2, "NO": -1.9, "A": None}, 0.845534735, id="an impossible token"),
        pytest.param({"YES": -0.0005, "NO": None}, 1.0, id="an impossible word"),
        pytest.param(None, None, id="no log-probabilities"),
    ],
)
def test_any_server_that_shows_the_first_token(tops: Mapping[str, float | None] | None, expected: float | None) -> None:
    plain = first(tops, next(iter(tops)) if tops else "YES")

    def script(seen: Seen) -> Reply:
        return plain(seen) if seen.path == "/v1/chat/completions" else Reply(404, error_body("no", "NotFound", 404))

    (answer,), seen = ask(script)
    assert yes_of(answer) == (None if expected is None else pytest.approx(expected, abs=1e-6))
    body = seen[-1].body if seen[-1].path.endswith("chat/completions") else seen[0].body
    assert (body["max_tokens"], body["temperature"], body["top_p"]) == (1, 1.0, 1.0)
    assert body["logprobs"] is True
    assert body["top_logprobs"] == 20
    assert not {"structured_outputs", "logit_bias"} & set(body)


def test_what_is_outside_the_words_is_known() -> None:
    (answer,), _ = ask(first({"YES": math.log(0.2), "NO": math.log(0.1), "The": math.log(0.7)}))
    assert answer.outside == pytest.approx(0.7)
    assert (answer.finish_reason, answer.follow_ups) == ("stop", 0)


def test_a_refusal_is_no_answer() -> None:
    (answer,), _ = ask(lambda seen: Reply(body=chat_body("", "content_filter")))
    assert (answer.finish_reason, answer.log_probabilities) == ("refused", None)


PIECES = {1: "Y", 2: "ES", 3: "N", 4: "O", 5: "ou", 6: "The"}
STEPS: dict[tuple[int, ...], dict[int, float]] = {
    (): {1: 0.5, 3: 0.2, 6: 0.3},
    (1,): {2: 0.8, 5: 0.2},
    (3,): {4: 0.25, 5: 0.75},
}


def test_words_that_the_tokenizer_splits_are_followed_token_by_token() -> None:
    """The sum of the tokens' log-probabilities, not divided by their number."""

    def script(seen: Seen) -> Reply:
        if seen.path == "/detokenize":
            return Reply(body={"prompt": "".join(PIECES[token] for token in seen.body["tokens"])})
        if seen.path == "/v1/completions":
            assert seen.body["prompt"][0] == 101
            assert seen.body["max_tokens"] == 1
            tops = STEPS[tuple(seen.body["prompt"][1:])]
            shown = {f"token_id:{number}": math.log(p) for number, p in tops.items()}
            logprobs = {"tokens": [next(iter(shown))], "top_logprobs": [shown]}
            return Reply(body={"choices": [{"text": "", "finish_reason": "length", "logprobs": logprobs}]})
        by_id = "return_token_ids" in seen.body
        begun = {f"token_id:{n}" if by_id else PIECES[n]: math.log(p) for n, p in STEPS[()].items()}
        body = chat_body("Y", "length", logprobs={"content": [row(begun, next(iter(begun)))]})
        return Reply(body=body | {"prompt_token_ids": [101]})

    (answer, _), seen = ask(script, 2)
    assert yes_of(answer) == pytest.approx(0.5 * 0.8 / (0.5 * 0.8 + 0.2 * 0.25))
    assert answer.follow_ups == 3, "the question again with ids, and a token after each beginning"
    assert sum(one.path == "/v1/completions" for one in seen) == 4


def test_a_server_that_follows_nothing_is_not_asked_again() -> None:
    plain = first({"Y": -0.1, "N": -3.0}, "Y")

    def script(seen: Seen) -> Reply:
        return plain(seen) if seen.path == "/v1/chat/completions" else Reply(404, error_body("no", "NotFound", 404))

    with scripted(script=script) as server, served(server, concurrency=1) as model:
        answers = answers_of(model, [question(f"scene {number}") for number in range(4)])
        assert {yes_of(answer) for answer in answers} == {None}
        assert sum("return_token_ids" in seen.body for seen in server.seen) == 1


def test_a_free_question_is_another_question() -> None:
    held = dataclasses.replace(question(), distribution=True)
    assert request_key("model", question()) != request_key("model", held)
