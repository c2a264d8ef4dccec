"""ImageBind's towers against transformers' CLIP of the same sizes, and their two short cuts."""

from __future__ import annotations

import pytest
import torch
import transformers

from lavad_core.models.encoders.imagebind.encoder import ImageBindEncoder
from lavad_core.models.encoders.imagebind.towers import ImageBindTowers, TextShape, VisionShape
from lavad_core.models.random_weights import randomise

SIDE = 56


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
