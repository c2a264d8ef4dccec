"""What a library says when it refuses something: its advice to switch a protection off does not become ours."""

from __future__ import annotations

import io
import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from lavad_core.config.models import Blip2Config, ClipConfig, ImageBindConfig, LocalChatConfig
from lavad_core.datasets.masks import read_frame_mask
from lavad_core.errors import InputError, LavadError, ModelError
from lavad_core.imports.values import parse_values
from lavad_core.models.captioners.blip2 import Blip2Captioner
from lavad_core.models.chat.in_process import LocalChat
from lavad_core.models.encoders.clip_siglip import ClipEncoder
from lavad_core.models.encoders.imagebind.encoder import ImageBindEncoder
from lavad_core.models.random_models import random_folder
from lavad_core.quoting import LEFT_OUT, UNSAFE, first_line


class RunsSomething:
    """A pickle of it writes a file when it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


LOADERS: dict[str, Callable[[str], Any]] = {
    "blip2-opt": lambda folder: Blip2Captioner.load(Blip2Config(model="b", device="cpu"), folder),
    "llama": lambda folder: LocalChat.load(LocalChatConfig(model="b", device="cpu"), folder),
    "clip": lambda folder: ClipEncoder.load(ClipConfig(model=folder, device="cpu")),
}


@pytest.mark.parametrize("kind", LOADERS)
@pytest.mark.parametrize("how", ["a program among the tensors", "an old pickle", "a dictionary of classes"])
def test_a_pickle_that_is_refused(tmp_path: Path, kind: str, how: str) -> None:
    folder, trap = tmp_path / "model", tmp_path / "trap"
    shutil.copytree(random_folder(kind, tmp_path / "random"), folder)
    weights: dict[str, Any] = dict(load_file(folder / "model.safetensors"))
    (folder / "model.safetensors").unlink()
    file = folder / "pytorch_model.bin"
    if how == "an old pickle":
        file.write_bytes(pickle.dumps({"a": RunsSomething(trap)}))
    else:
        weights["more"] = RunsSomething(trap) if how.startswith("a program") else pytest
        torch.save({**weights, "more": RunsSomething(trap) if how.startswith("a program") else io.BytesIO}, file)
    with pytest.raises(ModelError) as caught:
        LOADERS[kind](str(folder))
    assert "as safetensors" in str(caught.value)
    check(caught.value)
    assert not trap.exists()


def test_a_pickle_as_imagebinds_checkpoint(tmp_path: Path) -> None:
    file = tmp_path / "imagebind_huge.pth"
    torch.save({"a": RunsSomething(tmp_path / "trap")}, file)
    with pytest.raises(ModelError, match="as safetensors") as caught:
        ImageBindEncoder.load(ImageBindConfig(model=str(file), device="cpu"))
    check(caught.value)


def test_a_model_that_is_a_program_of_its_own(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(random_folder("llama", tmp_path / "random"), folder)
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "strange", "auto_map": {"AutoConfig": "own.C", "AutoModelForCausalLM": "own.M"}}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "own.py").write_text(f"open({str(tmp_path / 'trap')!r}, 'w')")
    with pytest.raises(ModelError, match="is a program in its own repository") as caught:
        LocalChat.load(LocalChatConfig(model="b", device="cpu"), str(folder))
    check(caught.value)
    assert not (tmp_path / "trap").exists()


def test_an_array_of_objects(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([{}, {}], dtype=object))
    with pytest.raises(InputError) as caught:
        read_frame_mask(tmp_path / "a.npy")
    check(caught.value)


def test_an_integer_of_ten_thousand_digits() -> None:
    with pytest.raises(InputError) as caught:
        parse_values(b'{"0": ' + b"9" * 10_000 + b"}", "a.json")
    check(caught.value)


def check(error: LavadError) -> None:
    text = str(error)
    assert len(text) < 800
    assert "\x1b" not in text
    assert not [word for word in UNSAFE if word.lower() in text.lower()]


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        (
            "Weights only load failed. Re-running with weights_only=False will do.",
            f"Weights only load failed. {LEFT_OUT}",
        ),
        ("Object arrays cannot be loaded when allow_pickle=False", LEFT_OUT),
        ("No such file: 'a.bin'", "No such file: 'a.bin'"),
        ("It needs code\nPass `trust_remote_code=True`", "It needs code"),
        ("\x1b[1mdo so only if you trust the source\x1b[0m", LEFT_OUT),
        ("", "ValueError"),
    ],
)
def test_sentences(said: str, kept: str) -> None:
    assert first_line(ValueError(said)) == kept
