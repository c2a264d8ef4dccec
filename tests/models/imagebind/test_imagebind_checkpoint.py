"""Checkpoints: which are read, which are refused, and in which words."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from lavad_core.config.models import ImageBindConfig
from lavad_core.errors import ModelError
from lavad_core.models.encoders.imagebind.checkpoint import load_towers
from lavad_core.models.encoders.imagebind.encoder import ImageBindEncoder

CPU = torch.device("cpu")


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
