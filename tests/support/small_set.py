"""A small data set in UCF-Crime's files, and results for it as other programs write them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from lavad_core.datasets.catalogue import open_dataset
from lavad_core.datasets.types import Dataset

FRAMES = {"Arson001_x264": 40, "a #1=b (ü)": 33, "Normal_Videos_003": 16, "Arson004": 50}
"""Grids of 3, 3, 1 and 4 frames."""

INTERVAL = 16


def grid(name: str) -> list[int]:
    return list(range(0, FRAMES[name], INTERVAL))


def score(name: str, frame: int, shift: float = 0.0) -> float:
    """Of a grid frame: something else for each."""
    return round((len(name) + frame / 10 + shift) % 1, 6)


def dataset_files(folder: Path, frames: dict[str, int] | None = None) -> list[str]:
    """Options of a command that name the data set."""
    frames = FRAMES if frames is None else frames
    folder.mkdir(parents=True, exist_ok=True)
    labels, listed = folder / "labels.txt", folder / "list.txt"
    labels.write_text(
        "".join(
            f"{name}.mp4  Normal  -1  -1  -1  -1\n"
            if name.startswith("Normal")
            else f"{name}.mp4  Arson  8  20  -1  -1\n"
            for name in frames
        ),
        encoding="utf-8",
    )
    lines = [f"{name} 0 {count - 1} {7 if name.startswith('Normal') else 2}\n" for name, count in frames.items()]
    listed.write_text("".join(lines), encoding="utf-8")
    return ["--dataset", "ucf-crime", "--labels", str(labels), "--list", str(listed)]


def dataset(folder: Path, frames: dict[str, int] | None = None) -> Dataset:
    options = dataset_files(folder, frames)
    return open_dataset("ucf-crime", Path(options[3]), Path(options[5]))


def write(folder: Path, values: dict[str, Any]) -> Path:
    """A JSON file a video."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, value in values.items():
        (folder / f"{name}.json").write_text(json.dumps(value), encoding="utf-8")
    return folder


def scores(folder: Path, shift: float = 0.0, names: list[str] | None = None) -> Path:
    """``{frame: score}``."""
    return write(folder, {name: {at: score(name, at, shift) for at in grid(name)} for name in names or list(FRAMES)})


def texts(folder: Path, word: str, every: int = INTERVAL) -> Path:
    """``{frame: text}``."""
    return write(folder, {n: {at: f"{word} {n} {at}" for at in range(0, FRAMES[n], every)} for n in FRAMES})


def layout(folder: Path) -> Path:
    """The folders of the authors' program, with neighbours of which the last is padding."""
    texts(folder / "captions/raw/Salesforce/blip2-b", "b sees", every=1)
    texts(folder / "captions/raw/Salesforce/blip2-a", "a sees", every=1)
    windows = {n: {at: {at: f"clean {n} {at}", at + 3: "next"} for at in grid(n)} for n in FRAMES}
    write(folder / "captions/clean/a+b", windows)
    texts(folder / "captions/summary/llm/a+b", "summary")
    scores(folder / "scores/raw/llm/a+b/exp", 0.3)
    ranked = {n: {at: {0: score(n, at), 1: 0.25, 2: 0.0} for at in grid(n)} for n in FRAMES}
    write(folder / "scores/refined", ranked)
    similar = {n: {at: {0: 0.5, 1: -0.25, 2: -3.4e38} for at in grid(n)} for n in FRAMES}
    write(folder / "similarity/clean_summary", similar)
    named = {n: {at: dict.fromkeys(range(3), f"{n}/{at}") for at in grid(n)} for n in FRAMES}
    write(folder / "filenames/clean_summary", named)
    return folder
