"""ImageBind's towers against the vectors that the published module gave for the same weights, frames and texts."""

from __future__ import annotations

import csv
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from lavad_core.config.models import ImageBindConfig
from lavad_core.models.encoders.imagebind.encoder import ImageBindEncoder
from lavad_core.models.encoders.imagebind.towers import ImageBindTowers, TextShape, VisionShape

VIDEOS = ("Arson901_x264", "Fighting902_x264", "Normal_Videos_903_x264")
TOLERANCE = 1e-4


@pytest.fixture(scope="module")
def frames(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("golden")
    with tarfile.open(shared / "golden" / "reference" / "frames.tar") as tar:
        tar.extractall(folder, filter="data")
    return folder / "frames"


@pytest.fixture(scope="module")
def encoder(shared: Path) -> ImageBindEncoder:
    config = ImageBindConfig(
        model=str(shared / "golden" / "reference" / "imagebind_small.pth"),
        tokenizer=str(shared / "golden" / "clip_tokenizer"),
        device="cpu",
        long_text="lose-end",
        vision_heads=4,
        text_heads=4,
    )
    return ImageBindEncoder.load(config)


def read(folder: Path, index: int) -> NDArray[np.uint8]:
    with Image.open(folder / f"{index:06d}.jpg") as picture:
        return np.asarray(picture.convert("RGB"))


def unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.mark.parametrize("video", VIDEOS)
def test_texts(shared: Path, encoder: ImageBindEncoder, video: str) -> None:
    golden = np.load(shared / "golden" / "reference" / "embeddings" / f"{video}.npz")
    for texts, vectors in (("captions", "caption_embeddings"), ("summaries", "summary_embeddings")):
        ours = encoder.embed_texts([str(text) for text in golden[texts]])
        np.testing.assert_allclose(ours, golden[vectors], atol=TOLERANCE, rtol=0)


@pytest.mark.parametrize("video", VIDEOS)
def test_images(shared: Path, encoder: ImageBindEncoder, frames: Path, video: str) -> None:
    golden = np.load(shared / "golden" / "reference" / "embeddings" / f"{video}.npz")
    ours = encoder.embed_images([read(frames / video, int(index)) for index in golden["frame_index"]])
    np.testing.assert_allclose(ours, golden["image_embeddings"], atol=TOLERANCE, rtol=0)


@pytest.mark.parametrize("video", VIDEOS)
def test_windows(shared: Path, encoder: ImageBindEncoder, frames: Path, video: str) -> None:
    golden = np.load(shared / "golden" / "reference" / "embeddings" / f"{video}.npz")
    count = len(list((frames / video).glob("*.jpg")))
    cache = {}
    clips = []
    for centre in golden["frame_index"]:
        ends = (max(int(centre) - 150, 0), min(int(centre) + 149, count - 1))
        for index in ends:
            cache.setdefault(index, read(frames / video, index))
        clips.append((cache[ends[0]], cache[ends[1]]))
    ours = encoder.embed_clips(clips)
    norms = np.linalg.norm(ours, axis=1)
    assert (norms < 1 + 1e-6).all()
    assert (norms < 1 - 1e-4).any(), "the mean of different views has a norm below 1: it must not be re-normalised"
    np.testing.assert_allclose(unit(ours), golden["window_embeddings"], atol=TOLERANCE, rtol=0)


def test_full_size_names_and_shapes(shared: Path) -> None:
    with (shared / "design" / "imagebind_params.csv").open(newline="") as file:
        published = {
            row["name"]: "" if row["shape"] == "scalar" else row["shape"]
            for row in csv.DictReader(file)
            if row["kind"] == "parameter"
        }
    with torch.device("meta"):
        towers = ImageBindTowers(
            VisionShape(width=1280, depth=32, heads=16, hidden=5120, output=1024, frames=2, patch=14, grid=16),
            TextShape(width=1024, depth=24, heads=16, hidden=4096, output=1024, vocabulary=49408, context=77),
        )
    ours = {name: "x".join(map(str, tensor.shape)) for name, tensor in towers.state_dict().items()}
    assert ours == published
    counts = {"vision": 0, "text": 0}
    for name, parameter in towers.named_parameters():
        counts[name.split(".")[1]] += parameter.numel()
    assert counts == {"vision": 632_829_440, "text": 354_032_641}
    with torch.inference_mode():
        towers.prepare()
        side = towers.vision_shape.image_side
        assert side == 224
        assert towers.encode_vision(torch.empty(2, 3, side, side, device="meta")).shape == (2, 1024)
        assert towers.encode_vision(torch.empty(2, 3, 2, side, side, device="meta")).shape == (2, 1024)
        ids, last = (
            torch.zeros(2, 9, dtype=torch.int64, device="meta"),
            torch.zeros(2, dtype=torch.int64, device="meta"),
        )
        assert towers.encode_text(ids, last).shape == (2, 1024)
