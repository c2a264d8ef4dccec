"""Clips: the frames of each window shown to a model, by yes/no questions or for a number."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.scripted_server import Reply, ScriptedServer, Seen, chat_body, error_body, pictures_in, scripted
from support.single_video import SingleVideo

from lavad_core.config.load import load_config
from lavad_core.errors import ConfigError, LavadError, VideoRejected
from lavad_core.planning.cost import work_of
from lavad_core.recipes.clips import frames_of_windows
from lavad_core.runs import work
from lavad_core.video.types import VideoSource

GRID = list(range(0, 200, 16))
BRIGHT = [48, 64, 80]


def clips(frames: int, rate: float, **change: Any) -> list[list[int]]:
    given: dict[str, Any] = {"duration_s": 10.0, "frame_rate": None, "fps": 2.0, "most": 10} | change
    centres = np.arange(0, frames, 16)
    return [clip.tolist() for clip in frames_of_windows(centres, np.arange(frames) / rate, **given)]


def test_two_frames_a_second_and_ten_at_most_within_the_window() -> None:
    found = clips(900, 30.0)
    assert len(found) == 57
    for centre, clip in zip(range(0, 900, 16), found, strict=True):
        first, last = max(0, centre - 150), min(899, centre + 149)
        assert clip == np.linspace(first, last, 10).astype(int).tolist()


@pytest.mark.parametrize(
    ("frames", "rate", "change", "clip"),
    [
        pytest.param(60, 30.0, {}, [0, 19, 39, 59], id="a video of two seconds: four frames"),
        pytest.param(10, 30.0, {}, [0], id="shorter than a frame's time"),
        pytest.param(300, 30.0, {"most": 1}, [0], id="the frame alone"),
        pytest.param(300, 30.0, {"duration_s": 2.0}, [0, 29], id="the half of the window that there is"),
        pytest.param(300, 30.0, {"fps": 30.0, "most": 3}, [0, 74, 149], id="the most that are shown"),
        pytest.param(300, 10.0, {"frame_rate": 30.0, "duration_s": 2.0}, [0, 29], id="a rate for all videos"),
    ],
)
def test_the_first_clip(frames: int, rate: float, change: dict[str, Any], clip: list[int]) -> None:
    assert clips(frames, rate, **change)[0] == clip


def test_a_clip_of_one_is_the_grid_frame() -> None:
    assert clips(200, 10.0, most=1) == [[frame] for frame in GRID]


def severity(seen: Seen) -> float:
    """Bright clips are severe."""
    return float(np.mean([picture.mean() for picture in pictures_in(seen)])) / 255


def judging(seen: Seen) -> Reply:
    """The first token's log-probabilities of a model that sees brightness."""
    found = re.findall(r"at least ([0-9.]+)", seen.body["messages"][-1]["content"][-1]["text"])
    if not found:
        return Reply(body=chat_body("Yes."))  # a question about nothing in particular
    at = float(found[0])
    yes = 1 / (1 + math.exp(20 * (at - severity(seen))))
    tops = [{"token": "YES", "logprob": math.log(yes)}, {"token": "NO", "logprob": math.log(1 - yes)}]
    said = tops[yes < 0.5]
    return Reply(body=chat_body(str(said["token"]), "length", logprobs={"content": [said | {"top_logprobs": tops}]}))


def answering(script: Callable[[Seen], Reply]) -> Callable[[Seen], Reply]:
    """Questions without pictures are answered in a word; what else a client wants to know is not there."""

    def answer(seen: Seen) -> Reply:
        if seen.path != "/v1/chat/completions":
            return Reply(status=404, body=error_body("no", "NotFound", 404))
        return script(seen) if pictures_in(seen) else Reply(body=chat_body("Yes."))

    return answer


@contextmanager
def run(
    store: Path, video: VideoSource, script: Callable[[Seen], Reply], *overrides: str
) -> Iterator[tuple[SingleVideo, ScriptedServer]]:
    with scripted(script=answering(script)) as server:
        chat = f"chat={{kind: openai, model: tiny, base_url: '{server.base_url}', retries: 0, tokenizer: null}}"
        given = (
            "score.method=clips",
            "score.answer=ordinal",
            "score.thresholds=4",
            "clips.image_side=32",
            chat,
            *overrides,
        )
        made = SingleVideo(store, video, *given)
        yield made, server
        made.resources.close()


def test_a_clip_is_asked_about_at_each_threshold(tmp_path: Path, street: VideoSource) -> None:
    with run(tmp_path, street, judging, "window.duration_s=2") as (made, server):
        assert made.failed == {}
        assert [node.id for node in made.resources.graph.nodes] == ["probe", "score_clips", "refine", "detect"]
        rows = made.rows("score_clips")
        asked = [seen for seen in server.seen if pictures_in(seen)]
        shown = {
            tuple(part["image_url"]["url"] for part in seen.body["messages"][-1]["content"][:-1]) for seen in asked
        }
        assert made.recorder.totals()[work.LLM_REQUESTS] == len(asked) == 4 * len(shown), (
            "equal clips are asked about once"
        )
        planned = work_of(made.resources.config, made.resources.graph, made.times)["score_clips"]
        assert (planned[work.LLM_REQUESTS], planned["rows"]) == (4 * len(GRID), len(GRID))
        assert (planned[work.VIDEOS_DECODED], made.recorder.totals()[work.VIDEOS_DECODED]) == (1, 2), "with the probe"
    assert [row["frame"] for row in rows] == GRID
    assert {row["origin"] for row in rows} == {"ordinal"}
    for row in rows:
        assert row["score"] == pytest.approx(np.mean(row["probabilities"]))
        assert row["reason"].startswith("severity at least 0.25: ")
    by_frame = {row["frame"]: row["score"] for row in rows}
    assert min(by_frame[at] for at in BRIGHT) > max(by_frame[at] for at in GRID if at < 32 or at > 112)
    (segment,) = made.rows("detect")
    assert segment["summary"] == next(row["reason"] for row in rows if row["frame"] == segment["peak_frame"])
    for seen in asked:
        system, turn = seen.body["messages"]
        assert system["role"] == "system"
        kinds = [part["type"] for part in turn["content"]]
        assert kinds[-1] == "text"
        assert 2 <= kinds.count("image_url") == len(kinds) - 1 <= 4, "two a second of two seconds, the clip first"
        assert (seen.body["max_tokens"], seen.body["top_logprobs"]) == (1, 20)
        assert {min(picture.shape[:2]) for picture in pictures_in(seen)} == {32}


def test_frames_between_two_clips_are_interpolated_and_not_missing(tmp_path: Path, street: VideoSource) -> None:
    with run(tmp_path, street, judging, "clips.stride=3") as (made, server):
        assert made.failed == {}
        rows, commit = made.rows("score_clips"), made.commit("score_clips")
        assert 4 < len([seen for seen in server.seen if pictures_in(seen)]) <= 4 * 5
        planned = work_of(made.resources.config, made.resources.graph, made.times)["score_clips"]
        assert planned[work.LLM_REQUESTS] == 4 * 5
    known = [row for row in rows if row["origin"] == "ordinal"]
    assert [row["frame"] for row in known] == GRID[::3]
    assert {row["origin"] for row in rows} == {"ordinal", "between"}
    expected = np.interp(GRID, [row["frame"] for row in known], [row["score"] for row in known])
    assert [row["score"] for row in rows] == pytest.approx(expected.tolist())
    assert (commit.status, commit.counts["unparsed"], commit.message) == ("ok", 0, "")


def test_nothing_is_asked_twice(tmp_path: Path, street: VideoSource) -> None:
    with run(tmp_path, street, judging) as (first, _):
        expected = first.rows("score_clips")
    with run(tmp_path, street, judging, "score.max_unparsed_fraction=0.5", "chat.seed=3") as (again, server):
        assert again.rows("score_clips") == expected
        assert again.commit("score_clips") != first.commit("score_clips")
        assert not [seen for seen in server.seen if pictures_in(seen)], "the answers are known"


def test_a_refused_clip_is_unscored_and_not_the_run(tmp_path: Path, street: VideoSource) -> None:
    """The server takes grey pictures: so it is the clip that it refuses."""

    def script(seen: Seen) -> Reply:
        if severity(seen) > 0.75:
            return Reply(status=400, body=error_body("I will not look at this.", "BadRequestError", 400))
        return judging(seen)

    with run(tmp_path, street, script, "clips.most_frames=1") as (made, _):
        assert made.failed == {}
        rows, commit = made.rows("score_clips"), made.commit("score_clips")
    assert [row["frame"] for row in rows if row["origin"] == "interpolated"] == BRIGHT
    dark = [row["score"] for row in rows if row["origin"] == "ordinal"]
    assert all(min(dark) <= row["score"] <= max(dark) for row in rows), "of those around them, and never 0.5"
    assert (commit.status, commit.counts["refused"]) == ("ok_with_gaps", len(BRIGHT))


def test_a_server_without_log_probabilities_rejects_the_video(tmp_path: Path, street: VideoSource) -> None:
    with run(tmp_path, street, lambda seen: Reply(body=chat_body("YES", "length"))) as (made, _):
        failed = made.failed["street"]
    assert isinstance(failed, VideoRejected)
    assert re.search(r"none of 13 windows.*its server to show log-probabilities", str(failed))


def test_a_server_that_takes_no_pictures_ends_the_run(tmp_path: Path, street: VideoSource) -> None:
    refusal = Reply(status=400, body=error_body("tiny is not a multimodal model", "BadRequestError", 400))
    with run(tmp_path, street, lambda seen: refusal) as (made, _):
        assert isinstance(made.failed["street"], LavadError)
        assert "not a multimodal model" in str(made.failed["street"])


def test_a_number_may_be_asked_for_as_of_a_frame(tmp_path: Path, street: VideoSource) -> None:
    def script(seen: Seen) -> Reply:
        return Reply(body=chat_body("[0.9]" if severity(seen) > 0.3 else "[0.1]"))

    with run(tmp_path, street, script, "score.answer=choice", "window.duration_s=2") as (made, server):
        assert made.failed == {}
        rows = made.rows("score_clips")
        assert {(row["score"], row["reason"]) for row in rows} == {(0.9, "[0.9]"), (0.1, "[0.1]")}
        assert {row["probabilities"] for row in rows} == {None}
        assert 1 < len([seen for seen in server.seen if pictures_in(seen)]) <= len(GRID)


SIGHT = '''
import base64, io, math, re
import numpy as np
from PIL import Image
from lavad_core.models.protocols import ChatAnswer

class Sight:
    """Answers from the brightness of the pictures."""
    context_tokens, sees_pictures = 4096, True
    def count_tokens(self, messages): return 1
    def close(self): pass
    def answer(self, requests):
        for number, request in enumerate(requests):
            shown = [Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))) for uri in request.pictures]
            level = float(np.mean([np.asarray(one).mean() for one in shown])) / 255
            at = float(re.findall(r"at least ([0-9.]+)", request.messages[-1][1])[0])
            yes = 1 / (1 + math.exp(20 * (at - level)))
            yield number, ChatAnswer("YES", "stop", 1, 1, {"YES": math.log(yes), "NO": math.log(1 - yes)})

def load():
    return Sight()
'''


def test_a_model_of_the_user_s_own(tmp_path: Path, street: VideoSource) -> None:
    """The preset, end to end."""
    (tmp_path / "sight.py").write_text(SIGHT)
    chat = f"chat={{kind: python, model: '{tmp_path / 'sight.py'}:load'}}"
    made = SingleVideo(tmp_path / "store", street, chat, "clips.most_frames=1", "smooth.kind=none", preset="probe-vad")
    assert made.failed == {}
    rows = made.rows("score_clips")
    assert len(rows[0]["probabilities"]) == 10
    assert min(row["score"] for row in rows if row["frame"] in BRIGHT) > 0.7
    assert max(row["score"] for row in rows if row["frame"] not in BRIGHT) < 0.3
    (segment,) = made.rows("detect")
    assert (segment["start_frame"], segment["end_frame"]) == (48, 95)


def test_a_model_in_this_process_takes_texts_alone() -> None:
    with pytest.raises(ConfigError, match=r"'clips' shows pictures to the chat model.*chat\.kind=openai"):
        load_config(preset="tiny", overrides=["score.method=clips"], environ={})
