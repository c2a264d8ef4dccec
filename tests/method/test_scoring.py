"""Eq. 4: the question, and how an answer becomes a score."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lavad_core.method.prompts import CONTEXT, FORMAT, SCORE_CHOICES, SCORE_VALUES
from lavad_core.method.scoring import (
    choices,
    expected_score,
    interpolate_missing,
    parse_choice,
    parse_free_text,
    parse_own_score,
    score_messages,
)


def test_dialog_layout_of_the_reference() -> None:
    assert score_messages("A man runs", CONTEXT["impersonation"], FORMAT) == (
        ("system", CONTEXT["impersonation"] + " " + FORMAT),
        ("user", "A man runs."),
    )


def test_every_choice_has_its_value_with_and_without_the_space() -> None:
    assert len(set(choices())) == 22
    assert [parse_choice(choice) for choice in choices()] == [*SCORE_VALUES, *SCORE_VALUES]
    assert {choice[:2] for choice in choices()} == {"[0", "[1", " ["}


@pytest.mark.parametrize("reply", ["", "[0", "[0.15]", "[1]", "0.5", "[0.5].", "[0.5] [0.6]", "[NaN]", "I cannot"])
def test_what_is_no_choice(reply: str) -> None:
    assert parse_choice(reply) is None


@pytest.mark.parametrize(
    ("word", "reply", "expected"),
    [
        ("plain", "[0.3]", 0.3),
        ("in-text", "Sure! I would say [0.7], as it is odd.", 0.7),
        ("whole", "[1]", 1.0),
        ("zero", "[0]", 0.0),
        ("first-of-two", "[0.2] or [0.9]", 0.2),
        ("off-the-list", "[0.55]", 0.55),
        ("range-then-value", "[0-1] is the range: [0.4]", 0.4),
        ("above-one", "[1.5]", None),
        ("above-one-then-good", "[1.5] or [0.5]", None),
        ("negative", "[-0.5]", None),
        ("list", "[0, 0.1, 0.2]", None),
        ("nan", "[NaN]", None),
        ("no-brackets", "0.5", None),
        ("spaces-inside", "[ 0.5 ]", None),
        ("no-leading-digit", "[.5]", None),
        ("refusal", "I cannot rate this scene.", None),
        ("empty", "", None),
        ("huge", "[" + "9" * 5000 + "]", None),
        ("tiny", "[0." + "0" * 5000 + "1]", 0.0),
        ("other-digits", "[٠.٥]", None),
    ],
)
def test_parse_free_text(word: str, reply: str, expected: float | None) -> None:
    assert parse_free_text(reply) == expected


@pytest.mark.parametrize(
    ("reply", "expected"), [("[1.5]", 1.5), ("[10] or [0.5]", 10.0), ("[0.5]", 0.5), ("[" + "9" * 5000 + "]", None)]
)
def test_the_reference_takes_any_number(reply: str, expected: float | None) -> None:
    assert parse_free_text(reply, above_one=True) == expected


@pytest.mark.parametrize(
    ("word", "reply", "expected"),
    [
        ("plain", " [1.0]\n", 1.0),
        ("in-text", "Sure! I would say [0.7], as it is odd.", 0.7),
        ("zero", "[0]", 0.0),
        ("one", "[1]", 1.0),
        ("first-of-the-answer", "[0] The scene is normal.", 0.0),
        ("with-a-colon", "[0]: normal", 0.0),
        ("on-its-line", "The text\n[0]\nbecause", 0.0),
        ("fence", "```python\n[0.1]\n```", 0.1),
        ("fence-with-a-whole-number", "```\n[0]\n```", 0.0),
        ("announced", "Score: [1]", 1.0),
        ("announced-in-bold", "Answer: **[0]**", 0.0),
        ("announced-by-a-verb", "I would rate it as [1].", 1.0),
        ("announced-far", "I'd give this scene a score of [0]", 0.0),
        ("announced-as-a-variable", "score = [0.5]", 0.5),
        ("after-the-range", "[0-1] is the range: [0.4]", 0.4),
        ("after-a-list", "The list is [0, 0.1]. I choose [0.1]", 0.1),
        ("chinese", "是[0.3]", 0.3),
        ("said-twice", "[0.2] and again [0.2]", 0.2),
        ("two-that-differ", "[0.2] or [0.9]", None),
        ("index-in-a-bracket", "[x[0]", None),
        ("index", "return x[0]", None),
        ("index-of-a-decimal", "a[0.5]", None),
        ("index-of-a-call", "foo()[0]", None),
        ("index-after-an-index", "d['a'][0]", None),
        ("index-before-an-index", "[0][1]", None),
        ("call-of-a-list", "[0].append(1)", None),
        ("argument", "print([0])", None),
        ("decimal-argument", "print([0.5])", None),
        ("variable", "scores_of_all = [0.5]", None),
        ("returned", "return [0]", None),
        ("citation", "As reported in [1], the man falls.", None),
        ("citation-at-the-end", "The man was seen before [1].", None),
        ("foot-note", "A man walks.\n[1] A. Smith, 2020", None),
        ("link", "[1](http://example.org)", None),
        ("reference-of-a-link", "[1]: http://example.org", None),
        ("above-one", "[1.5]", None),
        ("above-one-then-good", "[1.5] or [0.5]", None),
        ("ten", "[10]", None),
        ("list", "[0, 0.1, 0.2]", None),
        ("no-brackets", "0.5", None),
        ("empty", "", None),
    ],
)
def test_parse_own_score(word: str, reply: str, expected: float | None) -> None:
    assert parse_own_score(reply) == expected


@settings(deadline=None)
@given(st.one_of(st.text(), st.from_regex(r"\[[-+0-9.eEnaif ]{0,12}\]")))
def test_an_answer_is_in_range_or_none(reply: str) -> None:
    for value in (parse_free_text(reply), parse_own_score(reply), parse_choice(reply)):
        assert value is None or 0 <= value <= 1


@pytest.mark.parametrize(
    ("word", "frames", "scores", "expected"),
    [
        ("complete", [0, 16], [0.2, 0.8], [0.2, 0.8]),
        ("middle", [0, 16, 32], [0.0, None, 0.1], [0.0, 0.05, 0.1]),
        ("by-frame-not-position", [0, 10, 40], [0.0, None, 0.4], [0.0, 0.1, 0.4]),
        ("start", [0, 16, 32], [None, None, 0.4], [0.4, 0.4, 0.4]),
        ("end", [0, 16, 32], [0.4, None, None], [0.4, 0.4, 0.4]),
        ("one-known", [0, 16, 32], [None, 0.7, None], [0.7, 0.7, 0.7]),
    ],
)
def test_interpolate_missing(word: str, frames: list[int], scores: list[float | None], expected: list[float]) -> None:
    filled, missing = interpolate_missing(frames, scores)
    assert filled == pytest.approx(expected)
    assert missing.tolist() == [score is None for score in scores]


def test_scores_above_one_are_interpolated_where_they_count() -> None:
    filled, _ = interpolate_missing([0, 16, 32], [10.0, None, 0.0], above_one=True)
    assert filled.tolist() == [10.0, 5.0, 0.0]
    with pytest.raises(ValueError, match="outside"):
        interpolate_missing([0], [math.inf], above_one=True)


@settings(deadline=None)
@given(st.lists(st.one_of(st.none(), st.floats(0, 1)), min_size=1, max_size=50))
def test_interpolation_keeps_the_known_and_stays_between_them(scores: list[float | None]) -> None:
    known = [score for score in scores if score is not None]
    frames = list(range(0, 16 * len(scores), 16))
    if not known:
        with pytest.raises(ValueError, match="none of the"):
            interpolate_missing(frames, scores)
        return
    filled, missing = interpolate_missing(frames, scores)
    assert filled[~missing].tolist() == known
    assert (filled >= min(known)).all()
    assert (filled <= max(known)).all()


@pytest.mark.parametrize(
    ("word", "frames", "scores", "match"),
    [
        ("nothing", [], [], "none of the 0"),
        ("lengths", [0, 16], [0.5], "2 frames but 1 scores"),
        ("too-large", [0, 16], [0.5, 1.5], "outside"),
        ("nan", [0, 16], [0.5, math.nan], "outside"),
        ("not-increasing", [16, 16], [0.5, 0.5], "increasing"),
    ],
)
def test_interpolate_missing_refuses(word: str, frames: list[int], scores: list[float | None], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        interpolate_missing(frames, scores)


@pytest.mark.parametrize(
    ("word", "log_probabilities", "expected"),
    [
        ("certain", {"[0.3]": 0.0}, 0.3),
        ("two", {"[0]": math.log(0.5), "[1.0]": math.log(0.5)}, 0.5),
        ("not-normalised", {"[0]": -1000.0, "[0.4]": -1000.0}, 0.2),
        ("impossible", {"[0]": -math.inf, "[0.4]": -3.0}, 0.4),
        ("spaces", {" [0.4]": -3.0}, 0.4),
        ("uniform", dict.fromkeys(SCORE_CHOICES, -1.0), 0.5),
    ],
)
def test_expected_score(word: str, log_probabilities: dict[str, float], expected: float) -> None:
    assert expected_score(log_probabilities) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("word", "log_probabilities"),
    [
        ("nothing", {}),
        ("all-impossible", {"[0]": -math.inf}),
        ("no-choice", {"[0.15]": -1.0}),
        ("nan", {"[0]": math.nan}),
        ("infinite", {"[0]": math.inf}),
    ],
)
def test_expected_score_refuses(word: str, log_probabilities: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="choice"):
        expected_score(log_probabilities)


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(SCORE_CHOICES), st.floats(-1e4, 0), min_size=1))
def test_expected_score_is_between_the_possible_values(log_probabilities: dict[str, float]) -> None:
    values = [parse_choice(choice) for choice in log_probabilities]
    assert min(v for v in values if v is not None) <= expected_score(log_probabilities)
    assert expected_score(log_probabilities) <= max(v for v in values if v is not None)


def test_more_weight_on_a_higher_value_gives_a_higher_score() -> None:
    scores = [expected_score({"[0.2]": 0.0, "[0.9]": weight}) for weight in np.linspace(-5, 5, 11)]
    assert scores == sorted(scores)
    assert len(set(scores)) == 11
