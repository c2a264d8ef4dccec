"""What was possibly seen in each video, from one file: ``{video: [text, …]}``, or as URF publishes it ``{video: text}``."""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path
from typing import Any

from lavad_core.config.schema import LavadConfig
from lavad_core.digest import digest
from lavad_core.errors import InputError
from lavad_core.recipes.rescoring import Tags, tags_of_list, tags_of_text
from lavad_core.user_files import decode_utf8, parse_json, read_bytes

MAX_BYTES = 64 * 2**20
"""Some hundred bytes for each of 10^5 videos."""

WHAT = "imported tags"

EXPECTED = 'expected is {"video": ["text", …], …}, or {"video": "text, text", …}'

_SURROGATE = re.compile("[\ud800-\udfff]")
"""Half of a pair is valid JSON, but no text: nothing could write it down again."""


def read_tags(place: Path, video: str) -> tuple[Tags, str]:
    """The tags of a video, and a digest of what the file says about it.

    Args:
        place: the file.
        video: the video's name; one that the file does not have has no tags.

    Raises:
        InputError: the file cannot be read, or is of another form.
    """
    given = _tags_of_all(read_bytes(place, WHAT, MAX_BYTES), str(place)).get(video)
    if given is None:
        return Tags(why=f"{str(place)!r} has no tags of {video!r}"), digest(None)
    return tags_of_text(given) if isinstance(given, str) else tags_of_list(given), digest(given)


def tags_file(config: LavadConfig) -> Path | None:
    """The file, if the configuration reads one."""
    return config.imports.tags if config.rescore.enabled and config.rescore.tags == "import" else None


@lru_cache(maxsize=1)
def _tags_of_all(content: bytes, where: str) -> dict[str, str | list[str]]:
    """All videos of a file; it is asked for each of them."""
    found: Any = parse_json(decode_utf8(content, where, WHAT), f"{WHAT}: {where!r}", EXPECTED)
    if not isinstance(found, dict):
        raise InputError(f"{WHAT}: {where!r} is not an object of videos; {EXPECTED}")
    for video, given in found.items():
        texts = given if isinstance(given, list) else [given]
        if not all(isinstance(text, str) and _SURROGATE.search(text) is None for text in texts):
            raise InputError(
                f"{WHAT}: {where!r}: {video[:80]!r} has {str(given)[:60]} where texts are needed; {EXPECTED}"
            )
    return found
