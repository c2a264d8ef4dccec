"""Videos that are known to be bad: contents that a run rejected for good, and that a person has acknowledged.

One note for each, ``known-bad/<video id>/<reason>.json``: by content, so that the file may have another name or place, and by
reason, so that a video is red again once something else is wrong with it.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Container, Iterable, Iterator
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from lavad_core.errors import DamagedResult, VideoRejected
from lavad_core.runs.manifest import VideoOutcome
from lavad_core.store.files import FileStore
from lavad_core.store.notes import put_note, read_note

log = logging.getLogger(__name__)

FOLDER = "known-bad"
"""Folder of the store for the notes."""

_NOTE = re.compile(rf"{FOLDER}/[0-9a-f]+/[a-z][a-z-]*\.json")
"""The name of a note. Other systems leave files of their own in folders (``.DS_Store``, ``._format.json``)."""


@dataclass(frozen=True)
class KnownBad:
    """A content that is known to be bad."""

    video_id: str
    """Digest of the video's content."""
    reason: str
    """Why it is rejected, in a word."""
    name: str
    """The user's name for it, when it was acknowledged."""
    message: str
    """Why it is rejected, in a sentence."""


def acknowledge(store_root: Path, video: KnownBad) -> bool:
    """Note that a video is known to be bad; whether that is new.

    Raises:
        StoreUnavailable: the store cannot be written.
    """
    store, name = FileStore(store_root), _name(video.video_id, video.reason)
    if store.blobs.stat(name) is not None and _note(store, name) is None:
        store.blobs.delete(name)  # damaged: it counts for nothing, and would be in the way
    return put_note(store, name, asdict(video))


def is_known_bad(store: FileStore, video_id: str, reason: str) -> bool:
    """Whether a content, rejected for this reason, is known to be bad. A damaged note counts for nothing, with a warning."""
    return _note(store, _name(video_id, reason)) is not None


def _note(store: FileStore, name: str) -> dict[str, Any] | None:
    try:
        return read_note(store, name)
    except DamagedResult as damage:
        log.warning("%s; until then its video is not known to be bad", damage)
        return None


def is_known(store: FileStore, video_id: str, error: BaseException | None) -> bool:
    """Whether what ended a video is a rejection that is known; ``video_id`` is empty where its content is not."""
    return isinstance(error, VideoRejected) and bool(video_id) and is_known_bad(store, video_id, error.reason)


def known_contents(store_root: Path) -> frozenset[tuple[str, str]]:
    """The content and the reason of all of them."""
    return frozenset((one.video_id, one.reason) for one in known_bad(store_root))


def as_known_now(outcomes: Iterable[VideoOutcome], known: Container[tuple[str, str]]) -> tuple[VideoOutcome, ...]:
    """How a run ended for videos, with what is known by now: it may have been acknowledged or taken back since.

    Args:
        outcomes: as the run noted them.
        known: from :func:`known_contents`, which reads each note once, however many runs and videos there are.
    """
    return tuple(
        replace(one, known_bad=(one.video_id, one.reason) in known) if one.status == "rejected" else one
        for one in outcomes
    )


def forget(store_root: Path, video: KnownBad) -> None:
    """Take an acknowledgement back."""
    FileStore(store_root).blobs.delete(_name(video.video_id, video.reason))


def known_bad(store_root: Path) -> Iterator[KnownBad]:
    """All of them, in the order of their contents. A damaged note counts for nothing, with a warning."""
    store = FileStore(store_root)
    for blob in store.blobs.list(FOLDER):
        if _NOTE.fullmatch(blob.name) and (note := _note(store, blob.name)) is not None:
            yield KnownBad(**{field.name: note[field.name] for field in fields(KnownBad)})


def _name(video_id: str, reason: str) -> str:
    return f"{FOLDER}/{video_id}/{reason}.json"
