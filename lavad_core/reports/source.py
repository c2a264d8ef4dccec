"""Where pages, overlays and plots take a set's videos from: its results, its labels, and the videos where they are at hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lavad_core.datasets.names import match, match_key
from lavad_core.datasets.types import Dataset, LabelledVideo
from lavad_core.errors import InputError
from lavad_core.reports.collect import KEY_FRAMES, StoredVideo, video_report
from lavad_core.reports.outside import outside_report, truth_of
from lavad_core.reports.pictures import Footage
from lavad_core.reports.video import VideoReport
from lavad_core.results.imported import ImportResults
from lavad_core.results.run import RunResults
from lavad_core.results.types import ResultSet
from lavad_core.stages.timeline import read_probe
from lavad_core.video.decoder import probe
from lavad_core.video.identity import IdentityCache, identify
from lavad_core.video.limits import Limits
from lavad_core.video.types import VideoSource


class ReportSource:
    """The videos of a set of results.

    Attributes:
        results, dataset: as given.
        run: the results, if they are a run's.
        threshold: of segments.

    Args:
        results: of a run or an import.
        dataset: its labels; None without.
        videos: name to where the video is; those that are not at hand are left out.
        threshold: of segments, where the results are not a run's, which has its own.
        limits: what decoding may take, likewise.
        folder_frame_rate: of folders of frames, likewise.
        cache: digests of files, so that a video is read once to know that it is still the one that was scored.
    """

    def __init__(
        self,
        results: ResultSet,
        dataset: Dataset | None,
        videos: Mapping[str, VideoSource],
        *,
        threshold: float,
        limits: Limits,
        folder_frame_rate: float,
        cache: IdentityCache,
    ) -> None:
        self.results, self.dataset = results, dataset
        self.run = results if isinstance(results, RunResults) else None
        outcomes = self.run.run.videos if self.run is not None else ()
        self._seconds = {outcome.name: outcome.seconds for outcome in outcomes}
        pairs = match(dataset.videos, results.names).pairs if dataset is not None else {}
        self._labelled = {given: dataset.videos[name] for name, given in pairs.items()} if dataset is not None else {}
        self._videos = {match_key(name): source for name, source in videos.items()}
        self.threshold = self.run.config.detect.threshold if self.run is not None else threshold
        self._limits, self._folder_frame_rate = limits, folder_frame_rate
        self._cache = cache

    @property
    def names(self) -> Sequence[str]:
        """Of the scored videos: in the order of the data set, then those that it does not have."""
        return [*self._labelled, *sorted(set(self.results.names) - self._labelled.keys())]

    def labelled(self, name: str) -> LabelledVideo | None:
        """One of :attr:`names` in the data set; None if that does not have it."""
        return self._labelled.get(name)

    def seconds(self, name: str) -> float | None:
        """That the run took for a video; None for an import."""
        return self._seconds.get(name)

    def report(self, name: str, most: int = KEY_FRAMES) -> VideoReport:
        """What is known of one of :attr:`names`.

        Args:
            name: of the video.
            most: key frames, whose scores are explained.

        Raises:
            DamagedResult: its results are gone from the store.
        """
        labelled = self.labelled(name)
        if self.run is not None:
            stored = self._stored(name)
            return video_report(
                stored, self.run.config, truth_of(labelled, stored.commit("probe").facts["frames"]), most
            )
        rate = self.dataset.frame_rate if self.dataset is not None else None
        scored, texts = self.results.scores(name), self.results.texts(name)
        near = self.results.neighbours(name) if isinstance(self.results, ImportResults) else None
        truth = truth_of(labelled, scored.frames)
        return outside_report(scored, texts, truth, self.threshold, rate, near, most)

    def footage(self, name: str, frames: int) -> Footage:
        """The video itself.

        Args:
            name: of the video.
            frames: that its scores are of.

        Raises:
            InputError: it is not at hand, or is not the one that was scored.
            VideoRejected: it cannot be decoded.
            DamagedResult: what the run knows of it is gone from the store.
        """
        source = self._videos.get(match_key(name))
        if source is None:
            raise InputError(f"video {name!r} is not at hand; name a folder that has it with --videos DIR")
        if self.run is not None:
            if identify(source, self._cache).video_id != self.run.keys(name)["refine"].video_id:
                raise InputError(
                    f"video {name!r}: {str(source.path)!r} is not the one that was scored; its content differs"
                )
            stored = self._stored(name)
            return Footage(source, read_probe(stored.store, stored.commit("probe")), self.run.config.video.limits)
        found = probe(source, self._limits, self._folder_frame_rate)
        if found.frames != frames:
            raise InputError(
                f"video {name!r}: {str(source.path)!r} has {found.frames} frames, its scores are of {frames}; "
                "it is not the one that was scored"
            )
        return Footage(source, found, self._limits)

    def _stored(self, name: str) -> StoredVideo:
        assert self.run is not None
        return StoredVideo(self.run.store, self.run.keys(name), name)
