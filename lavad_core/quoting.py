"""Other people's words in our messages."""

from __future__ import annotations

import re

from lavad_core.escape import escape

MAX_QUOTED = 300
"""Characters of a library's or a server's own words that a message repeats."""

UNSAFE = (
    "weights_only",
    "allow_pickle",
    "trust_remote_code",
    "add_safe_globals",
    "safe_globals",
    "allow_dangerous",
    "dangerously",
    "trust the source",
    "trusted source",
    "custom code",
    "set_int_max_str_digits",
    "MAX_IMAGE_PIXELS",
    "LOAD_TRUNCATED_IMAGES",
    "verify=False",
    "max_header_size",
    "unsafe",
)
"""Ways around a protection, as libraries name them when they refuse something. A sentence that has one is not repeated: who
reads it in our message takes it for our advice, and it is to run what a stranger wrote. No decision rests on this."""

NOT_TENSORS = (
    "a file of its weights is a pickle that holds other things than plain tensors, or is damaged, and is not read: it could "
    "run any program. Give the model with its weights as safetensors (many repositories have both), convert them where you "
    "trust their source, or download the file again if it should hold tensors alone"
)
"""Said in place of torch's own words, which name the switch that would run it."""

LEFT_OUT = "(what its library says further would switch a protection off, and is not repeated)"

_SENTENCE = re.compile(r"(?<=[.;:!?])\s+")
_ESCAPE = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


def first_line(error: BaseException) -> str:
    """The first line of an error's words, short, without control characters and without advice to switch a protection off;
    its class where nothing is left."""
    line = (safe_words(str(error)).splitlines() or [""])[0]
    return escape(line[:MAX_QUOTED]) or type(error).__name__


def safe_words(text: str) -> str:
    """The text up to the first sentence that advises what is not safe, by :data:`UNSAFE`; :data:`LEFT_OUT` stands for the
    rest, which explains the advice."""
    lines = []
    for line in _ESCAPE.sub("", text).strip().splitlines():
        parts = _SENTENCE.split(line)
        bad = [number for number, part in enumerate(parts) if any(word.lower() in part.lower() for word in UNSAFE)]
        if bad:
            lines.append(" ".join([*parts[: bad[0]], LEFT_OUT]))
            break
        lines.append(line)
    return "\n".join(lines)
