"""An import from its files to its record: what ``lavad import`` does."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from lavad_core.datasets.types import Dataset
from lavad_core.imports.expected_videos import frame_counts
from lavad_core.imports.per_video import ImportReport, ImportSources
from lavad_core.imports.read import read_import
from lavad_core.imports.types import ImportedSet
from lavad_core.plain_text import number_of
from lavad_core.results.imported import STAGE, commit_import, video_digests
from lavad_core.runs.beside import warn_of_runs_beside
from lavad_core.runs.manifest import RunManifest, VideoOutcome, new_run_id
from lavad_core.runs.recorder import RunRecorder
from lavad_core.store.files import FileStore
from lavad_core.store.types import Commit


@dataclass(frozen=True)
class RecordedImport:
    """An import that is in the store."""

    run: RunManifest
    """Its record."""
    commit: Commit
    """The commit of its result."""
    report: ImportReport
    """What a user should know about it."""


def record_import(
    root: Path,
    sources: ImportSources,
    dataset: Dataset | None,
    *,
    videos: Path | None = None,
    interval: int | None = None,
    frame_rate: float | None = None,
    name: str | None = None,
    interpolate: bool = False,
) -> RecordedImport:
    """Read somebody else's results, commit them, and record that like a run.

    Args:
        root: the store's folder; made if it does not exist.
        sources: where the results are.
        dataset: whose videos they are of; None takes whatever there are scores of.
        videos: folder of the videos, for frame counts that the data set does not have.
        interval: frames from one score to the next; None finds it in the files.
        frame_rate: per second; that of the data set if None.
        name: a name for the import, see :func:`lavad_core.runs.manifest.checked_name`; None for none.
        interpolate: scores of fewer frames are interpolated to ``interval``.

    Raises:
        InputError: see :func:`lavad_core.imports.read.read_import`; nothing is recorded then.
        StoreUnavailable: the store cannot be written.
    """
    report = ImportReport()
    rate = frame_rate if frame_rate is not None or dataset is None else dataset.frame_rate
    tolerance = 0 if dataset is None else dataset.reading.frame_count_tolerance
    frames = frame_counts(dataset, videos, report)
    found = read_import(
        sources, frames, report, interval=interval, frame_rate=rate, tolerance=tolerance, interpolate=interpolate
    )
    config = {
        "import": {
            "sources": report.sources,
            "interval": found.interval,
            "frame_rate": rate,
            "dataset": None if dataset is None else dataset.adapter,
            "files": [] if dataset is None else [asdict(file) for file in dataset.files],
            "frame_count_tolerance": tolerance,
            **({"interpolated": True} if interpolate else {}),
        }
    }
    with RunRecorder(root, new_run_id(), config=config, origin="import", name=name) as recorder:
        warn_of_runs_beside(root, recorder.run_id, "import")
        with recorder.stage("", "", STAGE) as record:
            commit = commit_import(FileStore(root), found, dataset)
            record.video_id, record.fingerprint = commit.key.video_id, commit.key.fingerprint
        message = f"import of {number_of(len(found.videos), 'video')}, {len(found.unscored)} without scores"
        return RecordedImport(recorder.finish("Imported", _outcomes(found, commit), message=message), commit, report)


def _outcomes(found: ImportedSet, commit: Commit) -> list[VideoOutcome]:
    scored = [VideoOutcome(name, own, "ok") for name, own in video_digests(commit).items()]
    return scored + [VideoOutcome(name, "", "failed", "unscored", why) for name, why in sorted(found.unscored.items())]
