"""Thoughts are taken off an answer in whatever form; words about thinking stay."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lavad_core.models.chat.thoughts import is_mark, only_ends, opened_by, without_thoughts

HARMONY = (
    "<|channel|>analysis<|message|>We see [0.9].<|end|><|start|>assistant<|channel|>final<|message|>A man.<|return|>"
)


@pytest.mark.parametrize(
    ("word", "text", "expected"),
    [
        ("deepseek", "<think>\n[0.9]? No.\n</think>\n\nA man.", "A man."),
        ("opened-in-the-prompt", "Okay, [0.9]?\n</think>\n\nA man.", "A man."),
        ("cut", "<think>\nOkay, the police\nshould come", ""),
        ("cut-after-a-text", "A man. <think>Hmm", ""),
        ("nothing-after-it", "<think>a</think>\n", ""),
        ("only-its-end", "a</think>", ""),
        ("switched-off", "<think>\n\n</think>\n\n[0.1]", "[0.1]"),
        ("empty-tag", "<think/>A man.", "A man."),
        ("several", "<think>a</think>A man.<think>b</think> A dog.", "A man. A dog."),
        ("several-and-the-first-in-the-prompt", "a</think>x<think>b</think>A man.", "xA man."),
        ("two-ends", "<think>a</think>b</think>A man.", "A man."),
        ("nested", "<think>a<think>b</think>c</think>A man.", "A man."),
        ("nested-without-one-end", "<think>a<think>b</think>A man.", ""),
        ("one-inside-another", "<think>a <reasoning> b</think>A man.", "A man."),
        ("ended-by-another-name", "<think>a</thinking>A man.", "A man."),
        ("upper-case", "<THINK>a</THINK>A man.", "A man."),
        ("attributes", '<think type="deep">a</think>A man.', "A man."),
        ("white-space", "< think >a</ think\n>A man.", "A man."),
        ("escaped", "&lt;think&gt;a&lt;/think&gt;A man.", "A man."),
        ("thinking", "<thinking>a</thinking>A man.", "A man."),
        ("thought", "<thought>a</thought>A man.", "A man."),
        ("reasoning", "<reasoning>a</reasoning>A man.", "A man."),
        ("reflection", "<reflection>a</reflection>A man.", "A man."),
        ("seed", "<seed:think>a</seed:think>A man.", "A man."),
        ("longcat", "<longcat_think>a</longcat_think>A man.", "A man."),
        ("magistral", "[THINK]a[/THINK]A man.", "A man."),
        ("kimi", "◁think▷a◁/think▷A man.", "A man."),
        ("pipes", "<|thinking|>a<|/thinking|>A man.", "A man."),
        ("full-width-pipes", "<｜think｜>a<｜/think｜>A man.", "A man."),
        (
            "open-thinker",
            "<|begin_of_thought|>a<|end_of_thought|><|begin_of_solution|>A man.<|end_of_solution|>",
            "A man.",
        ),
        ("command-a", "<|START_THINKING|>a<|END_THINKING|><|START_RESPONSE|>A man.<|END_RESPONSE|>", "A man."),
        ("apertus", "<|inner_prefix|>a<|inner_suffix|>A man.", "A man."),
        ("gemma", "<|channel>thought\na<channel|>A man.", "A man."),
        ("granite", "Here is my thought process: a\nHere is my response: A man.", "A man."),
        ("granite-cut", "Here's my thought process: a", ""),
        ("gpt-oss", HARMONY, "A man."),
        ("gpt-oss-cut", "<|channel|>analysis<|message|>We see a man.", ""),
        ("gpt-oss-without-its-marks", "analysisWe see [0.9].assistantfinalA man.", "A man."),
        ("gpt-oss-without-its-marks-cut", "analysisWe see a man. He", ""),
        ("gpt-oss-without-a-thought", "finalA man.", "A man."),
        ("analysis-tag", "<analysis>[0.9] a fight</analysis>\nA man.", "A man."),
        ("ant-thinking", "<antThinking>[0.9]</antThinking>A man.", "A man."),
        ("thinking-process", "<thinking_process>[0.9]</thinking_process>A man.", "A man."),
        ("reason", "[0.1]<reason>not [0.9]</reason>", "[0.1]"),
        ("planning-cut", "<planning>[0.9]", ""),
        ("low-line-of-tokens", "<｜begin▁of▁thinking｜>a<｜end▁of▁thinking｜>A man.", "A man."),
        ("end-escaped-as-in-json", "<think>a<\\/think>A man.", "A man."),
        ("medgemma", "<unused94>thought\na<unused95>A man.", "A man."),
        ("ollama", "Thinking...\n[0.9]?\n...done thinking.\n\nA man.", "A man."),
        ("ollama-cut", "Thinking...\n[0.9]?", ""),
        ("text-behind-the-answer-in-tags", "<think>a</think><answer>[0.3]</answer> It is not [0.9].", "[0.3]"),
        ("fence", "```thinking\na\n```\nA man.", "A man."),
        ("fence-cut", "```thinking\na", ""),
        ("web-page", '<details type="reasoning" done="true">\n<summary>1 s</summary>a</details>\nA man.', "A man."),
        ("answer-in-tags", "<think>a</think><answer>[0.3]</answer>", "[0.3]"),
        ("answer-in-tags-cut", "<think>a</think><answer>A man", "A man"),
    ],
)
def test_a_thought_goes(word: str, text: str, expected: str) -> None:
    assert without_thoughts(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "A man is thinking. I think he waits.",
        "Reasoning: he runs, [0.3].",
        "The thought of the crowd [thinking] is not shown. ",
        "analysis of the scene shows a man",
        "final scene: a man walks",
        "a < think and b > think",
        "<details>a</details>",
        "A man sits. Thinking... he waits.",
        "A sign reads <b>think</b>.",
        " \n",
        "",
    ],
)
def test_what_is_no_thought_stays_to_the_byte(text: str) -> None:
    assert without_thoughts(text) == text


@given(st.lists(st.sampled_from(["<think>", "</think>", "[THINK]", "[/THINK]", "◁/think▷", "a", " ", "analysis"])))
def test_no_mark_is_left(parts: list[str]) -> None:
    assert not any(is_mark(part) for part in without_thoughts("".join(parts)).split(" "))


@pytest.mark.parametrize(
    ("prompt", "mark"),
    [
        ("<|im_start|>assistant\n<think>\n", "<think>"),
        ("[/INST][THINK]", "[THINK]"),
        ("<|im_start|>assistant\n<think>\n\n</think>\n\n", ""),
        ("Write <think> first.\n<|im_start|>assistant\n", ""),
        ("[INST] a [/INST]", ""),
    ],
)
def test_a_prompt_can_open_a_thought(prompt: str, mark: str) -> None:
    assert opened_by(prompt) == mark


def test_answers_that_end_a_thought_they_have_not_begun() -> None:
    assert [only_ends(text) for text in ("a</think>b", "<think>a</think>b", "a", "a◁/think▷")] == [
        True,
        False,
        False,
        True,
    ]
