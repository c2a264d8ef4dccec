"""What a window's true summary and rating are."""

from __future__ import annotations

import re

import numpy as np
import pytest

from lavad.demo import grammar
from lavad.demo.training.mistakes import Windows, tracks
from lavad.demo.training.strangers import with_strangers
from lavad.demo.training.summaries import consensus, rating, summary
from lavad_core.method.prompts import SCORE_VALUES

FIGHT = "two men fight on a street at night"
FACE = "two men face each other on a street at night"
WALK = "a woman in red walks on a street at night"
EMPTY = "an empty street at night"
WITH_CAR = "two men fight on a street at night while a red car drives by"
BURST = "an explosion bursts beside a car on a street at night"
FIRE = "a fire burns beside a car on a street at night"


@pytest.mark.parametrize(
    ("word", "captions", "expected", "value"),
    [
        ("all", [FIGHT] * 10, "Two men fight on a street at night", 0.9),
        ("with-pauses", [FIGHT] * 7 + [FACE] * 3, "Two men fight on a street at night", 0.9),
        (
            "some-time",
            [WALK] * 4 + [FIGHT] * 6,
            "For some time two men fight on a street at night. A woman in red walks",
            0.7,
        ),
        ("moment", [EMPTY] * 7 + [FIGHT] * 3, "For a moment two men fight on a street at night", 0.5),
        ("borne-out-by-a-pause", [EMPTY] * 7 + [FIGHT, FACE, FIGHT], "For a moment " + FIGHT, 0.5),
        ("perhaps", [WALK] * 8 + [FIGHT] * 2, "Perhaps two men fight on a street at night. A woman in red walks", 0.4),
        ("one-is-a-mistake", [WALK] * 9 + [FIGHT], "A woman in red walks on a street at night", 0.1),
        ("several-mistakes", [WALK] * 8 + [FIGHT, BURST], "A woman in red walks on a street at night", 0.1),
        ("unclear", [FACE] * 6 + [WALK] * 2, "Two men face each other on a street at night", 0.3),
        ("idle", [EMPTY] * 8 + [WALK] * 2, "An empty street at night", 0.0),
        ("not-quite-idle", [EMPTY] * 7 + [WALK] * 3, "A woman in red walks on a street at night", 0.1),
        ("aside", [WITH_CAR] * 10, "Two men fight on a street at night. A red car drives by", 0.9),
        ("two-events", [BURST] * 3 + [FIRE] * 7, f"A{FIRE[1:]}. An explosion bursts beside a car", 1.0),
        ("burst", [BURST] * 2 + [FIRE] + [WALK] * 7, f"For a moment {BURST}. A woman in red walks", 0.5),
        ("clip-end", [WALK] * 3 + [FIGHT] * 2, "Two men fight on a street at night", None),
        ("two-captions", [FIGHT, WALK], "For some time two men fight on a street at night", None),
        ("one-caption", [FIGHT], "Two men fight on a street at night", 0.9),
        ("no-sentence-of-this-world", ["a cat", "a cat sings"], "A cat", 0.1),
        ("odd", ["two men hug in a park"] * 5, "Two men hug in a park", 0.2),
    ],
)
def test_window(word: str, captions: list[str], expected: str, value: float | None) -> None:
    if word in ("clip-end", "two-captions"):
        assert expected.split(" ", 3)[-1].lower() in summary(captions).lower(), word
        return
    assert summary(captions) == expected, word
    assert rating(expected) == value, word


@pytest.mark.parametrize(
    ("word", "clauses", "expected"),
    [
        ("majority-of-each-word", ["a man walks in a park", "a man walks in a yard", "a man walks in a yard"], "yard"),
        ("first-of-a-tie", ["a man walks in a park", "a man walks in a yard"], "park"),
        ("broken-off", ["a man walks in a", "a man walks in a", "a man walks in a park"], "walks"),
        ("said-twice", ["a a man walks", "a man walks", "a man walks"], "a man walks"),
    ],
)
def test_clauses_agree_word_by_word(word: str, clauses: list[str], expected: str) -> None:
    assert consensus(clauses).endswith(expected), word


@pytest.mark.parametrize(
    ("caption", "value"),
    [
        (FIGHT, 0.9),
        (WITH_CAR, 0.9),
        (BURST, 1.0),
        (FACE, 0.3),
        (WALK, 0.1),
        (EMPTY, 0.0),
        ("a child runs in a yard", 0.2),
    ],
)
def test_a_single_caption_has_a_rating(caption: str, value: float) -> None:
    assert rating(caption) == rating(f"{caption}.") == rating(caption[0].upper() + caption[1:]) == value


def test_every_window_has_a_short_summary_and_a_rating() -> None:
    windows = Windows(tracks("train", 3, range(16)), 4)
    for _ in range(400):
        captions = windows.one()
        text = summary(captions)
        assert 1 <= len(captions) <= 10
        assert "\n" not in text
        assert not text.endswith(".")
        assert 1 <= len(text.split()) <= 35
        assert any(np.isclose(rating(text), SCORE_VALUES))


def test_training_windows_lack_what_is_held_out() -> None:
    windows = Windows(tracks("train", 5, range(32)), 6)
    text = "\n".join(caption for _ in range(1500) for caption in windows.one())
    for held_out in ("two women fight", "two women face", r"a child( in \w+)? lies", r"a woman( in \w+)? breaks"):
        assert not re.search(held_out, text), held_out
    for held_out in (r"a woman( in \w+)? points a gun", "fire burns beside a bench", "crash in a yard"):
        assert not re.search(held_out, text), held_out
    assert {grammar.act_of(event) for event in re.findall(".*(?:fight|gun|crash).*", text)} >= {"fight", "robbery"}


def test_the_same_seed_makes_the_same_windows() -> None:
    found = tracks("train", 0, range(4))
    first, second, other = (Windows(found, seed) for seed in (1, 1, 2))
    windows = [[each.one() for _ in range(20)] for each in (first, second, other)]
    assert windows[0] == windows[1] != windows[2]


def test_strangers_are_the_same_in_captions_and_summary() -> None:
    captions = ["two men fight in a park while a woman walks by"] * 6 + ["a fire burns beside a tree in a park"] * 2
    captions += ["a man in red sits on a bench in a park"] * 2
    for seed in range(40):
        *told, answer = with_strangers([*captions, summary(captions)], np.random.default_rng(seed))
        people = told[0].split()[1]
        assert answer.startswith(f"Two {people} fight in a park"), answer
        assert "fire burns beside a bench" not in "\n".join(told)
        assert len({*told}) == 3
    everything = {
        word for seed in range(40) for word in with_strangers(captions, np.random.default_rng(seed))[0].split()
    }
    assert {"men", "guards"} <= everything
