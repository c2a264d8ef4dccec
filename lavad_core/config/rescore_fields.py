"""The section of gated re-scoring (docs/design/recipes.md)."""

from __future__ import annotations

from typing import Literal

from lavad_core.config.section import Section, setting
from lavad_core.recipes import extremes, rescoring
from lavad_core.stage_names import Affected

_RESCORE: tuple[Affected, ...] = ("rescore",)


class RescoreConfig(Section):
    """A second rating of the videos in doubt, told what was possibly seen there (URF)."""

    enabled: bool = setting(
        False,
        affects=("refine",),
        description="True rates the texts of a video again where its most suspicious part is rated about 0.5. Not with a "
        "`score.method` that has no texts.",
    )
    band: float | None = setting(
        None,
        affects=_RESCORE,
        description="m: a video is in doubt where the highest mean of a window is 0.5 ± m. null: the variance of its scores.",
        ge=0,
        le=0.5,
    )
    window_fraction: float = setting(
        extremes.FRACTION, affects=_RESCORE, description="Part of the video that a window takes.", gt=0, le=1
    )
    min_window_frames: int = setting(
        extremes.LEAST_WINDOW, affects=_RESCORE, description="Frames of a window at least.", ge=1, le=1_000_000
    )
    tags: Literal["vlm", "import"] = setting(
        "vlm",
        affects=_RESCORE,
        description="What was possibly seen: asked of the chat model, which is shown the window with the highest mean; or "
        "those of `imports.tags`.",
    )
    tags_prompt: str = setting(
        rescoring.TAGS, affects=_RESCORE, description="With vlm: what is asked about its pictures.", min_length=1
    )
    pictures: int = setting(
        16,
        affects=_RESCORE,
        description="With vlm: most pictures of the window in its one request, evenly spread. Servers have limits "
        "(`--limit-mm-per-prompt` of vLLM), and each takes hundreds of tokens; the method shows 180.",
        ge=1,
        le=180,
    )
    image_side: int = setting(
        336, affects=_RESCORE, description="With vlm: short side of these pictures, pixels.", ge=32, le=4096
    )
    context_prompt: str = setting(
        rescoring.CONTEXT,
        affects=_RESCORE,
        description="What is asked in the second pass, in place of `score.context_prompt`; the tags follow, then P_F.",
        min_length=1,
    )

    def check(self, method: str, chat_kind: str, *, tags_given: bool) -> None:
        """
        Args:
            method: ``score.method``.
            chat_kind: ``chat.kind``.
            tags_given: whether there are ``imports.tags``.

        Raises:
            ValueError: the second rating lacks texts, tags, or a model that is shown pictures.
        """
        if not self.enabled:
            return
        if method != "lavad":
            raise ValueError(
                f"rescore.enabled rates texts a second time, and score.method {method!r} has none: set rescore.enabled=false"
            )
        if self.tags == "import" and not tags_given:
            raise ValueError("rescore.tags 'import' needs imports.tags: a JSON file with the tags of each video")
        if self.tags == "vlm" and chat_kind == "transformers":
            raise ValueError(
                "rescore.tags 'vlm' shows pictures to the chat model, and chat.kind 'transformers' takes texts alone: set "
                "chat.kind=openai, with a server whose model takes pictures, or rescore.tags=import, with imports.tags"
            )
