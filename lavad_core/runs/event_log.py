"""The lines of a run's ``.jsonl``: each with its digest and its number, so that one that was changed or taken away shows.

Several processes may write to one log (workers of a run that another process started), each with numbers of its own.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from lavad_core.plain_text import number_of
from lavad_core.seal import seal_of, sealed
from lavad_core.store.faults import store_errors

WRITER, NUMBER = "writer", "line"

_WHOLE = re.compile(rb'"digest": "[^"]*"\}\s*\Z')
"""The end of a line that was not cut off."""


@dataclass(frozen=True)
class EventLog:
    """What a log says."""

    lines: tuple[dict[str, Any], ...]
    """The lines that are as they were written, in order, without digest and number."""
    altered: tuple[str, ...]
    """A few words for each line that was changed."""
    sealed: bool
    """Whether lines have digests; those of an earlier version of the program have none. True where there is no line."""


def line_of(kind: str, values: Mapping[str, Any], writer: str, number: int) -> bytes:
    """A line, with its line break.

    Raises:
        TypeError, ValueError: it holds what JSON cannot say.
    """
    return (json.dumps(sealed({"kind": kind, **values, WRITER: writer, NUMBER: number})) + "\n").encode("ascii")


def log_digest(path: Path) -> dict[str, int | str]:
    """Length and SHA-256 of a log as it is now; what other processes add later is not part of it."""
    with store_errors("read", path):
        content = path.read_bytes()
    return {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def log_is_sealed(path: Path) -> bool:
    """Whether its first line has a digest: the log, and so all files of the run, are of a version that writes them."""
    first = next(_raw_lines(path), b"")
    fields = _parsed(first)
    return fields is not None and seal_of(fields) != "none"


HEAD = 8
"""Lines of a log in which the part of a set is named that its run is of: before the first record."""


def read_head(path: Path) -> dict[str, Any]:
    """The fields of a log's first line; under ``shard`` those of the line that says which part of a set the run is of, None
    without one. Empty where the first line cannot be read."""
    lines = [_parsed(line) or {} for line in islice(_raw_lines(path), HEAD)]
    shard = next((line for line in lines if line.get("kind") == "shard" and seal_of(line) != "broken"), None)
    return {**lines[0], "shard": shard} if lines and lines[0] else {}


def read_log(path: Path, end: Mapping[str, Any] | None = None) -> EventLog:
    """A log; an empty one if there is none. A line cut off by a kill or a full disk is not a fault: it was never finished.

    Args:
        end: :func:`log_digest` of it when its run ended, where a record has that.

    Raises:
        StoreUnavailable: it cannot be read.
    """
    found: list[dict[str, Any]] = []
    altered: list[str] = []
    numbers: defaultdict[str, list[int]] = defaultdict(list)
    bare = with_digest = 0
    for place, line in enumerate(_raw_lines(path), 1):
        fields = _parsed(line)
        if fields is None:
            if _WHOLE.search(line):
                altered.append(f"line {place} is not JSON")
            continue
        state = seal_of(fields)
        if state == "broken":
            altered.append(f"line {place} does not match its digest")
            continue
        bare, with_digest = bare + (state == "none"), with_digest + (state == "whole")
        if fields.get("kind") == "run" and fields.get("run_id") != path.stem:
            altered.append(f"line {place} is of another run")
        writer, number = fields.pop(WRITER, None), fields.pop(NUMBER, None)
        if state == "whole" and isinstance(writer, str) and isinstance(number, int):
            numbers[writer].append(number)
        fields.pop("digest", None)
        found.append(fields)
    if with_digest and bare:
        altered.append(f"{number_of(bare, 'line', 'have')} no digest")
    # A line that could not be synced may have been written twice under its number.
    altered += [
        f"lines of one writer are missing or out of order: {own[at]} is followed by {own[at + 1]}"
        for own in ([-1, *given] for given in numbers.values())
        for at in range(len(own) - 1)
        if own[at + 1] not in (own[at], own[at] + 1)
    ]
    if end is not None and not altered and not begins_as(path, end):
        altered.append("it has not the lines that it had when the run ended")
    return EventLog(tuple(found), tuple(altered), with_digest > 0 or not bare)


def begins_as(path: Path, end: Mapping[str, Any]) -> bool:
    """Whether a log still has what :func:`log_digest` was of."""
    with store_errors("read", path):
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            content = b""
    return hashlib.sha256(content[: int(end["bytes"])]).hexdigest() == str(end["sha256"])


def _raw_lines(path: Path) -> Iterator[bytes]:
    with store_errors("read", path):
        try:
            file = open(path, "rb")  # noqa: SIM115 (closed below)
        except FileNotFoundError:
            return
        with file:
            yield from file


def _parsed(line: bytes) -> dict[str, Any] | None:
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return fields if isinstance(fields, dict) else None
