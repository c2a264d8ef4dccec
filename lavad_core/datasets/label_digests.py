"""Digests of labels as they are, whatever file, order or form they were written in: names of videos and annotated intervals.

Users' files hold both, so neither can change. They differ in the names. The digest of the *file* that labels were read from is
a third: :attr:`lavad_core.datasets.types.SourceFile.sha256`.
"""

from __future__ import annotations

from lavad_core.datasets.names import match_key
from lavad_core.datasets.types import Dataset
from lavad_core.digest import digest, full_digest


def digest_of_named_labels(dataset: Dataset) -> str:
    """Digest by the names of videos as the labels spell them, 64 hexadecimal digits: are these the published labels
    (``lavad dataset check``)?"""
    return full_digest(sorted([video.name, [list(i) for i in video.intervals]] for video in dataset.videos.values()))


def digest_of_matched_labels(dataset: Dataset) -> str:
    """Digest by names without their endings and in one Unicode form, as videos are matched, 32 hexadecimal digits: was a
    threshold fitted on these labels (the file of ``lavad threshold``)?"""
    return digest(
        sorted([match_key(name), [list(i) for i in video.intervals]] for name, video in dataset.videos.items())
    )
