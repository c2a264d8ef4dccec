"""Plots for papers: each format, texts that stay texts, and what is drawn where."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest
from PIL import Image
from support.reported import jpeg, video
from test_demonstration_page import HOSTILE

from lavad_core.errors import InputError
from lavad_core.evaluation.types import Curve
from lavad_core.reports.pictures import VideoCard
from lavad_core.reports.plots import plot_rates, plot_videos
from lavad_core.reports.video import FrameSpan, frames_at, key_frames

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


@pytest.mark.parametrize(
    ("moments", "frames"),
    [
        pytest.param(["160f", "0", "12.8"], [0, 160, 192], id="in order of time"),
        pytest.param(["0:12.8", "12.85", "195f"], [192], id="no frame twice"),
        pytest.param(["0:00:49.9", "749f"], [736], id="to the end"),
    ],
)
def test_chosen_frames_are_the_scored_ones_at_these_moments(moments: list[str], frames: list[int]) -> None:
    assert [frame.at.frame for frame in frames_at(video(), moments)] == frames


@pytest.mark.parametrize(
    ("moments", "message"),
    [
        pytest.param(["noon"], "'noon' is not a moment: give seconds", id="no moment"),
        pytest.param(["750f"], "'750f' is behind the end of 'clip'", id="a frame behind the end"),
        pytest.param(["1:00"], "'1:00' is behind the end of 'clip'", id="a time behind the end"),
        pytest.param(["1"] * 9, "9 frames are asked for; at most 8", id="too many"),
    ],
)
def test_moments_that_cannot_be_shown_are_named(moments: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        frames_at(video(), moments)


@pytest.mark.parametrize(("below", "lines"), [("scored", (0, 4)), ("caption", (4, 0)), ("both", (4, 4))])
def test_below_a_frame_stand_its_caption_its_summary_or_both(
    below: Literal["scored", "caption", "both"], lines: tuple[int, int], tmp_path: Path
) -> None:
    shown = video()
    texts = replace(shown.texts, summaries=dict.fromkeys(shown.texts.summaries, "it is summarised"))
    shown = replace(shown, texts=texts)
    frames = key_frames(shown)
    plot_videos([VideoCard(shown, frames, {one.at.frame: jpeg(1) for one in frames})], tmp_path / "x.svg", below)
    svg = (tmp_path / "x.svg").read_text()
    assert (svg.count(">a fire burns<"), svg.count(">it is summarised<")) == lines


@pytest.mark.parametrize("count", [1, 2, 5])
def test_texts_below_frames_end_above_the_curve(count: int, tmp_path: Path) -> None:
    whole = card("clip_7", "the_end")
    shown = replace(whole, key_frames=[whole.key_frames[0]] * count)
    plot_videos([shown], tmp_path / "curve.svg")
    svg = (tmp_path / "curve.svg").read_text()
    heights = {
        word: [float(y) for y in re.findall(rf' y="([\d.]+)"[^>]*>{word}', svg)] for word in ("the_end", "clip_7")
    }
    assert len(heights["the_end"]) == count
    assert max(heights["the_end"]) + 30 < heights["clip_7"][0]  # points: room for four lines


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
