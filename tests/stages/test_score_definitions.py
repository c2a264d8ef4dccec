"""Scores by a user's own definitions: what is asked, how answers are compared, and what a run makes of them."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.fake_models import FakeChat, FakePool

from lavad_core.config.load import load_config
from lavad_core.errors import ConfigError, VideoRejected
from lavad_core.models.protocols import ChatAnswer, ChatRequest
from lavad_core.planning.cost import work_of
from lavad_core.recipes.definitions import definition_score
from lavad_core.runs import work
from lavad_core.stages.score_definitions import statement_questions
from lavad_core.video.types import VideoSource

FILE = """\
- name: glare
  hazard: [It is level 20., It is level 25.]
  look_alikes: [It is level 12.]
  questions: ["Is it bright?", "How bright?"]
- name: dusk
  hazard: It is level 8.
"""

SYSTEM = (
    "You check statements about footage of a surveillance camera. Judge by nothing but the description that you are given; "
    "what it does not say did not happen."
)
LAST = 'Is this statement true of the scene described? "{}" Answer with exactly one word, YES or NO.'
ABOUT = "Description of the scene: A dark street.\n\n"
GUIDE = "Before you answer, consider: Is it bright? How bright?\n\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "definitions.yaml"
    path.write_text(FILE)
    return path


def test_what_is_asked_about_a_summary(file: Path) -> None:
    config = load_config(
        overrides=["score.method=definitions", f"definitions.file={file}", "definitions.normal=[All is calm., b]"],
        environ={},
    )
    assert statement_questions(config, "A dark street.") == [
        (("system", SYSTEM), ("user", ABOUT + LAST.format("All is calm."))),
        (("system", SYSTEM), ("user", ABOUT + GUIDE + LAST.format("It is level 20."))),
        (("system", SYSTEM), ("user", ABOUT + GUIDE + LAST.format("It is level 25."))),
        (("system", SYSTEM), ("user", ABOUT + LAST.format("It is level 12."))),
        (("system", SYSTEM), ("user", ABOUT + LAST.format("It is level 8."))),
    ]


@pytest.mark.parametrize(
    ("hazard", "normal", "look_alikes", "score"),
    [
        pytest.param(0.9, 0.1, [], 0.9, id="no look-alike"),
        pytest.param(0.9, 0.1, [0.2, 0.6], 0.65, id="the most probable look-alike"),
        pytest.param(0.9, 0.7, [0.2], 0.6, id="an ordinary scene"),
        pytest.param(1.0, 0.0, [0.0], 1.0, id="the highest"),
        pytest.param(0.0, 1.0, [], 0.0, id="the lowest"),
        pytest.param(0.3, 0.3, [0.1], 0.5, id="as probable as an ordinary scene"),
    ],
)
def test_margins(hazard: float, normal: float, look_alikes: list[float], score: float) -> None:
    assert definition_score(hazard, normal, look_alikes) == pytest.approx(score)


class Judge(FakeChat):
    """A statement about a level is the more probable the nearer that is; an ordinary scene is below level 6."""

    def __init__(self, silent: Callable[[int], bool] = lambda level: False) -> None:
        super().__init__()
        self.silent = silent

    def answer(self, requests: Sequence[ChatRequest]) -> Iterator[tuple[int, ChatAnswer]]:
        for position, request in enumerate(requests):
            if request.distribution != "free":
                yield from ((position, answer) for _, answer in super().answer([request]))
                continue
            self.asked.append(request)
            level, *said = [int(found) for found in re.findall(r"level (\d+)", request.messages[-1][1])]
            if self.silent(level):
                yield position, ChatAnswer("The", "stop", 20, 1)
                continue
            yes = self.probability(level, said[0]) if said else 0.9 if level < 6 else 0.1
            logs = {"YES": math.log(yes), "NO": math.log(1 - yes)}
            yield position, ChatAnswer("YES", "stop", 20, 1, logs, outside=0.25)

    @staticmethod
    def probability(level: int, other: int) -> float:
        return 0.95 / (1 + abs(level - other))


def bench_of(make_bench: Callable[..., Any], chat: FakeChat, file: Path, **more: Any) -> Any:
    pool = FakePool()
    pool.chat_model = chat
    return make_bench(
        pool,
        **{
            "score": {"method": "definitions"},
            "definitions": {"file": str(file)},
            "chat": {"kind": "python", "model": "chat.py:load"},
            **more,
        },
    )


def test_a_run_says_which_definition_fits(make_bench: Callable[..., Any], street: VideoSource, file: Path) -> None:
    chat = Judge()
    bench = bench_of(make_bench, chat, file, refine={"enabled": False})
    video = bench.prepare(street)
    assert bench.run(video) == {}
    rows = bench.rows(video, "score_definitions")
    levels = [int(row["summary"].split()[-1]) for row in bench.rows(video, "summarise")]
    for row, level in zip(rows, levels, strict=True):
        normal = 0.9 if level < 6 else 0.1
        glare = max(Judge.probability(level, other) for other in (20, 25))
        scores = {
            "glare": (1 + glare - max(normal, Judge.probability(level, 12))) / 2,
            "dusk": (1 + Judge.probability(level, 8) - normal) / 2,
        }
        assert {one["kind"]: one["score"] for one in row["kinds"]} == pytest.approx(scores)
        assert row["kind"] == max(scores, key=scores.__getitem__)
        assert row["score"] == pytest.approx(max(scores.values()))
        assert (row["origin"], row["outside"]) == ("compared", 0.25)
    bright = rows[levels.index(20)]
    assert bright["kind"] == "glare"
    assert bright["reason"] == bright["answer"] == "glare 95%, an ordinary scene 10%, a look-alike 11%"
    (segment,) = bench.rows(video, "detect")
    assert segment["kind"] == "glare"
    assert segment["start_frame"] == bright["frame"]
    assert segment["summary"].endswith("20"), "the summary, as in the paper's own way"
    questions = [request for request in chat.asked if request.distribution == "free"]
    assert len(questions) == 5 * len(set(levels)), "equal summaries are asked about once"


def test_scores_are_refined_as_the_paper_s_own(make_bench: Callable[..., Any], street: VideoSource, file: Path) -> None:
    bench = bench_of(make_bench, Judge(), file)
    video = bench.prepare(street)
    assert bench.run(video) == {}
    assert {"clean", "summarise", "score_definitions", "embed_summaries", "refine"} <= {n.id for n in bench.graph.nodes}
    assert any(row["neighbour_frames"] for row in bench.rows(video, "refine"))


def test_what_is_not_answered_is_filled_in_and_counted(
    make_bench: Callable[..., Any], street: VideoSource, file: Path
) -> None:
    bench = bench_of(make_bench, Judge(silent=lambda level: level >= 20), file, refine={"enabled": False})
    video = bench.prepare(street)
    assert bench.run(video) == {}
    rows = bench.rows(video, "score_definitions")
    filled = [row for row in rows if row["origin"] == "interpolated"]
    bright = [row["frame"] for row in bench.rows(video, "summarise") if int(row["summary"].split()[-1]) >= 20]
    assert [row["frame"] for row in filled] == bright != []
    assert all(row["kinds"] is None and row["kind"] in ("glare", "dusk") for row in filled)
    known = [row["score"] for row in rows if row["origin"] == "compared"]
    assert all(min(known) <= row["score"] <= max(known) for row in filled)
    commit = bench.store.find(bench.graph.keys(video)["score_definitions"])
    assert (commit.status, commit.counts["unparsed"]) == ("ok_with_gaps", len(bright))
    assert "has to begin its answer with score.yes or score.no" in commit.message


def test_answers_that_would_begin_otherwise_are_told(
    make_bench: Callable[..., Any], street: VideoSource, file: Path
) -> None:
    bench = bench_of(make_bench, Judge(), file, score={"method": "definitions", "max_outside": 0.2})
    video = bench.prepare(street)
    assert bench.run(video) == {}
    message = bench.store.find(bench.graph.keys(video)["score_definitions"]).message
    assert re.search(
        r"25\.0% of what .* begin with another word; try another model, or another def.*\.question", message
    )


def test_no_answer_at_all_rejects_the_video(make_bench: Callable[..., Any], street: VideoSource, file: Path) -> None:
    bench = bench_of(make_bench, Judge(silent=lambda level: True), file)
    failed = bench.run(bench.prepare(street))
    assert isinstance(failed["street"], VideoRejected)
    assert "none of 13 windows" in str(failed["street"])


@pytest.mark.parametrize(
    ("change", "again"),
    [
        pytest.param(lambda text: text.replace("level 12", "level 13"), True, id="a look-alike"),
        pytest.param(lambda text: text.replace("Is it bright?", "Is it light?"), True, id="a question"),
        pytest.param(lambda text: f"# ours\n{text}", False, id="a comment"),
    ],
)
def test_a_changed_file_runs_the_scores_alone(
    change: Callable[[str], str], again: bool, make_bench: Callable[..., Any], street: VideoSource, file: Path
) -> None:
    first = bench_of(make_bench, Judge(), file, refine={"enabled": False})
    assert first.run(first.prepare(street)) == {}
    file.write_text(change(FILE))
    second = bench_of(make_bench, Judge(), file, refine={"enabled": False})
    assert second.run(second.prepare(street)) == {}
    made = [record.node for record in second.recorder.records if not record.cached]
    assert made == (["score_definitions", "refine", "detect"] if again else [])


def test_a_plan_counts_a_question_for_each_statement(
    make_bench: Callable[..., Any], street: VideoSource, file: Path
) -> None:
    bench = bench_of(make_bench, Judge(), file)

    class Times:
        frames, times_s = 200, np.arange(200) / 10

    found = work_of(bench.config, bench.graph, Times())["score_definitions"]
    assert (found[work.LLM_REQUESTS], found[work.COMPLETION_TOKENS], found["rows"]) == (13 * 5, 13 * 5, 13)


def test_a_question_has_to_hold_the_statement() -> None:
    with pytest.raises(ConfigError, match=r"definitions\.question.*must hold \{statement\}"):
        load_config(overrides=["score.method=definitions", "definitions.question=Is it so?"], environ={})
