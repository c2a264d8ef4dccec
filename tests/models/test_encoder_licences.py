"""The terms shown for models."""

from __future__ import annotations

import pytest

from lavad_core.config.models import DEFAULT_CAPTIONERS, ClipConfig, ImageBindConfig, VllmChatConfig
from lavad_core.models.licences import IMAGEBIND, RANDOM, UNKNOWN, licence_of


@pytest.mark.parametrize(
    ("kind", "model", "commercial", "word"),
    [
        pytest.param("imagebind", "/weights/imagebind_huge.pth", False, "CC BY-NC-SA 4.0", id="imagebind"),
        pytest.param("clip", "laion/CLIP-ViT-H-14-laion2B-s32B-b79K", True, "MIT", id="openclip"),
        pytest.param("clip", "google/siglip2-so400m-patch14-384", True, "Apache-2.0", id="siglip2"),
        pytest.param("blip2", "Salesforce/blip2-opt-6.7b-coco", False, "OPT", id="blip2-opt"),
        pytest.param("blip2", "Salesforce/blip2-flan-t5-xxl", True, "Apache-2.0", id="blip2-t5"),
        pytest.param("openai", "meta-llama/Llama-2-13b-chat-hf", True, "Llama 2", id="llama"),
        pytest.param("blip2", "/data/models/blip2-opt-6.7b/", False, "OPT", id="local folder with a known name"),
    ],
)
def test_known(kind: str, model: str, commercial: bool, word: str) -> None:
    licence = licence_of(kind, model)
    assert licence.commercial is commercial
    assert word in str(licence)


def test_a_guess_by_name_says_so() -> None:
    assert "by its name" in licence_of("blip2", "somebody/blip2-flan-t5-xl").note
    assert "by its name" not in licence_of("blip2", "Salesforce/blip2-flan-t5-xl").note


@pytest.mark.parametrize("model", ["my/own-model", "", "/", "x" * 1000])
def test_unknown(model: str) -> None:
    assert licence_of("transformers", model) is UNKNOWN


def test_random_weights_have_no_terms() -> None:
    assert licence_of("imagebind", "random:imagebind") is RANDOM


def test_the_defaults_are_known() -> None:
    assert licence_of("imagebind", ImageBindConfig().model) is IMAGEBIND
    for kind, model in (
        ("clip", ClipConfig().model),
        ("openai", VllmChatConfig().model),
        *((section.kind, section.model) for section in DEFAULT_CAPTIONERS.values()),
    ):
        assert licence_of(kind, model) is not UNKNOWN
