"""Names of the work counters of a stage's record."""

from __future__ import annotations

VIDEOS_DECODED = "videos_decoded"
"""Passes over a video."""
FRAMES_DELIVERED = "frames_delivered"
"""Frames given to a stage, one for each geometry asked for."""
FRAMES_SUBSTITUTED = "frames_substituted"
"""Delivered frames that did not decode and were replaced by a neighbour."""
CAPTIONS_MADE = "captions_made"
IMAGES_ENCODED = "images_encoded"
VIEWS_ENCODED = "views_encoded"
"""Views of clips, each a forward pass of the vision tower."""
TEXTS_ENCODED = "texts_encoded"
LLM_REQUESTS = "llm_requests"
"""Distinct requests that the model answered."""
LLM_FOLLOW_UPS = "llm_follow_ups"
"""Further requests that these answers took: for other spellings of a choice, and for the beginning of a free answer."""
LLM_CACHED = "llm_cached"
"""Distinct requests that the answer cache answered."""
LLM_REPEATED = "llm_repeated"
"""Requests equal to another one of the same video."""
PROMPT_TOKENS = "prompt_tokens"
COMPLETION_TOKENS = "completion_tokens"

COUNTERS = (
    VIDEOS_DECODED,
    FRAMES_DELIVERED,
    FRAMES_SUBSTITUTED,
    CAPTIONS_MADE,
    IMAGES_ENCODED,
    VIEWS_ENCODED,
    TEXTS_ENCODED,
    LLM_REQUESTS,
    LLM_FOLLOW_UPS,
    LLM_CACHED,
    LLM_REPEATED,
    PROMPT_TOKENS,
    COMPLETION_TOKENS,
)
"""In the order in which tables show them."""
