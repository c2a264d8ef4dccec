"""What each stage has to do for a video of known length: the method's own functions, counted instead of run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lavad_core.config.schema import LavadConfig
from lavad_core.method.sampling import Samples, frames_of, grid, window_clips, window_samples
from lavad_core.planning.video_length import VideoLength
from lavad_core.runs import work
from lavad_core.stages.node import Graph, Node

FRAMES_DECODED = "frames_decoded"
"""Frames of the passes over a video. At most: a pass ends after the last frame that it needs."""
CLIPS_ENCODED = "clips_encoded"
"""Distinct two-frame clips of all windows."""
VISION_PASSES = "vision_passes"
"""Images and views together: each is a forward pass of the vision tower. One pass over the video may make both, so that a
run's seconds are theirs together."""
TOKENS = "tokens"
"""Tokens of prompts and answers together."""
ROWS = "rows"
"""Rows of the result in the store."""

AT_MOST = frozenset(
    {
        FRAMES_DECODED,
        work.TEXTS_ENCODED,
        work.LLM_REQUESTS,
        work.PROMPT_TOKENS,
        work.COMPLETION_TOKENS,
        TOKENS,
    }
)
"""Units that lengths alone bound and do not give: equal texts are embedded once, equal questions asked once."""

VIEWS_PER_CLIP = {"imagebind": 3}
"""By kind of encoder (``Encoder.views_per_clip``); a user's own encoder says it only when it is loaded."""

Work = dict[str, int]
"""Unit (``runs.work`` and those above) to how much."""


@dataclass(frozen=True)
class TokenBounds:
    """Most tokens of one request to the language model."""

    prompt: int
    """Most tokens of the prompt."""
    answer: int
    """Most tokens of the answer."""
    both: int
    """Most tokens of both; less than their sum where the answer gets what the prompt leaves free."""


def token_bounds(config: LavadConfig, stage: str) -> TokenBounds:
    """The bounds for ``summarise`` or ``score``, from the settings alone."""
    section = config.summarise if stage == "summarise" else config.score
    context: int = getattr(config.chat, "context_tokens", section.total_tokens)  # of a local model when it is loaded
    total = min(section.total_tokens, context)
    if stage == "summarise":
        return TokenBounds(max(1, total - config.summarise.min_answer_tokens), total, total)
    prompt = max(1, total - config.score.max_answer_tokens)
    answer = config.score.max_answer_tokens if config.score.answer == "choice" else total
    return TokenBounds(prompt, min(answer, total), total)


def work_of(config: LavadConfig, graph: Graph, video: VideoLength) -> dict[str, Work]:
    """The work of each node for one video, as if nothing were in the store.

    ``embed_frames`` and ``embed_windows`` have a pass over the video each; where both run they share one
    (:func:`shared_pass`). Identities of the graph's models are not looked at.
    """
    counted = _Counted(config, video)
    return {node.id: _of_node(config, node, counted) for node in graph.nodes}


def shared_pass(config: LavadConfig, running: Mapping[str, bool]) -> bool:
    """Whether one pass over the video makes the vectors of frames and of windows: both run, and windows need pixels."""
    both = running.get("embed_frames", False) and running.get("embed_windows", False)
    return both and config.encoder.encodes_clips


def windows_of(config: LavadConfig, video: VideoLength) -> Samples:
    """The sampled frames of each window of a video."""
    window, interval = config.window, config.video.frame_interval
    return window_samples(
        grid(video.frames, interval),
        video.frames,
        interval,
        video.times_s,
        duration_s=window.duration_s,
        samples=window.samples,
        sampling=window.sampling,
        frame_rate=window.constant_frame_rate if window.frame_rate == "constant" else None,
    )


class _Counted:
    """Counts of a video that several stages have in common; what is costly only where it is asked for."""

    def __init__(self, config: LavadConfig, video: VideoLength) -> None:
        self.frames = video.frames
        self._config = config
        self._samples = windows_of(config, video)
        self.grid = len(self._samples)

    def cleaned(self) -> int:
        """Frames whose captions are cleaned."""
        if self._config.window.sampling == "grid":
            return self.grid
        return len(frames_of(self._samples, self.frames))

    def clips(self) -> int:
        """Distinct clips of all windows."""
        window = self._config.window
        return len(
            {
                pair
                for frames in self._samples
                for pair in window_clips(frames, vector=window.vector, clips=window.clips)
            }
        )


def _of_node(config: LavadConfig, node: Node, video: _Counted) -> Work:
    decoded = {FRAMES_DECODED: video.frames, work.VIDEOS_DECODED: 1}
    match node.stage:
        case "probe":
            return {**decoded, ROWS: video.frames}
        case "caption":
            made = {} if node.imported else {**decoded, work.CAPTIONS_MADE: video.grid}
            return {**made, ROWS: video.grid}
        case "embed_captions":
            texts = video.grid * len(node.inputs)
            return {work.TEXTS_ENCODED: texts, ROWS: texts}
        case "embed_frames":
            images = video.cleaned()
            return {**decoded, work.IMAGES_ENCODED: images, VISION_PASSES: images, ROWS: images}
        case "embed_windows":
            return {**_clips(config, video, decoded), ROWS: video.grid}
        case "clean":
            return {ROWS: video.cleaned()}
        case "summarise" | "score" if node.role == "chat":
            bounds = token_bounds(config, node.stage)
            return {
                work.LLM_REQUESTS: video.grid,
                work.PROMPT_TOKENS: video.grid * bounds.prompt,
                work.COMPLETION_TOKENS: video.grid * bounds.answer,
                TOKENS: video.grid * bounds.both,
                ROWS: video.grid,
            }
        case "embed_summaries":
            return {work.TEXTS_ENCODED: video.grid, ROWS: video.grid}
        case _:  # refine, and what is imported or switched off; the few rows of detect are not known before
            return {} if node.stage == "detect" else {ROWS: video.grid}


def _clips(config: LavadConfig, video: _Counted, decoded: Work) -> Work:
    if not config.encoder.encodes_clips:
        return {}
    clips = video.clips()
    views = VIEWS_PER_CLIP.get(config.encoder.kind)
    known = {} if views is None else {work.VIEWS_ENCODED: clips * views, VISION_PASSES: clips * views}
    return {**decoded, CLIPS_ENCODED: clips, **known}
