"""What pages, overlays and plots are made of: a set of results, its labels, and the videos where they are at hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from lavad_core.config.steps import VideoConfig
from lavad_core.datasets.names import match, match_key
from lavad_core.datasets.types import Dataset, LabelledVideo
from lavad_core.errors import InputError
from lavad_core.location import shown
from lavad_core.method.detection import SegmentRule
from lavad_core.reports.pictures import DecodableVideo
from lavad_core.reports.video import VideoReport, video_report
from lavad_core.results.types import ResultSet
from lavad_core.video.decoder import probe
from lavad_core.video.identity import IdentityCache, identify
from lavad_core.video.types import VideoSource


class ReportedSet:
    """A set of results with its labels and videos.

    Attributes:
        results, dataset: as given.
        rule: how scores become segments: a run's own rule.

    Args:
        results: those of a run or an import.
        dataset: its labels; None without.
        videos: name to where the video is; those that are not at hand are left out.
        root: the store's folder, for digests of files: a video is read once to know that it is still the one that was scored.
        rule: how an import's scores become segments.
    """

    def __init__(
        self,
        results: ResultSet,
        dataset: Dataset | None,
        videos: Mapping[str, VideoSource],
        root: Path,
        rule: SegmentRule | None = None,
    ) -> None:
        self.results, self.dataset = results, dataset
        self.rule = results.rule or rule or SegmentRule()
        pairs = match(dataset.videos, results.names).pairs if dataset is not None else {}
        self._labelled = {given: dataset.videos[name] for name, given in pairs.items()} if dataset is not None else {}
        self._videos = {match_key(name): source for name, source in videos.items()}
        self._settings = VideoConfig() if results.config is None else results.config.video
        self._cache = IdentityCache(root / "cache" / "digests.sqlite")
        self._seconds = (
            {}
            if results.record is None or results.origin == "import"
            else {outcome.name: outcome.seconds for outcome in results.record.videos}
        )

    @property
    def names(self) -> Sequence[str]:
        """Names of the scored videos: in the order of the data set, then those that it does not have."""
        return [*self._labelled, *sorted(set(self.results.names) - self._labelled.keys())]

    def labelled(self, name: str) -> LabelledVideo | None:
        """One of :attr:`names` in the data set; None if that does not have it."""
        return self._labelled.get(name)

    def seconds(self, name: str) -> float | None:
        """How long the run took for a video; None for an import."""
        return self._seconds.get(name)

    def report(self, name: str) -> VideoReport:
        """The report of one of :attr:`names`.

        Raises:
            DamagedResult: its results are gone from the store.
        """
        rate = self.dataset.frame_rate if self.dataset is not None else None
        return video_report(self.results[name], self.labelled(name), self.rule, rate)

    def video(self, name: str, frames: int) -> DecodableVideo:
        """The video of one of :attr:`names`, which has scores for ``frames`` frames.

        Raises:
            InputError: it is not at hand, or is not the one that was scored.
            VideoRejected: it cannot be decoded.
            DamagedResult: what the run knows about it is gone from the store.
        """
        source = self._videos.get(match_key(name))
        if source is None:
            raise InputError(f"video {name!r} is not at hand; name a folder that has it with --videos DIR")
        limits, scored = self._settings.limits, self.results[name]
        if (stored := scored.probe) is not None:
            if scored.outcome is None or identify(source, self._cache).video_id != scored.outcome.video_id:
                raise InputError(
                    f"video {name!r}: {shown(source.path)!r} is not the one that was scored; its content differs"
                )
            return DecodableVideo(source, stored, limits)
        found = probe(source, limits, self._settings.folder_frame_rate)
        if found.frames != frames:
            raise InputError(
                f"video {name!r}: {shown(source.path)!r} has {found.frames} frames, its scores are of {frames}; "
                "it is not the one that was scored"
            )
        return DecodableVideo(source, found, limits)
