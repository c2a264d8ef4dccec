"""``python -m lavad.demo.train`` on a thousandth of its clips and steps: everything that it writes can be loaded and used."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from lavad.demo.places import HEIGHT, WIDTH
from lavad.demo.training.captioners import CAPTIONERS, for_larger_images
from lavad.demo.training.frames import make_frames, patch_labels
from lavad.demo.training.imagebind import Pairs, pairs_of
from lavad.demo.training.vision import PATCH, SIDE, new_tower
from lavad_core.config.models import Blip2Config, ImageBindConfig
from lavad_core.models.captioners.blip2 import Blip2Captioner
from lavad_core.models.encoders.imagebind.encoder import ImageBindEncoder

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
def test_one_command_makes_models_that_can_be_loaded(tmp_path: Path) -> None:
    names = ["vision", *(captioner.name for captioner in CAPTIONERS), "imagebind"]
    command = [
        sys.executable,
        "-m",
        "lavad.demo.train",
        "--models",
        str(tmp_path),
        "--share",
        "0.001",
        "--only",
        *names,
    ]
    subprocess.run(command, cwd=ROOT, check=True, timeout=600)
    for captioner in CAPTIONERS:
        folder = tmp_path / captioner.name
        made = Blip2Captioner.load(Blip2Config(model=str(folder)), str(folder))
        square = np.zeros((captioner.side, captioner.side, 3), np.uint8)
        assert len(made.caption([square, square])) == 2
        card = (folder / "README.md").read_text()
        assert "knows a small rendered world only" in card
        assert "seconds" in card
    encoder = ImageBindEncoder.load(ImageBindConfig(model=str(tmp_path / "imagebind")))
    texts = encoder.embed_texts(["a man walks in a park", "a fire burns beside a wall"])
    assert np.asarray(texts).shape == (2, 96)


def test_frames_are_of_their_clips_and_the_same_each_time() -> None:
    first, again = (make_frames(range(1, 3), 5, later=True, workers=1) for _ in range(2))
    assert first.pictures.shape == (10, HEIGHT, WIDTH, 3)
    assert np.array_equal(first.pictures, again.pictures)
    assert first.clips.tolist() == [1] * 5 + [2] * 5
    assert first.sentences == again.sentences
    assert all(first.around)
    pairs = pairs_of(first)
    assert pairs.images.shape == (10, SIDE, SIDE, 3)
    assert pairs.first.shape == pairs.second.shape == (10, 3, 96, 128)
    joined = Pairs.joined([pairs, pairs])
    assert len(joined.images) == len(joined.scenes) == len(joined.around) == 20


def test_patches_have_the_labels_of_what_covers_them() -> None:
    box = np.array([[3, 0, 0, WIDTH / 8, HEIGHT / 4]], np.float32)  # the two patches at the top left
    labels = patch_labels([box, box[:0]], 8)
    assert labels[0, :, 3].nonzero()[0].tolist() == [0, 8]
    assert labels.sum() == 2


def test_the_tower_for_larger_images_sees_the_same() -> None:
    torch.manual_seed(0)
    tower = new_tower()
    torch.nn.init.normal_(tower.embeddings.patch_embedding.weight, std=0.05)
    larger = for_larger_images(tower)
    colours = torch.randn(1, 3, 8, 8)  # a colour a patch: size is all that differs

    def seen(model: object, patch: int) -> torch.Tensor:
        pixels = colours.repeat_interleave(patch, 2).repeat_interleave(patch, 3)
        with torch.inference_mode():
            return model.embeddings.patch_embedding(pixels)  # type: ignore[attr-defined]

    small, large = seen(tower, PATCH), seen(larger, PATCH * larger.config.image_size // SIDE)
    assert float(torch.corrcoef(torch.stack((small.flatten(), large.flatten())))[0, 1]) > 0.98
    assert 0.9 < float(large.std() / small.std()) < 1.1
