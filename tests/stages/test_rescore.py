"""A second rating of videos in doubt: with imported tags, with tags that a served model names, and what may go wrong."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from support.command import lavad
from support.fake_models import FakeChat, FakePool
from support.scripted_server import Reply, ScriptedServer, Seen, chat_body, error_body, scripted

from lavad_core.config.load import load_config
from lavad_core.config.secrets import public_settings
from lavad_core.errors import ConfigError, InputError, LavadError, ModelError, RequestRejected, VideoRejected
from lavad_core.imports.listed import listed_sources
from lavad_core.local_run import score_videos
from lavad_core.pipeline.execute import run_graph
from lavad_core.pipeline.resources import RunResources
from lavad_core.planning.cost import work_of
from lavad_core.planning.video_length import VideoLength
from lavad_core.runs import work
from lavad_core.runs.manifest import new_run_id
from lavad_core.runs.recorder import RunRecorder
from lavad_core.stages.rescore import rescore_request
from lavad_core.video.types import VideoSource

GRID = list(range(0, 200, 16))
FIRST = [0.5 if frame in (48, 64, 80) else 0.1 for frame in GRID]
"""The windows of 48 frames with the highest mean are in doubt."""
TEXTS = [f"a man at {frame}" if frame != 96 else "" for frame in GRID]


@dataclass
class Script:
    """A server that rates texts by a table, and names tags where it is shown pictures."""

    tags: Reply
    ratings: Callable[[str], str] = lambda text: "[0.9]"
    questions: list[list[dict[str, Any]]] = field(default_factory=list)
    """Messages about texts."""
    shown: list[int] = field(default_factory=list)
    """How many pictures each request showed."""

    def __call__(self, seen: Seen) -> Reply:
        if seen.path != "/v1/chat/completions":
            return Reply(status=404, body=error_body("no", "NotFound", 404))
        said = seen.body["messages"][-1]["content"]
        if isinstance(said, list):
            self.shown.append(sum(part["type"] == "image_url" for part in said))
            return self.tags
        if said in TEXTS:  # the client has questions of its own about the server
            self.questions.append(seen.body["messages"])
        return Reply(body=chat_body(self.ratings(said)))


class Run:
    """A run of imported scores and texts with a second rating; without a video where none is needed."""

    def __init__(self, folder: Path, video: VideoSource | None, server: ScriptedServer, *overrides: str) -> None:
        for kind, values in (("scores", FIRST), ("texts", TEXTS)):
            (folder / kind).mkdir(exist_ok=True)
            (folder / kind / "street.json").write_text(json.dumps(dict(zip(GRID, values, strict=True))))
        chat = f"chat={{kind: openai, model: tiny, base_url: '{server.base_url}', retries: 0, tokenizer: null}}"
        given = (
            *(f"store={folder}/store", f"imports.scores={folder}/scores", f"imports.summaries={folder}/texts", chat),
            *(
                "rescore={enabled: true, band: 0.05, min_window_frames: 48}",
                "refine.enabled=false",
                "run.targets=[detect]",
            ),
        )
        if video is None:
            (folder / "list.txt").write_text("street.mp4 200\n")
            given = (*given, f"imports.list={folder}/list.txt", "imports.frame_rate=10")
        self.config = load_config(preset="tiny", overrides=(*given, *overrides), environ={})
        self.resources = RunResources(self.config)
        self.video = self.resources.prepare(video or listed_sources(self.config.imports)[0])
        self.recorder = RunRecorder(self.config.store, new_run_id(), config={})
        self.failed: dict[str, LavadError] = run_graph(self.resources, [self.video], self.recorder)

    def rows(self, node: str) -> list[dict[str, Any]]:
        return self.resources.store.read(self.commit(node)).to_pylist()

    def commit(self, node: str) -> Any:
        return self.resources.store.find(self.resources.graph.keys(self.video)[node])


@contextmanager
def run(folder: Path, video: VideoSource | None, script: Script, *overrides: str) -> Iterator[Run]:
    with scripted(script=script) as server:
        made = Run(folder, video, server, *overrides)
        yield made
        made.resources.close()


def imported(folder: Path, tags: object) -> tuple[str, str]:
    (folder / "tags.json").write_text(json.dumps({"street": tags, "another": ["x"]}))
    return "rescore.tags=import", f"imports.tags={folder}/tags.json"


REFUSED = Reply(status=400, body=error_body("not here", "BadRequestError", 400))


def test_a_video_in_doubt_is_rated_again_with_imported_tags(tmp_path: Path) -> None:
    script = Script(REFUSED, lambda text: "[1.0]" if text == "a man at 64" else "[0.2]")
    with run(tmp_path, None, script, *imported(tmp_path, "fire, smoke")) as made:
        assert made.failed == {}
        nodes = ["probe", "summarise", "score", "rescore", "refine", "detect"]
        assert [node.id for node in made.resources.graph.nodes] == nodes
        rows = made.rows("rescore")
        assert [row["first_score"] for row in rows] == FIRST
        assert [row["frame"] for row in rows] == GRID
        by_frame = {row["frame"]: row for row in rows}
        assert {frame: row["score"] for frame, row in by_frame.items()} == {
            frame: 1.0 if frame == 64 else 0.2 for frame in GRID
        }
        assert {row["frame"] for row in rows if row["origin"] == "interpolated"} == {96}, "it has no text"
        assert by_frame[0]["reason"] == "re-scored: highest mean 0.5; tags: fire, smoke"
        assert [row["score"] for row in made.rows("refine")] == [row["score"] for row in rows]
        (segment,) = made.rows("detect")
        assert (segment["start_frame"], segment["summary"]) == (64, "a man at 64")
        commit = made.commit("rescore")
        assert commit.facts["highest"] == [48, 96, 0.5]
        assert (commit.facts["rescored"], commit.facts["tags"]) == (True, "fire, smoke")
        assert (commit.status, commit.counts["rescored"]) == ("ok_with_gaps", 1)
        assert "1 summaries are empty" in commit.message
    assert script.shown == []
    assert len(script.questions) == len(GRID) - 1
    system = next(each[0] for each in script.questions if each[-1]["content"] == "a man at 48")
    assert "\n[Possibly seen in this video: fire, smoke]\n\nPlease provide" in system["content"]


def test_a_model_that_sees_names_the_tags(tmp_path: Path, street: VideoSource) -> None:
    script = Script(Reply(body=chat_body('```json\n["a bright light"]\n```')))
    with run(tmp_path, street, script, "rescore.pictures=4") as made:
        assert made.failed == {}
        assert made.commit("rescore").facts["tags"] == "a bright light"
        assert {row["score"] for row in made.rows("rescore")} == {0.9}
        spent = made.recorder.totals()
        assert (spent[work.LLM_REQUESTS], spent[work.FRAMES_DELIVERED]) == (len(GRID), 4)
        length = VideoLength("street", 200, made_times(200), 20.0, "list")
        counted = work_of(made.config, made.resources.graph, length)["rescore"]
        assert spent[work.LLM_REQUESTS] <= counted[work.LLM_REQUESTS] == len(GRID) + 1
    assert script.shown == [4]
    with run(tmp_path, street, Script(REFUSED, lambda text: "no"), "rescore.pictures=4") as again:
        assert again.commit("rescore") is not None
        assert again.failed == {}, "nothing is asked twice"


def made_times(frames: int) -> Any:
    import numpy as np

    return np.arange(frames) / 10.0


PASSED: Mapping[str, tuple[tuple[str, ...], object, str, str, str]] = {
    "outside the band": (
        ("rescore.band=0.01", "rescore.min_window_frames=96"), ["fire"], "ok", "",
        "not re-scored: highest mean 0.3 is outside 0.49…0.51",
    ),
    "no tags": ((), [], "ok", "is named", "not re-scored: there are no tags: nothing suspicious was seen"),
    "a denial": (
        (), "no crime", "ok", "is named",
        "not re-scored: its tags 'no crime' have 'no ' in them, which counts as nothing seen",
    ),
}  # fmt: skip
"""Overrides, imported tags, status, whether the run's videos name it, and why."""


@pytest.mark.parametrize("case", PASSED)
def test_scores_pass_through_and_the_reason_is_said(case: str, tmp_path: Path) -> None:
    overrides, tags, status, named, why = PASSED[case]
    script = Script(REFUSED)
    with run(tmp_path, None, script, *imported(tmp_path, tags), *overrides) as made:
        assert made.failed == {}
        rows = made.rows("rescore")
        assert [row["score"] for row in rows] == [row["first_score"] for row in rows] == FIRST
        assert {(row["reason"], row["origin"]) for row in rows} == {(why, "first")}
        commit = made.commit("rescore")
        assert (commit.status, commit.message) == (status, why if named else "")
        assert (commit.facts["why"], commit.facts["rescored"]) == (why, False)
        assert [row["score"] for row in made.rows("refine")] == FIRST
    assert script.questions == []


@pytest.mark.parametrize(
    ("reply", "says"),
    [
        pytest.param(Reply(body=chat_body("I see a fire.")), "is not a list of tags: 'I see a fire.'", id="no list"),
        pytest.param(Reply(body=chat_body("")), "about its pictures is empty", id="empty"),
        pytest.param(
            Reply(body=chat_body("", "content_filter")), "refused by the model or a content filter", id="refused"
        ),
    ],
)
def test_an_answer_without_tags_is_a_gap(reply: Reply, says: str, tmp_path: Path, street: VideoSource) -> None:
    with run(tmp_path, street, Script(reply)) as made:
        assert made.failed == {}
        commit = made.commit("rescore")
        assert (commit.status, commit.counts["skipped"]) == ("ok_with_gaps", 1)
        assert says in commit.message
        assert [row["score"] for row in made.rows("rescore")] == FIRST


def test_answers_without_a_score_are_as_score_has_them(tmp_path: Path) -> None:
    tags = imported(tmp_path, ["fire"])
    script = Script(REFUSED, lambda text: "[0.4]" if text == "a man at 0" else "Who knows.")
    with run(tmp_path, None, script, *tags, "score.answer=free-text", "score.reject_unparsed_fraction=1") as made:
        assert made.failed == {}
        rows = made.rows("rescore")
        assert [row["origin"] for row in rows] == ["said"] + ["interpolated"] * 12
        assert {row["score"] for row in rows} == {0.4}
        assert made.commit("rescore").status == "ok_with_gaps"
    with run(tmp_path, None, Script(REFUSED, lambda text: "Who knows."), *tags, "score.answer=free-text") as made:
        assert isinstance(made.failed["street"], VideoRejected)


def test_tags_that_changed_are_another_result_and_those_of_other_videos_are_not(tmp_path: Path) -> None:
    keys = []
    for tags, other in ((["fire"], 0), (["fire"], 1), (["smoke"], 1)):
        given = imported(tmp_path, tags)
        (tmp_path / "tags.json").write_text(json.dumps({"street": tags, "another": [str(other)]}))
        with run(tmp_path, None, Script(REFUSED), *given) as made:
            assert made.failed == {}
            keys.append(made.resources.graph.keys(made.video)["rescore"])
    assert keys[0] == keys[1] != keys[2]


def test_too_many_pictures_are_the_video_s_error_and_name_the_setting(tmp_path: Path, street: VideoSource) -> None:
    refusal = Reply(status=400, body=error_body("At most 1 image(s) may be provided.", "BadRequestError", 400))
    with run(tmp_path, street, Script(refusal)) as made:
        error = made.failed["street"]
        assert isinstance(error, RequestRejected)
        assert "At most 1 image(s)" in str(error)
        assert "smaller rescore.pictures" in str(error)


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        (["rescore.enabled=true"], r"chat\.kind 'transformers' takes texts alone.*rescore\.tags=import"),
        (["rescore.enabled=true", "rescore.tags=import"], r"needs imports\.tags"),
        (["rescore.enabled=true", "score.method=zero-shot"], r"score\.method 'zero-shot' has none"),
    ],
)
def test_what_cannot_be_is_refused_with_the_configuration(overrides: list[str], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        load_config(preset="tiny", overrides=overrides, environ={})


def test_a_model_of_the_user_s_own_must_say_that_it_sees(make_bench: Callable[..., Any], street: VideoSource) -> None:
    chat = {"kind": "python", "model": "chat.py:load"}
    # The bright frames are rated 1: no video is in doubt but by a wide band.
    rescore = {"enabled": True, "band": 0.5, "min_window_frames": 48}
    bench = make_bench(FakePool(), rescore=rescore, chat=chat)
    failed = bench.run(bench.prepare(street))
    assert isinstance(failed["street"], ModelError)
    assert "rescore.tags=import" in str(failed["street"])


def test_tags_that_are_not_there_end_the_run_before_a_video(tmp_path: Path, street: VideoSource) -> None:
    given = ["rescore={enabled: true, tags: import}", f"imports.tags={tmp_path}/none.json", f"store={tmp_path}/store"]
    with pytest.raises(InputError, match=r"imported tags: .*none\.json.* does not exist"):
        score_videos(load_config(preset="tiny", overrides=given, environ={}), [street.path])


def test_a_video_whose_second_rating_fails_is_one_video_and_a_retry_finishes_it(tmp_path: Path) -> None:
    """Two videos of a list; the server is of no use for one, until it is. What readers show says which was rated again."""
    (tmp_path / "list.txt").write_text("street.mp4 200\nother.mp4 200\n")
    for kind, values in (("scores", FIRST), ("texts", TEXTS)):
        (tmp_path / kind).mkdir()
        for name in ("street", "other"):
            own = [f"{value} {name}" if kind == "texts" else value for value in values]
            (tmp_path / kind / f"{name}.json").write_text(json.dumps(dict(zip(GRID, own, strict=True))))
    (tmp_path / "tags.json").write_text('{"street": ["fire"], "other": ["fire"]}')
    useful = False

    def script(seen: Seen) -> Reply:
        if seen.path != "/v1/chat/completions":
            return Reply(status=404, body=error_body("no", "NotFound", 404))
        bad = seen.body["messages"][-1]["content"].endswith("street") and not useful
        return Reply(body=chat_body("Who knows." if bad else "[0.7]"))

    with scripted(script=script) as server:
        config = load_config(
            preset="tiny",
            settings={
                "store": str(tmp_path / "store"),
                "chat": {
                    "kind": "openai",
                    "model": "tiny",
                    "base_url": server.base_url,
                    "retries": 0,
                    "tokenizer": None,
                },
                "imports": {
                    **{name: str(tmp_path / folder) for name, folder in (("scores", "scores"), ("summaries", "texts"))},
                    "tags": str(tmp_path / "tags.json"),
                    "list": str(tmp_path / "list.txt"),
                    "frame_rate": 10,
                },
                "rescore": {"enabled": True, "band": 0.05, "min_window_frames": 48, "tags": "import"},
                "score": {"answer": "free-text"},
                "refine": {"enabled": False},
                "run": {"targets": ["detect"]},
            },
            environ={},
        )
        found = score_videos(config)
        assert list(found.names) == ["other"]
        assert "none of 13 windows" in found.unscored["street"]
        useful = True
        # Its answers were of no use, and are kept; those of another way of asking are not there yet.
        again = score_videos(
            load_config(settings=public_settings(config), overrides=["score.temperature=0"], environ={})
        )
    assert (list(again.names), dict(again.unscored)) == (["other", "street"], {})
    why = "re-scored: highest mean 0.5; tags: fire"
    assert again["street"].rescoring["why"] == why
    store = ("--store", str(tmp_path / "store"))
    shown = lavad("show", "street", *store)
    assert why in shown.stderr
    assert json.loads(lavad("show", "street", *store, "--json").stdout)["rescoring"]["highest"] == [48, 96, 0.5]
    assert lavad("report", *store, "--output", str(tmp_path / "report")).exit_code == 0
    (page,) = (page for page in (tmp_path / "report").rglob("*street*.html"))
    assert f"<dt>second rating</dt><dd>{why}</dd>" in page.read_text()
    assert "second rating: 0.5 ± 0.05" in " ".join(": ".join(line) for line in again.recipe.lines.items())


@pytest.mark.parametrize(
    ("room", "tags", "text", "cut"),
    [
        pytest.param(400, "one two three", "a b c d", (False, False), id="all of it fits"),
        pytest.param(1, "one two", "a b c d", (False, True), id="the tags lose their last words"),
        pytest.param(0, "one", "a b c d", (False, True), id="one tag fits"),
        pytest.param(-2, "", "a b", (True, True), id="then the text loses some"),
    ],
)
def test_tags_are_cut_to_the_model_s_context(room: int, tags: str, text: str, cut: tuple[bool, bool]) -> None:
    config = load_config(preset="tiny", environ={})
    model = FakeChat()
    question, *_ = rescore_request(config, model, "a b c d", "")
    bare = model.count_tokens(question.messages)  # words; the first tag takes none, as it shares that of "]"
    model.context_tokens = bare + room + config.score.max_answer_tokens
    request, *found = rescore_request(config, model, "a b c d", "one two three")
    assert f"video: {tags}]" in request.messages[0][1]
    assert (request.messages[1][1], tuple(found)) == (text, cut)
