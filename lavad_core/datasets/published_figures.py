"""What is known about published data sets, to tell a user when theirs is another one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lavad_core.datasets.adapters import ucf_crime, xd_violence


@dataclass(frozen=True)
class Published:
    """Figures of a part of a data set."""

    part: str
    """Which part of the data set, for instance ``test set``."""
    videos: int
    """How many videos the part has."""
    anomalous: int | None = None
    """How many of these are anomalous; None where no source says."""
    classes: tuple[str, ...] = ()
    """The classes of anomalies; empty where it has none."""
    frames: int | None = None
    """All frames; None where no source says."""
    positive: int | None = None
    """Frames labelled anomalous; None where no source says."""
    clipped: int | None = None
    """Intervals that reach past the end of their video; None where no source says."""
    labels_sha256: str | None = None
    """Digest of the published labels (``label_digests.digest_of_named_labels``); None where they were not at hand."""


PUBLISHED: Mapping[str, tuple[Published, ...]] = {
    # Counted in the official annotation and LAVAD's list of frame counts.
    "ucf-crime": (
        Published(
            "test set",
            290,
            140,
            ucf_crime.CLASSES,
            1_111_808,
            84_331,
            7,
            "7f3a987de7a7f0be7e71d7f956b1a36ff118bfd6c49cae90de9f0b9a608494c8",
        ),
    ),
    # 500 and 300: Wu et al., ECCV 2020. Frames: counted in a published list.
    "xd-violence": (
        Published(
            "test set",
            800,
            500,
            tuple(sorted(f"{name} ({code})" for code, name in xd_violence.CLASSES.items())),
            2_335_801,
        ),
    ),
    # Zhu et al., NeurIPS 2024, protocol ii: 120 normal and 120 anomalous videos; protocol i tests on all 240 anomalous ones.
    "msad": (Published("test set, protocol ii", 240, 120), Published("test set, protocol i", 360, 240)),
    # The authors' lists of names; frames: counted in a published list.
    "ubnormal": (Published("test set", 211, 158, frames=92_851),),
    # Liu et al., CVPR 2018; Zhong et al., CVPR 2019.
    "shanghaitech": (Published("test set", 107), Published("test set of the weakly supervised split", 199)),
    # Lu et al., ICCV 2013.
    "avenue": (Published("test set", 21, frames=15_324),),
    # Mahadevan et al., CVPR 2010.
    "ped2": (Published("test set", 12, 12, frames=2_010),),
}
"""By adapter, the usual part first."""
