"""From what the user names to videos: files, folders, globs, list files, and folders of frames."""

from __future__ import annotations

import glob
import os
import posixpath
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import takewhile
from pathlib import Path, PurePosixPath

from lavad_core.errors import InputError, ServiceUnavailable
from lavad_core.location import address_scheme, local_path, refuse_address, s3_address, s3_home, shown
from lavad_core.object_storage import Bucket, S3Error
from lavad_core.remote_files import near
from lavad_core.video.numbered_frames import has_numbered_frames, is_numbered_frame
from lavad_core.video.types import SourceKind, VideoSource

_SUFFIXES = (
    ".mp4 .m4v .mov .qt .avi .mkv .webm .mpg .mpeg .m2v .ts .m2ts .mts .vob .flv .f4v .wmv .asf .3gp .3g2 "
    ".264 .h264 .avc .265 .h265 .hevc .divx .ogv"
)
VIDEO_SUFFIXES = frozenset(_SUFFIXES.split())
"""Endings, in any case, of the files that a folder is searched for. A file that is named itself may have any."""

MAX_LIST_BYTES = 64 << 20
"""Bytes of a list file: a video that was passed for one is not read to its end."""

VIDEOS = "files, folders, patterns and lists of this machine, and s3://BUCKET/… of videos and lists"
"""What can be named."""

MAX_NAMED = 5
"""How many of the offending names a message shows."""


def discover(inputs: Sequence[str | Path]) -> list[VideoSource]:
    """Find the videos that ``inputs`` name.

    * a file: itself, whatever its ending (``.txt`` apart);
    * a folder: itself if it directly holds numbered frames (``000000.jpg``); every file below it with a video's ending and
      every folder below it with numbered frames, sorted by path; links to folders are not followed, and hidden names (that
      begin with a dot, as macOS' ``._clip.mp4``) are left out;
    * a glob (``*``, ``?``, ``[]``, ``**``), where no file of that very name exists: as above for each match, files by ending;
      it matches hidden names only where it spells the dot;
    * a list, ``@list`` or ``list.txt``: one path per line, relative to the list's folder; blank lines and lines that begin with
      ``#`` are left out, unless a file of that name exists. A listed path that does not exist stays in and is rejected as
      ``missing`` when it is opened, so that one lost file does not stop the others.

    * ``s3://BUCKET/…``, also in a list: an object, or every object below it with a video's ending; a list may lie there, too.

    What is inside a file is found out when it is opened: whatever has a video's ending and is not a file (a dangling link, a
    named pipe, a link to a folder, a folder without videos) stays in too, and is rejected as ``missing``. A video that is
    named twice comes once.

    Returns:
        videos in the order of the inputs; names are unique valid UTF-8: the stem, or on a collision as many of the path's
        parts, joined by ``/``, as it takes.

    Raises:
        InputError: an input names nothing, or is an address of another kind.
        ServiceUnavailable: the object storage of an ``s3://`` address does not answer.
    """
    found: dict[str, tuple[Path, Path, SourceKind]] = {}
    for item in inputs:
        expanded = list(_expand(item))
        for path, root, kind in expanded:
            found.setdefault(os.path.abspath(path), (path, root, kind))
        if not expanded:
            raise InputError(
                f"no video found for {os.fspath(item)!r}: it is neither a file nor a folder with videos "
                f"({' '.join(sorted(VIDEO_SUFFIXES)[:MAX_NAMED])} …) or numbered frames (000000.jpg), nor a glob that matches; "
                "hidden names (.x) are not searched"
            )
    return _named(list(found.values()))


def _expand(item: str | Path) -> Iterator[tuple[Path, Path, SourceKind]]:
    """Path, the root that names are relative to, and kind."""
    text = os.fspath(s3_address(item) or item)
    if address_scheme(text) == "s3":
        yield from _expand_address(text)
        return
    refuse_address(item, "the videos", VIDEOS)
    path = Path(text)
    if text and os.path.lexists(path):
        if path.is_dir():
            yield from _expand_folder(path, path)
        elif not path.is_file():
            raise InputError(f"{text!r} is neither a regular file nor a folder")
        elif path.suffix.lower() == ".txt":
            yield from _expand_list(path)
        else:
            yield path, path.parent, "file"
    elif text.startswith("@") and isinstance(item, str):
        listed = local_path(text[1:])
        if not near(listed, "the list of videos").is_file():
            raise InputError(f"the list of videos {text[1:]!r} is not a file")
        yield from _expand_list(listed)
    elif isinstance(item, str) and glob.has_magic(text):
        fixed = Path(*takewhile(lambda part: not glob.has_magic(part), path.parts))  # the folder before any magic
        for match in map(Path, sorted(glob.iglob(text, recursive=True))):
            if match.is_dir():
                yield from _expand_folder(match, fixed)
            elif _looks_like_video(match):
                yield match, fixed, "file"


def _expand_folder(folder: Path, root: Path) -> Iterator[tuple[Path, Path, SourceKind]]:
    def refuse(error: OSError) -> None:
        raise InputError(f"the folder {error.filename!r} cannot be read: {error.strerror}") from error

    results: list[tuple[Path, Path, SourceKind]] = []
    doubtful: list[Path] = []
    for parent, folders, files in os.walk(folder, onerror=refuse):
        base = Path(parent)
        folders[:] = [name for name in folders if not name.startswith(".")]
        if has_numbered_frames(base):
            # A folder named itself is called by its own name.
            results.append((base, base.parent if base == root else root, "frames"))
        elif base != root and _looks_like_video(base):
            doubtful.append(base)
        links = [name for name in folders if (base / name).is_symlink()]
        for name in [*files, *links]:
            if not name.startswith(".") and _looks_like_video(base / name):
                results.append((base / name, root, "file"))
    # A folder that is called like a video and has none: somebody took it for one.
    within = {above for path, _, _ in results for above in (path, *path.parents)}
    results += [(path, root, "file") for path in doubtful if path not in within]
    yield from sorted(results, key=lambda result: result[0].parts)


def _expand_address(address: str, *, listed: bool = False) -> Iterator[tuple[Path, Path, SourceKind]]:
    """An object, or all below a prefix that have a video's ending; one that stands in a list is not looked for."""
    try:
        home = s3_home(address)
    except ValueError as error:
        raise InputError(f"the videos: an input {error}") from None
    key = home.parts[len(s3_home("s3://bucket").parts) :]
    if listed and not address.endswith("/"):
        yield home, home.parent, "file"
        return
    bucket = Bucket("s3://" + home.parts[-1 - len(key)])
    try:
        if key and not address.endswith("/") and _is_object(bucket, "/".join(key)):
            if home.suffix.lower() == ".txt":
                yield from _expand_list(home)
            else:
                yield home, home.parent, "file"
            return
        frames, videos = "", False
        for found in bucket.list("/".join(key)):
            below = PurePosixPath(found.name).parts[len(key) :]
            if not any(part.startswith(".") for part in below) and _looks_like_video(Path(found.name)):
                videos = True
                yield s3_home(f"{bucket.address}/{found.name}"), home, "file"
            elif is_numbered_frame(found.name.rpartition("/")[2]):
                frames = frames or bucket.shown(found.name)
        if frames and not videos:
            raise InputError(
                f"the videos: {frames!r} is a frame of a folder, and folders of frames are read from this machine only: copy "
                "it here, or make a video of it and put that there"
            )
    except S3Error as error:
        raise ServiceUnavailable(
            f"the videos: cannot read {error.filename!r}: {error.strerror}; it needs {error.needs}"
        ) from None
    except ValueError as error:
        raise InputError(f"the videos: an object below {address!r} {error}") from None


def _is_object(bucket: Bucket, key: str) -> bool:
    """Whether there is an object of this name. One that is refused and looks like a video is told when it is read."""
    try:
        return bucket.stat(key) is not None
    except S3Error as error:
        if _looks_like_video(Path(key)) and bucket.is_about_one(error):
            return True
        raise


def _expand_list(path: Path) -> Iterator[tuple[Path, Path, SourceKind]]:
    folder, what = s3_address(path.parent), f"the list of videos {shown(path)!r}"
    here = near(path, "the list of videos")
    try:
        if here.stat().st_size > MAX_LIST_BYTES:
            raise InputError(f"{what} is longer than {MAX_LIST_BYTES} bytes")
        raw = here.read_bytes()
    except OSError as error:
        raise InputError(f"{what} cannot be read: {error.strerror}") from error
    for raw_line in raw.removeprefix(b"\xef\xbb\xbf").split(b"\n"):
        line = os.fsdecode(raw_line.removesuffix(b"\r"))
        if "\0" in line:
            raise InputError(f"{what} has a line with a NUL byte; is it a text file?")
        if not line.strip():
            continue
        exact = path.parent / line
        if line.startswith("#") and not os.path.lexists(exact):
            continue
        if address_scheme(line.strip()) == "s3":
            yield from _expand_address(line.strip(), listed=True)
            continue
        refuse_address(line.strip(), what, VIDEOS)
        if folder is not None and not line.strip().startswith("/"):
            end = "/" if line.rstrip().endswith("/") else ""
            bucket, _, key = folder.removeprefix("s3://").partition("/")
            key = posixpath.normpath(f"/{key}/{line.strip()}")
            yield from _expand_address(f"s3://{bucket}{key}{end}", listed=True)
            continue
        listed = exact if os.path.lexists(exact) else path.parent / line.strip()
        if listed.is_dir():
            yield from _expand_folder(listed, listed)
        else:
            yield listed, path.parent, "file"


def _looks_like_video(path: Path) -> bool:
    """By its ending alone: what it is, and whether it is there, is found out when it is opened."""
    return path.suffix.lower() in VIDEO_SUFFIXES


def _named(found: list[tuple[Path, Path, SourceKind]]) -> list[VideoSource]:
    """Give each video the shortest of its candidate names that no other has."""
    candidates = [_candidates(path, root, kind) for path, root, kind in found]
    level = [0] * len(found)
    while True:
        names = [options[min(at, len(options) - 1)] for options, at in zip(candidates, level, strict=True)]
        count = Counter(names)
        clashing = [i for i, name in enumerate(names) if count[name] > 1]
        movable = [i for i in clashing if level[i] < len(candidates[i]) - 1]
        if not movable:
            break
        for i in movable:
            level[i] += 1
    # Escaping can make two names equal; what is left gets a number.
    taken = {name for name, times in count.items() if times == 1}
    for i in clashing:
        number, name = 2, names[i]
        while names[i] in taken:
            names[i] = f"{name}~{number}"
            number += 1
        taken.add(names[i])
    return [VideoSource(name, path, kind) for name, (path, _, kind) in zip(names, found, strict=True)]


def _candidates(path: Path, root: Path, kind: SourceKind) -> list[str]:
    absolute = Path(os.path.abspath(path))
    last = absolute.name if kind == "frames" else absolute.stem
    try:
        below = absolute.relative_to(os.path.abspath(root)).parts[:-1]
    except ValueError:
        below = ()
    above = absolute.parts[1:-1]
    options = [last, "/".join((*below, last)), "/".join((*below, absolute.name))]
    options += ["/".join((*above[-n:], absolute.name)) for n in range(len(below) + 1, len(above) + 1)]
    return [_valid_text(option) for option in options]


def _valid_text(name: str) -> str:
    """Bytes of a file name that are not UTF-8 become backslash escapes; other characters stay as they are."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
