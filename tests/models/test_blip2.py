"""BLIP-2 on small random models of the real classes: what 5.x would get wrong, and what must not change captions."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image as PillowImage
from safetensors.torch import load_file, save_file
from support.small_blip2 import KINDS, edited, image_processor, load, pictures

from lavad_core.config.models import Blip2Config
from lavad_core.errors import ModelError
from lavad_core.models.batching import largest_fitting
from lavad_core.models.captioners import blip2
from lavad_core.models.captioners.blip2 import Blip2Captioner
from lavad_core.models.protocols import Captioner
from lavad_core.video.types import Geometry

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize("kind", KINDS)
class TestCaptions:
    def test_say_words_that_depend_on_the_picture(self, captioners: dict[str, Blip2Captioner], kind: str) -> None:
        captions = captioners[kind].caption(pictures(8))
        assert len(set(captions)) >= 6
        assert all(caption.replace(".", "").replace(",", "").replace(" ", "").isalpha() for caption in captions)
        assert captions == captioners[kind].caption(pictures(8))

    def test_do_not_depend_on_the_batch(self, blip2_folders: dict[str, Path], kind: str) -> None:
        images = pictures(5)
        together = load(blip2_folders[kind], batch_size=5).caption(images)
        assert together == load(blip2_folders[kind], batch_size=1).caption(images)
        assert together == load(blip2_folders[kind], batch_size=2).caption(images)

    def test_no_images(self, captioners: dict[str, Blip2Captioner], kind: str) -> None:
        assert captioners[kind].caption([]) == []

    def test_a_picture_of_the_right_size_is_not_touched(
        self, captioners: dict[str, Blip2Captioner], blip2_folders: dict[str, Path], kind: str
    ) -> None:
        """What the decoder resizes is what transformers would have resized."""
        captioner = captioners[kind]
        side = captioner.geometry.side
        native = pictures(4)
        resized = [
            np.asarray(PillowImage.fromarray(image).resize((side, side), PillowImage.Resampling.BICUBIC))
            for image in native
        ]
        assert captioner.caption(native) == captioner.caption(resized)
        processor = image_processor(blip2_folders[kind])
        pixels = [
            *(processor([image], return_tensors="pt")["pixel_values"] for image in (native[0], resized[0])),
            captioner._levels([resized[0]], torch.device("cpu"), torch.float32),
        ]
        assert torch.equal(pixels[0], pixels[1])
        assert torch.equal(pixels[0], pixels[2])
        mean, std = (np.array(getattr(processor, name)) for name in ("image_mean", "image_std"))
        expected = ((resized[0] / 255 - mean) / std).transpose(2, 0, 1)
        np.testing.assert_allclose(pixels[2][0].numpy(), expected, atol=1e-6)

    def test_19_new_tokens_greedy(
        self, captioners: dict[str, Blip2Captioner], kind: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        captioner, seen = captioners[kind], list[torch.Tensor]()
        said = captioner._tokens
        monkeypatch.setattr(captioner, "_tokens", lambda pixels: seen.append(said(pixels)) or seen[-1])
        captions = captioner.caption(pictures(12))
        (tokens,) = seen
        assert tokens.shape == (12, 19)
        assert max(len(caption.split()) for caption in captions) >= 15

    def test_decoding_step_by_step_gives_the_same(self, captioners: dict[str, Blip2Captioner], kind: str) -> None:
        """Greedy decoding written out: image features in place of the first tokens, one argmax after the other."""
        captioner, images = captioners[kind], pictures(3, 56, 56)
        model, language = captioner._model, captioner._model.language_model
        with torch.inference_mode():
            pixels = captioner._levels(images, torch.device("cpu"), torch.float32)
            seen = model.vision_model(pixels).last_hidden_state
            queries = model.query_tokens.expand(len(images), -1, -1)
            features = model.qformer(query_embeds=queries, encoder_hidden_states=seen).last_hidden_state
            prefix = model.language_projection(features)
            embed = language.get_input_embeddings()
            bos = torch.full((len(images), 1), model.config.text_config.bos_token_id)
            prefix = torch.cat([prefix, embed(bos)], dim=1)
            said = torch.empty(len(images), 0, dtype=torch.long)
            start = torch.zeros(len(images), 1, dtype=torch.long)  # T5 starts its decoder with <pad>
            for _ in range(19):
                if kind == "opt":
                    logits = language(inputs_embeds=torch.cat([prefix, embed(said)], dim=1)).logits
                else:
                    logits = language(inputs_embeds=prefix, decoder_input_ids=torch.cat([start, said], dim=1)).logits
                said = torch.cat([said, logits[:, -1].argmax(-1, keepdim=True)], dim=1)
        end = model.config.text_config.eos_token_id
        rows = [row[: row.index(end)] if end in row else row for row in said.tolist()]
        expected = [captioner._tokenizer.decode(row, skip_special_tokens=True).strip() for row in rows]
        assert captioner.caption(images) == expected

    def test_clean_up_is_applied_to_what_is_decoded(
        self, captioners: dict[str, Blip2Captioner], kind: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        texts = [" a man 's car . ", "", "\n"]
        monkeypatch.setattr(captioners[kind]._tokenizer, "batch_decode", lambda *_, **__: texts)
        assert captioners[kind].caption(pictures(3)) == ["a man's car.", "", ""]

    def test_protocol_and_geometry(self, captioners: dict[str, Blip2Captioner], kind: str) -> None:
        assert isinstance(captioners[kind], Captioner)
        assert captioners[kind].geometry == Geometry("square", 56)

    def test_image_token_of_an_old_checkpoint(
        self, captioners: dict[str, Blip2Captioner], blip2_folders: dict[str, Path], kind: str, tmp_path: Path
    ) -> None:
        old = edited(blip2_folders[kind], tmp_path / "old", lambda config: config.pop("image_token_index"))
        assert load(old).caption(pictures(4)) == captioners[kind].caption(pictures(4))

    def test_a_missing_weight_is_refused(self, blip2_folders: dict[str, Path], kind: str, tmp_path: Path) -> None:
        """transformers would fill it with random numbers and go on."""
        copy = tmp_path / "model"
        shutil.copytree(blip2_folders[kind], copy)
        weights = load_file(copy / "model.safetensors")
        del weights["qformer.layernorm.weight"]
        save_file(weights, copy / "model.safetensors", metadata={"format": "pt"})
        with pytest.raises(ModelError, match=r"lacks weights.*qformer\.layernorm\.weight"):
            load(copy)

    def test_loading_is_silent(
        self, blip2_folders: dict[str, Path], kind: str, capfd: pytest.CaptureFixture[str]
    ) -> None:
        load(blip2_folders[kind]).caption(pictures(1))
        assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("language", "index"), [pytest.param("opt", 50265, id="opt"), pytest.param("t5", 32100, id="t5")]
)
def test_image_token_at_full_size(language: str, index: int) -> None:
    class Config:
        class text_config:
            vocab_size = 60000

        image_token_index: int | None = None

    blip2._set_image_token(Config, language)
    assert Config.image_token_index == index


class TestDtypes:
    @pytest.mark.parametrize(
        ("kind", "dtype", "device", "expected"),
        [
            pytest.param("opt", "auto", "cpu", torch.float32, id="opt on a CPU"),
            pytest.param("t5", "auto", "cpu", torch.float32, id="t5 on a CPU"),
            pytest.param("opt", "auto", "cuda:0", torch.float16, id="opt on a GPU"),
            pytest.param("t5", "auto", "cuda:0", torch.bfloat16, id="t5 on a GPU"),
            pytest.param("t5", "float16", "cuda:0", torch.float16, id="t5 as asked"),
            pytest.param("opt", "float32", "cuda:0", torch.float32, id="opt as asked"),
        ],
    )
    def test_rules(self, kind: str, dtype: str, device: str, expected: torch.dtype) -> None:
        assert blip2.resolve_dtype(dtype, torch.device(device), blip2._GPU_DTYPES[kind]) == expected

    @pytest.mark.parametrize("kind", KINDS)
    def test_float16_is_all_half_as_in_4_31_but_for_t5s_outputs(
        self, blip2_folders: dict[str, Path], kind: str
    ) -> None:
        captioner = load(blip2_folders[kind], dtype="float16")
        wide = {name for name, weight in captioner._model.named_parameters() if weight.dtype != torch.float16}
        outputs = {name for name, _ in captioner._model.named_parameters() if name.endswith(".wo.weight")}
        assert wide == outputs
        assert bool(outputs) == (kind == "t5")
        assert all(captioner.caption(pictures(2)))

    @pytest.mark.parametrize("kind", KINDS)
    def test_bfloat16(self, blip2_folders: dict[str, Path], kind: str) -> None:
        captioner = load(blip2_folders[kind], dtype="bfloat16")
        assert {weight.dtype for weight in captioner._model.parameters()} == {torch.bfloat16}
        assert all(captioner.caption(pictures(2)))


class TestFlanT5IsNotTied:
    def test_its_own_output_matrix_is_used(
        self, blip2_folders: dict[str, Path], captioners: dict[str, Blip2Captioner]
    ) -> None:
        language = captioners["t5"]._model.language_model
        stored = load_file(blip2_folders["t5"] / "model.safetensors")["language_model.lm_head.weight"]
        assert torch.equal(language.lm_head.weight, stored)
        assert not torch.equal(language.lm_head.weight, language.shared.weight)

    def test_a_checkpoint_without_it_is_refused(self, blip2_folders: dict[str, Path], tmp_path: Path) -> None:
        copy = tmp_path / "tied"
        shutil.copytree(blip2_folders["t5"], copy)
        weights = load_file(copy / "model.safetensors")
        del weights["language_model.lm_head.weight"]
        save_file(weights, copy / "model.safetensors", metadata={"format": "pt"})
        with pytest.raises(ModelError, match="tied to its embeddings"):
            load(copy)


class TestBatchSize:
    @pytest.mark.parametrize(
        ("given", "size"), [pytest.param("auto", 32, id="auto on a CPU"), pytest.param(7, 7, id="a number")]
    )
    def test_on_a_cpu(self, blip2_folders: dict[str, Path], given: str | int, size: int) -> None:
        assert load(blip2_folders["opt"], batch_size=given).batch_size == size

    def test_auto_is_found_by_batches_of_the_model_itself(
        self, blip2_folders: dict[str, Path], captioners: dict[str, Blip2Captioner], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As on a GPU, whose memory is made up."""
        captioner, shapes = captioners["t5"], list[int]()
        tokens = captioner._tokens
        monkeypatch.setattr(captioner, "_tokens", lambda pixels: shapes.append(len(pixels)) or tokens(pixels))
        monkeypatch.setattr(blip2, "peak_bytes", lambda device, work: (work(), shapes[-1] << 20)[1])
        assert largest_fitting(captioner._peak_of, 50 << 20) == 32
        assert shapes == [2, 4]
        assert all(captioner.caption(pictures(2)))

    @pytest.mark.parametrize(
        ("given", "size"), [pytest.param("auto", 64, id="auto is what fits"), pytest.param(7, 7, id="a number")]
    )
    def test_on_a_gpu(
        self, blip2_folders: dict[str, Path], given: Any, size: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A batch has one shape there, whatever is in it."""
        loaded = load(blip2_folders["t5"])
        monkeypatch.setattr(blip2, "free_bytes", lambda device: 100 << 20)
        monkeypatch.setattr(Blip2Captioner, "_peak_of", lambda self, count: count << 20)
        captioner = Blip2Captioner(
            Blip2Config(model="unused", batch_size=given),
            loaded._model,
            image_processor(blip2_folders["t5"]),
            loaded._tokenizer,
            torch.device("cuda", 0),
            "captioners.mine",
        )
        assert captioner.batch_size == size
        assert {captioner._batcher.shape(count) for count in (1, 3, size)} == {size}
