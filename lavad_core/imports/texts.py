"""The captions, cleaned captions and summaries of an import."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from lavad_core.datasets.names import listed
from lavad_core.imports.per_video import ExpectedNames, ImportReport, ImportSources, read_values
from lavad_core.imports.types import ImportedVideo
from lavad_core.imports.values import parse_texts, parse_windows
from lavad_core.plain_text import number_of

T = TypeVar("T")


class Texts:
    """The texts of the grid frames; raw captions of other frames are not kept.

    Args:
        scored: those of the expected videos that have scores, and so should have texts.
        interval: frames from one grid frame to the next.
        report: takes what is wrong or lacks.

    Raises:
        InputError: a folder cannot be read.
    """

    def __init__(
        self, sources: ImportSources, names: ExpectedNames, scored: Sequence[str], interval: int, report: ImportReport
    ) -> None:
        self._names, self._scored, self._interval, self._report = names, scored, interval, report
        self._captions = {
            captioner: self._read(place, f"captions of {captioner}", parse_texts)
            for captioner, place in sources.captions.items()
        }
        self._summaries = self._read(sources.summaries, "summaries", parse_texts)
        self._cleaned = self._read(sources.cleaned, "cleaned captions", parse_windows)

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

    def _read(
        self, place: Path | None, role: str, parse: Callable[[bytes, str], dict[int, T]]
    ) -> dict[str, dict[int, T]]:
        def on_grid(content: bytes, where: str) -> dict[int, T]:
            return {frame: value for frame, value in parse(content, where).items() if frame % self._interval == 0}

        found = read_values(place, role, self._names, on_grid, self._report)
        missing = [name for name in self._scored if name not in found]
        if place is not None and missing:
            self._report.notes.append(f"{role}: none for {number_of(len(missing), 'scored video')}: {listed(missing)}")
        return found

    @staticmethod
    def _within(video: ImportedVideo, found: Mapping[int, T]) -> dict[int, T]:
        return {frame: value for frame, value in found.items() if frame < video.frames}

    def _tell_gaps(self, video: ImportedVideo) -> None:
        """A sentence that a file has no text for some grid frames."""
        needed = -(-video.frames // self._interval)
        kinds = {f"captions of {captioner}": len(texts) for captioner, texts in video.captions.items()}
        kinds |= {"cleaned captions": len(video.cleaned), "summaries": len(video.summaries)}
        for role, count in kinds.items():
            if 0 < count < needed:
                self._report.notes.append(f"{role}: {video.name!r} has {count} for {needed} frames of the grid")
