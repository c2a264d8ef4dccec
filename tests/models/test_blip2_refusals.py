"""BLIP-2 captioners: what is refused, memory that runs out, numbers that are none."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from support.small_blip2 import KINDS, edited, load, pictures

from lavad_core.config.models import Blip2Config
from lavad_core.errors import DeviceOutOfMemory, InternalError, ModelError
from lavad_core.models.captioners import blip2
from lavad_core.models.captioners.blip2 import Blip2Captioner
from lavad_core.models.kinds import load_model

pytestmark = pytest.mark.usefixtures("one_thread")


class TestOutOfMemory:
    def test_the_batch_halves_and_captions_stay(
        self, captioners: dict[str, Blip2Captioner], blip2_folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        images = pictures(9)
        captioner = load(blip2_folders["opt"], batch_size=8)
        tokens, sizes = captioner._tokens, []

        def scarce(pixels: torch.Tensor) -> torch.Tensor:
            sizes.append(len(pixels))
            if len(pixels) > 3:
                raise torch.OutOfMemoryError("made by the test")
            return tokens(pixels)

        monkeypatch.setattr(captioner, "_tokens", scarce)
        assert captioner.caption(images) == captioners["opt"].caption(images)
        assert sizes == [8, 4, 2, 2, 2, 2, 1]
        assert captioner._batcher.batch_size == 2

    def test_one_image_alone(self, blip2_folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
        captioner = load(blip2_folders["opt"], batch_size=2)

        def none(pixels: torch.Tensor) -> torch.Tensor:
            raise torch.OutOfMemoryError("made by the test")

        monkeypatch.setattr(captioner, "_tokens", none)
        with pytest.raises(DeviceOutOfMemory, match="images alone"):
            captioner.caption(pictures(2))

    def test_weights_that_do_not_fit(self, blip2_folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
        def no_room(*_: Any, **__: Any) -> None:
            raise torch.OutOfMemoryError("made by the test")

        monkeypatch.setattr(blip2._HF.Blip2ForConditionalGeneration, "to", no_room)
        with pytest.raises(DeviceOutOfMemory, match="does not fit cpu"):
            load(blip2_folders["opt"])


class TestRefusals:
    def test_missing(self, tmp_path: Path) -> None:
        with pytest.raises(ModelError, match="hf download"):
            load(tmp_path / "nowhere")

    def test_hub_id_without_a_network(self) -> None:
        with pytest.raises(ModelError, match="nobody/nothing"):
            Blip2Captioner.load(Blip2Config(model="x", device="cpu"), "nobody/nothing")

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            pytest.param(lambda c: c.update(model_type="llama"), "not a BLIP-2", id="another model"),
            pytest.param(
                lambda c: c["text_config"].update(model_type="gpt2"), "language model 'gpt2'", id="another LM"
            ),
            pytest.param(lambda c: c["vision_config"].update(image_size=28), "in another shape", id="size"),
            pytest.param(lambda c: c["text_config"].update(hidden_size=96), "in another shape", id="width"),
        ],
    )
    def test_wrong_configuration(
        self, blip2_folders: dict[str, Path], tmp_path: Path, change: Callable[[dict[str, Any]], None], message: str
    ) -> None:
        with pytest.raises(ModelError, match=message):
            load(edited(blip2_folders["opt"], tmp_path / "model", change))

    def test_processor_of_another_size(self, blip2_folders: dict[str, Path], tmp_path: Path) -> None:
        copy = tmp_path / "model"
        shutil.copytree(blip2_folders["opt"], copy)
        path = copy / "processor_config.json"
        settings = json.loads(path.read_text())
        settings["image_processor"]["size"] = {"height": 28, "width": 28}
        path.write_text(json.dumps(settings))
        with pytest.raises(ModelError, match="28x28 pixels, its vision tower takes 56x56"):
            load(copy)

    @pytest.mark.parametrize("keep_bytes", [0, 100, 5000])
    def test_truncated_weights(self, blip2_folders: dict[str, Path], tmp_path: Path, keep_bytes: int) -> None:
        copy = tmp_path / "model"
        shutil.copytree(blip2_folders["opt"], copy)
        path = copy / "model.safetensors"
        path.write_bytes(path.read_bytes()[:keep_bytes])
        with pytest.raises(ModelError, match="cannot be loaded"):
            load(copy)

    def test_after_close(self, blip2_folders: dict[str, Path]) -> None:
        captioner = load(blip2_folders["opt"])
        captioner.close()
        with pytest.raises(InternalError, match="released"):
            captioner.caption(pictures(1))


def test_loading_resolves_random_names(blip2_folders: dict[str, Path]) -> None:
    asked: list[str] = []

    def where(name: str) -> Path:
        asked.append(name)
        return blip2_folders["opt"]

    config = Blip2Config(model="random:blip2-opt?seed=3", device="cpu")
    assert isinstance(load_model(config, random_folder=where), Blip2Captioner)
    assert asked == ["blip2-opt?seed=3"]


def with_weights(source: Path, target: Path, change: Callable[[dict[str, torch.Tensor]], None]) -> Path:
    """A copy of a model's folder with other weights."""
    shutil.copytree(source, target)
    weights = load_file(target / "model.safetensors")
    change(weights)
    save_file(weights, target / "model.safetensors", metadata={"format": "pt"})
    return target


def _set(name: str, value: float) -> Callable[[dict[str, torch.Tensor]], None]:
    def change(weights: dict[str, torch.Tensor]) -> None:
        weights[next(key for key in weights if key.endswith(name))].view(-1)[-1] = value

    return change


class TestNumbersThatAreNone:
    """A captioner that computes NaN says the token that is always there, and no error is raised by itself."""

    @pytest.mark.parametrize(
        ("kind", "name", "value", "dtype"),
        [
            pytest.param("opt", "vision_model.post_layernorm.weight", float("nan"), "float32", id="vision tower"),
            pytest.param("t5", "qformer.layernorm.bias", float("inf"), "float32", id="Q-Former"),
            pytest.param("opt", "query_tokens", float("nan"), "bfloat16", id="query tokens"),
            pytest.param("t5", "language_projection.bias", float("-inf"), "float32", id="projection"),
            pytest.param("t5", "lm_head.weight", float("nan"), "float32", id="output matrix"),
            pytest.param("opt", "fc2.bias", 1e6, "float16", id="a finite weight that float16 cannot hold"),
        ],
    )
    def test_damaged_weights_are_refused_by_name(
        self, blip2_folders: dict[str, Path], tmp_path: Path, kind: str, name: str, value: float, dtype: str
    ) -> None:
        with pytest.raises(ModelError, match=rf"not finite in {dtype}: \S*{name}.*captioners\.NAME\.dtype"):
            load(with_weights(blip2_folders[kind], tmp_path / "model", _set(name, value)), dtype=dtype)

    @pytest.mark.parametrize(
        ("kind", "name", "scale", "part"),
        [
            pytest.param("opt", "vision_model.encoder.layers.0.mlp.fc2.weight", 6e4, "vision tower", id="vision tower"),
            pytest.param("opt", "decoder.layers.0.fc1.weight", 6e4, "language model", id="one layer of OPT"),
            pytest.param("t5", "decoder.block.0.layer.2.DenseReluDense.wi_0.weight", 6e4, "language model", id="T5"),
        ],
    )
    def test_one_layer_that_overflows_float16(
        self, blip2_folders: dict[str, Path], tmp_path: Path, kind: str, name: str, scale: float, part: str
    ) -> None:
        def change(weights: dict[str, torch.Tensor]) -> None:
            key = next(key for key in weights if key.endswith(name))
            weights[key] = torch.full_like(weights[key], scale) * weights[key].sign()

        captioner = load(with_weights(blip2_folders[kind], tmp_path / "model", change), dtype="float16")
        with pytest.raises(ModelError, match=rf"3 of 3 images, first in its {part}; .*float32 or bfloat16"):
            captioner.caption(pictures(3))

    @pytest.mark.parametrize("kind", KINDS)
    def test_a_later_token_of_one_image(
        self, blip2_folders: dict[str, Path], kind: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        captioner = load(blip2_folders[kind])
        head = captioner._model.language_model.get_output_embeddings()
        forward, calls = head.forward, []

        def broken(hidden: torch.Tensor) -> torch.Tensor:
            logits: torch.Tensor = forward(hidden)
            calls.append(1)
            if len(calls) == 5:
                logits[1, -1] = float("nan")
            return logits

        monkeypatch.setattr(head, "forward", broken)
        with pytest.raises(ModelError, match=r"1 of 4 images, first in its language model; the weights are damaged"):
            captioner.caption(pictures(4))
        assert all(captioner.caption(pictures(4))), "the next batch is judged by itself"
