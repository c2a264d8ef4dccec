"""What can be used of answers, and what is said about the others."""

from __future__ import annotations

import pytest

from lavad_core.models.chat.read_answer import count_faults, faults_in_words, read_answers
from lavad_core.models.protocols import ChatAnswer, FinishReason


def answer(text: str, finish_reason: FinishReason = "stop") -> ChatAnswer:
    return ChatAnswer(text, finish_reason, 1, 1)


@pytest.mark.parametrize(
    ("word", "given", "text", "fault"),
    [
        ("whole", answer(" A man. "), " A man. ", None),
        ("after-a-thought", answer("<think>a</think>\n\nA man."), "A man.", None),
        ("cut", answer("A man. The", "length"), "A man. The", "truncated"),
        ("cut-after-a-thought", answer("<think>a</think>A man. The", "length"), "A man. The", "truncated"),
        ("cut-before-a-word", answer(" ", "length"), "", "truncated"),
        ("cut-in-a-thought", answer("<think>a", "length"), "", "only_thought"),
        ("thought-without-an-end", answer("<think>a"), "", "only_thought"),
        ("thought-and-nothing-else", answer("<think>a</think>\n"), "", "only_thought"),
        ("empty", answer(""), "", "empty"),
        ("refused", answer("", "refused"), "", "refused"),
        ("refused-in-the-middle", answer("A man hits", "refused"), "", "refused"),
    ],
)
def test_one_answer(word: str, given: ChatAnswer, text: str, fault: str | None) -> None:
    (reading,) = read_answers([given])
    assert (reading.text, reading.fault, reading.answer) == (text, fault, given)
    assert reading.shown == (text or given.text)


def test_a_cut_answer_is_a_thought_where_others_end_one_that_the_prompt_began() -> None:
    answers = [answer("Hmm.\n</think>\nA man."), answer("Okay. The user wants", "length"), answer("A dog.")]
    assert [(reading.text, reading.fault) for reading in read_answers(answers)] == [
        ("A man.", None),
        ("", "only_thought"),
        ("A dog.", None),
    ]
    assert [reading.text for reading in read_answers(answers[1:])] == ["Okay. The user wants", "A dog."]


def test_faults_are_counted_by_kind() -> None:
    answers = [answer(""), answer("", "refused"), answer("<think>", "length"), answer("", "refused"), answer("A man.")]
    faults = count_faults(read_answers(answers))
    assert faults == {"empty": 1, "refused": 2, "only_thought": 1}
    assert (
        faults_in_words(faults) == "1 empty, 1 a thought without an answer, 2 refused by the model or a content filter"
    )
