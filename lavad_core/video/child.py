"""The decoding process: ``python -m lavad_core.video.child FD``.

Decoders crash, hang and exhaust memory on damaged input, and no ``except`` catches that; in this process they may. One request
comes on standard input, answers go to the pipe ``FD`` (:mod:`lavad_core.video.wire`). Standard input stays open for as long as
the parent lives: when it ends, so does this process, even in the middle of a codec call.

Every error becomes a verdict, and the process leaves by ``os._exit``, so that no library's clean-up can spoil a finished
answer. It imports only the standard library, numpy, Pillow and (for media files) PyAV, and so starts in a fraction of a
second.
"""

from __future__ import annotations

import contextlib
import errno
import mmap
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import Any, BinaryIO

import numpy as np

from lavad_core.attached import when_parent_ends
from lavad_core.errors import VideoRejected
from lavad_core.video import wire
from lavad_core.video.answer import PROGRESS, Answer, Send
from lavad_core.video.ticker import ticker
from lavad_core.video.types import FrameRequest, Geometry

MAX_REQUEST_BYTES = 1 << 34
"""A request carries at most a few int64 for each frame."""


def main() -> None:
    """Serve one request and leave."""
    out = os.fdopen(int(sys.argv[1]), "wb", buffering=0)
    request, raw = wire.receive(_exactly(sys.stdin.buffer), MAX_REQUEST_BYTES)
    when_parent_ends(lambda: os._exit(1))

    def send(header: dict[str, Any], parts: Sequence[Any] = ()) -> None:
        views = [memoryview(part).cast("B") for part in parts]
        _write(out, wire.pack(header, sum(view.nbytes for view in views)))
        for view in views:
            _write(out, view)

    with contextlib.suppress(BrokenPipeError):  # the parent has what it wanted, or is gone
        send(*_verdict(request, raw, send))
    # No clean-up: a library's exit code must not be able to hang or crash what is already done.
    os._exit(0)


def _verdict(request: dict[str, Any], raw: bytearray, send: Send) -> tuple[dict[str, Any], Sequence[Any]]:
    """The last message."""
    try:
        return _serve(request, raw, send)
    except VideoRejected as error:
        return _rejected(error.reason, str(error))
    except BrokenPipeError:
        raise
    except MemoryError:
        return _out_of_memory(request)
    except Exception as error:  # the edge of the process
        if isinstance(error, OSError) and error.errno == errno.ENOMEM:
            return _out_of_memory(request)
        traceback.print_exc()
        place = traceback.extract_tb(error.__traceback__)[-1]
        words = f"{error!a:.300} in {os.path.basename(place.filename)}:{place.lineno}"
        return _rejected("decoder-failed", f"the decoding process met an error of its own: {words}")


def _rejected(reason: str, message: str) -> tuple[dict[str, Any], Sequence[Any]]:
    return {"t": "rejected", "reason": reason, "message": message}, ()


def _out_of_memory(request: dict[str, Any]) -> tuple[dict[str, Any], Sequence[Any]]:
    limit = request["max_memory_bytes"]
    return _rejected("decoder-memory", f"the decoder ran out of memory within video.max_memory_bytes = {limit}")


def _serve(request: dict[str, Any], raw: bytearray, send: Send) -> tuple[dict[str, Any], Sequence[Any]]:
    folder = request["kind"] == "frames"
    # Before the memory limit: libraries are not the video's.
    if folder:
        from lavad_core.video import from_folder as source
    else:
        from lavad_core.video import from_file as source  # type: ignore[no-redef]
    answer = Answer(request, send, _ticker(request, send))
    limit_resources(request["max_memory_bytes"])
    send({"t": "hello"}, ())
    path = os.fsdecode(bytes.fromhex(request["path"]))
    if request["do"] == "probe":
        return source.probe(path, answer)
    if request["do"] == "header":
        return source.header(path, answer), ()
    from lavad_core.video.deliver import deliver, sender
    from lavad_core.video.wanted import needed

    packets, gaps, *lists = np.split(np.frombuffer(raw, dtype="<i8"), np.cumsum(request["arrays"])[:-1])
    requests = [
        FrameRequest(Geometry(r["resize"], r["side"]), None if r["every"] else wanted, r["every"])
        for r, wanted in zip(request["requests"], lists, strict=True)
    ]
    wanted = needed(requests, request["frames"])
    strict = gaps if request["strict"] else None
    give = sender(requests, send, request["delivered"])
    deliver(source.frames(path, answer, packets, gaps), wanted, strict, give)
    return {"t": "end"}, ()


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


def _ticker(request: dict[str, Any], send: Send) -> Callable[[], Callable[[], None]]:
    """What shows the parent, packet by packet, that this process lives, and how far it came should it die."""
    place: Any = bytearray(PROGRESS.size)
    if request.get("progress_fd") is not None:
        place = mmap.mmap(request["progress_fd"], PROGRESS.size)

    def begin() -> Callable[[], None]:
        sign, count = ticker(lambda: send({"t": "tick"}, ()), request["tick_s"]), 0

        def tick() -> None:
            nonlocal count
            count += 1
            PROGRESS.pack_into(place, 0, count)
            sign()

        return tick

    return begin


if __name__ == "__main__":
    main()
