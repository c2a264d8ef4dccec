"""ImageBind as an encoder: pictures, clips and texts to vectors."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from lavad_core.config.models import ImageBindConfig
from lavad_core.errors import InternalError, ModelError
from lavad_core.models.encoders.imagebind.encoder import ImageBindEncoder
from lavad_core.models.encoders.random_encoders import make_imagebind
from lavad_core.models.protocols import Encoder
from lavad_core.models.random_text import SENTENCES

SIDE = 56


def pictures(count: int, height: int, width: int, seed: int = 0) -> list[NDArray[np.uint8]]:
    """Smooth colourful pictures."""
    generator = np.random.default_rng(seed)
    small = generator.integers(0, 256, (count, 4, 5, 3), dtype=np.uint8)
    return [np.asarray(Image.fromarray(one).resize((width, height), Image.Resampling.BICUBIC)) for one in small]


def cosines(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return (unit @ unit.T)[np.triu_indices(len(vectors), 1)]


def test_is_an_encoder(encoder: ImageBindEncoder) -> None:
    assert isinstance(encoder, Encoder)
    assert (encoder.dimension, encoder.views_per_clip) == (48, 3)
    assert (encoder.image_geometry.resize, encoder.image_geometry.side) == ("short_side", SIDE)
    assert encoder.clip_geometry.resize == "native"


def test_random_weights_tell_inputs_apart(encoder: ImageBindEncoder) -> None:
    images = encoder.embed_images(pictures(12, 70, 90))
    texts = encoder.embed_texts(SENTENCES)
    clips = encoder.embed_clips(list(zip(pictures(12, 70, 90), pictures(12, 70, 90, seed=1), strict=True)))
    for vectors in (images, texts, clips):
        assert vectors.dtype == np.float32
        assert cosines(vectors).max() < 0.97
        assert cosines(vectors).mean() < 0.7
    for vectors in (images, texts):
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)


def test_nothing_in_nothing_out(encoder: ImageBindEncoder) -> None:
    for vectors in (encoder.embed_images([]), encoder.embed_texts([]), encoder.embed_clips([])):
        assert vectors.shape == (0, 48)
        assert vectors.dtype == np.float32


def test_order_and_batches_do_not_matter(folder: Path, encoder: ImageBindEncoder) -> None:
    single = ImageBindEncoder.load(ImageBindConfig(model=str(folder), device="cpu", batch_size=1))
    images = pictures(11, 60, 80) + pictures(3, 80, 60)
    np.testing.assert_allclose(encoder.embed_images(images), single.embed_images(images), atol=1e-5)
    texts = [*SENTENCES, "a dog", SENTENCES[0], "", "a dog " * 60]
    vectors = encoder.embed_texts(texts)
    np.testing.assert_allclose(vectors, single.embed_texts(texts), atol=1e-5)
    np.testing.assert_array_equal(vectors[0], vectors[len(SENTENCES) + 1])
    np.testing.assert_allclose(encoder.embed_texts(texts[::-1])[::-1], vectors, atol=1e-5)


def test_a_filled_batch_has_one_shape_and_the_same_vectors(
    folder: Path, encoder: ImageBindEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a GPU; done here on the CPU."""
    filled = ImageBindEncoder.load(ImageBindConfig(model=str(folder), device="cpu", batch_size=4))
    for batches in (filled._image_batches, filled._view_batches):
        monkeypatch.setattr(batches, "_fixed", True)
    shapes: list[int] = []
    encode = filled._loaded().encode_vision

    def spy(pixels: torch.Tensor) -> torch.Tensor:
        shapes.append(len(pixels))
        return encode(pixels)

    monkeypatch.setattr(filled._loaded(), "encode_vision", spy)
    images, clips = pictures(6, 60, 80), list(zip(pictures(2, 60, 80), pictures(2, 60, 80, seed=1), strict=True))
    np.testing.assert_allclose(filled.embed_images(images), encoder.embed_images(images), atol=1e-5)
    np.testing.assert_allclose(filled.embed_clips(clips), encoder.embed_clips(clips), atol=1e-5)
    assert shapes == [4] * 4
    assert encoder.shared_batches is None, "on a CPU a batch is as large as its items, and its rounding with it"


@pytest.mark.parametrize(
    ("device", "shape"), [pytest.param("cpu", 1, id="as many as there are"), pytest.param("cuda:0", 7, id="one shape")]
)
def test_where_videos_share_batches_these_have_one_shape(encoder: ImageBindEncoder, device: str, shape: int) -> None:
    there = ImageBindEncoder(
        encoder._loaded(), encoder._tokenizer, device=torch.device(device), dtype=torch.float32, batch_size=7
    )
    assert [batches.shape(1) for batches in (there._image_batches, there._view_batches)] == [shape] * 2
    assert (there.shared_batches is not None) == (shape == 7)


def test_resized_beforehand_is_the_same(encoder: ImageBindEncoder) -> None:
    for height, width in ((241, 321), (321, 241), (56, 56), (30, 40)):
        image = pictures(1, height, width)[0]
        small = np.asarray(
            Image.fromarray(image).resize(
                (int(SIDE * width / height), SIDE) if height <= width else (SIDE, int(SIDE * height / width)),
                Image.Resampling.BICUBIC,
            )
        )
        np.testing.assert_array_equal(encoder.embed_images([image]), encoder.embed_images([small]))


def test_two_equal_frames_are_an_image(encoder: ImageBindEncoder) -> None:
    image = pictures(1, SIDE, SIDE)[0]  # at the model's size both ways of resizing do nothing
    np.testing.assert_allclose(encoder.embed_clips([(image, image)]), encoder.embed_images([image]), atol=2e-5)


def test_a_clip_is_the_mean_of_its_crops(encoder: ImageBindEncoder) -> None:
    first, last = pictures(2, SIDE, 2 * SIDE)
    crops = [(first[:, x : x + SIDE], last[:, x : x + SIDE]) for x in (0, SIDE // 2, SIDE)]
    expected = encoder.embed_clips(crops).mean(axis=0)
    clip = encoder.embed_clips([(first, last)])[0]
    np.testing.assert_allclose(clip, expected, atol=1e-5)
    assert np.linalg.norm(clip) < 0.9999, "a mean of different unit vectors is shorter than 1"
    assert not np.allclose(clip, encoder.embed_clips([(last, first)])[0], atol=1e-3), "the order of frames counts"


def test_frames_of_other_sizes_in_one_call(encoder: ImageBindEncoder) -> None:
    clips = [tuple(pictures(2, height, width)) for height, width in ((60, 90), (56, 56), (90, 60), (120, 120))]
    together = encoder.embed_clips([(first, last) for first, last in clips])
    for number, (first, last) in enumerate(clips):
        np.testing.assert_allclose(together[number], encoder.embed_clips([(first, last)])[0], atol=1e-5)


@pytest.mark.parametrize(
    ("height", "width"), [pytest.param(100, 101, id="landscape"), pytest.param(101, 100, id="portrait")]
)
def test_almost_square_frames_are_square_once_resized(encoder: ImageBindEncoder, height: int, width: int) -> None:
    first, last = pictures(2, height, width)
    vectors = encoder.embed_clips([(first, last), (first, first)])
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)


def test_a_clip_whose_frames_differ_in_size(encoder: ImageBindEncoder) -> None:
    square, wide = pictures(1, SIDE, SIDE)[0], pictures(1, SIDE, 2 * SIDE)[0]
    crops = [(square, wide[:, x : x + SIDE]) for x in (0, SIDE // 2, SIDE)]
    expected = encoder.embed_clips(crops).mean(axis=0)
    np.testing.assert_allclose(encoder.embed_clips([(square, wide)])[0], expected, atol=1e-5)


def test_read_only_frames_are_fine(encoder: ImageBindEncoder, recwarn: pytest.WarningsRecorder) -> None:
    image = pictures(1, 60, 80)[0]
    image.setflags(write=False)
    encoder.embed_images([image])
    encoder.embed_clips([(image, image)])
    assert not recwarn.list


@pytest.mark.parametrize(
    "image",
    [
        pytest.param(np.zeros((60, 80, 3), dtype=np.float32), id="float"),
        pytest.param(np.zeros((60, 80), dtype=np.uint8), id="grey"),
        pytest.param(np.zeros((0, 80, 3), dtype=np.uint8), id="empty"),
    ],
)
def test_not_a_picture(encoder: ImageBindEncoder, image: Any) -> None:
    with pytest.raises(InternalError, match="uint8"):
        encoder.embed_images([image])
    with pytest.raises(InternalError, match="uint8"):
        encoder.embed_clips([(image, image)])


def test_values_that_are_not_finite_are_refused(folder: Path) -> None:
    broken = ImageBindEncoder.load(ImageBindConfig(model=str(folder), device="cpu"))
    towers = broken._loaded()
    with torch.no_grad():
        towers.modality_heads["vision"][2].weight[0, 0] = math.nan  # type: ignore[index]
    with pytest.raises(ModelError, match="not finite for 2 of 2 image vectors"):
        broken.embed_images(pictures(2, 60, 80))


def test_closed(folder: Path) -> None:
    closed = ImageBindEncoder.load(ImageBindConfig(model=str(folder), device="cpu"))
    closed.close()
    with pytest.raises(InternalError, match="closed"):
        closed.embed_texts(["a dog"])


def test_half_precision_is_close(folder: Path, encoder: ImageBindEncoder) -> None:
    half = ImageBindEncoder.load(ImageBindConfig(model=str(folder), device="cpu", dtype="bfloat16"))
    for ours, theirs in (
        (half.embed_images(pictures(4, 60, 80)), encoder.embed_images(pictures(4, 60, 80))),
        (half.embed_texts(SENTENCES[:4]), encoder.embed_texts(SENTENCES[:4])),
    ):
        assert ours.dtype == np.float32
        assert ((ours * theirs).sum(axis=1) > 0.98).all()


def test_long_texts_share_one_vector_only_where_the_end_is_lost(folder: Path) -> None:
    texts = ["a dog runs " * 40, "a man walks in the park " * 20, "car " * 75]
    config = ImageBindConfig(model=str(folder), device="cpu", long_text="lose-end")
    lost = ImageBindEncoder.load(config).embed_texts(texts)
    np.testing.assert_array_equal(lost[0], lost[1])
    assert (lost[0] != lost[2]).any()
    kept = ImageBindEncoder.load(config.model_copy(update={"long_text": "keep-end"})).embed_texts(texts)
    assert cosines(kept).max() < 0.999
    np.testing.assert_array_equal(kept[2], lost[2])


def test_the_same_seed_makes_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    for name, seed in (("a", 3), ("b", 4)):
        (tmp_path / name).mkdir()
        make_imagebind(tmp_path / name, seed=seed)
    for file in ("imagebind.safetensors", "vocab.json", "merges.txt"):
        assert (tmp_path / "a" / file).read_bytes() == (folder / file).read_bytes()
    assert (tmp_path / "b" / "imagebind.safetensors").read_bytes() != (folder / "imagebind.safetensors").read_bytes()
