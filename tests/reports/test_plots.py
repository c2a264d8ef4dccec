"""Plots for papers: each format, texts that stay texts, and what is drawn where."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image
from support.reported import jpeg, video
from test_demonstration_page import HOSTILE

from lavad_core.errors import InputError
from lavad_core.evaluation.types import Curve
from lavad_core.reports.pictures import VideoCard
from lavad_core.reports.plots import plot_rates, plot_videos
from lavad_core.reports.video import FrameSpan, key_frames

CURVE = Curve([0.0, 0.2, 1.0], [0.0, 0.8, 1.0])


def card(name: str = "clip", text: str = "a fire burns", pictured: bool = True) -> VideoCard:
    shown = video(name, truth=[FrameSpan(160, 319, text)], text=text)
    frames = key_frames(shown)
    return VideoCard(shown, frames, {frame.at.frame: jpeg(1) for frame in frames} if pictured else {})


@pytest.mark.parametrize(("ending", "begin"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("PDF", b"%PDF")])
def test_formats(ending: str, begin: bytes, tmp_path: Path) -> None:
    for name, draw in {
        "curve": lambda path: plot_videos([card(), card("other", pictured=False)], path),
        "roc": lambda path: plot_rates({"one": CURVE, "two": CURVE}, "roc", path, None),
    }.items():
        path = tmp_path / f"{name}.{ending}"
        draw(path)
        assert path.read_bytes().startswith(begin)
    assert sorted(path.stem for path in tmp_path.iterdir()) == ["curve", "roc"]


def test_the_same_plot_is_the_same_bytes(tmp_path: Path) -> None:
    for ending in ("svg", "pdf", "png"):
        one, two = tmp_path / f"one.{ending}", tmp_path / f"two.{ending}"
        plot_videos([card()], one)
        plot_videos([card()], two)
        assert one.read_bytes() == two.read_bytes(), ending


def test_what_is_drawn_is_named_in_the_svg(tmp_path: Path) -> None:
    plot_videos([card("clip_7", "a fire burns")], tmp_path / "curve.svg")
    svg = (tmp_path / "curve.svg").read_text()
    for said in (
        'id="truth-0"',
        'id="score"',
        'id="raw"',
        'id="found-0"',
        "clip_7: a fire burns",
        "0:12.8: 0.90",
        "seconds",
    ):
        assert said in svg
    assert svg.count("<image") == 4
    plot_rates({"ours": CURVE, "theirs": CURVE}, "pr", tmp_path / "pr.svg", 0.25)
    svg = (tmp_path / "pr.svg").read_text()
    for said in ('id="curve-0"', 'id="curve-1"', "ours", "theirs", "chance", "precision", "recall"):
        assert said in svg


def test_hostile_names_and_texts_are_drawn_as_they_are(tmp_path: Path) -> None:
    plot_videos([card(HOSTILE, HOSTILE)], tmp_path / "curve.png")
    plot_rates({HOSTILE: CURVE, "$x^": CURVE}, "roc", tmp_path / "roc.png", None)
    assert Image.open(tmp_path / "curve.png").width == 1400
    plot_videos([card(HOSTILE, HOSTILE)], tmp_path / "curve.svg")
    svg = (tmp_path / "curve.svg").read_text()
    assert "<script" not in svg
    assert "&lt;script&gt;" in svg


def test_what_cannot_be_plotted_is_said_before_anything_is_drawn(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"ends in one of \.png, \.svg, \.pdf"):
        plot_videos([card()], tmp_path / "x.jpg")
    with pytest.raises(InputError, match="no curve to plot"):
        plot_rates({}, "roc", tmp_path / "x.png", None)
    assert not list(tmp_path.iterdir())
