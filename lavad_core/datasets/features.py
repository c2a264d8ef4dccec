"""Names of files of features: which video they are of. Lists of weakly supervised methods name those instead of videos."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from pathlib import PurePosixPath

from lavad_core.datasets.lines import FEATURE_SUFFIXES
from lavad_core.datasets.names import match_key, without_ending

_PARTS = (
    "i3d c3d r3d x3d p3d s3d s3dg tsn tsm swin videoswin vst clip blip blip2 siglip vit vitb vitl resnet resnext rgb flow "
    "rgbflow feat feats feature features emb embs embedding embeddings audio vggish mae videomae timesformer slowfast "
    "imagebind dino dinov2 internvideo internvideo2 umt 5crop 10crop tencrop crop center"
)
_BACKBONES = frozenset(_PARTS.split())
"""Last parts of such names: the network that made the features. XD-Violence and MSAD publish ``…__0.npy`` to ``…__4.npy``
for the five crops of a video, ``…_i3d.npy`` and ``…_swin.npy``; others write what they like, and the labels then tell."""

_CROP = re.compile(r"(?P<rest>.+)__(?P<crop>[0-9]{1,2})", re.ASCII)
_SHORT_CROP = re.compile(r"(?P<rest>.+)_(?P<crop>[0-9]{1,2})", re.ASCII)
_SEPARATOR = re.compile(r"[_.-]")
_LAST_PART = re.compile(r"(?P<rest>.+?)_+(?P<part>[^_]+)")


def is_feature(written: str) -> bool:
    """Whether a name is of a file of features."""
    return PurePosixPath(written.replace("\\", "/")).suffix.lower() in FEATURE_SUFFIXES


class Features:
    """From names of files of features to names of videos.

    Args:
        written: all names of files of features of a list, without folders.
        known: keys (``names.match_key``) of the videos that have labels; a name is cut no shorter than one of them.
    """

    def __init__(self, written: Sequence[str], known: Collection[str]) -> None:
        self._known = frozenset(known)
        stems = [_stem(name) for name in written]
        firsts = (_SHORT_CROP.fullmatch(stem) for stem in stems)
        self._cropped = {
            match_key(found["rest"]) for found in firsts if found and int(found["crop"]) == 0
        } & self._known
        self._parts = self._common(stems)
        self._end = self._common_end(stems)

    def video_of(self, written: str) -> tuple[str, str | None]:
        """The name of the video, and which crop of it; what is not a file of features is its own name."""
        if not is_feature(written):
            return written, None
        stem = _stem(written)
        return self._cut(stem.removesuffix(self._end), self._parts | _BACKBONES)

    def _cut(self, stem: str, parts: Collection[str]) -> tuple[str, str | None]:
        crop = None
        while match_key(stem) not in self._known:
            if (found := _CROP.fullmatch(stem)) is not None and crop is None:
                stem, crop = found["rest"], str(int(found["crop"]))
                continue
            short = _SHORT_CROP.fullmatch(stem)
            if short is not None and crop is None and match_key(short["rest"]) in self._cropped:
                return short["rest"], str(int(short["crop"]))
            last = _LAST_PART.fullmatch(stem)
            if last is None or last["part"].lower() not in parts:
                break
            stem = last["rest"]
        return without_ending(stem), crop

    def _common(self, stems: Sequence[str]) -> frozenset[str]:
        """The last part that all have in common, where it is not part of the name: without it labels are found."""
        cut = [self._cut(stem, _BACKBONES)[0] for stem in stems]
        last = [_LAST_PART.fullmatch(stem) for stem in cut if match_key(stem) not in self._known]
        parts = {found["part"].lower() if found else "" for found in last}
        if len(parts) == 1 and any(found and match_key(found["rest"]) in self._known for found in last):
            return frozenset(parts - {""})
        return frozenset()

    def _common_end(self, stems: Sequence[str]) -> str:
        """What follows the names of labelled videos in all of the stems, the same in each (``_swin_tiny``); otherwise empty."""
        ends = set()
        for stem in stems:
            if match_key(self._cut(stem, self._parts | _BACKBONES)[0]) in self._known:
                return ""
            starts = [
                at for at in map(re.Match.start, _SEPARATOR.finditer(stem)) if match_key(stem[:at]) in self._known
            ]
            if starts:
                ends.add(stem[max(starts) :])
        end = ends.pop() if len(ends) == 1 else ""
        says_a_word = any(character.isalpha() for character in end)
        return end if says_a_word and all(len(stem) > len(end) and stem.endswith(end) for stem in stems) else ""


def _stem(written: str) -> str:
    return without_ending(PurePosixPath(written).stem)
