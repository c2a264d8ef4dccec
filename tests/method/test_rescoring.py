"""Gated re-scoring with tags: the arithmetic, the tags, the question; and all of it on URF's published files."""

from __future__ import annotations

import json
import statistics
import tarfile
from pathlib import Path

import numpy as np
import pytest

from lavad_core.errors import InputError
from lavad_core.imports.tags import read_tags
from lavad_core.method.prompts import FORMAT
from lavad_core.recipes.extremes import Extreme, Extremes, extremes
from lavad_core.recipes.rescoring import (
    outside_band,
    rescore_messages,
    tags_messages,
    tags_of_answer,
    tags_of_list,
    tags_of_text,
)

Scores = dict[str, dict[int, float]]
"""Video to frame to score."""


def by_hand(scores: dict[int, float], fraction: float, least: int) -> tuple[Extreme, Extreme]:
    """Each window added up by itself."""
    window = max(int(max(scores) * fraction), least)
    high = low = None
    for start in scores:
        inside = [score for frame, score in scores.items() if start <= frame < start + window]
        total = 0.0
        for score in inside:
            total += score
        mean = total / len(inside)
        if high is None or mean > high[1]:
            high = (start, mean)
        if low is None or mean < low[1]:
            low = (start, mean)
    assert high is not None
    assert low is not None
    return tuple(Extreme(at, at + window, round(mean, 3)) for at, mean in (high, low))  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("count", "step", "fraction", "least"),
    [
        pytest.param(1, 16, 0.1, 300, id="one frame"),
        pytest.param(2, 16, 0.1, 300, id="shorter than a window"),
        pytest.param(300, 16, 0.1, 300, id="a tenth is longer than the least"),
        pytest.param(300, 16, 0.1, 496, id="a window that ends on a grid frame"),
        pytest.param(300, 7, 0.25, 1, id="another grid"),
        pytest.param(40, 16, 1.0, 1, id="a window is all of it"),
        pytest.param(40, 16, 0.001, 1, id="a window is one frame"),
    ],
)
def test_extremes_are_those_of_each_window_by_itself(count: int, step: int, fraction: float, least: int) -> None:
    tenths = np.random.default_rng(count).integers(0, 11, count) / 10  # equal means occur
    scores = dict(zip(range(0, count * step, step), tenths.tolist(), strict=True))
    found = extremes(list(scores), tenths, fraction=fraction, least=least)
    assert (found.highest, found.lowest) == by_hand(scores, fraction, least)
    assert found.deviation == pytest.approx(statistics.pstdev(tenths.tolist()), abs=1e-5)


def test_of_equal_windows_the_first_counts_and_ends_may_be_behind_the_video() -> None:
    found = extremes([0, 16, 32], [0.5, 0.5, 0.5])
    assert (found.highest, found.lowest, found.deviation) == (Extreme(0, 300, 0.5), Extreme(0, 300, 0.5), 0.0)
    assert extremes([0, 16, 32], [0.0, 0.0, 0.9]).highest == Extreme(32, 332, 0.9), "the last window is one frame"


def test_a_fraction_is_taken_as_it_is_written() -> None:
    """0.29 · 100 is 28.99… as floating point."""
    assert extremes(range(101), np.zeros(101), fraction=0.29, least=1).highest.end == 29


@pytest.mark.parametrize(
    ("mean", "deviation", "band", "why"),
    [
        pytest.param(0.45, 0.3, 0.05, "", id="the lower end is within"),
        pytest.param(0.55, 0.3, 0.05, "", id="the upper end is within"),
        pytest.param(0.449, 0.3, 0.05, "highest mean 0.449 is outside 0.45…0.55", id="below"),
        pytest.param(0.81, 0.3, 0.05, "highest mean 0.81 is outside 0.45…0.55", id="above"),
        pytest.param(0.59, 0.3, None, "", id="the variance is the band"),
        pytest.param(0.6, 0.3, None, "highest mean 0.6 is outside 0.41…0.59", id="outside the variance"),
        pytest.param(0.5, 0.0, 0.0, "", id="no band at all"),
    ],
)
def test_which_videos_are_in_doubt(mean: float, deviation: float, band: float | None, why: str) -> None:
    found = Extremes(Extreme(0, 300, mean), Extreme(0, 300, 0.0), deviation)
    assert outside_band(found, band) == why


@pytest.mark.parametrize(
    ("given", "text", "why"),
    [
        ("fire,  smoke\n", "fire, smoke", ""),
        ("breaking_and-entering", "breaking_and-entering", ""),
        ("nothing", "nothing", ""),
        ("", "", "its tags are ''"),
        ("[]", "", "its tags are '[]'"),
        (" None", "", "its tags are 'None'"),
        ("no suspicious activity", "", "have 'no ' in them"),
        ("No visible crime", "", "have 'no ' in them"),
        ("no_crime", "", "have 'no_' in them"),
        ("a piano player", "", "have 'no ' in them"),
    ],
)
def test_tags_that_are_given_as_a_text(given: str, text: str, why: str) -> None:
    found = tags_of_text(given)
    assert found.text == text
    assert (why in found.why) if why else not found.why


@pytest.mark.parametrize(
    ("reply", "text", "unread"),
    [
        ('["fire", "smoke\\n rises"]', "fire, smoke rises", False),
        ('Here they are:\n```json\n["a fight"]\n```', "a fight", False),
        ("['a piano player', 'a fight']", "a piano player, a fight", False),
        ("[]", "", False),
        ('["", " "]', "", False),
        ("I see a fire.", "", True),
        ("[fire]", "", True),
        ("[1, 2]", "", True),
        ('{"tags": []} and []]', "", True),
        ("[" * 5000 + "]" * 5000, "", True),
    ],
    ids=lambda value: value[:12] if isinstance(value, str) else "",
)
def test_tags_that_a_model_names(reply: str, text: str, unread: bool) -> None:
    found = tags_of_answer(reply)
    assert (found.text, found.unread) == (text, unread)
    assert bool(found.why) == (not text)


def test_tags_of_a_list_are_not_searched_for_denials() -> None:
    assert tags_of_list(["a piano player", "  "]).text == "a piano player"


def test_the_question_of_the_second_pass_has_the_tags_and_no_full_stop() -> None:
    (_, system), user = rescore_messages("A man runs", "fire, smoke", "How suspicious is it?", FORMAT)
    assert system == f"How suspicious is it?\n[Possibly seen in this video: fire, smoke]\n\n{FORMAT}"
    assert user == ("user", "A man runs")
    assert tags_messages("What is seen?") == (("user", "What is seen?"),)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("[1]", "is not an object of videos"),
        ('{"v": 1}', "'v' has 1 where texts are needed"),
        ('{"v": ["a", null]}', "where texts are needed"),
        ('{"v": "\\ud800"}', "where texts are needed"),
        ('{"v": "a", "v": "b"}', "has the key 'v' twice"),
        ("{", "is not JSON"),
    ],
)
def test_files_of_tags_that_are_not_read(content: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "tags.json").write_text(content)
    with pytest.raises(InputError, match=says):
        read_tags(tmp_path / "tags.json", "v")


def test_the_digest_is_of_the_video_s_own_tags(tmp_path: Path) -> None:
    path = tmp_path / "tags.json"
    path.write_text('{"a": ["fire"], "b": "fire"}')
    (of_a, a), (of_b, b), (none, c) = (read_tags(path, video) for video in ("a", "b", "c"))
    assert (of_a.text, of_b.text, none.text) == ("fire", "fire", "")
    assert "has no tags of 'c'" in none.why
    path.write_text('{"b": "smoke", "a": ["fire"]}')
    assert read_tags(path, "a")[1] == a
    assert len({a, b, c, read_tags(path, "b")[1]}) == 4


@pytest.fixture(scope="module")
def urf(shared: Path) -> Path:
    folder = shared / "data/urf_ucf_crime"
    if not (folder / "highest_lowest_intervals.json").exists():
        pytest.skip("no ../shared/data/urf_ucf_crime: URF's published statistics are not recomputed")
    return folder


def scores_in(archive: Path, known: set[str]) -> Scores:
    with tarfile.open(archive) as files:
        members = {Path(member.name).stem: member for member in files if member.name.endswith(".json")}
        contents = {name: files.extractfile(member) for name, member in members.items() if name in known}
        values = {name: json.load(content) for name, content in contents.items() if content is not None}
    return {name: {int(frame): float(score) for frame, score in video.items()} for name, video in values.items()}


def test_the_published_statistics_gate_and_skip_are_reproduced_exactly(urf: Path) -> None:
    statistics_of = json.loads((urf / "highest_lowest_intervals.json").read_text())
    raw = scores_in(urf / "scores_raw.tar.xz", set(statistics_of))
    refined = scores_in(urf / "scores_refined.tar.xz", set(statistics_of))
    assert len(raw) == len(refined) == len(statistics_of) == 290
    found = {name: extremes(list(scores), list(scores.values())) for name, scores in raw.items()}
    for name, theirs in statistics_of.items():
        own = found[name]
        assert [own.highest.start, own.highest.end] == theirs["highest_interval"], name
        assert [own.lowest.start, own.lowest.end] == theirs["lowest_interval"], name
        means = (own.highest.mean, own.lowest.mean, own.deviation)
        assert means == (theirs["highest_avg_score"], theirs["lowest_avg_score"], theirs["std"]), name
    gated = {name for name, own in found.items() if not outside_band(own, 0.05)}
    assert len(gated) == 22
    skipped = {
        name: tags.why for name in gated if not (tags := read_tags(urf / "suspicious_part_phrases.json", name)[0]).text
    }
    assert skipped == {
        "RoadAccidents127_x264": "its tags 'no suspicious activity' have 'no ' in them, which counts as nothing seen"
    }
    changed = {name for name in raw if raw[name] != refined[name]}
    assert len(changed) == 21
    assert changed == gated - set(skipped)
