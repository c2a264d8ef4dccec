"""Is this the data set that papers report on, and are its videos here? Asked before a run of days, not after."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from lavad_core.datasets.check_videos import against_videos
from lavad_core.datasets.findings import CheckReport, DatasetFinding, Figures, error, warning
from lavad_core.datasets.intervals import labels_from_intervals
from lavad_core.datasets.label_digests import digest_of_named_labels
from lavad_core.datasets.names import listed
from lavad_core.datasets.published_figures import PUBLISHED, Published
from lavad_core.datasets.types import Dataset
from lavad_core.errors import VideoRejected
from lavad_core.plain_text import number_of
from lavad_core.video.types import VideoSource


def figures(dataset: Dataset) -> Figures:
    """Count what a data set holds."""
    videos = dataset.videos.values()
    frames: int | None = 0
    positive = clipped = 0
    for video in videos:
        if video.frames is None or frames is None:
            frames = None
            continue
        marked, outside = labels_from_intervals(video.intervals, video.frames)
        frames, positive, clipped = frames + video.frames, positive + int(marked.sum()), clipped + outside
    return Figures(
        len(videos),
        sum(video.is_anomalous for video in videos),
        len(dataset.classes),
        sum(len(video.intervals) for video in videos),
        frames,
        None if frames is None else positive,
        None if frames is None else clipped,
    )


def check_dataset(
    dataset: Dataset,
    sources: Sequence[VideoSource] | None = None,
    count: Callable[[VideoSource], int] | None = None,
    is_known_bad: Callable[[VideoSource, VideoRejected], bool] = lambda source, error: False,
) -> CheckReport:
    """Compare a data set with what is published of it, and with its videos.

    Args:
        sources: the videos that are here; None looks at none.
        count: the number of frames of a video, as the pipeline counts them; raises VideoRejected. None counts none.
        is_known_bad: whether a video that was rejected so is known to be bad: a warning, and no error.
    """
    findings: list[DatasetFinding] = []
    if sources is not None:
        lengths, found = against_videos(dataset, sources, count, is_known_bad)
        findings += found
        # Where no list says how long a video is, the video does.
        videos = {
            name: replace(video, frames=lengths.get(name)) if video.frames is None else video
            for name, video in dataset.videos.items()
        }
        dataset = replace(dataset, videos=videos)
    findings += [
        error(f"the labels of {name!r} cannot be read: {why}", [name]) for name, why in dataset.unreadable.items()
    ]
    here = figures(dataset)
    reference = _reference(dataset.adapter, here)
    published = published_findings(dataset)
    said = {finding.message for finding in published}
    findings += [*published, *(warning(note) for note in dataset.notes if note not in said)]
    if reference is None or here.clipped != reference.clipped:
        findings += _beyond_the_end(dataset)
    return CheckReport(
        dataset.adapter,
        dataset.title,
        [{"role": file.role, "name": file.name, "sha256": file.sha256} for file in dataset.files],
        digest_of_named_labels(dataset),
        "" if reference is None else reference.part,
        here,
        {} if reference is None else _as_figures(reference),
        sorted(findings, key=lambda finding: finding.level),
    )


def published_findings(dataset: Dataset) -> list[DatasetFinding]:
    """How these labels differ from the published ones; nothing if nothing is known about the data set."""
    here = figures(dataset)
    reference = _reference(dataset.adapter, here)
    return [] if reference is None else [*_differences(dataset, here, reference)]


def _reference(adapter: str, here: Figures) -> Published | None:
    """The published part with as many videos, otherwise the usual one."""
    parts = PUBLISHED.get(adapter, ())
    return next((part for part in parts if part.videos == here.videos), parts[0] if parts else None)


def _as_figures(reference: Published) -> dict[str, int | None]:
    return {
        "videos": reference.videos,
        "anomalous": reference.anomalous,
        "classes": len(reference.classes) or None,
        "frames": reference.frames,
        "positive": reference.positive,
        "clipped": reference.clipped,
    }


def _differences(dataset: Dataset, here: Figures, reference: Published) -> Iterator[DatasetFinding]:
    difference = here.videos - reference.videos
    if difference:
        yield error(
            f"the {reference.part} has {reference.videos} videos, these files have {here.videos}: {abs(difference)} too "
            f"{'few' if difference < 0 else 'many'}; metrics cannot be compared with papers"
        )
    elif reference.anomalous not in (None, here.anomalous):
        yield error(
            f"the {reference.part} has {reference.anomalous} anomalous videos, these files have {here.anomalous}"
        )
    yield from _classes(dataset, reference)
    if difference:
        return  # other counts differ with it, and say nothing more
    for name, published, found in (
        ("frames", reference.frames, here.frames),
        ("labelled frames", reference.positive, here.positive),
    ):
        if published is not None and found is not None and published != found:
            yield warning(
                f"the {reference.part} has {published:,} {name}, these files have {found:,}: {found - published:+,}"
            )
    if reference.labels_sha256 not in (None, digest_of_named_labels(dataset)):
        yield warning(
            "these labels are not the published ones: another project edited them, or names differ; edited labels have "
            "moved AUC by a point"
        )


def _classes(dataset: Dataset, reference: Published) -> Iterator[DatasetFinding]:
    missing = [name for name in reference.classes if name not in dataset.classes]
    unknown = [name for name in dataset.classes if reference.classes and name not in reference.classes]
    if missing:
        yield error(
            f"no video is of the class {', '.join(missing)}: one class that is missing has moved AUC by 4 points"
        )
    if unknown:
        yield error(f"the data set has no class {listed(unknown, reference.classes)}; is this its label file?")


def of_another_data_set(dataset: Dataset) -> bool:
    """Whether the published data set does not have most classes of these labels: then they are not even a part of it."""
    reference = _reference(dataset.adapter, figures(dataset))
    known = {name.casefold() for name in (reference.classes if reference else ())}
    others = [name for name in dataset.classes if name.casefold() not in known]
    return bool(known) and 2 * len(others) > len(dataset.classes)


def _beyond_the_end(dataset: Dataset) -> Iterator[DatasetFinding]:
    known = {name: (each.frames, each.intervals) for name, each in dataset.videos.items() if each.frames is not None}
    beside = [name for name, (frames, intervals) in known.items() if any(first >= frames for first, _ in intervals)]
    outside = [name for name, (frames, intervals) in known.items() if any(last >= frames for _, last in intervals)]
    if beside:
        yield error(
            f"{number_of(len(beside), 'video', 'have')} an anomaly that begins after the end: {listed(beside)}; are these the "
            "labels of these videos?",
            beside,
        )
    if outside:
        yield warning(
            f"{number_of(len(outside), 'video', 'have')} an anomaly that goes on past the end and is cut there: "
            f"{listed(outside)}",
            outside,
        )
