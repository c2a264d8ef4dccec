"""Yes/no questions about summaries: the arithmetic, what is asked, and what becomes of the answers."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.isotonic import IsotonicRegression
from support.fake_models import FakeChat, FakePool

from lavad_core.config.load import load_config
from lavad_core.errors import ConfigError, VideoRejected
from lavad_core.models.protocols import ChatAnswer, ChatRequest
from lavad_core.pipeline.graph import build_graph
from lavad_core.planning.cost import work_of
from lavad_core.recipes.ordinal import (
    QUESTION,
    RUBRIC,
    in_words,
    ordinal_score,
    question_messages,
    thresholds,
    two_way,
    violations,
)
from lavad_core.results.run import results_of_keys
from lavad_core.runs import work
from lavad_core.video.types import VideoSource

GRID = list(range(0, 200, 16))


def test_the_published_arithmetic(shared: Path) -> None:
    file = shared / "design/recipes_vectors.json"
    if not file.exists():
        pytest.skip("no ../shared/design/recipes_vectors.json: nothing to compare with")
    wanted = json.loads(file.read_text())["ordinal"]
    found = [two_way(yes, no) for yes, no in wanted["logprob_yes_no"]]
    assert found == pytest.approx(wanted["p"], abs=1e-9)
    assert ordinal_score(found) == pytest.approx(wanted["score"], abs=1e-9)
    assert violations(found) == pytest.approx(2 / 9)
    # The projection onto non-increasing sequences, which need not be built: it never changes the mean.
    falling = IsotonicRegression(increasing=False).fit_transform(np.arange(len(found)), found)
    assert falling.tolist() == pytest.approx(wanted["pava"], abs=1e-9)
    assert ordinal_score(falling.tolist()) == pytest.approx(ordinal_score(found), abs=1e-12)


@pytest.mark.parametrize(
    ("logs", "expected"),
    [
        pytest.param((-0.5, -0.5), 0.5, id="alike"),
        pytest.param((-math.inf, -3.0), 0.0, id="no yes"),
        pytest.param((-3.0, -math.inf), 1.0, id="no no"),
        pytest.param((-2000.0, -1.0), 0.0, id="far apart"),
        pytest.param((-1000.0, -1001.0), 1 / (1 + math.exp(-1)), id="both improbable"),
    ],
)
def test_two_way(logs: tuple[float, float], expected: float) -> None:
    assert two_way(*logs) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("logs", [(-math.inf, -math.inf), (math.nan, -1.0), (-1.0, math.inf)])
def test_what_is_not_of_two_words(logs: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="not those of two words"):
        two_way(*logs)


def test_thresholds_and_words() -> None:
    assert thresholds(5) == pytest.approx((0.2, 0.4, 0.6, 0.8, 1.0))
    assert thresholds(1) == (1.0,)
    assert violations([0.4]) == 0.0
    assert violations([0.4, 0.4, 0.5]) == 0.5
    assert in_words([0.85, 0.2]) == "severity at least 0.5: 85%, 1: 20%"


@pytest.mark.parametrize(
    ("threshold", "shown"), [(0.1, "0.1"), (1.0, "1.0"), (0.25, "0.25"), (1 / 3, "0.333"), (0.3000001, "0.3")]
)
def test_the_threshold_comes_after_everything_that_is_shared(threshold: float, shown: str) -> None:
    ((role, system), (user, turn)) = question_messages(QUESTION, RUBRIC, ("YES", "NO"), threshold, "A {threshold}.")
    assert (role, user, system) == ("system", "user", RUBRIC)
    before, _, after = turn.partition(f"at least {shown} on")
    assert before.startswith("Caption of the current video clip: A {threshold}.\n\n")
    assert after.endswith("exactly one word, YES or NO.")
    assert question_messages("{threshold}?", "", ("a", "b"), threshold, None) == (("user", f"{shown}?"),)


class Asked(FakeChat):
    """The brighter, the more severe; ``silent`` are (level, threshold) without an answer."""

    def __init__(self, silent: Callable[[int, float], bool] = lambda level, at: False, falling: bool = True) -> None:
        super().__init__()
        self.silent, self.sign = silent, 1 if falling else -1

    def answer(self, requests: Sequence[ChatRequest]) -> Iterator[tuple[int, ChatAnswer]]:
        for position, request in enumerate(requests):
            if request.distribution != "free":
                yield from ((position, answer) for _, answer in super().answer([request]))
                continue
            self.asked.append(request)
            turn = request.messages[-1][1]
            level = int(re.findall(r"level (\d+)", turn)[0])
            at = float(re.findall(r"at least ([0-9.]+)", turn)[0])
            if self.silent(level, at):
                yield position, ChatAnswer("The", "stop", 20, 1)
                continue
            yes = self.probability(level, at)
            logs = {"YES": math.log(yes), "NO": math.log(1 - yes)}
            yield position, ChatAnswer("YES", "stop", 20, 1, logs, outside=0.25)

    def probability(self, level: int, at: float) -> float:
        return 1 / (1 + math.exp(self.sign * 8 * (at - 0.5 - (level - 11) / 20)))

    @property
    def questions(self) -> list[ChatRequest]:
        return [request for request in self.asked if request.distribution == "free"]


def bench_of(make_bench: Callable[..., Any], chat: FakeChat, **score: Any) -> Any:
    pool = FakePool()
    pool.chat_model = chat
    settings = {"answer": "ordinal", "thresholds": 4, **score}
    return make_bench(pool, score=settings, chat={"kind": "python", "model": "chat.py:load"})


def test_a_score_is_the_mean_of_yes_over_the_thresholds(make_bench: Callable[..., Any], street: VideoSource) -> None:
    chat = Asked()
    bench = bench_of(make_bench, chat)
    video = bench.prepare(street)
    assert bench.run(video) == {}
    rows, summaries = bench.rows(video, "score"), bench.rows(video, "summarise")
    assert [row["frame"] for row in rows] == GRID
    for row, summary in zip(rows, summaries, strict=True):
        level = int(summary["summary"].split()[-1])
        expected = [chat.probability(level, at) for at in (0.25, 0.5, 0.75, 1.0)]
        assert row["probabilities"] == pytest.approx(expected)
        assert row["score"] == pytest.approx(np.mean(expected))
        assert (row["origin"], row["outside"]) == ("ordinal", 0.25)
        assert row["answer"] == in_words(expected)
    commit = bench.store.find(bench.graph.keys(video)["score"])
    assert commit.facts == {"outside": 0.25, "order_violations": 0.0}
    assert (commit.status, commit.message) == ("ok", "")
    read = results_of_keys(bench.store, bench.config, {"street": bench.graph.keys(video)})["street"]
    assert read.facts["order_violations"] == 0.0
    assert read.reasons == {row["frame"]: row["answer"] for row in rows}
    different = len({summary["summary"] for summary in summaries})
    assert len(chat.questions) == 4 * different, "equal summaries are asked about once"
    first = [request.messages[-1][1] for request in chat.questions[:different]]
    assert all("at least 0.25 " in turn for turn in first), "each text is read once before the rest is asked"
    assert {(request.max_tokens, request.temperature, request.top_p) for request in chat.questions} == {(1, 1.0, 1.0)}


def test_what_is_not_answered_is_filled_in_and_counted(make_bench: Callable[..., Any], street: VideoSource) -> None:
    """One threshold without an answer is enough: the mean of the others would be another score. Never 0.5."""
    chat = Asked(silent=lambda level, at: level >= 20 and at == 0.75)
    bench = bench_of(make_bench, chat)
    video = bench.prepare(street)
    assert bench.run(video) == {}
    rows = bench.rows(video, "score")
    filled = [row for row in rows if row["origin"] == "interpolated"]
    bright = [row["frame"] for row in bench.rows(video, "summarise") if int(row["summary"].split()[-1]) >= 20]
    assert [row["frame"] for row in filled] == bright != []
    known = [row["score"] for row in rows if row["origin"] == "ordinal"]
    assert all(min(known) <= row["score"] <= max(known) and row["probabilities"] is None for row in filled)
    commit = bench.store.find(bench.graph.keys(video)["score"])
    assert (commit.status, commit.counts["unparsed"], commit.counts["no_number"]) == (
        "ok_with_gaps",
        *[len(filled)] * 2,
    )
    assert "has to begin its answer with score.yes or score.no ('YES' or 'NO'" in commit.message


def test_a_model_that_answers_nothing_rejects_the_video(make_bench: Callable[..., Any], street: VideoSource) -> None:
    bench = bench_of(make_bench, Asked(silent=lambda level, at: True))
    failed = bench.run(bench.prepare(street))
    assert isinstance(failed["street"], VideoRejected)
    assert re.search(
        r"none of 13 windows.*first answer without one: 'The'.*show log-probabilities", str(failed["street"])
    )


def test_thresholds_in_the_wrong_order_are_told(make_bench: Callable[..., Any], street: VideoSource) -> None:
    bench = bench_of(make_bench, Asked(falling=False))
    video = bench.prepare(street)
    assert bench.run(video) == {}
    commit = bench.store.find(bench.graph.keys(video)["score"])
    assert commit.facts["order_violations"] == 1.0
    assert commit.status == "ok"
    assert "a higher threshold of severity more probable than the one before it in 100.0% of cases" in commit.message


def test_a_plan_counts_a_question_for_each_threshold(make_bench: Callable[..., Any], street: VideoSource) -> None:
    bench = bench_of(make_bench, Asked())
    video = bench.prepare(street)
    assert bench.run(video) == {}

    class Times:
        frames, times_s = 200, np.arange(200) / 10

    found = work_of(bench.config, bench.graph, Times())["score"]
    assert (found[work.LLM_REQUESTS], found[work.COMPLETION_TOKENS], found["rows"]) == (13 * 4, 13 * 4, 13)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        pytest.param(["score.question=Is it severe?"], r"score.question.*must hold \{threshold\}", id="no threshold"),
        pytest.param(["score.yes=A", "score.no=AB"], "begin alike", id="one word begins the other"),
        pytest.param(["score.expected=true"], "score.expected needs score.answer 'choice'", id="two readouts"),
        pytest.param(["score.thresholds=0"], "score.thresholds", id="no question"),
        pytest.param(["score.yes=oui!é"], "score.yes", id="a word that a token may cut within a character"),
        pytest.param(
            ["score.method=direct", "chat.kind=openai"], "set score.method=clips", id="a frame alone is a clip of one"
        ),
    ],
)
def test_settings_that_do_not_fit(overrides: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_config(overrides=["score.answer=ordinal", *overrides], environ={})


def test_other_readouts_have_the_fingerprints_that_they_had() -> None:
    """Fields that only yes/no questions read are in no other result."""
    config = load_config(environ={})
    (node,) = [node for node in build_graph(config, dict.fromkeys(config.models, "m")).nodes if node.stage == "score"]
    assert not {"score.thresholds", "score.question", "score.rubric", "score.yes", "score.no"} & set(node.settings)
