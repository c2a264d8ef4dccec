"""Runs from imported values without the videos: a timeline from a list and a frame rate."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from lavad_core.config.schema import ImportConfig, LavadConfig
from lavad_core.errors import InputError, VideoRejected
from lavad_core.imports.listed import listed_sources
from lavad_core.pipeline.prepare import check_imports
from lavad_core.runs import work
from lavad_core.video.types import VideoSource

LINES = "Abuse/street.mp4 200\nother.mp4 40\n"


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    folder = tmp_path / "texts"
    folder.mkdir()
    for name, last in (("street", 200), ("other", 40)):
        said = {str(frame): f"sees level {frame // 16}" for frame in range(0, last, 16)}
        (folder / f"{name}.json").write_text(json.dumps(said))
    return folder


def list_of(folder: Path, text: str = LINES) -> Path:
    path = folder / "list.txt"
    path.write_text(text)
    return path


def settings(path: Path, texts: Path, rate: float = 10.0, **imports: Any) -> dict[str, Any]:
    given = {"list": path, "frame_rate": rate, "cleaned": texts} | imports
    return {"imports": given, "refine": {"enabled": False}, "window": {"duration_s": 4.8}}


def test_scores_and_segments_are_those_of_the_video(
    make_bench: Callable[..., Any], street: VideoSource, texts: Path, tmp_path: Path
) -> None:
    path = list_of(tmp_path)
    resources = make_bench(**settings(path, texts))
    sources = listed_sources(resources.config.imports)
    assert [(source.name, source.kind) for source in sources] == [("street", "listed"), ("other", "listed")]
    videos = [resources.prepare(source) for source in sources]
    assert resources.run(*videos) == {}
    assert work.VIDEOS_DECODED not in resources.recorder.totals()
    commit = resources.store.find(resources.graph.keys(videos[0])["probe"])
    assert commit.facts["container"] == "list"
    assert (commit.facts["frames"], commit.facts["time_base"], commit.facts["duration_s"]) == (200, [1, 10], 20.0)

    seen = make_bench(
        store=tmp_path / "seen", imports={"cleaned": texts}, refine={"enabled": False}, window={"duration_s": 4.8}
    )
    video = seen.prepare(street)
    assert seen.run(video) == {}
    assert video.video_id != videos[0].video_id
    for stage in ("clean", "summarise", "score", "refine", "detect"):
        ours, theirs = (
            [{k: v for k, v in row.items() if k != "video_id"} for row in rows]
            for rows in (resources.rows(videos[0], stage), seen.rows(video, stage))
        )
        assert ours == theirs, stage


@pytest.mark.parametrize(
    ("text", "rate", "same"),
    [
        pytest.param(LINES, 10.0, True, id="the same"),
        pytest.param("# a comment\n" + LINES, 10.0, True, id="another file that says the same"),
        pytest.param(LINES.replace("200", "201"), 10.0, False, id="another length"),
        pytest.param(LINES, 25.0, False, id="another rate"),
    ],
)
def test_the_identity_is_name_length_and_rate(
    make_bench: Callable[..., Any], texts: Path, tmp_path: Path, text: str, rate: float, same: bool
) -> None:
    def identity(path: Path, rate: float) -> str:
        resources = make_bench(**settings(path, texts, rate))
        found: str = resources.prepare(listed_sources(resources.config.imports)[0]).video_id
        return found

    (tmp_path / "b").mkdir()
    before = identity(list_of(tmp_path), 10.0)
    assert (identity(list_of(tmp_path / "b", text), rate) == before) is same


@pytest.mark.parametrize(
    ("change", "says"),
    [
        pytest.param({}, None, id="scores from cleaned captions"),
        pytest.param({"refine": {"enabled": True}}, ["embed_windows", "refine.enabled=false"], id="refinement"),
        pytest.param({"refine": {"enabled": True}, "run": {"targets": ["score"]}}, None, id="scores alone"),
        pytest.param({"cleaned": None}, ["caption:blip2-flan-t5-xxl", "embed_frames", "imports.cleaned"], id="nothing"),
        pytest.param(
            {"cleaned": None, "captions": True}, ["embed_frames", "clean.enabled=false"], id="captions to clean"
        ),
        pytest.param({"cleaned": None, "captions": True, "clean": {"enabled": False}}, None, id="captions as they are"),
    ],
)
def test_what_needs_pictures_is_refused_before_the_run(
    texts: Path, tmp_path: Path, change: dict[str, Any], says: list[str] | None
) -> None:
    change = dict(change)
    imports = {"cleaned": change.pop("cleaned", texts)}
    if change.pop("captions", False):
        imports["captions"] = {"first": texts}
    config = LavadConfig.model_validate(settings(list_of(tmp_path), texts, **imports) | change)
    if says is None:
        check_imports(config)
        return
    with pytest.raises(InputError) as caught:
        check_imports(config)
    assert all(words in str(caught.value) for words in ["imports.list", *says])


@pytest.mark.parametrize(
    ("text", "says"),
    [
        pytest.param("street\nother\n", "does not say how many frames 2 of 2", id="no counts"),
        pytest.param("", "names no video", id="empty"),
        pytest.param("street 0\n", "does not say how many frames 1 of 1", id="no frames"),
    ],
)
def test_lists_that_are_none(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        listed_sources(ImportConfig(list=list_of(tmp_path, text), frame_rate=25))


def test_a_list_needs_a_rate(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match=r"imports\.list needs imports\.frame_rate"):
        ImportConfig(list=list_of(tmp_path))


def test_a_video_that_left_the_list_is_rejected(make_bench: Callable[..., Any], texts: Path, tmp_path: Path) -> None:
    path = list_of(tmp_path)
    resources = make_bench(**settings(path, texts))
    source = listed_sources(resources.config.imports)[1]
    path.write_text("street 200\n")
    with pytest.raises(VideoRejected) as caught:
        resources.prepare(source)
    assert caught.value.reason == "missing"
