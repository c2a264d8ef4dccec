"""Scores without a model: their values on clips whose motion is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from support.video_factory import make_audio, make_video

from lavad.demo.baselines import SMOOTHED, motion_energy, moving_mean, trivial_rows
from lavad.demo.clip import Truth
from lavad_core.errors import InputError

FLICKER = range(20, 30)
"""Frames that differ from the one before, each by half of the range of grey."""


def flicker(index: int, size: tuple[int, int]) -> NDArray[np.uint8]:
    lit = index in FLICKER and index % 2 == 0
    return np.full((size[1], size[0], 3), 192 if lit else 64, np.uint8)


def truth(name: str, frames: int) -> Truth:
    return Truth(name, frames, 15, (), ("",) * frames)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rendered")
    (folder / "videos").mkdir()
    make_video(folder / "videos/flicker.mp4", frames=48, fps=15, draw=flicker)
    make_video(folder / "videos/still.mp4", frames=32, fps=15, draw=lambda index, size: flicker(0, size))
    return folder


def test_every_row_has_a_score_for_every_frame_of_every_clip_in_the_given_order(folder: Path) -> None:
    rows = trivial_rows(folder, [truth("still", 32), truth("flicker", 48)])
    assert list(rows) == ["constant", "clip-centre prior", "motion energy", SMOOTHED]
    for name, scores in rows.items():
        assert [len(clip) for clip in scores] == [32, 48], name
        assert all(clip.dtype == np.float64 and clip.min() >= 0 and clip.max() <= 1 for clip in scores), name
    assert set(np.concatenate(rows["constant"])) == {0.5}
    assert rows["motion energy"][0].max() < 0.01 < rows["motion energy"][1].max()
    # 75 frames around each: all of the clip is within them but for its ends
    assert np.ptp(rows[SMOOTHED][1]) < np.ptp(rows["motion energy"][1]) / 5


def test_motion_is_where_the_picture_changes(folder: Path) -> None:
    motion = motion_energy(folder / "videos/flicker.mp4")
    assert {*np.flatnonzero(motion > 0.25).tolist()} == {*FLICKER}
    assert motion[25] == pytest.approx(128 / 255, abs=0.03)
    assert motion[0] == motion[1]


@pytest.mark.parametrize(
    ("scores", "frames", "expected"),
    [
        pytest.param([0, 0, 3, 0, 0], 3, [0, 1, 1, 1, 0], id="inside"),
        pytest.param([4, 0, 0, 0], 3, [2, 4 / 3, 0, 0], id="at an end over what is there"),
        pytest.param([1, 2, 3], 9, [2, 2, 2], id="wider than the clip"),
        pytest.param([1, 5], 1, [1, 5], id="nothing to smooth"),
        pytest.param([0, 4, 0, 0], 4, [2, 4 / 3, 1, 4 / 3], id="even"),
    ],
)
def test_smoothing(scores: list[float], frames: int, expected: list[float]) -> None:
    assert moving_mean(np.array(scores, np.float64), frames) == pytest.approx(expected)


def test_a_clip_of_one_frame(tmp_path: Path) -> None:
    assert motion_energy(make_video(tmp_path / "one.mp4", frames=1)).tolist() == [0]


@pytest.mark.parametrize(
    ("name", "frames", "message"),
    [
        pytest.param("absent", 4, "'absent.mp4' cannot be decoded", id="missing"),
        pytest.param("damaged", 4, "'damaged.mp4' cannot be decoded", id="no video file"),
        pytest.param("sound", 4, "'sound.mp4' cannot be decoded", id="no pictures"),
        pytest.param("still", 40, "'still' has 32 frames, its truth says 40", id="other number of frames"),
    ],
)
def test_what_cannot_be_scored_is_named(folder: Path, name: str, frames: int, message: str) -> None:
    (folder / "videos/damaged.mp4").write_bytes(b"no video" * 100)
    make_audio(folder / "videos/sound.mp4")
    with pytest.raises(InputError, match=message):
        trivial_rows(folder, [truth(name, frames)])
