"""ImageBind's towers, pictures, texts and checkpoints, without any file from outside."""

from __future__ import annotations

import functools
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import load_file, save_file

from lavad_core.config.models import ImageBindConfig
from lavad_core.errors import InternalError, ModelError
from lavad_core.models.encoders.imagebind.checkpoint import load_towers
from lavad_core.models.encoders.imagebind.encoder import ImageBindEncoder
from lavad_core.models.encoders.imagebind.preprocess import centre_square, clip_frame, crop_offsets
from lavad_core.models.encoders.imagebind.text import ClipBpe
from lavad_core.models.encoders.imagebind.towers import ImageBindTowers, TextShape, VisionShape
from lavad_core.models.encoders.pixels import CLIP_MEAN, CLIP_STD, Normaliser
from lavad_core.models.encoders.random_encoders import make_imagebind
from lavad_core.models.encoders.texts import clean_up
from lavad_core.models.protocols import Encoder
from lavad_core.models.random_text import SENTENCES
from lavad_core.models.random_weights import randomise

CPU = torch.device("cpu")
SIDE = 56


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("imagebind")
    make_imagebind(path, seed=3)
    return path


@pytest.fixture(scope="module")
def encoder(folder: Path) -> ImageBindEncoder:
    return ImageBindEncoder.load(ImageBindConfig(model=str(folder), device="cpu", batch_size=8))


@pytest.fixture
def state(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "imagebind.safetensors")


def pictures(count: int, height: int, width: int, seed: int = 0) -> list[NDArray[np.uint8]]:
    """Smooth colourful pictures."""
    generator = np.random.default_rng(seed)
    small = generator.integers(0, 256, (count, 4, 5, 3), dtype=np.uint8)
    return [np.asarray(Image.fromarray(one).resize((width, height), Image.Resampling.BICUBIC)) for one in small]


def cosines(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return (unit @ unit.T)[np.triu_indices(len(vectors), 1)]


# --- the encoder as a whole ---


def test_is_an_encoder(encoder: ImageBindEncoder) -> None:
    assert isinstance(encoder, Encoder)
    assert (encoder.dimension, encoder.encodes_clips, encoder.views_per_clip) == (48, True, 3)
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


# --- towers ---


def test_trimmed_texts_are_untrimmed_texts(encoder: ImageBindEncoder) -> None:
    towers = encoder._loaded()
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(0, 500, (5, 77), generator=generator)
    last = torch.tensor([3, 10, 0, 5, 7])
    with torch.inference_mode():
        whole = towers.encode_text(ids, last)
        trimmed = towers.encode_text(ids[:, :11], last)
    torch.testing.assert_close(whole, trimmed, atol=1e-6, rtol=0)


def test_the_pictures_fast_path_is_the_clip_path(encoder: ImageBindEncoder) -> None:
    towers = encoder._loaded()
    pixels = torch.randn(3, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        still = towers.encode_vision(pixels)
        clip = towers.encode_vision(torch.stack((pixels, pixels), dim=2))
    torch.testing.assert_close(still, clip, atol=2e-5, rtol=0)  # the weights are summed before, not after


def _blocks(towers: ImageBindTowers, modality: str) -> dict[str, torch.Tensor]:
    """A tower's layers under transformers' names."""
    out: dict[str, torch.Tensor] = {}
    prefix = f"modality_trunks.{modality}.blocks."
    names = {
        "norm_1": "layer_norm1",
        "norm_2": "layer_norm2",
        "mlp.fc1": "mlp.fc1",
        "mlp.fc2": "mlp.fc2",
        "attn.out_proj": "self_attn.out_proj",
    }
    for name, tensor in towers.state_dict().items():
        if not name.startswith(prefix):
            continue
        number, _, rest = name.removeprefix(prefix).partition(".")
        layer = f"encoder.layers.{number}."
        if rest.startswith("attn.in_proj_"):
            kind = rest.removeprefix("attn.in_proj_")
            for part, piece in zip("qkv", tensor.chunk(3), strict=True):
                out[f"{layer}self_attn.{part}_proj.{kind}"] = piece
        else:
            stem, _, kind = rest.rpartition(".")
            out[f"{layer}{names[stem]}.{kind}"] = tensor
    return out


def _fill(model: torch.nn.Module, state: dict[str, torch.Tensor]) -> None:
    """Load tensors by the end of their names, whatever the class puts before them."""
    own = model.state_dict()
    found = {}
    for name, tensor in state.items():
        (match,) = [key for key in own if key == name or key.endswith("." + name)]
        found[match] = tensor
    missing = set(own) - set(found)
    assert all("position_ids" in key for key in missing), missing
    model.load_state_dict(found, strict=False)


@pytest.fixture(scope="module")
def towers() -> ImageBindTowers:
    built = ImageBindTowers(
        VisionShape(width=32, depth=2, heads=4, hidden=80, output=24, frames=2, patch=8, grid=3),
        TextShape(width=40, depth=2, heads=5, hidden=96, output=24, vocabulary=50, context=12),
    )
    randomise(built, seed=1, gain=1.5)
    built.prepare()
    return built.requires_grad_(False).eval()


def test_vision_is_clips_vision_model(towers: ImageBindTowers) -> None:
    """transformers' CLIP with GELU, ImageBind's epsilon and half the patch layer: the same numbers."""
    config = transformers.CLIPVisionConfig(
        hidden_size=32,
        intermediate_size=80,
        num_hidden_layers=2,
        num_attention_heads=4,
        image_size=24,
        patch_size=8,
        hidden_act="gelu",
        layer_norm_eps=1e-6,
        projection_dim=24,
    )
    theirs = transformers.CLIPVisionModelWithProjection(config).eval()
    ours = towers.state_dict()
    vision = "modality_preprocessors.vision."
    _fill(
        theirs,
        _blocks(towers, "vision")
        | {
            "class_embedding": ours[vision + "cls_token"].flatten(),
            "patch_embedding.weight": ours[vision + "rgbt_stem.proj.1.weight"].sum(2),
            "position_embedding.weight": ours[vision + "pos_embedding_helper.pos_embed"][0],
            "pre_layrnorm.weight": ours["modality_trunks.vision.pre_transformer_layer.0.weight"],
            "pre_layrnorm.bias": ours["modality_trunks.vision.pre_transformer_layer.0.bias"],
            "post_layernorm.weight": ours["modality_heads.vision.0.weight"],
            "post_layernorm.bias": ours["modality_heads.vision.0.bias"],
            "visual_projection.weight": ours["modality_heads.vision.2.weight"],
        },
    )
    pixels = torch.randn(5, 3, 24, 24, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        expected = torch.nn.functional.normalize(theirs(pixels).image_embeds, dim=-1)
        torch.testing.assert_close(towers.encode_vision(pixels), expected, atol=1e-5, rtol=0)


def test_text_is_clips_text_model(towers: ImageBindTowers) -> None:
    config = transformers.CLIPTextConfig(
        vocab_size=50,
        hidden_size=40,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=5,
        max_position_embeddings=12,
        hidden_act="gelu",
        layer_norm_eps=1e-6,
        projection_dim=24,
        bos_token_id=48,
        eos_token_id=49,
        pad_token_id=49,
    )
    theirs = transformers.CLIPTextModelWithProjection(config).eval()
    ours = towers.state_dict()
    text = "modality_preprocessors.text."
    _fill(
        theirs,
        _blocks(towers, "text")
        | {
            "token_embedding.weight": ours[text + "token_embedding.weight"],
            "position_embedding.weight": ours[text + "pos_embed"][0],
            "final_layer_norm.weight": ours["modality_heads.text.proj.0.weight"],
            "final_layer_norm.bias": ours["modality_heads.text.proj.0.bias"],
            "text_projection.weight": ours["modality_heads.text.proj.1.weight"],
        },
    )
    ids = torch.randint(0, 48, (6, 12), generator=torch.Generator().manual_seed(0))
    last = torch.tensor([2, 11, 5, 7, 1, 9])
    ids[torch.arange(6), last] = 49
    with torch.inference_mode():
        expected = torch.nn.functional.normalize(theirs(input_ids=ids).text_embeds, dim=-1)
        torch.testing.assert_close(towers.encode_text(ids, last), expected, atol=1e-5, rtol=0)


# --- pictures ---


@pytest.mark.parametrize(
    ("height", "width", "top", "left"),
    [
        pytest.param(224, 224, 0, 0, id="square"),
        pytest.param(224, 225, 0, 0, id="half rounds to the even 0"),
        pytest.param(224, 227, 0, 2, id="half rounds to the even 2"),
        pytest.param(229, 224, 2, 0, id="half rounds to the even 2, portrait"),
        pytest.param(224, 298, 0, 37, id="4:3"),
    ],
)
def test_centre_squares(height: int, width: int, top: int, left: int) -> None:
    image = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    np.testing.assert_array_equal(centre_square(image, 224), image[top : top + 224, left : left + 224])


@pytest.mark.parametrize(
    ("height", "width", "offsets"),
    [
        pytest.param(224, 224, [(0, 0)], id="square"),
        pytest.param(224, 225, [(0, 0), (0, 1), (0, 1)], id="half rounds up"),
        pytest.param(224, 298, [(0, 0), (0, 37), (0, 74)], id="landscape"),
        pytest.param(229, 224, [(0, 0), (3, 0), (5, 0)], id="portrait"),
    ],
)
def test_crops(height: int, width: int, offsets: list[tuple[int, int]]) -> None:
    assert crop_offsets(height, width, 224) == offsets


@settings(deadline=None, max_examples=50)  # the machine may be busy
@given(height=st.integers(1, 90), width=st.integers(1, 90))
def test_any_size_gives_squares(height: int, width: int) -> None:
    image = np.zeros((height, width, 3), dtype=np.uint8)
    assert centre_square(image, 16).shape == (16, 16, 3)
    frame = clip_frame(image, 16, Normaliser(), CPU)
    for top, left in crop_offsets(frame.shape[1], frame.shape[2], 16):
        assert frame[:, top : top + 16, left : left + 16].shape == (3, 16, 16)


def test_normalised_like_the_published_recipe() -> None:
    image = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(3, axis=2)
    expected = (image.astype(np.float32) / np.float32(255) - np.float32(CLIP_MEAN)) / np.float32(CLIP_STD)
    ours = Normaliser()([image], CPU, torch.float32)[0].permute(1, 2, 0).numpy()
    np.testing.assert_array_equal(ours, expected)
    same_size = clip_frame(image, 16, Normaliser(), CPU).permute(1, 2, 0).numpy()
    np.testing.assert_array_equal(same_size, expected)


def test_clip_frames_are_not_antialiased() -> None:
    stripes = np.zeros((64, 64, 3), dtype=np.uint8)
    stripes[::2] = 255
    spread = clip_frame(stripes, 16, Normaliser((0, 0, 0), (1, 1, 1)), CPU)
    expected = torch.nn.functional.interpolate(
        torch.from_numpy(stripes).permute(2, 0, 1)[None].float() / 255,
        size=(16, 16),
        mode="bilinear",
        align_corners=False,
    )[0]
    torch.testing.assert_close(spread, expected, atol=0, rtol=0)
    assert clip_frame(np.zeros((100, 333, 3), dtype=np.uint8), 16, Normaliser(), CPU).shape == (3, 16, 53)


# --- texts ---


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("  A  Man\n walks\t", "a man walks", id="spaces and case"),
        pytest.param("caf&amp;eacute;", "café", id="entities, twice"),
        pytest.param("donâ€™t", "don't", id="mojibake"),
        pytest.param("ﬁre", "fire", id="ligature"),
        pytest.param("x\x00\x07y", "x\x00y", id="control characters"),
        pytest.param("", "", id="empty"),
    ],
)
def test_clean_up(text: str, expected: str) -> None:
    if "\x00" in text:
        assert "\x07" not in clean_up(text)
    else:
        assert clean_up(text) == expected


@functools.cache
def bpe(folder: Path, long_text: Any = "keep-end", context: int = 77) -> ClipBpe:
    vocabulary = json.loads((folder / "vocab.json").read_text(encoding="utf-8"))
    return ClipBpe(folder, context=context, vocabulary=len(vocabulary), long_text=long_text)


def test_short_texts_are_framed(folder: Path) -> None:
    vocabulary = json.loads((folder / "vocab.json").read_text(encoding="utf-8"))
    for long_text in ("keep-end", "lose-end"):
        (ids,) = bpe(folder, long_text)(["A man, walks!"])
        words = ["<|startoftext|>", "a</w>", "man</w>", ",</w>", "walks</w>", "!</w>", "<|endoftext|>"]
        assert ids.tolist() == [vocabulary[word] for word in words]
        assert [len(row) for row in bpe(folder, long_text)(["", " "])] == [2, 2]


@pytest.mark.parametrize(("words", "long"), [(74, False), (75, False), (76, True), (77, True), (200, True)])
def test_long_texts(folder: Path, words: int, long: bool) -> None:
    vocabulary = json.loads((folder / "vocab.json").read_text(encoding="utf-8"))
    start, end = vocabulary["<|startoftext|>"], vocabulary["<|endoftext|>"]
    (kept,) = bpe(folder, "keep-end")(["man " * words])
    assert len(kept) == min(words + 2, 77)
    assert (kept[0], kept[-1]) == (start, end)
    (lost,) = bpe(folder, "lose-end")(["man " * words])
    if long:
        assert lost.tolist() == [start], "no end token: the largest id is the start token's"
    else:
        assert lost.tolist() == kept.tolist()


def test_long_texts_share_one_vector_only_where_the_end_is_lost(folder: Path) -> None:
    texts = ["a dog runs " * 40, "a man walks in the park " * 20, "car " * 75]
    config = ImageBindConfig(model=str(folder), device="cpu", long_text="lose-end")
    lost = ImageBindEncoder.load(config).embed_texts(texts)
    np.testing.assert_array_equal(lost[0], lost[1])
    assert (lost[0] != lost[2]).any()
    kept = ImageBindEncoder.load(config.model_copy(update={"long_text": "keep-end"})).embed_texts(texts)
    assert cosines(kept).max() < 0.999
    np.testing.assert_array_equal(kept[2], lost[2])


@settings(deadline=None, max_examples=50)  # the machine may be busy
@given(text=st.text(max_size=300))
def test_any_text_has_ids(text: str, folder: Path) -> None:
    for long_text in ("keep-end", "lose-end"):
        (ids,) = bpe(folder, long_text, context=20)([text])
        assert 1 <= len(ids) <= 20
        assert ids.argmax() == len(ids) - 1 or len(ids) == 1


def test_an_endless_text_is_cut(folder: Path) -> None:
    (ids,) = bpe(folder)(["a man walks " * 1_000_000])
    assert len(ids) == 77


# --- checkpoints ---


def save(path: Path, state: dict[str, torch.Tensor], metadata: dict[str, str] | None = None) -> Path:
    if path.suffix == ".pth":
        torch.save(state, path)
    else:
        save_file(state, path, metadata=metadata)
    return path


HEADS = {"vision_heads": 4, "text_heads": 4}


def test_pth_and_safetensors_are_the_same(folder: Path, state: dict[str, torch.Tensor], tmp_path: Path) -> None:
    others = {
        "modality_preprocessors.text.mask": torch.zeros(77, 77),
        "modality_trunks.audio.blocks.0.norm_1.weight": torch.ones(8),
        "modality_heads.imu.0.weight": torch.ones(8),
    }
    path = save(tmp_path / "whole.pth", state | others)
    a = load_towers(path, CPU, torch.float32, **HEADS)
    b = load_towers(folder, CPU, torch.float32)
    assert a.vision_shape == b.vision_shape
    assert a.text_shape == b.text_shape
    for name, tensor in a.state_dict().items():
        torch.testing.assert_close(tensor, b.state_dict()[name], atol=0, rtol=0)
    assert not any(parameter.requires_grad for parameter in a.parameters())


def test_the_text_scale_may_be_absent(state: dict[str, torch.Tensor], tmp_path: Path) -> None:
    del state["modality_postprocessors.text.1.log_logit_scale"]
    load_towers(save(tmp_path / "a.safetensors", state), CPU, torch.float32, **HEADS)


def _drop(state: dict[str, torch.Tensor], name: str) -> None:
    del state[name]


def _set(state: dict[str, torch.Tensor], name: str, tensor: torch.Tensor) -> None:
    state[name] = tensor


LAYER = "modality_trunks.vision.blocks.1.norm_2.bias"
STEM = "modality_preprocessors.vision.rgbt_stem.proj.1.weight"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(lambda s: _drop(s, LAYER), rf"{LAYER} is missing", id="missing"),
        pytest.param(lambda s: _drop(s, STEM), rf"{STEM} is missing", id="missing, needed for the sizes"),
        pytest.param(
            lambda s: _set(s, "modality_heads.text.extra", torch.ones(3)),
            r"'modality_heads.text.extra' is unknown",
            id="unknown",
        ),
        pytest.param(lambda s: _set(s, LAYER, torch.ones(65)), r"has the shape \[65\], not \[64\]", id="shape"),
        pytest.param(lambda s: _set(s, STEM, torch.ones(64)), r"has the shape \[64\], not 5 sizes", id="rank"),
        pytest.param(lambda s: _set(s, STEM, torch.ones(64, 3, 1, 14, 14)), r"2 frames and square", id="one frame"),
        pytest.param(
            lambda s: _set(s, "modality_preprocessors.vision.pos_embedding_helper.pos_embed", torch.ones(1, 16, 64)),
            r"16 positions; 1 and a square number",
            id="positions",
        ),
        pytest.param(lambda s: _set(s, LAYER, torch.full((64,), math.nan)), r"not finite", id="NaN"),
        pytest.param(lambda s: _set(s, LAYER, torch.ones(64, dtype=torch.int64)), r"not floating point", id="integers"),
        pytest.param(
            lambda s: _set(s, "modality_trunks.text.blocks.999999999.norm_1.weight", torch.ones(64)),
            r"is missing.*more",
            id="a layer's absurd number",
        ),
        pytest.param(
            lambda s: _set(s, "modality_heads.text.proj.1.weight", torch.ones(47, 64)), r"47 numbers", id="two spaces"
        ),
    ],
)
@pytest.mark.parametrize("ending", [".pth", ".safetensors"])
def test_other_checkpoints_are_refused(
    state: dict[str, torch.Tensor], tmp_path: Path, change: Any, message: str, ending: str
) -> None:
    change(state)
    with pytest.raises(ModelError, match=message):
        load_towers(save(tmp_path / f"a{ending}", state), CPU, torch.float32, **HEADS)


def test_overflow_of_half_precision_is_said(state: dict[str, torch.Tensor], tmp_path: Path) -> None:
    state[LAYER] = torch.full((64,), 1e6)
    path = save(tmp_path / "a.safetensors", state)
    load_towers(path, CPU, torch.float32, **HEADS)
    with pytest.raises(ModelError, match=r"float16.*give `encoder.dtype: float32`"):
        load_towers(path, CPU, torch.float16, **HEADS)


@pytest.mark.parametrize(
    ("metadata", "given_heads", "heads", "message"),
    [
        pytest.param(None, {}, None, "state it as `encoder.vision_heads`", id="nobody says"),
        pytest.param({"vision_heads": "8", "text_heads": "2"}, {}, (8, 2), "", id="the file says"),
        pytest.param({"heads": "8", "text_heads": "2"}, {}, (8, 2), "", id="the file says one for both"),
        pytest.param({"vision_heads": "8", "text_heads": "2"}, HEADS, (4, 4), "", id="the argument wins"),
        pytest.param({"vision_heads": "8", "text_heads": "two"}, {}, None, "metadata text_heads", id="not a number"),
        pytest.param(None, {"vision_heads": 5, "text_heads": 4}, None, "cannot be shared by 5", id="does not divide"),
    ],
)
def test_heads(
    state: dict[str, torch.Tensor], tmp_path: Path, metadata: Any, given_heads: Any, heads: Any, message: str
) -> None:
    path = save(tmp_path / "a.safetensors", state, metadata)
    if heads is None:
        with pytest.raises(ModelError, match=message):
            load_towers(path, CPU, torch.float32, **given_heads)
    else:
        towers = load_towers(path, CPU, torch.float32, **given_heads)
        assert (towers.vision_shape.heads, towers.text_shape.heads) == heads


class Nasty:
    def __reduce__(self) -> Any:
        return print, ("this must never run",)


@pytest.mark.parametrize("ending", [".pth", ".safetensors"])
@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04" + bytes(200)])
def test_files_of_another_kind(tmp_path: Path, ending: str, content: bytes) -> None:
    path = tmp_path / f"a{ending}"
    path.write_bytes(content)
    with pytest.raises(ModelError, match="cannot be read"):
        load_towers(path, CPU, torch.float32)


def test_code_in_a_checkpoint_is_not_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save({"a": Nasty()}, tmp_path / "a.pth")
    with pytest.raises(ModelError, match="plain tensors"):
        load_towers(tmp_path / "a.pth", CPU, torch.float32)
    assert "never" not in capsys.readouterr().out


def test_other_tables_are_refused(tmp_path: Path) -> None:
    for number, content in enumerate(([torch.ones(1)], {"a": 1}, {})):
        torch.save(content, tmp_path / f"{number}.pth")
        with pytest.raises(ModelError, match="not a table"):
            load_towers(tmp_path / f"{number}.pth", CPU, torch.float32)


def test_a_truncated_file(state: dict[str, torch.Tensor], tmp_path: Path) -> None:
    for ending in (".pth", ".safetensors"):
        path = save(tmp_path / f"a{ending}", state)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        with pytest.raises(ModelError, match="cannot be read"):
            load_towers(path, CPU, torch.float32, **HEADS)


def test_what_is_absent_is_named(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"is not there.*non-commercial"):
        ImageBindEncoder.load(ImageBindConfig(model=str(tmp_path / "no.pth"), device="cpu"))
    with pytest.raises(ModelError, match="holds neither"):
        ImageBindEncoder.load(ImageBindConfig(model=str(tmp_path), device="cpu"))
    with pytest.raises(ModelError, match=r"vocab.json.*is not there.*encoder.tokenizer"):
        ImageBindEncoder.load(ImageBindConfig(model=str(folder), tokenizer=str(tmp_path), device="cpu"))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        pytest.param("vocab.json", "[]", "not a table", id="vocabulary of another kind"),
        pytest.param("vocab.json", "{", "not JSON", id="vocabulary cut off"),
        pytest.param(
            "vocab.json", '{"<|endoftext|>": 1, "<|startoftext|>": 2}', "largest id", id="end not the largest"
        ),
        pytest.param("merges.txt", "#version: 0.2\na b c\n", "line 2: a merge is two", id="three tokens"),
        pytest.param("merges.txt", "q zzz\n", "do not belong together", id="merges of another vocabulary"),
    ],
)
def test_damaged_tokenizer_files(folder: Path, tmp_path: Path, name: str, content: str, message: str) -> None:
    for file in ("vocab.json", "merges.txt"):
        (tmp_path / file).write_bytes((folder / file).read_bytes())
    (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(ModelError, match=message):
        ImageBindEncoder.load(ImageBindConfig(model=str(folder), tokenizer=str(tmp_path), device="cpu"))


def test_a_vocabulary_larger_than_the_tower(folder: Path) -> None:
    with pytest.raises(ModelError, match="below the text tower's 100"):
        ClipBpe(folder, context=77, vocabulary=100, long_text="keep-end")


def test_the_same_seed_makes_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    for name, seed in (("a", 3), ("b", 4)):
        (tmp_path / name).mkdir()
        make_imagebind(tmp_path / name, seed=seed)
    for file in ("imagebind.safetensors", "vocab.json", "merges.txt"):
        assert (tmp_path / "a" / file).read_bytes() == (folder / file).read_bytes()
    assert (tmp_path / "b" / "imagebind.safetensors").read_bytes() != (folder / "imagebind.safetensors").read_bytes()
