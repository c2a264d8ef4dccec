"""What is imported, and the files of one source beside the videos that are expected."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Generic, TypeVar

from lavad_core.datasets.names import listed, match_key, without_ending
from lavad_core.errors import InputError
from lavad_core.imports.found import FoundFile, find_files
from lavad_core.plain_text import number_of
from lavad_core.store.commits import storable

T = TypeVar("T")

JSON = (".json",)
ARRAYS = (".npy", ".csv")


@dataclass(frozen=True)
class ImportSources:
    """Folders or archives with a file for each video; None where there is none."""

    scores: Path | None = None
    """The final scores."""
    raw_scores: Path | None = None
    """The language model's own scores."""
    segments: Path | None = None
    """A file of segments with scores, in place of ``scores``."""
    captions: Mapping[str, Path] = field(default_factory=dict)
    """Captioner to its captions."""
    cleaned: Path | None = None
    """Captions after cleaning."""
    summaries: Path | None = None
    """Summaries of the windows."""
    similarities: Path | None = None
    """Similarities of each frame's neighbours, by the authors' program; ``scores`` are then the neighbours' scores."""
    neighbours: Path | None = None
    """Frames of each frame's neighbours, by the authors' program."""


@dataclass
class ImportReport:
    """What a user should know about an import."""

    problems: list[str] = field(default_factory=list)
    """Files and values that were not taken, one sentence each."""
    notes: list[str] = field(default_factory=list)
    """Things that were taken but are worth a look, one sentence for each."""
    sources: dict[str, dict[str, str | int]] = field(default_factory=dict)
    """What was read, by role: name of the folder or archive, number of files, SHA-256 of their names and digests."""


class ExpectedNames:
    """The videos that are expected; None takes whatever there are files of."""

    def __init__(self, names: Iterable[str] | None) -> None:
        self._names = None if names is None else {match_key(name): name for name in names}

    def of(self, file: FoundFile) -> str | None:
        """The video that a file is of; None if it is not expected."""
        if self._names is None:
            return storable(without_ending(file.stem))  # bytes of a file's name may be no text
        return self._names.get(match_key(file.stem))

    @property
    def expected(self) -> list[str]:
        """All expected names, if they are known."""
        return list((self._names or {}).values())


@dataclass(frozen=True)
class PerVideoFiles(Generic[T]):
    """The files of a source."""

    values: dict[str, T]
    """Video to what its file holds."""
    refused: dict[str, str]
    """Video to why its file was not taken."""


def read_files(
    place: Path,
    role: str,
    names: ExpectedNames,
    parse: Callable[[FoundFile], T],
    report: ImportReport,
    endings: Sequence[str] = JSON,
) -> PerVideoFiles[T]:
    """Read each expected video's file. One that cannot be used is reported and does not stop the others.

    Args:
        place: folder or archive.
        role: what the source holds, for messages: ``raw scores``.
        parse: from a file to what it holds; raises InputError.

    Raises:
        InputError: the folder or archive itself cannot be read, or has no file of an expected video.
    """
    values: dict[str, T] = {}
    refused: dict[str, str] = {}
    paths: dict[str, str] = {}
    digests: dict[str, str] = {}
    extra: list[str] = []
    seen = 0
    for file in find_files(place, tuple(endings), role):
        seen += 1
        name = names.of(file)
        if name is None:
            extra.append(file.path)
        elif name in paths:
            values.pop(name, None)
            refused[name] = f"it has two files: {paths[name]!r} and {file.path!r}; keep one, or name the folder of one"
        else:
            paths[name] = file.path
            try:
                content = file.read()
                digests[file.path] = hashlib.sha256(content).hexdigest()
                values[name] = parse(replace(file, read=partial(bytes, content)))
            except InputError as error:
                refused[name] = str(error)
    if not paths:
        raise InputError(_nothing(place, role, seen, extra, names, endings))
    for name, why in refused.items():
        report.problems.append(f"{role}: {name!r}: {why}")
    if extra:
        report.notes.append(
            f"{role}: {number_of(len(extra), 'file', 'belong')} to none of the expected videos: {listed(extra)}"
        )
    lines = [f"{name}\0{digests[name]}" for name in sorted(digests)]
    report.sources[role] = {
        "name": place.name,
        "files": len(digests),
        "sha256": hashlib.sha256("\n".join(lines).encode("utf-8", "surrogateescape")).hexdigest(),
    }
    return PerVideoFiles(values, refused)


def read_values(
    place: Path | None, role: str, names: ExpectedNames, parse: Callable[[bytes, str], T], report: ImportReport
) -> dict[str, T]:
    """Video to what ``parse`` makes of its JSON file's content and name; nothing where there is no folder. See
    :func:`read_files`."""
    if place is None:
        return {}
    return read_files(place, role, names, lambda file: parse(file.read(), file.where), report).values


def _nothing(
    place: Path, role: str, seen: int, extra: Sequence[str], names: ExpectedNames, endings: Sequence[str]
) -> str:
    kinds = ", ".join(endings)
    if not seen:
        return f"{role}: {str(place)!r} has no file that ends in {kinds}; expected is one for each video, called by its name"
    return (
        f"{role}: none of the {number_of(seen, 'file')} in {str(place)!r} is called by the name of an expected video: "
        "there are "
        f"{listed(extra)}, expected {listed(names.expected)}; names must agree, without the ending"
    )
