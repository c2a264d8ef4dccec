"""What of a reply is the summary, and what of a cut one is whole."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lavad_core.method.summarising import kept_part
from lavad_core.method.summary_text import finished_part, whole_summary

LLAMA_2 = (
    "  Sure! Here is a summary of the scene in few sentences:\n\nA man walks into a shop. He leaves.\n\n"
    "I hope this helps! Let me know if you would like more details!"
)
LLAMA_3 = "assistant\n\nHere is a summary of the temporal description:\n\nA man walks (at 0:10): he falls."
QWEN = "**Summary:**\n\nA man walks **fast**.\n\n---\n\nIf you need anything else, feel free to ask! 😊"
MISTRAL = ' Based on the provided description, here is a summary:\n\n"A man is seen walking."'


@pytest.mark.parametrize(
    ("word", "reply", "summary"),
    [
        ("llama-2", LLAMA_2, "A man walks into a shop. He leaves."),
        ("llama-3", LLAMA_3, "A man walks (at 0:10): he falls."),
        ("qwen", QWEN, "A man walks fast."),
        ("mistral", MISTRAL, "A man is seen walking."),
        ("one-line", "A man runs.", "A man runs."),
        ("preamble-and-line", "Sure, here is the summary:\nA man walks. A dog runs.", "A man walks. A dog runs."),
        ("only-an-offer-after-it", "A man walks.\n\nLet me know if you would like more details!", "A man walks."),
        ("offer-on-the-line", "A man walks. Let me know if you need more! 😊", "A man walks."),
        ("note", "A man walks. (Note: I have omitted unnecessary details.)", "A man walks."),
        ("about-the-summary", "A man walks.\nThis summary captures the main events.", "A man walks."),
        ("all-on-one-line", "Sure! Here's a brief summary: A man walks.", "A man walks."),
        ("sure", "Sure! The scene depicts a man.", "The scene depicts a man."),
        ("sure-on-a-line", "Sure!\n\nA man walks.", "A man walks."),
        ("emoji", "Sure! 😊 Here is a summary:\n\nA man walks.", "A man walks."),
        ("happy-to-help", "I'd be happy to help you with that! Here's a summary: A man walks.", "A man walks."),
        ("as-follows", "The summary of the scene is as follows:\n\nA man walks.", "A man walks."),
        ("heading", "## Scene Summary\n\nA man walks.", "A man walks."),
        ("heading-in-bold", "**Summary**\nA man walks.", "A man walks."),
        ("label", "Summary: A fight.\n\nKey events: a man falls.", "A fight. Key events: a man falls."),
        (
            "list",
            "Here is what happened:\n\n- A man walks\n- A car passes\n- He falls",
            "A man walks. A car passes. He falls",
        ),
        ("numbered", "Certainly! Here’s a summary:\n\n1. A man walks.\n2. A car passes.", "A man walks. A car passes."),
        ("paragraphs", "A man walks.\n\nLater, a car crashes.", "A man walks. Later, a car crashes."),
        ("short-first-line", "A fight.\nTwo men hit each other.", "A fight. Two men hit each other."),
        ("first-line-that-tells", "In the yard, two things happen:\n1. A man walks\n2. A dog runs", None),
        ("quotation", "> A man walks.", "A man walks."),
        ("emphasis", "*A man walks.*", "A man walks."),
        ("fence", "```\nA man walks.\n```", "A man walks."),
        ("french", "Voici un résumé de la scène :\n\nUn homme marche.", "Un homme marche."),
        ("chinese", "以下是摘要：\n\n一个男人走路。", "一个男人走路。"),
        ("as-follows-of-the-scene", "The scene can be summarized as follows:\nA man walks.", "A man walks."),
        ("to-summarize", "To summarize: A man walks.", "A man walks."),
        ("curly-apostrophe", "Sure, I’d be happy to help! A man walks. I’m happy to provide more.", "A man walks."),
        ("should-you-need", "A man walks.\n\nShould you need anything else, just ask.", "A man walks."),
        ("question-at-the-end", "A man walks. Would you like me to elaborate?", "A man walks."),
        ("anything-else", "A man walks. Is there anything else you would like to know?", "A man walks."),
        ("follows-of-the-text", "A man follows: he runs.", None),
        ("control-characters", "A man \x00 walks.\u2028\x00 He runs.\x1b", "A man walks. He runs."),
        ("only-a-preamble", "Sure! Here is a summary of the scene:", ""),
        ("anything-else", "A man walks.\n\nAnything else I can help you with?", "A man walks."),
        ("if-there-is", "A man walks.\n\nIf there's anything else, just ask!", "A man walks."),
        ("want-more", "A man walks. Want more details? Just say so!", "A man walks."),
        ("word-count", "A man walks.\n\n(Word count: 3)", "A man walks."),
        ("token-of-the-end", "Summary: A man walks.<|im_end|>", "A man walks."),
        ("heading-that-is-a-sentence", "Absolutely — here is a summary.\n\nA man walks.", "A man walks."),
        ("an-offer-that-is-seen", "A man holds a sign: 'Let me know'.", None),
        ("only-an-offer", "Let me know if you would like more details!", ""),
        ("blank", " \n ", ""),
        ("colon-of-the-text", "This is a parking lot at night: a man walks.", None),
        ("here-of-the-text", "Here are two men in a shop: they fight.", None),
        ("yes-of-the-text", "Alright, a man enters: he falls.", None),
        ("great-of-the-text", "Great crowds gather: people run.", None),
        ("response-of-the-text", "A loud response: sirens sound.", None),
        ("based-of-the-text", "Based on the description, a man walks.", None),
        ("in-summary", "In summary, a man walks.", None),
        ("thanks-of-the-text", "A person says thanks. Thank you for watching is on screen.", None),
        ("hope-of-the-text", "A man talks; I hope this is seen, he says.", None),
    ],
)
def test_whole_summary(word: str, reply: str, summary: str | None) -> None:
    expected = summary if summary is not None else reply.replace(":\n1. A man walks\n2. ", ": A man walks. ")
    assert whole_summary(reply) == kept_part(reply, "auto") == expected


@settings(deadline=None)
@given(st.text(alphabet="ab.:\n!-* 1'\"Sure", max_size=80))
def test_a_summary_is_one_line_and_stays_itself(reply: str) -> None:
    summary = whole_summary(reply)
    assert "\n" not in summary
    assert summary == summary.strip()


def test_a_long_reply_takes_no_long_time() -> None:
    for part in ("a ", "I would help ", "Sure! ", "- ", "*", ".", "Here is ", "a: ", "is there any you "):
        whole_summary(part * 20_000)
        finished_part(part * 20_000)


@pytest.mark.parametrize(
    ("word", "text", "whole"),
    [
        ("half-sentence", "A man walks. The", "A man walks."),
        ("half-line", "A man walks\nThe", "A man walks"),
        ("only-a-half", "A group", ""),
        ("list", "1. A man walks\n2. A", "1. A man walks"),
        ("list-of-one", "2. A", ""),
        ("whole", "A man walks.", "A man walks."),
        ("quotation-mark", 'He said "stop." Then', 'He said "stop."'),
        ("decimal-point", "It costs 3.5 d", ""),
        ("chinese", "一个男人走路。他", "一个男人走路。"),
        ("exclamation", "A man walks! He", "A man walks!"),
        ("dots", "A man runs... The", "A man runs..."),
        ("blank-lines", "A man.\n\n", "A man."),
        ("empty", "", ""),
        ("title", "Dr. Smith wal", ""),
        ("abbreviation", "A man runs. He meets Mr. Bro", "A man runs."),
    ],
)
def test_finished_part(word: str, text: str, whole: str) -> None:
    assert finished_part(text) == whole
