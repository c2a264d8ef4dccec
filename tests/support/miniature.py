"""Small files in the forms that data sets are published in. What is in them is made up."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image
from scipy.io import savemat

UCF = {
    "Abuse001_x264": ("Abuse", ((10, 20),), 50),
    "Arson002_x264": ("Arson", ((0, 4), (30, 39)), 40),
    "Normal_Videos_003_x264": ("Normal", (), 64),
}
"""Name to class, intervals and frames."""

LABELS = {"Abuse": 0, "Arson": 2, "Normal": 7}


def ucf_crime(folder: Path) -> tuple[Path, Path]:
    """The annotation and LAVAD's list, in another order, with endings in one of them only."""
    annotation, listing = folder / "annotation.txt", folder / "test.txt"
    lines = []
    for name, (class_name, intervals, _) in UCF.items():
        numbers = [str(frame) for pair in (*intervals, (-1, -1), (-1, -1))[:2] for frame in pair]
        lines.append("  ".join([f"{name}.mp4", class_name, *numbers, ""]))
    annotation.write_text("\n".join(lines) + "\n")
    rows = [f"{name} 0 {frames - 1} {LABELS[class_name]}" for name, (class_name, _, frames) in reversed(UCF.items())]
    listing.write_text("\r\n".join(rows) + "\r\n")
    return annotation, listing


XD = ("Bad.Boys.1995__#01-11-55_01-12-40_label_G-B2-B6", "v=38GQ9L2meyE__#1_label_B6-0-0", "v=abc__#00-00_label_A")


def shanghaitech(folder: Path, masks: dict[str, list[int]]) -> Path:
    """``test_frame_mask``."""
    place = folder / "test_frame_mask"
    place.mkdir()
    for name, values in masks.items():
        np.save(place / f"{name}.npy", np.array(values, dtype=np.int8))
    return place


def avenue(folder: Path, marked: dict[int, list[int]], size: tuple[int, int] = (4, 6)) -> Path:
    """``testing_label_mask``: for each video whether anything is marked in its frames."""
    place = folder / "testing_label_mask"
    place.mkdir()
    for number, frames in marked.items():
        cells = np.empty((1, len(frames)), dtype=object)
        for index, value in enumerate(frames):
            cells[0, index] = np.zeros(size, dtype=np.uint8)
            cells[0, index][1, 2] = value
        savemat(place / f"{number}_label.mat", {"volLabel": cells}, do_compression=True)
    return place


def ped2(folder: Path, marked: dict[str, list[int]]) -> Path:
    """``Test``: frames as TIFF, masks as BMP, both from 001 on."""
    place = folder / "Test"
    for name, frames in marked.items():
        (place / name).mkdir(parents=True)
        (place / f"{name}_gt").mkdir()
        for index, value in enumerate(frames, start=1):
            picture = np.zeros((6, 8), dtype=np.uint8)
            Image.fromarray(picture).save(place / name / f"{index:03d}.tif")
            picture[2, 3] = 255 * value
            Image.fromarray(picture).save(place / f"{name}_gt" / f"{index:03d}.bmp")
    return place


def ubnormal(folder: Path, tracks: dict[str, str], normal: list[str]) -> Path:
    """Scenes with tracks and empty files in the place of videos."""
    for name in (*tracks, *normal):
        scene = folder / f"Scene{name.split('_')[2]}"
        scene.mkdir(exist_ok=True)
        (scene / f"{name}.mp4").touch()
        if name in tracks:
            notes = scene / f"{name}_annotations"
            notes.mkdir()
            (notes / f"{name}_tracks.txt").write_text(tracks[name])
    return folder
