"""What the language model is asked, and what is made of its answers: the sections ``summarise`` and ``score``."""

from __future__ import annotations

from typing import Literal

from pydantic import field_validator

from lavad_core.config.setting import NOTHING, Section, setting
from lavad_core.method import prompts


class SummariseConfig(Section):
    """Temporal summaries (Eq. 3)."""

    enabled: bool = setting(
        True, affects=("summarise",), description="False takes the cleaned caption itself as the summary (Table 3)."
    )
    prompt: str = setting(prompts.SUMMARY, affects=("summarise",), description="P_S, the system message.")
    separator: str = setting("\n ", affects=("summarise",), description="Between the captions of the user message.")
    temperature: float = setting(0.6, affects=("summarise",), description="0 is greedy.", ge=0, le=2)
    top_p: float = setting(0.9, affects=("summarise",), description="Nucleus.", gt=0, le=1)
    total_tokens: int = setting(
        512,
        affects=("summarise",),
        description="Most tokens of prompt and answer together; captions farthest from the centre are left out first.",
        ge=64,
    )
    min_answer_tokens: int = setting(
        64, affects=("summarise",), description="Tokens kept free for the answer when captions are left out.", ge=1
    )
    keep: Literal["auto", "last-line", "all"] = setting(
        "auto",
        affects=("summarise",),
        description="Part of the reply that is kept: the text without preamble and offers of help in one line, its last line "
        "(reference), or all.",
    )
    unfinished: Literal["drop", "keep"] = setting(
        "drop",
        affects=("summarise",),
        description="A sentence that the limit of tokens cut off: left out, or kept as the reference does.",
    )
    max_faulty_fraction: float = setting(
        0.05,
        affects=("summarise",),
        description="Above it, of answers cut off or of windows with captions left out, summaries are ok_with_gaps.",
        ge=0,
        le=1,
    )


class ScoreConfig(Section):
    """LLM-based anomaly scoring (Eq. 4)."""

    context_prompt: str = setting(
        prompts.CONTEXT["impersonation"],
        affects=("score",),
        description="P_C, first part of the system message: a text, or one of "
        + ", ".join(prompts.CONTEXT)
        + " for those of the paper's Tables 4 and 5.",
    )
    format_prompt: str = setting(
        prompts.FORMAT,
        affects=("score",),
        description="P_F, second part: a text, or one of "
        + ", ".join(prompts.FORMATS)
        + " for those of the authors' programs, which differ by a space.",
    )
    answer: Literal["choice", "free-text"] = setting(
        "choice",
        affects=("score",),
        description="The server allows only the 11 values (paper), or a number is searched in free text (reference).",
    )
    expected: bool = setting(
        False,
        affects=("score",),
        description="With choice: the expected value under the model's probabilities of the 11 values, not the value said.",
    )
    temperature: float = setting(0.6, affects=("score",), description="0 is greedy.", ge=0, le=2)
    top_p: float = setting(0.9, affects=("score",), description="Nucleus.", gt=0, le=1)
    total_tokens: int = setting(
        512, affects=("score",), description="Most tokens of prompt and answer together.", ge=64
    )
    max_answer_tokens: int = setting(
        64,
        affects=("score",),
        description="Most tokens of a choice, which needs at least 8; of free text, what is kept free for it at least.",
        ge=8,
    )
    match: Literal["own", "first"] = setting(
        "own",
        affects=("score",),
        description="With free-text: the bracketed number that is a score in its own right, no index and no citation; or the "
        "first one (reference).",
    )
    above_one: Literal["none", "score"] = setting(
        "none",
        affects=("score",),
        description="With free-text and match first: a number above 1 is no score, or is one (reference).",
    )
    without_summary: Literal["interpolate", "ask"] = setting(
        "interpolate",
        affects=("score",),
        description="The score of an empty summary: from those around it, or what the model says of an empty text (reference).",
    )
    max_outside: float = setting(
        0.5,
        affects=NOTHING,
        description="With choice: above this probability, in the mean of a video, of saying something else than the choices "
        "allow, it is said that the model does not fit. Known of in-process models, and with expected.",
        ge=0,
        le=1,
    )
    max_unparsed_fraction: float = setting(
        0.05, affects=("score",), description="Above it a video's scores are ok_with_gaps.", ge=0, le=1
    )
    reject_unparsed_fraction: float = setting(
        0.5,
        affects=("score",),
        description="Above it, of the answers that were not refused, a video is rejected (no-scores), as without any score.",
        ge=0,
        le=1,
    )

    @field_validator("context_prompt")
    @classmethod
    def _by_name(cls, value: str) -> str:
        """The text that a name stands for, so that a result depends on the text alone."""
        return prompts.CONTEXT.get(value.strip(), value)

    @field_validator("format_prompt")
    @classmethod
    def _format_by_name(cls, value: str) -> str:
        """The format prompt's own text, as for the context prompt."""
        return prompts.FORMATS.get(value.strip(), value)
