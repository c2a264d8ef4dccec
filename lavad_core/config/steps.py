"""The sections of the method's steps: how videos are read, windows, what the language model is asked, refinement, segments."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import field_validator

from lavad_core.config.section import NOTHING, Section, setting
from lavad_core.method import prompts
from lavad_core.recipes import ordinal
from lavad_core.stage_names import Affected, ScoreMethod
from lavad_core.video.limits import Limits

_SCORES: tuple[Affected, ...] = ("score", "rate_events", "score_direct", "score_clips", "rescore")
"""The stages that ask a language model for a score."""

_ANSWERED: tuple[Affected, ...] = (*_SCORES, "score_definitions")
"""Those, and one that asks it whether statements are true."""

_ORDINAL: tuple[Affected, ...] = ("score", "rate_events", "score_clips")
"""Those that may ask for it by yes/no questions."""

_YES_NO: tuple[Affected, ...] = (*_ORDINAL, "score_definitions")
"""All that may ask such questions."""

_SUMMARIES: tuple[Affected, ...] = ("summarise", "summarise_events")
"""The stages that ask a language model for summaries."""

_WINDOW_STAGES: tuple[Affected, ...] = ("embed_frames", "embed_windows", "clean", "summarise")

_WINDOWS: tuple[Affected, ...] = (*_WINDOW_STAGES, "score_clips")
"""The stages that read where a window begins and ends."""


class VideoConfig(Section):
    """Decoding and its limits. Formats and limits decide which videos are rejected, so they are part of ``probe``."""

    frame_interval: int = setting(
        16,
        affects=(
            "caption",
            "embed_frames",
            "embed_windows",
            "clean",
            "summarise",
            "score",
            "score_direct",
            "score_clips",
            "score_events",
            "refine",
            "smooth",
            "detect",
        ),
        description="The grid: one frame in N is captioned and scored.",
        ge=1,
        le=100_000,
    )
    formats: tuple[str, ...] = setting(
        (
            "mov,mp4,m4a,3gp,3g2,mj2",
            "matroska,webm",
            "avi",
            "mpegts",
            "mpeg",
            "mpegvideo",
            "flv",
            "asf",
            "ogg",
            "h264",
            "hevc",
            "m4v",
        ),
        affects=("probe",),
        description="Demuxers that may open a file, by FFmpeg's names. Playlist and script formats must stay out.",
    )
    max_pixels: int = setting(
        8192 * 8192, affects=("probe",), description="Most pixels of a frame; larger videos are rejected.", ge=1
    )
    max_frames: int = setting(
        20_000_000, affects=("probe",), description="Most frames of a video; longer ones are rejected.", ge=1
    )
    max_memory_bytes: int = setting(
        4 * 2**30,
        affects=NOTHING,
        description="Memory that decoding may take beyond the libraries' own, bytes.",
        ge=256 * 2**20,
    )
    stall_timeout_s: float = setting(
        60.0, affects=NOTHING, description="Longest silence of the decoding process, seconds.", gt=0
    )
    total_timeout_s: float = setting(
        6 * 3600.0, affects=NOTHING, description="Longest pass of the decoding process over one video, seconds.", gt=0
    )
    threads: int = setting(0, affects=NOTHING, description="Decoder threads; 0 lets the codec choose.", ge=0, le=64)
    max_pause_s: float = setting(
        3600.0,
        affects=("probe",),
        description="Longest pause, seconds, that the header's duration need not confirm; longer ones are damaged stamps, "
        "named and taken out.",
        gt=0,
    )
    folder_frame_rate: float = setting(
        30.0,
        affects=("probe",),
        description="Frames per second of a folder of pre-extracted frames, which has no time base of its own.",
        gt=0,
        le=1000,
    )

    @property
    def limits(self) -> Limits:
        """What decoding one video may take."""
        return Limits(
            max_pixels=self.max_pixels,
            max_frames=self.max_frames,
            max_memory_bytes=self.max_memory_bytes,
            stall_timeout_s=self.stall_timeout_s,
            total_timeout_s=self.total_timeout_s,
            formats=self.formats,
            threads=self.threads,
            max_pause_s=self.max_pause_s,
        )


class WindowConfig(Section):
    """The window V_i around a grid frame, its N samples, and what E_V sees of it (paper Sec. 3.3)."""

    duration_s: float = setting(
        10.0, affects=_WINDOWS, description="T, the length of a window, seconds.", gt=0, le=3600
    )
    align: Literal["centred", "past"] = setting(
        "centred",
        affects=_WINDOWS,
        description="Where a frame is in its window: in the middle (paper), or at its end, so that nothing after it is looked "
        "at.",
    )
    samples: int = setting(10, affects=_WINDOW_STAGES, description="N, frames sampled from a window.", ge=1, le=1000)
    sampling: Literal["grid", "any-frame"] = setting(
        "grid",
        affects=_WINDOW_STAGES,
        description="Which frames may be sampled: grid frames only (paper) or any frame of the window (reference).",
    )
    frame_rate: Literal["native", "constant"] = setting(
        "native",
        affects=_WINDOWS,
        description="What a second is: the video's own time stamps (paper) or constant_frame_rate (reference).",
    )
    constant_frame_rate: float = setting(
        30.0, affects=_WINDOWS, description="Frames per second when frame_rate is constant.", gt=0, le=1000
    )
    vector: Literal["spread", "ends"] = setting(
        "spread",
        affects=("embed_windows",),
        description="Clips that stand for a window: spread over it (paper) or its first and last sample (reference).",
    )
    clips: int = setting(
        5, affects=("embed_windows",), description="Two-frame clips of a window when vector is spread.", ge=1, le=100
    )


class CleanConfig(Section):
    """Image-text caption cleaning (Eq. 2)."""

    enabled: bool = setting(
        True,
        affects=("clean",),
        description="False keeps the first captioner's own caption of the grid frame (Table 3).",
    )


def _temperature(*stages: Affected) -> Any:
    return setting(0.6, affects=stages, description="Temperature of the sampling; 0 is greedy.", ge=0, le=2)


def _top_p(*stages: Affected) -> Any:
    words = "Nucleus sampling: probability that the likeliest tokens, which are kept, have together."
    return setting(0.9, affects=stages, description=words, gt=0, le=1)


class SummariseConfig(Section):
    """Temporal summaries (Eq. 3)."""

    enabled: bool = setting(
        True, affects=_SUMMARIES, description="False takes the cleaned caption itself as the summary (Table 3)."
    )
    prompt: str = setting(prompts.SUMMARY, affects=_SUMMARIES, description="P_S, the system message.")
    separator: str = setting("\n ", affects=_SUMMARIES, description="Between the captions of the user message.")
    temperature: float = _temperature(*_SUMMARIES)
    top_p: float = _top_p(*_SUMMARIES)
    total_tokens: int = setting(
        512,
        affects=_SUMMARIES,
        description="Most tokens of prompt and answer together; captions farthest from the centre are left out first.",
        ge=64,
    )
    min_answer_tokens: int = setting(
        64, affects=_SUMMARIES, description="Tokens kept free for the answer when captions are left out.", ge=1
    )
    keep: Literal["auto", "last-line", "all"] = setting(
        "auto",
        affects=_SUMMARIES,
        description="Part of the reply that is kept: the text without preamble and offers of help in one line, its last line "
        "(reference), or all.",
    )
    unfinished: Literal["drop", "keep"] = setting(
        "drop",
        affects=_SUMMARIES,
        description="A sentence that the limit of tokens cut off: left out, or kept as the reference does.",
    )
    max_faulty_fraction: float = setting(
        0.05,
        affects=_SUMMARIES,
        description="Fraction of answers cut off, or of windows with captions left out, above which summaries are "
        "ok_with_gaps.",
        ge=0,
        le=1,
    )


_WORD: dict[str, Any] = {"pattern": r"^[!-~]+( [!-~]+)*$", "max_length": 40}
"""What a word may be that an answer begins with: printable ASCII, which no token cuts within a character."""


class ScoreConfig(Section):
    """LLM-based anomaly scoring (Eq. 4)."""

    method: ScoreMethod = setting(
        "lavad",
        affects=("refine",),
        description="Where raw scores come from: the language model's ratings of summaries, or a way without summaries, for "
        "which `refine.enabled` is false and `run.targets` is [detect] if not given.",
    )
    context_prompt: str = setting(
        prompts.CONTEXT["impersonation"],
        affects=("score", "rate_events", "score_direct", "score_clips"),
        description="P_C, first part of the system message: a text, or one of "
        + ", ".join(prompts.CONTEXT)
        + " for those of the paper's Tables 4 and 5, or definitions for one made of `definitions.file`.",
    )
    format_prompt: str = setting(
        prompts.FORMAT,
        affects=_SCORES,
        description="P_F, second part: a text, or one of "
        + ", ".join(prompts.FORMATS)
        + " for those of the authors' programs, which differ by a space.",
    )
    answer: Literal["choice", "free-text", "ordinal"] = setting(
        "choice",
        affects=_SCORES,
        description="The server allows only the 11 values (paper); a number is searched in free text (reference); or yes/no "
        "questions at rising thresholds, and the mean probability of yes.",
    )
    thresholds: int = setting(
        10, affects=_ORDINAL, description="With ordinal: K, questions for each text or clip, at 1/K … 1.", ge=1, le=100
    )
    question: str = setting(
        ordinal.QUESTION,
        affects=_ORDINAL,
        description="With ordinal: what is asked after the text; holds `{threshold}`, and `{yes}` and `{no}` for the words.",
    )
    rubric: str = setting(
        ordinal.RUBRIC,
        affects=_ORDINAL,
        description="With ordinal: the system message, which says what severity is.",
    )
    yes: str = setting(
        "YES",
        affects=_YES_NO,
        description="With ordinal, and with score.method definitions: the word for yes; best a single token of the model.",
        **_WORD,
    )
    no: str = setting(
        "NO", affects=_YES_NO, description="Likewise: the word for no; best a single token of the model.", **_WORD
    )
    expected: bool = setting(
        False,
        affects=_SCORES,
        description="With choice: the expected value under the model's probabilities of the 11 values, not the value said.",
    )
    temperature: float = _temperature(*_SCORES)
    top_p: float = _top_p(*_SCORES)
    total_tokens: int = setting(
        512,
        affects=("score", "rate_events", "rescore", "score_definitions"),
        description="Most tokens of prompt and answer together.",
        ge=64,
    )
    max_answer_tokens: int = setting(
        64,
        affects=_SCORES,
        description="Most tokens of a choice, which needs at least 8; of free text, what is kept free for it at least.",
        ge=8,
    )
    match: Literal["own", "first"] = setting(
        "own",
        affects=_SCORES,
        description="With free-text: the bracketed number that is a score in its own right, no index and no citation; or the "
        "first one (reference).",
    )
    above_one: Literal["none", "score"] = setting(
        "none",
        affects=_SCORES,
        description="With free-text and match first: a number above 1 is not a score, or is one (reference).",
    )
    without_summary: Literal["interpolate", "ask"] = setting(
        "interpolate",
        affects=("score", "rate_events", "rescore", "score_definitions"),
        description="The score of an empty summary: from those around it, or what the model says about an empty text "
        "(reference).",
    )
    max_outside: float = setting(
        0.5,
        affects=NOTHING,
        description="With choice: probability that the model says something else than the choices, in the mean of a video, "
        "above which a warning says that it does not fit. Known only for in-process models, and with expected.",
        ge=0,
        le=1,
    )
    max_unparsed_fraction: float = setting(
        0.05,
        affects=_ANSWERED,
        description="Fraction of the answers without a score above which a video's scores are ok_with_gaps.",
        ge=0,
        le=1,
    )
    reject_unparsed_fraction: float = setting(
        0.5,
        affects=_ANSWERED,
        description="Fraction of the answers without a score, refused ones not counted, above which a video is rejected "
        "(no-scores), as it is without any score.",
        ge=0,
        le=1,
    )

    @field_validator("question")
    @classmethod
    def _has_a_threshold(cls, value: str) -> str:
        if "{threshold}" not in value:
            raise ValueError("it must hold {threshold}, in whose place each question has its own")
        return value

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


class RefineConfig(Section):
    """Video-text score refinement (Eq. 5)."""

    enabled: bool = setting(True, affects=("refine",), description="False keeps the language model's scores (Table 3).")
    neighbours: int = setting(
        10,
        affects=("refine",),
        description="K, the number of similar summaries whose scores are averaged.",
        ge=1,
        le=10_000,
    )
    pool: Literal["all", "unique"] = setting(
        "all",
        affects=("refine",),
        description="Candidates: the summaries of all grid frames (paper) or of the first with each text (reference).",
    )


class DetectConfig(Section):
    """Thresholding of the refined scores into segments (paper Sec. 3.3, last paragraph)."""

    threshold: float = setting(
        0.5, affects=("detect",), description="A segment has a score of at least this.", ge=0, le=1
    )
    low_threshold: float | None = setting(
        None,
        affects=("detect",),
        description="Hysteresis: a segment goes on while scores stay at or above it.",
        ge=0,
        le=1,
    )
    max_gap_s: float = setting(
        0.0,
        affects=("detect",),
        description="Segments with at most this between them become one, seconds; 0 joins none.",
        ge=0,
        le=86_400,
    )
    min_length_s: float = setting(
        0.0,
        affects=("detect",),
        description="Segments shorter than this are left out, after gaps are closed, seconds; 0 keeps all.",
        ge=0,
        le=86_400,
    )
