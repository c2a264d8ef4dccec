"""Answers that hold nothing to use: they are counted by kind, said, and no score is made of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from support.fake_models import FakeChat, FakePool

from lavad_core.errors import NotAsked, VideoRejected
from lavad_core.models.protocols import ChatAnswer, ChatRequest
from lavad_core.stages.circuit_breaker import CircuitBreaker
from lavad_core.video.types import VideoSource

GRID = list(range(0, 200, 16))
WINDOW = {"duration_s": 4.8}
"""Three grid frames."""

Say = Callable[[str, bool], ChatAnswer | None]


class Scripted(FakeChat):
    """Says what ``say`` gives for the last message and whether it is of a score; a plain answer where that is None."""

    def __init__(self, say: Say) -> None:
        super().__init__()
        self.say = say

    def answer(self, requests: Sequence[ChatRequest]) -> Iterator[tuple[int, ChatAnswer]]:
        for position, request in enumerate(requests):
            self.asked.append(request)
            text, scoring = request.messages[-1][1], "rate the scene" in request.messages[0][1]
            seen = ", ".join(line.strip() for line in text.splitlines())
            plain = ChatAnswer("[0.2]" if scoring else f"We see {seen}.", "stop", 10, 5)
            yield position, self.say(text, scoring) or plain


@pytest.fixture
def run(make_bench: Callable[..., Any], street: VideoSource, tmp_path: Path) -> Callable[..., Any]:
    """A run from cleaned captions that differ, to the scores; the commits of both stages and the rows of the scores."""
    folder = tmp_path / "cleaned"
    folder.mkdir()
    texts = {str(frame): "a fire" if frame in (64, 80, 96) else f"a man at {frame}" for frame in GRID}

    def go(say: Say, names: Sequence[str] = ("street",), **settings: Any) -> Any:
        for name in names:
            (folder / f"{name}.json").write_text(json.dumps(texts | {"0": name}))
        pool = FakePool()
        pool.chat_model = Scripted(say)
        settings = {"window": WINDOW, "imports": {"cleaned": folder}, **settings}
        resources = make_bench(
            pool, **{**settings, "run": {"targets": ["score"], "workers": 1, **settings.get("run", {})}}
        )
        videos = [resources.prepare(VideoSource(name, street.path)) for name in names]
        return resources, videos, resources.run(*videos)

    return go


def commits(resources: Any, video: Any) -> list[Any]:
    return [resources.store.find(resources.graph.keys(video)[node]) for node in ("summarise", "score")]


REFUSED = ChatAnswer("", "refused", 0, 0)


@pytest.mark.parametrize(
    ("kind", "answer", "words"),
    [
        ("refused", REFUSED, "refused by the model or a content filter"),
        (
            "only_thought",
            ChatAnswer("<think>\nThe police? [0.9]\nA fight", "length", 5, 5),
            "a thought without an answer",
        ),
        ("only_thought", ChatAnswer("<think>[0.9]</think>\n", "stop", 5, 5), "chat.extra_body"),
        ("blank", ChatAnswer("", "stop", 5, 0), "empty"),
        ("truncated", ChatAnswer("A group of", "length", 5, 5), "cut off by the limit of tokens"),
    ],
)
def test_windows_without_a_summary_are_counted_and_get_no_score_of_their_own(
    run: Callable[..., Any], kind: str, answer: ChatAnswer, words: str
) -> None:
    resources, (video,), failed = run(lambda text, scoring: answer if "fire" in text and not scoring else None)
    assert failed == {}
    summarise, score = commits(resources, video)
    assert summarise.status == score.status == "ok_with_gaps"
    assert summarise.counts[kind] == summarise.counts["empty"] == score.counts["no_summary"] == 5
    assert f"5 of {len(GRID)} summaries are empty" in summarise.message
    assert words in summarise.message
    assert f"5 of {len(GRID)} answers held no score and were interpolated (5 summaries are empty)" in score.message
    rows = {row["frame"]: row for row in resources.rows(video, "score")}
    assert (rows[80]["origin"], rows[80]["answer"], rows[80]["score"]) == ("interpolated", None, 0.2)


def test_the_reference_asks_about_empty_summaries_too(run: Callable[..., Any]) -> None:
    say: Say = lambda text, scoring: ChatAnswer("", "stop", 5, 0) if "fire" in text and not scoring else None  # noqa: E731
    resources, (video,), failed = run(say, score={"without_summary": "ask"})
    assert failed == {}
    assert commits(resources, video)[1].counts["no_summary"] == 0
    assert {row["origin"] for row in resources.rows(video, "score")} == {"said"}


@pytest.mark.parametrize("answer", ["choice", "free-text"])
@pytest.mark.parametrize(
    ("kind", "given"),
    [
        ("refused", REFUSED),
        ("only_thought", ChatAnswer("<think>[0.9]", "length", 5, 5)),
        ("blank", ChatAnswer("", "stop", 5, 0)),
    ],
)
def test_scores_that_were_not_given_are_counted_by_kind(
    run: Callable[..., Any], answer: str, kind: str, given: ChatAnswer
) -> None:
    say: Say = lambda text, scoring: given if "fire" in text and scoring else None  # noqa: E731
    resources, (video,), failed = run(say, score={"answer": answer})
    assert failed == {}
    _, score = commits(resources, video)
    assert (score.status, score.counts["unparsed"], score.counts[kind]) == ("ok_with_gaps", 5, 5)


def test_a_number_in_a_thought_is_no_score(run: Callable[..., Any]) -> None:
    thought = ChatAnswer("<think>\n[0.9]? No.\n</think>\n\n[0.1]", "stop", 5, 5)
    resources, (video,), failed = run(lambda text, scoring: thought if scoring else None, score={"answer": "free-text"})
    assert failed == {}
    assert {(row["score"], row["answer"]) for row in resources.rows(video, "score")} == {(0.1, "[0.1]")}
    assert commits(resources, video)[1].status == "ok"


def test_an_unfinished_sentence_is_left_out_and_counted(run: Callable[..., Any]) -> None:
    cut = ChatAnswer("Sure! Here is a summary:\n\nA man walks. The", "length", 5, 5)
    say: Say = lambda text, scoring: cut if "fire" in text and not scoring else None  # noqa: E731
    resources, (video,), _ = run(say)
    summarise, _ = commits(resources, video)
    assert (summarise.status, summarise.counts["truncated"], summarise.counts["empty"]) == ("ok_with_gaps", 5, 0)
    assert "5 of 13 answers were cut off; raise summarise.total_tokens (now 512)" in summarise.message
    assert "thinking" not in summarise.message
    assert {row["summary"] for row in resources.rows(video, "summarise") if row["frame"] == 80} == {"A man walks."}
    resources, (video,), _ = run(say, summarise={"unfinished": "keep", "keep": "last-line", "max_faulty_fraction": 0.5})
    assert commits(resources, video)[0].status == "ok"
    assert "A man walks. The" in {row["summary"] for row in resources.rows(video, "summarise")}


def test_captions_that_were_left_out_are_said(run: Callable[..., Any]) -> None:
    resources, (video,), _ = run(lambda *_: None, summarise={"total_tokens": 64, "min_answer_tokens": 34})
    summarise, _ = commits(resources, video)
    shortened, left_out = summarise.counts["shortened"], summarise.counts["captions_left_out"]
    assert 0 < shortened <= left_out
    assert summarise.status == "ok_with_gaps"
    assert (
        f"{left_out} captions were left out in {shortened} of 13 windows; raise summarise.total_tokens"
        in summarise.message
    )


@pytest.mark.parametrize(("same", "warned"), [(True, True), (False, False)])
def test_one_text_for_most_windows_is_a_warning(run: Callable[..., Any], same: bool, warned: bool) -> None:
    told = ChatAnswer("The scene is described above.", "stop", 5, 5)
    resources, (video,), _ = run(lambda _, scoring: told if same and not scoring else None)
    summarise, _ = commits(resources, video)
    assert summarise.status == "ok"
    assert summarise.message.startswith("warning: 13 of 13 windows have one and the same summary") == warned


@pytest.mark.parametrize(("limit", "rejected"), [(0.3, True), (0.5, False)])
def test_a_video_of_which_too_few_windows_have_a_score_is_rejected(
    run: Callable[..., Any], limit: float, rejected: bool
) -> None:
    say: Say = lambda text, scoring: ChatAnswer("x = [x[0]", "stop", 5, 5) if "fire" in text and scoring else None  # noqa: E731
    _, _, failed = run(say, score={"answer": "free-text", "reject_unparsed_fraction": limit})
    if not rejected:
        assert failed == {}
        return
    assert isinstance(failed["street"], VideoRejected)
    assert failed["street"].reason == "no-scores"
    for words in ("5 of 13 answers", "5 answers hold no score", "score.reject_unparsed_fraction = 0.3", "x = [x[0]"):
        assert words in str(failed["street"])


@pytest.mark.parametrize("scoring_too", [True, False])
def test_a_video_that_is_mostly_refused_stays(run: Callable[..., Any], scoring_too: bool) -> None:
    """With something to refuse: else exactly the anomalous videos would leave the metric."""

    def say(text: str, scoring: bool) -> ChatAnswer | None:
        return REFUSED if scoring == scoring_too and "man at 192" not in text else None

    resources, (video,), failed = run(say)
    assert failed == {}
    score = commits(resources, video)[1]
    assert score.status == "ok_with_gaps"
    assert score.counts["unparsed"] > len(GRID) / 2


def test_where_most_answers_are_cut_thoughts_may_be_the_reason(run: Callable[..., Any]) -> None:
    def say(text: str, scoring: bool) -> ChatAnswer | None:
        return None if scoring else ChatAnswer(f"Okay, {text}. Let me think. The", "length", 5, 5)

    resources, (video,), _ = run(say)
    commit = commits(resources, video)[0]
    assert commit.status == "ok_with_gaps"
    assert "13 of 13 answers were cut off" in commit.message
    assert "switch the model's thinking off (chat.extra_body" in commit.message


@pytest.mark.parametrize(("long", "status"), [(0, "ok"), (1, "ok_with_gaps")])
def test_a_summary_that_is_too_long_for_the_score_is_said(run: Callable[..., Any], long: int, status: str) -> None:
    def say(text: str, scoring: bool) -> ChatAnswer | None:
        return None if scoring or "man at 192" not in text else ChatAnswer("word " * (1 + 400 * long), "stop", 5, 5)

    resources, (video,), _ = run(say)
    commit = commits(resources, video)[1]
    assert (commit.status, bool(commit.counts["shortened"])) == (status, bool(long))
    assert ("lost their last words; raise score.total_tokens (now 512)" in commit.message) is bool(long)


@pytest.mark.parametrize("accident", ["no", "[0.1]"])
def test_after_the_first_useless_videos_a_stage_asks_no_more(run: Callable[..., Any], accident: str) -> None:
    names = ["a", "b", "c", "d"]

    def say(text: str, scoring: bool) -> ChatAnswer | None:
        return ChatAnswer(accident if "man at 192" in text else "no", "stop", 5, 5) if scoring else None

    resources, videos, failed = run(say, names, score={"answer": "free-text"}, run={"give_up_after_unusable": 2})
    assert [type(failed[name]) for name in names] == [VideoRejected, VideoRejected, NotAsked, NotAsked]
    assert "score is not asked for further videos" in str(failed["c"])
    assert "run.give_up_after_unusable" in str(failed["c"])
    assert [commit is None for commit in commits(resources, videos[2])] == [False, True], (
        "summaries stay, no verdict on scores"
    )
    _, _, failed = run(lambda *_: None, names, score={"answer": "free-text", "total_tokens": 500})
    assert failed == {}


@pytest.mark.parametrize(
    ("most", "notes", "stops"),
    [
        (3, [False, False], False),
        (3, [False, False, False], True),
        (3, [True, False, False, False], False),
        (3, [False, False, False, True], False),
        (0, [False] * 9, False),
    ],
)
def test_patience(most: int, notes: list[bool], stops: bool) -> None:
    patience = CircuitBreaker(most)
    for number, useful in enumerate(notes):
        patience.note("score", str(number), useful)
    patience.check("summarise")
    if stops:
        with pytest.raises(NotAsked, match="first 3 of them"):
            patience.check("score")
    else:
        patience.check("score")
