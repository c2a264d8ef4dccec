"""The configuration tree. Every leaf declares the stages whose results it affects; keys of results follow from that.

``semantics`` sets the fields of :data:`SEMANTICS` together; each can also be set on its own, and then wins.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from lavad_core.config.clips_fields import ClipsConfig, asking_fault
from lavad_core.config.events_fields import EventsConfig
from lavad_core.config.models import (
    DEFAULT_CAPTIONERS,
    CaptionerConfig,
    ChatConfig,
    EncoderConfig,
    ImageBindConfig,
    ModelConfig,
    VllmChatConfig,
)
from lavad_core.config.recipes import (
    AboutConfig,
    BankConfig,
    DefinitionsConfig,
    DirectConfig,
    ZeroShotConfig,
    with_texts,
)
from lavad_core.config.rescore_fields import RescoreConfig
from lavad_core.config.section import NAME_PATTERN, NOTHING, PlaceOrAddress, Section, setting
from lavad_core.config.smooth_fields import SmoothConfig
from lavad_core.config.steps import (
    CleanConfig,
    DetectConfig,
    RefineConfig,
    ScoreConfig,
    SummariseConfig,
    VideoConfig,
    WindowConfig,
)
from lavad_core.stage_names import OF_SUMMARIES, Affected

__all__ = ["SEMANTICS", "LavadConfig", "Semantics"]

Semantics = Literal["paper", "reference"]

SEMANTICS: dict[str, dict[str, Any]] = {
    "paper": {
        "window.sampling": "grid",
        "window.vector": "spread",
        "window.frame_rate": "native",
        "refine.pool": "all",
        "encoder.long_text": "keep-end",
        "summarise.keep": "auto",
        "summarise.unfinished": "drop",
        "score.answer": "choice",
        "score.match": "own",
        "score.above_one": "none",
        "score.without_summary": "interpolate",
        "score.reject_unparsed_fraction": 0.5,
    },
    "reference": {
        "window.sampling": "any-frame",
        "window.vector": "ends",
        "window.frame_rate": "constant",
        "refine.pool": "unique",
        "encoder.long_text": "lose-end",
        "summarise.keep": "last-line",
        "summarise.unfinished": "keep",
        "score.answer": "free-text",
        "score.match": "first",
        "score.above_one": "score",
        "score.without_summary": "ask",
        "score.reject_unparsed_fraction": 1.0,
    },
}
"""What ``semantics`` sets: the formulas of the paper with defects repaired, or what the authors' program does."""


WITHOUT_SUMMARIES: dict[str, Any] = {"refine.enabled": False, "run.targets": ("detect",)}
"""What a ``score.method`` that scores no summaries sets where it is not given: there are none to refine by, and no captions to
clean."""


MAX_FRAME_COUNT_TOLERANCE = 15
"""Frames by which a list may be off, if the user says so: less than the 16 that share a score."""


class EvaluateConfig(Section):
    """Metrics against labels. The rest of the protocol is fixed (docs/evaluation.md)."""

    labels: PlaceOrAddress | None = setting(
        None,
        affects=("evaluate",),
        description="Temporal annotation: `name class start end start end`, 0-based, inclusive, -1 for none; or what "
        "`evaluate.dataset` is published with. None: no metrics.",
    )
    dataset: str | None = setting(
        None,
        affects=("evaluate",),
        description="Whose labels (`lavad dataset list`), and so how they are read. None takes any temporal annotation.",
    )
    list: PlaceOrAddress | None = setting(
        None,
        affects=("evaluate",),
        description="List of videos that belongs to `evaluate.dataset`, with frame counts or without.",
    )
    first_frame: Literal[0, 1] | None = setting(
        None,
        affects=("evaluate",),
        description="What a file of intervals calls the first frame. None: as the data set is published (MSAD's files 1, all "
        "others 0).",
    )
    frame_count_tolerance: int = setting(
        0,
        affects=("evaluate",),
        description="Frames that a list may count beyond those that a video's scores cover; they are left out. 1 takes lists "
        "that count one frame too many. The evaluation's header says it.",
        ge=0,
        le=MAX_FRAME_COUNT_TOLERANCE,
    )


class ImportConfig(Section):
    """Results made elsewhere, one `<video>.json` with `{frame: value}` per video, used in place of a stage's own work."""

    list: PlaceOrAddress | None = setting(
        None,
        affects=("probe",),
        description="List of videos with frame counts, in place of the videos: for runs from imported values that need no "
        "pictures. Needs `imports.frame_rate`.",
    )
    frame_rate: float | None = setting(
        None, affects=("probe",), description="Frames per second of the videos of `imports.list`.", gt=0, le=1000
    )
    captions: dict[str, PlaceOrAddress] = setting(
        {}, affects=("caption",), description="Captioner name to folder; replaces `captioners`."
    )
    cleaned: PlaceOrAddress | None = setting(
        None,
        affects=("clean",),
        description="Folder of cleaned captions; also `{frame: {frame of its window: text}}`. No captions are needed then.",
    )
    summaries: PlaceOrAddress | None = setting(None, affects=("summarise",), description="Folder of summaries.")
    scores: PlaceOrAddress | None = setting(None, affects=("score",), description="Folder of scores in [0, 1].")
    refined: PlaceOrAddress | None = setting(
        None,
        affects=("refine",),
        description="Folder of refined scores; also `{frame: {rank: score of the neighbour}}`, with `imports.similarities`.",
    )
    boundaries: PlaceOrAddress | None = setting(
        None,
        affects=("find_events",),
        description="Folder of boundary scores, or one .json file of all videos: `{frame: score}`, or `{pred: [score, …], "
        "frames: M}` with scores evenly over the video. For `events.boundaries: import`.",
    )
    similarities: PlaceOrAddress | None = setting(
        None, affects=("refine",), description="Folder of the neighbours' similarities, `{frame: {rank: similarity}}`."
    )

    tags: PlaceOrAddress | None = setting(
        None,
        affects=("rescore",),
        description="JSON file of what was possibly seen in each video, `{video: [text, …]}`, or a text for each as URF "
        "publishes it; for `rescore.tags=import`.",
    )

    @model_validator(mode="after")
    def _list_has_a_rate(self) -> ImportConfig:
        if self.list is not None and self.frame_rate is None:
            raise ValueError("imports.list needs imports.frame_rate: how many frames a second the videos have")
        return self


class RunConfig(Section):
    """How work is done; no result depends on it."""

    workers: int | None = setting(
        None,
        affects=NOTHING,
        description="Videos in progress at once: one decodes while another is at the model. null: half of the cores, 2 to 8; "
        "at least 4 with a served model; up to one a core and 16 where short videos would not fill a batch on a GPU otherwise.",
        ge=1,
        le=64,
    )
    retries: int = setting(
        3,
        affects=NOTHING,
        description="Times a task is tried again when a service failed; counted from 0 again after a try that made progress.",
        ge=0,
        le=20,
    )
    retry_backoff_s: float = setting(
        10.0, affects=NOTHING, description="First delay; doubles each time.", ge=0, le=3600
    )
    give_up_after_unusable: int = setting(
        3,
        affects=NOTHING,
        description="First videos of a stage without any usable answer, after which it is not asked for others; 0: never.",
        ge=0,
    )
    targets: tuple[Affected, ...] = setting(
        ("clean", "detect"), affects=NOTHING, description="Stages wanted; what they need is run too."
    )
    queue_frames: int | None = setting(
        None,
        affects=NOTHING,
        description="Decoded frames of a video that wait for a model, and its images in a batch, at most. null: those of two "
        "calls, at least 64; calls are as large as the model's section says.",
        ge=1,
        le=4096,
    )
    device_memory_share: float = setting(
        1.0,
        affects=NOTHING,
        description="Most of a GPU's memory that the models of a process take, as a share of the whole. At the limit batches "
        "halve, as where memory runs out.",
        gt=0,
        le=1,
    )
    frame_cache_bytes: int | None = setting(
        None,
        affects=NOTHING,
        description="Most bytes of decoded frames that are kept for later models of the run; null: half of what is free there; "
        "0: none, and each model decodes the videos.",
        ge=0,
    )
    scratch: Path | None = setting(
        None,
        affects=NOTHING,
        description="Folder on a local disk where they are kept; null: `$TMPDIR` where it is set, otherwise `/var/tmp`.",
    )
    answers: Path | None = setting(
        None,
        affects=NOTHING,
        description="Folder on a local disk for the language model's answers, which need not be asked for again; null: `cache` "
        "in the store's folder. To be set for a store on a network file system that several machines write to.",
    )

    @field_validator("targets")
    @classmethod
    def _some_target(cls, targets: tuple[Affected, ...]) -> tuple[Affected, ...]:
        if not targets:
            raise ValueError("a run without a stage does nothing; name at least one, such as [detect]")
        return targets


CaptionerName = Annotated[str, Field(pattern=NAME_PATTERN)]


class LavadConfig(Section):
    """Everything a run can be told."""

    semantics: Semantics = setting(
        "paper",
        affects=NOTHING,
        description="Sets together: "
        + ", ".join(SEMANTICS["paper"])
        + ". The fields themselves are what results depend on.",
    )
    store: PlaceOrAddress = setting(
        Path("lavad-store"),
        affects=NOTHING,
        description="Folder of results, or `s3://BUCKET/PREFIX` of an S3-compatible storage (needs `lavad[s3]`).",
    )
    video: VideoConfig = Field(VideoConfig(), description="How videos are decoded, and which are rejected.")
    captioners: dict[CaptionerName, CaptionerConfig] = Field(
        DEFAULT_CAPTIONERS,
        min_length=1,
        description="The models that describe frames, by name; their order decides ties.",
    )
    encoder: EncoderConfig = Field(
        ImageBindConfig(), description="The model that gives texts, frames and clips vectors."
    )
    chat: ChatConfig = Field(VllmChatConfig(), description="The language model that summarises and scores.")
    window: WindowConfig = Field(WindowConfig(), description="The seconds around a frame that are described together.")
    clean: CleanConfig = Field(CleanConfig(), description="Choice of the caption that fits a frame best.")
    summarise: SummariseConfig = Field(SummariseConfig(), description="Summaries of the captions of a window.")
    score: ScoreConfig = Field(ScoreConfig(), description="The language model's anomaly scores, in [0, 1].")
    zero_shot: ZeroShotConfig = Field(
        ZeroShotConfig(), description="Scores by two texts, in place of a language model."
    )
    bank: BankConfig = Field(BankConfig(), description="Scores by a bank of sentences, in place of a language model.")
    definitions: DefinitionsConfig = Field(
        DefinitionsConfig(), description="The user's own definitions of what is anomalous."
    )
    direct: DirectConfig = Field(DirectConfig(), description="Scores by a chat model that is shown the frames.")
    clips: ClipsConfig = Field(ClipsConfig(), description="Scores by a chat model that is shown the frames of windows.")
    events: EventsConfig = Field(EventsConfig(), description="Scores of events, in place of the grid's windows.")
    rescore: RescoreConfig = Field(RescoreConfig(), description="A second rating of the videos in doubt.")
    refine: RefineConfig = Field(RefineConfig(), description="Averages of the scores over similar summaries.")
    smooth: SmoothConfig = Field(SmoothConfig(), description="Scores smoothed over time, before segments are made.")
    detect: DetectConfig = Field(DetectConfig(), description="Segments of high scores.")
    evaluate: EvaluateConfig = Field(EvaluateConfig(), description="Labels that scores are compared with.")
    imports: ImportConfig = Field(ImportConfig(), description="Results made elsewhere, used in place of stages.")
    about: AboutConfig = Field(AboutConfig(), description="What a preset says about itself; no result depends on it.")
    run: RunConfig = Field(RunConfig(), description="How work is done; no result depends on it.")

    @property
    def models(self) -> dict[str, ModelConfig]:
        """Role to section of every model: ``captioner:<name>``, ``encoder``, ``chat``."""
        captioners = {f"captioner:{name}": captioner for name, captioner in self.captioners.items()}
        return {**captioners, "encoder": self.encoder, "chat": self.chat}

    @model_validator(mode="before")
    @classmethod
    def _apply_semantics(cls, data: Any) -> Any:
        """Fill in the fields of the chosen semantics and method that were not given."""
        if not isinstance(data, dict):
            return data
        chosen = SEMANTICS.get(str(data.get("semantics", "paper")))
        if chosen is None:
            return data  # the field's own validation says what is allowed
        score = data.get("score")
        method = score.get("method", "lavad") if isinstance(score, dict) else getattr(score, "method", "lavad")
        chosen = chosen if method in OF_SUMMARIES else chosen | WITHOUT_SUMMARIES
        if method == "clips":
            chosen |= {"score.answer": "ordinal"}
        filled = dict(data)
        for section, kind in (("encoder", "imagebind"), ("chat", "openai")):
            if isinstance(filled.get(section), dict):
                filled[section] = {"kind": kind, **filled[section]}
        if isinstance(filled.get("captioners"), dict):
            filled["captioners"] = {
                name: {"kind": "blip2", **section} if isinstance(section, dict) else section
                for name, section in filled["captioners"].items()
            }
        for path, value in chosen.items():
            section, name = path.split(".")
            given = filled.get(section, {})
            if isinstance(given, Section):
                given = given.model_dump(include={*given.model_fields_set, "kind"})  # nobody sets a kind's own default
            if not isinstance(given, dict) or name in given:
                continue
            if section == "encoder":
                if given.get("kind", "imagebind") != "imagebind":
                    continue  # long_text is a property of ImageBind's tokenizer
                given = {"kind": "imagebind", **given}
            filled[section] = {**given, name: value}
        return with_texts(filled, str(method))

    @model_validator(mode="after")
    def _check_together(self) -> LavadConfig:
        if "evaluate" in self.run.targets and self.evaluate.labels is None:
            raise ValueError("run.targets has 'evaluate', which needs labels: give evaluate.labels (--labels FILE)")
        if self.imports.similarities is not None and self.imports.refined is None:
            raise ValueError("imports.similarities are those of imports.refined, which is not given")
        low = self.detect.low_threshold
        if low is not None and low > self.detect.threshold:
            raise ValueError(f"detect.low_threshold {low} is above detect.threshold {self.detect.threshold}")
        if self.imports.scores is None and (
            fault := asking_fault(self.score, self.chat.kind, rescores=self.rescore.enabled)
        ):
            raise ValueError(fault)
        self._check_method()
        free = self.score.answer == "free-text"
        if self.score.expected and self.score.answer != "choice":
            raise ValueError(
                f"score.expected needs score.answer 'choice', but it is {self.score.answer!r}"
                + (" (semantics 'reference' sets 'free-text'): free text has" if free else ": yes and no have")
                + " no probabilities of the 11 values; set score.answer=choice, or score.expected=false"
            )
        return self

    def _check_method(self) -> None:
        """
        Raises:
            ValueError: ``score.method`` lacks what it or another setting needs.
        """
        method = self.score.method
        self.rescore.check(method, self.chat.kind, tags_given=self.imports.tags is not None)
        if method in OF_SUMMARIES or self.imports.scores is not None:
            return
        if self.refine.enabled and self.imports.refined is None:
            raise ValueError(
                f"refine.enabled needs a summary for each grid frame, and score.method {method!r} makes none: set "
                "refine.enabled=false"
            )
        if method == "events" and (self.events.boundaries == "import") != (self.imports.boundaries is not None):
            raise ValueError(
                f"events.boundaries is {self.events.boundaries!r}, and imports.boundaries is "
                f"{'not given' if self.imports.boundaries is None else 'given'}: boundaries are imported with both, "
                "events.boundaries=import and imports.boundaries=PLACE, and computed with neither"
            )
        if method == "events" and self.window.sampling != "grid":
            raise ValueError(
                f"score.method 'events' needs vectors and captions of the grid's frames, and window.sampling "
                f"{self.window.sampling!r} (semantics 'reference' sets it) has those of others: set window.sampling=grid"
            )
        section = {"zero-shot": "zero_shot", "bank": "bank"}.get(method)
        if section and getattr(self, section).vector == "frame" and self.window.sampling != "grid":
            raise ValueError(
                f"{section}.vector 'frame' needs vectors of the grid's frames, and window.sampling {self.window.sampling!r} "
                f"(semantics 'reference' sets it) has those of others: set window.sampling=grid, or {section}.vector=window"
            )
