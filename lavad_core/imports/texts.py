"""The captions, cleaned captions and summaries of an import."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from lavad_core.datasets.names import listed
from lavad_core.imports.found import FoundFile
from lavad_core.imports.per_video import ImportReport, Names, Sources, read_files
from lavad_core.imports.types import ImportedVideo
from lavad_core.imports.values import Nested, parse_texts, parse_windows

T = TypeVar("T")


class Texts:
    """What is said of the grid frames; raw captions of other frames are not kept.

    Args:
        sources: where the texts are.
        names: of the expected videos.
        scored: those of them that have scores, and so should have texts.
        interval: of the grid.
        report: takes what is wrong or lacks.

    Raises:
        InputError: a folder cannot be read.
    """

    def __init__(
        self, sources: Sources, names: Names, scored: Sequence[str], interval: int, report: ImportReport
    ) -> None:
        self._names, self._scored, self._interval, self._report = names, scored, interval, report
        self._captions = {
            captioner: self._read(place, f"captions of {captioner}") for captioner, place in sources.captions.items()
        }
        self._summaries = self._read(sources.summaries, "summaries")
        self._cleaned: dict[str, Nested[str]] = {}
        if sources.cleaned is not None:
            self._cleaned = read_files(sources.cleaned, "cleaned captions", names, self._windows, report).values
            self._tell_missing("cleaned captions", self._cleaned)

    def added(self, video: ImportedVideo) -> ImportedVideo:
        """A video with its texts."""
        captions = {captioner: found[video.name] for captioner, found in self._captions.items() if video.name in found}
        added = replace(
            video,
            captions={captioner: self._within(video, texts) for captioner, texts in captions.items()},
            cleaned=self._within(video, self._cleaned.get(video.name, {})),
            summaries=self._within(video, self._summaries.get(video.name, {})),
        )
        self._tell_gaps(added)
        return added

    def _read(self, place: Path | None, role: str) -> dict[str, dict[int, str]]:
        if place is None:
            return {}
        found = read_files(place, role, self._names, self._texts, self._report).values
        self._tell_missing(role, found)
        return found

    def _texts(self, file: FoundFile) -> dict[int, str]:
        return self._on_grid(parse_texts(file.read(), file.where))

    def _windows(self, file: FoundFile) -> Nested[str]:
        return self._on_grid(parse_windows(file.read(), file.where))

    def _on_grid(self, found: Mapping[int, T]) -> dict[int, T]:
        return {frame: value for frame, value in found.items() if frame % self._interval == 0}

    @staticmethod
    def _within(video: ImportedVideo, found: Mapping[int, T]) -> dict[int, T]:
        return {frame: value for frame, value in found.items() if frame < video.frames}

    def _tell_missing(self, role: str, found: Mapping[str, object]) -> None:
        missing = [name for name in self._scored if name not in found]
        if missing:
            self._report.notes.append(f"{role}: none for {len(missing)} scored videos: {listed(missing)}")

    def _tell_gaps(self, video: ImportedVideo) -> None:
        """That a file has no text for some grid frames."""
        needed = -(-video.frames // self._interval)
        kinds = {f"captions of {captioner}": len(texts) for captioner, texts in video.captions.items()}
        kinds |= {"cleaned captions": len(video.cleaned), "summaries": len(video.summaries)}
        for role, count in kinds.items():
            if 0 < count < needed:
                self._report.notes.append(f"{role}: {video.name!r} has {count} for {needed} frames of the grid")
