"""Direct scores (paper Sec. 4.1, LLaVA-1.5): a model that is shown the frame rates it, without captions and summaries."""

from __future__ import annotations

from lavad_core.method.summarising import Messages


def direct_messages(context_prompt: str, format_prompt: str) -> Messages:
    """What is asked about a picture: P_C and P_F, in the turn of the user that the picture is in. LLaVA's template has no place
    of its own for a system message.

    Args:
        context_prompt: P_C.
        format_prompt: P_F.
    """
    return (("user", f"{context_prompt} {format_prompt}"),)
