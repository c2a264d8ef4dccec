"""The section ``smooth``: what is done with the scores of a video over time before segments are made of them."""

from __future__ import annotations

from typing import Literal

from lavad_core.config.section import Section, setting


class SmoothConfig(Section):
    """Scores smoothed over time (docs/design/recipes.md). With kind none there is no such stage, and nothing else counts."""

    kind: Literal["none", "gaussian", "kernel", "ema", "half-gauss"] = setting(
        "none",
        affects=("smooth",),
        description="Gaussian with reflected ends, VERA's kernel with zeros beyond them, or a mean of the past alone: "
        "exponential, or half a Gaussian.",
    )
    sigma_s: float = setting(
        5.333,
        affects=("smooth",),
        description="σ in seconds, for all kinds but ema: by the mean time from one grid frame to the next, in each video. The "
        "default is 10 grid steps at 30 frames a second.",
        gt=0,
        le=3600,
    )
    sigma_steps: float | None = setting(
        None,
        affects=("smooth",),
        description="σ in grid steps in place of seconds: 10 is exactly what published figures have. It is another time "
        "where `video.frame_interval` or the frame rate is another.",
        gt=0,
        le=10_000,
    )
    alpha: float = setting(
        0.2,
        affects=("smooth",),
        description="With ema: weight of a score in its own mean; the rest is that of the scores before it.",
        gt=0,
        le=1,
    )
    kernel_size: int = setting(
        15, affects=("smooth",), description="With kernel: how many grid steps it is long.", ge=1, le=10_000
    )
    decimals: int | None = setting(
        None,
        affects=("smooth",),
        description="Decimals that smoothed scores are rounded to, before the prior; null: not rounded. VERA has 1.",
        ge=0,
        le=17,
    )
    prior: Literal["none", "centre"] = setting(
        "none",
        affects=("smooth",),
        description="Data-set prior, no detection: `centre` lowers scores towards both ends of a video, since events lie in "
        "the middle of clips that were cut around them.",
    )

    @property
    def has_sigma(self) -> bool:
        """Whether the kind has a σ."""
        return self.kind in ("gaussian", "kernel", "half-gauss")

    @property
    def in_words(self) -> str:
        """What is done to the scores, in a few words; empty where nothing is."""
        if self.kind == "none":
            return ""
        sigma = f"{self.sigma_s:g} s" if self.sigma_steps is None else f"{self.sigma_steps:g} grid steps"
        parts = [
            self.kind,
            *([f"{self.kernel_size} grid steps long"] if self.kind == "kernel" else []),
            *([f"σ {sigma}"] if self.has_sigma else []),
            *([f"α {self.alpha:g}"] if self.kind == "ema" else []),
            *([f"rounded to {self.decimals} decimals"] if self.decimals is not None else []),
            *(["centre weight (a data-set prior)"] if self.prior == "centre" else []),
        ]
        return ", ".join(parts)
