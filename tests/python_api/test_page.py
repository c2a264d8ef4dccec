"""docs/python.md does what it says: its blocks, one after the other, on three small videos."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pandas as pd
import pytest
from support.command import environment
from support.video_factory import make_audio, make_frames, make_video

import lavad_core
from lavad_core.results import ResultSet

PAGE = Path(__file__).resolve().parent.parent.parent / "docs" / "python.md"
BLOCKS = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the names of the page's program are when it has ended, and what it printed."""
    folder = tmp_path_factory.mktemp("python")
    (folder / "videos").mkdir()
    make_video(folder / "videos" / "street.mp4", frames=32, fps=25)
    make_video(folder / "videos" / "yard.mp4", frames=24, fps=25)
    make_audio(folder / "videos" / "sound.mp4", seconds=0.2)
    make_frames(folder, [0], name="frame.jpg")
    (folder / "labels.csv").write_text("video,start,end\nstreet,8,20\nyard,,\n", encoding="utf-8")
    said: list[str] = []
    names: dict[str, Any] = {"print": lambda *values: said.append(" ".join(map(str, values)))}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for number, block in enumerate(BLOCKS, 1):
            exec(compile(block, f"{PAGE.name}, block {number}", "exec"), names)  # the page's own code
    return {**names, "said": said, "folder": folder}


def test_the_run_is_recorded_with_its_good_and_its_bad_videos(page: dict[str, Any]) -> None:
    results: ResultSet = page["results"]
    assert results.names == ["street", "yard"]
    assert results.unscored == {"sound": "rejected: no-video: 'sound': a media file without a video stream"}
    again = lavad_core.open_results(page["folder"] / "store", "first try")
    assert again.set_id == results.set_id


def test_paths_may_be_texts(page: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "settings.yaml").write_text("window: {samples: 3}\n", encoding="utf-8")
    config = lavad_core.load_config(files=[str(tmp_path / "settings.yaml")], environ={})
    assert config.window.samples == 3
    assert lavad_core.open_results(str(page["folder"] / "store")).set_id == page["results"].set_id


def test_tables(page: dict[str, Any]) -> None:
    scores: pd.DataFrame = page["scores"]
    assert list(scores.columns) == ["video", "frame", "time_s", "score", "raw_score"]
    assert scores["frame"].tolist() == [*range(0, 32, 8), *range(0, 24, 8)]
    assert scores["score"].between(0, 1).all()
    assert scores["time_s"].tolist() == pytest.approx([frame / 25 for frame in scores["frame"]])
    every = lavad_core.scores_table(page["results"], every_frame=True)
    assert len(every) == 56
    texts = lavad_core.texts_table(page["results"])
    assert texts.groupby("kind").size().to_dict() == {"caption": 14, "cleaned": 7, "summary": 7}
    assert set(texts[texts["kind"] == "caption"]["captioner"]) == {"random-blip2-opt", "random-blip2-t5"}
    whole = lavad_core.segments_table(page["results"], lavad_core.SegmentRule(threshold=0.0))
    assert whole[["video", "start_frame", "end_frame"]].values.tolist() == [["street", 0, 31], ["yard", 0, 23]]
    none = lavad_core.segments_table(page["results"], lavad_core.SegmentRule(threshold=2.0))
    assert none.empty
    assert list(none.columns) == list(whole.columns)


def test_the_last_block_has_run(page: dict[str, Any]) -> None:
    assert "except lavad_core.ConfigError" in BLOCKS[-1]
    assert "did you mean 'window.samples'?" in page["said"][-1]


def test_evaluation_and_vectors(page: dict[str, Any]) -> None:
    assert page["evaluation"].header.scored == 2
    assert page["texts"].shape == (2, 48)
    assert page["pictures"].shape == (1, 48)


def test_every_exported_name_is_there_and_belongs_to_it() -> None:
    assert set(lavad_core.__all__) == {*lavad_core._MODULE_OF, "__version__"}
    assert all(hasattr(lavad_core, name) for name in lavad_core.__all__)
    assert not any(isinstance(getattr(lavad_core, name), ModuleType) for name in lavad_core.__all__)
    assert set(lavad_core.__all__) <= set(dir(lavad_core))
    with pytest.raises(AttributeError, match="no attribute 'score_video'"):
        lavad_core.score_video  # noqa: B018 - it is the asking that raises


def test_importing_it_is_light() -> None:
    heavy = ("torch", "numpy", "pandas", "pyarrow", "pydantic")
    script = f"import sys, lavad_core; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], env=environment(), capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
