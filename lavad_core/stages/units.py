"""What a plan counts of a stage's work: the units beside those of :mod:`lavad_core.runs.work`."""

from __future__ import annotations

from lavad_core.runs import work
from lavad_core.stages.video_frames import FrameTimes

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

Work = dict[str, int]
"""Unit to how much."""


def one_pass(video: FrameTimes) -> Work:
    """The work of decoding a video once."""
    return {FRAMES_DECODED: video.frames, work.VIDEOS_DECODED: 1}
