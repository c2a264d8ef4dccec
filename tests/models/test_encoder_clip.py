"""CLIP and SigLIP encoders against transformers' own processors, and the choice of an encoder by its configuration."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from numpy.typing import NDArray
from PIL import Image

from lavad_core.config.models import ClipConfig, ImageBindConfig
from lavad_core.errors import InternalError, ModelError
from lavad_core.models.encoders.clip_siglip import ClipEncoder, picture_plan
from lavad_core.models.encoders.imagebind.encoder import ImageBindEncoder
from lavad_core.models.encoders.random_encoders import clip_bpe, make_clip, make_imagebind, make_siglip
from lavad_core.models.kinds import load_model
from lavad_core.models.pixels import resized
from lavad_core.models.protocols import Encoder
from lavad_core.models.random_text import SENTENCES

MAKERS = {"imagebind": make_imagebind, "clip": make_clip, "siglip": make_siglip}
FAMILIES = ("clip", "siglip")
SIZES = [(60, 80), (80, 60), (56, 56), (241, 321), (30, 40), (57, 300)]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    made = {}
    for kind, make in MAKERS.items():
        made[kind] = tmp_path_factory.mktemp(kind)
        make(made[kind], seed=5)
    return made


@pytest.fixture(scope="module")
def encoders(folders: dict[str, Path]) -> dict[str, ClipEncoder]:
    return {
        kind: ClipEncoder.load(ClipConfig(model=str(folders[kind]), device="cpu", batch_size=8)) for kind in FAMILIES
    }


@pytest.mark.parametrize("kind", FAMILIES)
def test_a_filled_batch_has_the_same_vectors(
    encoders: dict[str, ClipEncoder], kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a GPU; done here on the CPU."""
    encoder = encoders[kind]
    expected = encoder.embed_images(pictures())
    monkeypatch.setattr(encoder._image_batches, "_fixed", True)
    np.testing.assert_allclose(encoder.embed_images(pictures()), expected, atol=1e-5)
    assert encoder.shared_batches is None


def pictures() -> list[NDArray[np.uint8]]:
    generator = np.random.default_rng(0)
    out = []
    for height, width in SIZES:
        small = Image.fromarray(generator.integers(0, 256, (4, 5, 3), dtype=np.uint8))
        out.append(np.asarray(small.resize((width, height), Image.Resampling.BICUBIC)))
    return out


def copied(source: Path, target: Path, **changes: Any) -> Path:
    """A model's folder with other values in its preprocessor_config.json."""
    target.mkdir()
    for path in source.iterdir():
        (target / path.name).write_bytes(path.read_bytes())
    path = target / "preprocessor_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    return target


def unit(features: Any) -> NDArray[np.float32]:
    return np.asarray(torch.nn.functional.normalize(features.pooler_output, dim=-1).numpy())


@pytest.mark.parametrize("family", FAMILIES)
def test_is_an_encoder(encoders: dict[str, ClipEncoder], family: str) -> None:
    encoder = encoders[family]
    assert isinstance(encoder, Encoder)
    assert encoder.embed_images([]).shape == encoder.embed_texts([]).shape == (0, encoder.dimension)
    with pytest.raises(InternalError, match="mean of their frames"):
        encoder.embed_clips([])


@pytest.mark.parametrize("family", FAMILIES)
def test_images_as_transformers_does(folders: dict[str, Path], encoders: dict[str, ClipEncoder], family: str) -> None:
    processor = transformers.AutoImageProcessor.from_pretrained(folders[family], backend="pil")
    batch = processor([Image.fromarray(image) for image in pictures()], return_tensors="pt")
    with torch.inference_mode():
        expected = unit(encoders[family]._model.get_image_features(**batch))
    ours = encoders[family].embed_images(pictures())
    assert ours.shape == (len(SIZES), encoders[family].dimension)
    np.testing.assert_allclose(ours, expected, atol=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_sized_beforehand_is_the_same(encoders: dict[str, ClipEncoder], family: str) -> None:
    encoder = encoders[family]
    sized = [resized(image, encoder.image_geometry) for image in pictures()]
    assert {min(image.shape[:2]) for image in sized} == {56}
    np.testing.assert_array_equal(encoder.embed_images(sized), encoder.embed_images(pictures()))


@pytest.mark.parametrize("family", FAMILIES)
def test_texts_as_transformers_does(folders: dict[str, Path], encoders: dict[str, ClipEncoder], family: str) -> None:
    texts = [*SENTENCES, "a man walks " * 40, ""]
    tokenizer = transformers.AutoTokenizer.from_pretrained(folders[family])
    context = {"clip": 77, "siglip": 64}[family]
    ids = tokenizer(texts, padding="max_length", truncation=True, max_length=context, return_tensors="pt")["input_ids"]
    with torch.inference_mode():
        expected = unit(encoders[family]._model.get_text_features(input_ids=ids))
    np.testing.assert_allclose(encoders[family].embed_texts(texts), expected, atol=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_random_weights_tell_inputs_apart(encoders: dict[str, ClipEncoder], family: str) -> None:
    for vectors in (encoders[family].embed_images(pictures()), encoders[family].embed_texts(SENTENCES)):
        similarities = (vectors @ vectors.T)[np.triu_indices(len(vectors), 1)]
        assert similarities.max() < 0.97
        assert similarities.mean() < 0.8


@pytest.mark.parametrize("family", FAMILIES)
def test_order_and_batches_do_not_matter(
    folders: dict[str, Path], encoders: dict[str, ClipEncoder], family: str
) -> None:
    single = ClipEncoder.load(ClipConfig(model=str(folders[family]), device="cpu", batch_size=1))
    texts = [*SENTENCES, "Fire!", "", "fire &amp; smoke " * 30, SENTENCES[2]]
    ours = encoders[family].embed_texts(texts)
    np.testing.assert_allclose(ours, single.embed_texts(texts), atol=1e-5)
    np.testing.assert_array_equal(ours[2], ours[-1])
    np.testing.assert_allclose(encoders[family].embed_images(pictures()), single.embed_images(pictures()), atol=1e-5)


def test_siglip_reads_lower_case_and_clip_clean_text(encoders: dict[str, ClipEncoder]) -> None:
    for family, a, b in (("siglip", "A MAN Walks", "a man walks"), ("clip", "smoke &amp;amp;  FIRE", "smoke & fire")):
        vectors = encoders[family].embed_texts([a, b])
        np.testing.assert_array_equal(vectors[0], vectors[1])


def test_an_exclamation_mark_is_not_padding(folders: dict[str, Path], tmp_path: Path) -> None:
    """Some CLIP checkpoints pad with "!": their tokenizer then takes each "!" of a text for padding."""
    folder = copied(folders["clip"], tmp_path / "a")
    vocabulary, merges = clip_bpe()
    transformers.CLIPTokenizer(vocab=vocabulary, merges=merges, pad_token="!", model_max_length=77).save_pretrained(
        folder
    )
    theirs = transformers.CLIPTokenizer.from_pretrained(folder)(["fire !"])["input_ids"][0]
    assert vocabulary["!"] in theirs, "the trap that this is about"
    (ours,) = ClipEncoder.load(ClipConfig(model=str(folder), device="cpu"))._tokenise(["fire !"])
    expected = ["<|startoftext|>", "fire</w>", "!</w>", "<|endoftext|>"]
    assert ours.tolist() == [vocabulary[word] for word in expected]


def test_another_filter_is_applied_to_whole_frames(folders: dict[str, Path], tmp_path: Path) -> None:
    """SigLIP 2's processors are bilinear, and frames are resized bicubically where they are decoded."""
    folder = copied(folders["siglip"], tmp_path / "a", resample=2)
    encoder = ClipEncoder.load(ClipConfig(model=str(folder), device="cpu"))
    assert encoder.image_geometry.resize == "native"
    processor = transformers.AutoImageProcessor.from_pretrained(folder, backend="pil")
    batch = processor([Image.fromarray(image) for image in pictures()], return_tensors="pt")
    with torch.inference_mode():
        expected = unit(encoder._model.get_image_features(**batch))
    np.testing.assert_allclose(encoder.embed_images(pictures()), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        pytest.param({"do_resize": False}, "do_resize off", id="no resize"),
        pytest.param({"do_normalize": False}, "do_normalize off", id="no normalisation"),
        pytest.param({"do_center_crop": False}, "cuts nothing", id="no crop"),
        pytest.param({"size": {"height": 56, "width": 70}}, "one short side or a square", id="oblong"),
        pytest.param(
            {"crop_size": {"height": 70, "width": 70}}, "cuts out .* after a resize to 56", id="crop too large"
        ),
        pytest.param({"crop_size": {"height": 42, "width": 42}}, "gives 42 pixels a side", id="crop too small"),
    ],
)
def test_other_image_processors_are_refused(
    folders: dict[str, Path], tmp_path: Path, changes: Any, message: str
) -> None:
    folder = copied(folders["clip"], tmp_path / "a", **changes)
    with pytest.raises(ModelError, match=message):
        ClipEncoder.load(ClipConfig(model=str(folder), device="cpu"))


def test_a_resize_larger_than_the_crop(folders: dict[str, Path], tmp_path: Path) -> None:
    folder = copied(folders["clip"], tmp_path / "a", size={"shortest_edge": 64})
    processor = transformers.AutoImageProcessor.from_pretrained(folder, backend="pil")
    plan = picture_plan(processor, 56, "it")
    theirs = processor([Image.fromarray(image) for image in pictures()], return_tensors="pt")["pixel_values"]
    ours = plan.normaliser([plan.prepare(image) for image in pictures()], torch.device("cpu"), torch.float32)
    torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=0)


def _without_weights(folder: Path) -> None:
    (folder / "model.safetensors").unlink()


def _lacking_a_weight(folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    state = load_file(folder / "model.safetensors")
    del state["visual_projection.weight"]
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})


def _cut_off(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:1000])


def _of_another_kind(folder: Path) -> None:
    (folder / "config.json").write_text(json.dumps({"model_type": "siglip2"}))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        pytest.param(_without_weights, "cannot be loaded", id="no weights"),
        pytest.param(
            _lacking_a_weight, "lacks 1 of its weights, first 'visual_projection.weight'", id="one is missing"
        ),
        pytest.param(_cut_off, "cannot be loaded", id="cut off"),
        pytest.param(_of_another_kind, "is a 'siglip2' model", id="another kind"),
    ],
)
def test_damaged_folders(folders: dict[str, Path], tmp_path: Path, damage: Any, message: str) -> None:
    folder = copied(folders["clip"], tmp_path / "a")
    damage(folder)
    with pytest.raises(ModelError, match=message):
        ClipEncoder.load(ClipConfig(model=str(folder), device="cpu"))


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"cannot be loaded.*hf download"):
        ClipEncoder.load(ClipConfig(model=str(tmp_path / "nothing"), device="cpu"))


def test_closed(folders: dict[str, Path]) -> None:
    encoder = ClipEncoder.load(ClipConfig(model=str(folders["clip"]), device="cpu"))
    encoder.close()
    with pytest.raises(InternalError, match="closed"):
        encoder.embed_texts(["a dog"])


@pytest.mark.parametrize(
    ("config", "kind"),
    [
        pytest.param(ImageBindConfig(model="random:imagebind", device="cpu"), "imagebind", id="imagebind"),
        pytest.param(ClipConfig(model="random:clip", device="cpu"), "clip", id="clip"),
        pytest.param(ClipConfig(model="random:siglip", device="cpu"), "siglip", id="siglip"),
    ],
)
def test_chosen_by_kind(folders: dict[str, Path], config: Any, kind: str) -> None:
    asked = []

    def random_folder(name: str) -> Path:
        asked.append(name)
        return folders[name]

    encoder = load_model(config, random_folder=random_folder)
    assert asked == [kind]
    assert isinstance(encoder, ImageBindEncoder if kind == "imagebind" else ClipEncoder)
    assert encoder.embed_texts(["a dog"]).shape == (1, encoder.dimension)


def test_a_path_asks_for_no_random_folder(folders: dict[str, Path]) -> None:
    def refuse(name: str) -> Path:
        raise AssertionError(name)

    load_model(ClipConfig(model=str(folders["clip"]), device="cpu"), random_folder=refuse)


@pytest.mark.parametrize("kind", sorted(MAKERS))
def test_the_same_seed_makes_the_same_bytes(folders: dict[str, Path], tmp_path: Path, kind: str) -> None:
    before = torch.random.get_rng_state()
    MAKERS[kind](tmp_path, seed=5)
    assert torch.equal(torch.random.get_rng_state(), before), "making a model draws no numbers that others would get"
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(path.name for path in folders[kind].iterdir())
    for path in tmp_path.iterdir():
        assert path.read_bytes() == (folders[kind] / path.name).read_bytes(), path.name


def test_choosing_imports_nothing_heavy(repository: Path) -> None:
    code = "import sys, lavad_core.models.encoders, lavad_core.models.licences; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=repository, timeout=60).returncode == 0
