"""The decoding process: ``python -m lavad_core.video.child FD``.

Decoders crash, hang and blow up on damaged input, and no ``except`` catches that; here they may. One request comes on standard
input, answers go to the pipe ``FD`` (:mod:`lavad_core.video.wire`). Standard input stays open for as long as the parent
lives: when it ends, so does this process, even in the middle of a codec call.

Imports the standard library, numpy, Pillow and (for media files) PyAV only, so that it starts in a fraction of a second.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sys
import threading
from array import array
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from lavad_core.errors import VideoRejected
from lavad_core.video import geometry, timeline, wire
from lavad_core.video.folder import list_frames, number_frames
from lavad_core.video.plan import needed
from lavad_core.video.ticker import ticker
from lavad_core.video.types import FrameRequest, Geometry

MAX_REQUEST_BYTES = 1 << 34
"""A request carries at most a few int64 for each frame."""

Send = Callable[[dict[str, Any], Sequence[Any]], None]


def main() -> None:
    """Serve one request and leave."""
    out = os.fdopen(int(sys.argv[1]), "wb", buffering=0)
    request, raw = wire.receive(_exactly(sys.stdin.buffer), MAX_REQUEST_BYTES)
    threading.Thread(target=_leave_with_parent, daemon=True).start()

    def send(header: dict[str, Any], parts: Sequence[Any] = ()) -> None:
        views = [memoryview(part).cast("B") for part in parts]
        _write(out, wire.pack(header, sum(view.nbytes for view in views)))
        for view in views:
            _write(out, view)

    try:
        _serve(request, raw, send)
    except VideoRejected as error:
        send({"t": "rejected", "reason": error.reason, "message": str(error)}, ())
    except BrokenPipeError:
        pass
    except (MemoryError, OSError) as error:
        if isinstance(error, OSError) and error.errno != errno.ENOMEM:
            raise
        limit = request["max_memory_bytes"]
        message = f"the decoder ran out of memory within video.max_memory_bytes = {limit}"
        send({"t": "rejected", "reason": "decoder-memory", "message": message}, ())
    # No clean-up: a library's exit code must not be able to hang or crash what is already done.
    out.close()
    os._exit(0)


def _serve(request: dict[str, Any], raw: bytearray, send: Send) -> None:
    folder = request["kind"] == "frames"
    if not folder:
        from lavad_core.video import container  # noqa: F401  before the memory limit: libraries are not the video's
    else:
        from lavad_core.video import images  # noqa: F401
    limit_resources(request["max_memory_bytes"])
    send({"t": "hello"}, ())
    path = os.fsdecode(bytes.fromhex(request["path"]))
    if request["do"] == "probe":
        (_probe_folder if folder else _probe_file)(path, request, send)
        return
    if request["do"] == "header":
        send(_folder_header(path) if folder else _file_header(path, request), ())
        return
    stamps, gaps, *lists = _arrays(raw, request["arrays"])
    requests = [
        FrameRequest(Geometry(r["resize"], r["side"]), None if r["every"] else wanted, r["every"])
        for r, wanted in zip(request["requests"], lists, strict=True)
    ]
    wanted = needed(requests, request["frames"])
    source = (_folder_frames if folder else _file_frames)(path, request, stamps, gaps, send)
    _deliver(source, wanted, requests, gaps if request["strict"] else None, send)


def limit_resources(max_memory_bytes: int) -> None:
    """Bound the address space that decoding may add to this process's, and forbid core files and writes to files."""
    try:
        import resource
    except ImportError:  # not a POSIX system: the parent's time limits remain
        return
    for what, value in (
        (resource.RLIMIT_AS, _address_space() + max_memory_bytes),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
    ):
        _, hard = resource.getrlimit(what)
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        with contextlib.suppress(OSError, ValueError):  # macOS refuses some limits
            resource.setrlimit(what, (value, hard))


def _address_space() -> int:
    """Bytes of address space in use: some 200 MB of libraries, of which little is resident."""
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return 0


def _exactly(stream: BinaryIO) -> Callable[[int], bytes]:
    def read(count: int) -> bytes:
        data = stream.read(count)
        if len(data) != count:
            raise EOFError
        return data

    return read


def _write(out: Any, data: Any) -> None:
    view = memoryview(data)
    while view.nbytes:
        view = view[out.write(view) :]


def _leave_with_parent() -> None:
    # Blocks until the parent closes the pipe or dies.
    while os.read(0, 4096):
        pass
    os._exit(1)


def _arrays(raw: bytearray, lengths: list[int]) -> list[NDArray[np.int64]]:
    return np.split(np.frombuffer(raw, dtype="<i8"), np.cumsum(lengths)[:-1])


def _ticker(request: dict[str, Any], send: Send) -> Callable[[], None]:
    return ticker(lambda: send({"t": "tick"}, ()), request["tick_s"])


# Probing -------------------------------------------------------------------------------------------------------------


def _probe_file(path: str, request: dict[str, Any], send: Send) -> None:
    tick = _ticker(request, send)
    alone = request["threads"] == 1
    try:
        header, parts, damaged = _count(path, request, tick, request["threads"])
    except VideoRejected as rejection:
        if alone or rejection.reason != "no-frames":
            raise
        damaged = True  # or there is no room for so many threads: that would be no verdict on the video
    if damaged and not alone:
        # Concealment in several threads is not the same from run to run; results must be.
        header, parts, _ = _count(path, request, tick, 1)
    send(header, parts)


def _count(
    path: str, request: dict[str, Any], tick: Callable[[], None], threads: int
) -> tuple[dict[str, Any], Any, bool]:
    from lavad_core.video import container

    frame_packet, flags = array("q"), bytearray()
    first: tuple[int, int, int] | None = None
    with container.open_video(
        path,
        formats=tuple(request["formats"]),
        max_pixels=request["max_pixels"],
        threads=threads,
        count_only=True,
    ) as reader:
        for decoded in reader.decode(tick):
            if first is None:
                first = (decoded.frame.width, decoded.frame.height, container.rotation(decoded.frame))
            frame_packet.append(decoded.packet)
            flags.append(container.frame_flags(decoded.frame))
            if len(frame_packet) > request["max_frames"]:
                raise VideoRejected("too-large", f"more frames than video.max_frames = {request['max_frames']}")
        if first is None:
            raise VideoRejected(
                "no-frames", f"none of {reader.packets} packets of codec {reader.codec} could be decoded"
            )
        found = timeline.build(reader.seen(frame_packet, flags), request["max_frames"])
        tail = reader.missing_tail()
        counts = {
            "frames_decoded": len(frame_packet),
            "frames_missing": len(found.gaps) + found.missing_outside + tail,
            "missing_tail": tail,
            "decode_errors": reader.decode_errors,
            "demux_errors": reader.demux_errors,
            "corrupt_frames": sum(1 for value in flags if value & timeline.CORRUPT),
            "corrupt_packets": reader.corrupt_packets,
            "cut_bytes": reader.cut_bytes,
            "timestamps_repaired": found.repaired,
        }
        width, height, turned = first
        header = {
            "t": "probe",
            "frames": len(found.pts),
            "time_base": [reader.time_base.numerator, reader.time_base.denominator],
            "width": height if turned in (90, 270) else width,
            "height": width if turned in (90, 270) else height,
            "rotation": turned,
            "codec": reader.codec,
            "container": reader.container,
            "frames_from_header": reader.frames_from_header,
            "counts": counts,
        }
    damaged = any(counts[key] for key in ("frames_missing", "decode_errors", "demux_errors", "corrupt_frames"))
    return header, [_int64(found.pts), _int64(found.gaps)], damaged


def _probe_folder(path: str, request: dict[str, Any], send: Send) -> None:
    from lavad_core.video import images

    names, first = _frame_files(path)
    total = max(names) + 1
    if total > request["max_frames"]:
        raise VideoRejected(
            "too-large",
            f"file names count up to frame {total - 1}, more than video.max_frames = {request['max_frames']}",
        )
    tick = _ticker(request, send)
    size: tuple[int, int] | None = None
    suffixes: set[str] = set()
    good = np.zeros(total, dtype=bool)
    for index, name in names.items():
        tick()
        try:
            found = images.check(os.path.join(path, name), request["max_pixels"])
        except images.DAMAGE:
            continue
        size = size or found
        suffixes.add(os.path.splitext(name)[1].lower().lstrip("."))
        good[index] = True
    if size is None:
        raise VideoRejected("no-frames", f"none of {len(names)} images could be read")
    gaps = np.flatnonzero(~good)
    counts = {
        "frames_decoded": int(good.sum()),
        "frames_missing": len(gaps),
        "decode_errors": len(names) - int(good.sum()),
        "first_number": first,
    }
    header = {
        "t": "probe",
        "frames": total,
        "time_base": None,
        "width": size[0],
        "height": size[1],
        "rotation": 0,
        "codec": "+".join(sorted(suffixes)),
        "container": "frames",
        "frames_from_header": None,
        "counts": counts,
    }
    send(header, [_int64(np.arange(total)), _int64(gaps)])


def _frame_files(path: str) -> tuple[dict[int, str], int]:
    try:
        names, first = number_frames(list_frames(Path(path)))
    except (FileNotFoundError, NotADirectoryError):
        raise VideoRejected("missing", "the folder does not exist") from None
    except OSError as error:
        raise VideoRejected("unreadable", f"the folder cannot be read: {error.strerror}") from None
    if not names:
        raise VideoRejected("empty", "a folder without frames")
    return names, first


def _int64(values: NDArray[np.integer[Any]]) -> NDArray[np.int64]:
    return np.ascontiguousarray(values, dtype="<i8")


# Headers -------------------------------------------------------------------------------------------------------------


def _file_header(path: str, request: dict[str, Any]) -> dict[str, Any]:
    from lavad_core.video import container

    with container.open_video(
        path, formats=tuple(request["formats"]), max_pixels=request["max_pixels"], threads=1, count_only=True
    ) as reader:
        rate = reader.rate_from_header
        return {
            "t": "header",
            "frames": reader.frames_from_header,
            "rate": [rate.numerator, rate.denominator] if rate else None,
            "duration_s": reader.duration_s_from_header,
        }


def _folder_header(path: str) -> dict[str, Any]:
    names, _ = _frame_files(path)
    return {"t": "header", "frames": max(names) + 1, "rate": None, "duration_s": None}


# Delivering ----------------------------------------------------------------------------------------------------------

Picture = Callable[[], NDArray[np.uint8]]


def _file_frames(
    path: str, request: dict[str, Any], stamps: NDArray[np.int64], gaps: NDArray[np.int64], send: Send
) -> Iterator[tuple[int, Picture]]:
    """Decoded frames with their index, increasing."""
    threads = request["threads"] if request["strict"] else 1
    came = False
    for found in _file_pass(path, request, stamps, gaps, send, threads):
        came = True
        yield found
    if not came and threads != 1:  # no room for so many threads, as in the probe
        yield from _file_pass(path, request, stamps, gaps, send, 1)


def _file_pass(
    path: str,
    request: dict[str, Any],
    stamps: NDArray[np.int64],
    gaps: NDArray[np.int64],
    send: Send,
    threads: int,
) -> Iterator[tuple[int, Picture]]:
    from lavad_core.video import container

    by_order = np.setdiff1d(np.arange(request["frames"]), gaps) if request["by_order"] else None
    lost = set(gaps.tolist())
    count, last = 0, -1
    with container.open_video(
        path,
        formats=tuple(request["formats"]),
        max_pixels=request["max_pixels"],
        threads=threads,
    ) as reader:
        for decoded in reader.decode(_ticker(request, send)):
            if by_order is not None:
                index = int(by_order[count]) if count < len(by_order) else -1
            else:
                stamp = reader.stamp(decoded.packet)
                index = int(np.searchsorted(stamps, stamp))
                # A frame that came out of turn in the first pass was left out there.
                if index == len(stamps) or stamps[index] != stamp or index in lost:
                    index = -1
            count += 1
            if index > last:
                last = index
                yield index, _once(partial(container.upright_rgb, decoded.frame))
            elif request["strict"]:
                raise VideoRejected("changed", "a frame that the first pass over the video did not see")


def _folder_frames(
    path: str, request: dict[str, Any], stamps: NDArray[np.int64], gaps: NDArray[np.int64], send: Send
) -> Iterator[tuple[int, Picture]]:
    """Readable images with their index, increasing; each is read only if its picture is asked for."""
    from lavad_core.video import images

    names, _ = _frame_files(path)
    lost = set(gaps.tolist())
    tick = _ticker(request, send)

    def picture(name: str) -> NDArray[np.uint8]:
        try:
            return images.read_rgb(os.path.join(path, name), request["max_pixels"])
        except images.DAMAGE as error:
            raise VideoRejected("changed", f"{name!a} could be read before and cannot now: {error!a}") from None

    for index, name in names.items():
        tick()
        if index not in lost:
            yield index, _once(partial(picture, name))


def _once(make: Picture) -> Picture:
    made: list[NDArray[np.uint8]] = []

    def get() -> NDArray[np.uint8]:
        if not made:
            made.append(make())
        return made[0]

    return get


def _deliver(
    source: Iterator[tuple[int, Picture]],
    wanted: Iterator[tuple[int, list[int]]],
    requests: list[FrameRequest],
    gaps: NDArray[np.int64] | None,
    send: Send,
) -> None:
    """Send every wanted frame, in increasing index; for those that are missing the nearest earlier, at the start a later, one.

    Args:
        gaps: the only indices that may be missing; None if any may.
    """
    allowed = None if gaps is None else set(gaps.tolist())

    def give(index: int, to: list[int], picture: Picture, substituted: bool) -> None:
        if substituted and allowed is not None and index not in allowed:
            raise VideoRejected("changed", f"frame {index} could be decoded before and cannot now")
        for number in to:
            image = geometry.apply(requests[number].geometry, picture())
            height, width = image.shape[:2]
            send({"t": "frame", "i": index, "r": number, "h": height, "w": width, "s": substituted}, [image])

    next_wanted = next(wanted, None)
    previous: Picture | None = None
    while next_wanted is not None:
        found = next(source, None)
        if found is None:
            break
        index, picture = found
        while next_wanted is not None and next_wanted[0] < index:
            give(*next_wanted, previous or picture, True)
            next_wanted = next(wanted, None)
        if next_wanted is not None and next_wanted[0] == index:
            give(*next_wanted, picture, False)
            next_wanted = next(wanted, None)
        previous = picture
    while next_wanted is not None:
        if previous is None:
            raise VideoRejected("changed", "frames could be decoded before, and none can now")
        give(*next_wanted, previous, True)
        next_wanted = next(wanted, None)
    send({"t": "end"}, ())


if __name__ == "__main__":
    main()
