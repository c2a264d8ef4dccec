"""UCSD Ped2, the test set: Mahadevan et al., CVPR 2010."""

from __future__ import annotations

import re
from pathlib import Path

from lavad_core.datasets.build import DatasetPaths, needed_folder, select, source_file, source_folder
from lavad_core.datasets.intervals import intervals_from_labels
from lavad_core.datasets.masks import read_picture_masks
from lavad_core.datasets.names import listed
from lavad_core.datasets.types import Dataset, Interval, LabelledVideo, SourceFile
from lavad_core.errors import InputError
from lavad_core.user_files import read_text
from lavad_core.video.numbered_frames import list_frames

MAX_BYTES = 2**20
"""UCSDped2.m has less than a kilobyte."""

_CLIP = re.compile(r"Test[0-9]{3}", re.ASCII)
_GT_FRAME = re.compile(
    r"TestVideoFile\{[ \t]*(end[ \t]*\+[ \t]*1|[0-9]{1,4})[ \t]*\}\.gt_frame[ \t]*=[ \t]*"
    r"(?:\[([^\[\]]*)\]|([^\[\];]+))[ \t]*;?",
    re.ASCII,
)
_RANGE = re.compile(r"([0-9]{1,9})[ \t]*:[ \t]*([0-9]{1,9})", re.ASCII)
_EXPECTED = "lines as `TestVideoFile{end+1}.gt_frame = [61:180];`, 1-based and inclusive, one for each clip in order"


def read(paths: DatasetPaths) -> Dataset:
    """``UCSDped2.m`` (frame labels), or the folder ``Test`` with ``TestNNN_gt`` (masks) beside each ``TestNNN`` (frames).

    Raises:
        InputError: the file or folder cannot be read or is of another form.
    """
    path = paths.labels("UCSDped2.m, or the folder UCSDped2/Test with Test001, Test001_gt, …")
    if path.is_dir():
        labelled, source = _from_masks(path)
    else:
        labelled, source = _from_script(path)
    videos, lists, notes = select(labelled, paths.list_file)
    return Dataset("ped2", "UCSD Ped2", videos, (source, *lists), notes=notes)


def _from_script(path: Path) -> tuple[dict[str, LabelledVideo], SourceFile]:
    what = "frame labels"
    videos: dict[str, LabelledVideo] = {}
    for number, line in enumerate(read_text(path, what, MAX_BYTES).split("\n"), start=1):
        statement = line.partition("%")[0].strip()
        if "gt_frame" not in statement:
            continue
        # A clip that is left out would give its labels to the next one.
        found = _GT_FRAME.fullmatch(statement)
        place = f"{what}: {str(path)!r}, line {number}"
        if found is None:
            raise InputError(f"{place}: {statement[:80]!r} is not understood; expected are {_EXPECTED}")
        name = f"Test{int(found[1]) if found[1].isdecimal() else len(videos) + 1:03d}"
        if name in videos:
            raise InputError(f"{place}: clip {name} appears twice; keep one of the lines")
        ranges = (found[2] if found[3] is None else found[3]).strip()
        try:
            words = re.split(r"[,;]|(?<=[0-9])[ \t]+(?=[0-9])", ranges) if ranges else []
            intervals = tuple(sorted(map(_range, words)))
        except ValueError as problem:
            raise InputError(f"{place}, clip {name}: {problem}; expected are {_EXPECTED}") from problem
        # Frames lie beside the script where it was unpacked; without them only the videos tell how many there are.
        frames = path.parent / name
        videos[name] = LabelledVideo(name, (), intervals, len(_frames(frames)) if frames.is_dir() else None)
    if not videos:
        raise InputError(f"{what}: {str(path)!r} holds no frame label; expected are {_EXPECTED}")
    return videos, source_file("annotation", path)


def _range(word: str) -> Interval:
    found = _RANGE.fullmatch(word.strip())
    if found is None or not 1 <= int(found[1]) <= int(found[2]):
        raise ValueError(f"{word.strip()[:60]!r} is not first:last")
    return int(found[1]) - 1, int(found[2]) - 1


def _from_masks(folder: Path) -> tuple[dict[str, LabelledVideo], SourceFile]:
    needed_folder(folder, "masks")
    clips = sorted(path for path in folder.glob("Test*") if _CLIP.fullmatch(path.name) and path.is_dir())
    if not clips:
        raise InputError(f"masks: {str(folder)!r} holds no Test001, Test002, …; expected is the folder UCSDped2/Test")
    without = [clip.name for clip in clips if not (folder / f"{clip.name}_gt").is_dir()]
    if without:
        raise InputError(
            f"masks: {str(folder)!r}: {len(without)} of {len(clips)} clips have no masks (TestNNN_gt): {listed(without)}; "
            "give UCSDped2.m instead, which has the frame labels of all"
        )
    videos = {}
    read: list[Path] = []
    for clip in clips:
        masks = _frames(folder / f"{clip.name}_gt")
        frames = len(_frames(clip))
        if len(masks) != frames:
            raise InputError(f"masks: {str(folder)!r}: {clip.name} has {frames} frames, and {len(masks)} masks")
        videos[clip.name] = LabelledVideo(clip.name, (), intervals_from_labels(read_picture_masks(masks)), frames)
        read += masks
    return videos, source_folder("masks", folder, read)


def _frames(folder: Path) -> list[Path]:
    try:
        return [folder / name for name in list_frames(folder)]
    except OSError as error:
        raise InputError(f"frames: {str(folder)!r} cannot be read: {error.strerror}") from error
