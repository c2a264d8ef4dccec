"""The section of clips, and what fits together of how a chat model is asked for scores (docs/design/recipes.md)."""

from __future__ import annotations

from lavad_core.config.section import Section, setting
from lavad_core.config.steps import ScoreConfig


class ClipsConfig(Section):
    """Scores of clips: the chat model is shown the frames of the window around a grid frame (``window.duration_s`` long), and
    asked as ``score`` says."""

    fps: float = setting(2.0, affects=("score_clips",), description="Frames of a second that are shown.", gt=0, le=60)
    most_frames: int = setting(
        10,
        affects=("score_clips",),
        description="Most frames of a clip, spread over the window; 1 shows the grid frame alone.",
        ge=1,
        le=256,
    )
    stride: int = setting(
        1,
        affects=("score_clips",),
        description="One grid frame in this many is asked about; scores of those between are interpolated.",
        ge=1,
        le=1000,
    )
    image_side: int = setting(448, affects=("score_clips",), description="Short side sent, pixels.", ge=32, le=4096)
    jpeg_quality: int = setting(
        95, affects=("score_clips",), description="JPEG quality of the pictures sent.", ge=1, le=100
    )


def asking_fault(score: ScoreConfig, chat_kind: str, *, rescores: bool) -> str:
    """Why a chat model cannot be asked for scores as the configuration says; empty if it can.

    Args:
        score: the method, and how it is answered.
        chat_kind: ``chat.kind``.
        rescores: whether videos in doubt are rated a second time.
    """
    method = score.method
    if method in ("direct", "clips") and chat_kind == "transformers":
        return (
            f"score.method {method!r} shows pictures to the chat model, and chat.kind 'transformers' takes texts alone: set "
            "chat.kind=openai, with a server whose model takes pictures, or chat.kind=python"
        )
    if score.answer != "ordinal" and method != "definitions":
        return ""
    if score.yes.startswith(score.no) or score.no.startswith(score.yes):
        return f"score.yes {score.yes!r} and score.no {score.no!r} begin alike: give two words that do not"
    if score.answer != "ordinal":
        return ""
    if method == "direct":
        return (
            "score.method 'direct' asks for a number, and score.answer 'ordinal' for yes or no: set score.method=clips, which "
            "shows a frame alone with clips.most_frames=1, or score.answer=choice"
        )
    if rescores:
        return "rescore.enabled asks for a number, and score.answer 'ordinal' for yes or no: set score.answer=choice"
    return ""
