"""The sections of the ways to scores beside the paper's own (``score.method``), one for each, and what a preset says about
itself (docs/design/recipes.md)."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, ValidatorFunctionWrapHandler, WrapValidator

from lavad_core.config.section import NOTHING, Section, setting
from lavad_core.method import prompts


def _temperature(value: Any, read: ValidatorFunctionWrapHandler) -> Any:
    """One message in place of one for each type of the union."""
    try:
        return read(value)
    except ValidationError:
        raise ValueError("give model, or a number above 0 (1: the cosines as they are)") from None


Temperature = Annotated[Literal["model"] | Annotated[float, Field(gt=0, le=1000)], WrapValidator(_temperature)]
"""What cosines are divided by."""


class ZeroShotConfig(Section):
    """Zero-shot scores: softmax of the cosines to two texts (paper Sec. 4.1, ZS CLIP and ZS ImageBind)."""

    vector: Literal["frame", "window"] = setting(
        "frame",
        affects=("score_zero_shot",),
        description="Whose vectors are compared: those of the grid's frames, or of the windows around them.",
    )
    normal: str = setting(
        prompts.ZERO_SHOT[0], affects=("score_zero_shot",), description="The text for what is normal.", min_length=1
    )
    anomalous: str = setting(
        prompts.ZERO_SHOT[1], affects=("score_zero_shot",), description="The text for what is anomalous.", min_length=1
    )
    temperature: Temperature = setting(
        "model",
        affects=("score_zero_shot",),
        description="What the cosines are divided by before the softmax: the encoder's own temperature (model), or a number; 1 "
        "takes them as they are. ROC AUC and AP are the same for all; thresholds are not.",
    )


class DirectConfig(Section):
    """Direct scores: the chat model is shown each grid frame (paper Sec. 4.1, LLaVA-1.5). What it is asked, and how its
    answer is read, ``score`` says."""

    image_side: int = setting(448, affects=("score_direct",), description="Short side sent, pixels.", ge=32, le=4096)
    jpeg_quality: int = setting(
        95, affects=("score_direct",), description="JPEG quality of the pictures sent.", ge=1, le=100
    )


class AboutConfig(Section):
    """What a preset says about itself. It is of the preset as it comes, whatever is changed over it."""

    origin: str = setting("", affects=NOTHING, description="Paper and section that the preset follows.")
    tuned_on_test: tuple[str, ...] = setting(
        (),
        affects=NOTHING,
        description="Settings whose values were, by all that is published, chosen by results on the test set.",
    )
    expected: str = setting(
        "",
        affects=NOTHING,
        description="Figures, where they are published, and whether they were reproduced with this program.",
    )
