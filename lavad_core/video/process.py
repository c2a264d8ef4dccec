"""The parent's end of the decoding child: start it, read its messages under time limits, and end it."""

from __future__ import annotations

import mmap
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Self

from lavad_core.errors import InternalError, VideoRejected
from lavad_core.video import wire
from lavad_core.video.answer import PROGRESS
from lavad_core.video.types import REJECTIONS

PIPE_BYTES = 1 << 20
"""Size asked for the pipe that frames come through; fewer switches between the processes. Linux alone can set it."""

STDERR_BYTES = 1 << 16
"""Bytes that are read of a dead child's last words."""

FROM_OUTSIDE = frozenset({signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP})
"""Signals that say nothing about the video: no decoder sends them to itself."""

EXIT_S = 10.0
"""How long a child may take to be gone after its pipe closed or SIGKILL was sent."""

KEPT_ENVIRONMENT = (
    "PATH",
    "HOME",
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "TMPDIR",
    "LD_LIBRARY_PATH",
    "PYTHONHOME",
)
"""The environment variables that are passed on; a decoder has no use for tokens and settings."""


def child_command(answer_fd: int) -> list[str]:
    """The child's command line; a function so that tests can put another program in its place."""
    # -P: no current folder in sys.path. Not -I: it would also hide a --user installation.
    return [sys.executable, "-P", "-m", "lavad_core.video.child", str(answer_fd)]


def child_environment() -> dict[str, str]:
    """The child's environment."""
    kept = {name: os.environ[name] for name in KEPT_ENVIRONMENT if name in os.environ}
    # The package's own folder first: the child runs this very code, whether it was installed, linked or put on the path.
    paths = [str(Path(__file__).resolve().parents[2]), os.environ.get("PYTHONPATH", "")]
    # numpy's BLAS reserves address space for each core at start-up; the child does no linear algebra.
    return kept | {
        "PYTHONPATH": os.pathsep.join(p for p in paths if p),
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
    }


class Child:
    """One request to one process. Use as a context manager: the process is gone when the block ends.

    Args:
        request, raw: JSON, and what follows it.
        stall_timeout_s: longest wait for the next message.
        total_timeout_s: longest wait for all messages together. Time in which nobody reads does not count: it is the
            consumer's, not the decoder's.
        max_raw_bytes: longest raw part of a message.

    Raises (from :meth:`receive`):
        VideoRejected: ``decoder-crashed``, ``decoder-killed``, ``decoder-timeout``, or whatever the child found.
        InternalError: the child did not even start, or does not keep the protocol.
    """

    def __init__(
        self,
        request: Mapping[str, Any],
        raw: bytes,
        *,
        stall_timeout_s: float,
        total_timeout_s: float,
        max_raw_bytes: int,
    ) -> None:
        self._stall_timeout_s, self._total_left_s = stall_timeout_s, total_timeout_s
        self._total_timeout_s = total_timeout_s
        self._max_raw_bytes = max_raw_bytes
        self._greeted = False
        answers, answer_fd = os.pipe()
        errors, error_fd = os.pipe()
        with tempfile.TemporaryFile() as file:
            file.truncate(PROGRESS.size)
            progress_fd = os.dup(file.fileno())
        self._progress = mmap.mmap(progress_fd, PROGRESS.size)
        # A full pipe of complaints must not stop the child; what does not fit is lost.
        os.set_blocking(error_fd, False)
        with suppress(ImportError, AttributeError, OSError):
            import fcntl

            fcntl.fcntl(answer_fd, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        try:
            self._process = subprocess.Popen(
                child_command(answer_fd),
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=error_fd,
                pass_fds=(answer_fd, progress_fd),
                env=child_environment(),
                start_new_session=True,  # Ctrl-C is for the parent, which then ends the child
            )
        except OSError as error:
            os.close(answers)
            os.close(errors)
            raise InternalError(f"the decoding process cannot be started: {error}") from error
        finally:
            os.close(answer_fd)
            os.close(error_fd)
            os.close(progress_fd)
        self._answers, self._errors = answers, errors
        self._outbox = wire.pack({**request, "progress_fd": progress_fd}, len(raw)) + raw

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(EXIT_S)
        if self._process.stdin is not None:
            with suppress(OSError):
                self._process.stdin.close()
        os.close(self._answers)
        os.close(self._errors)
        self._progress.close()

    @property
    def reached(self) -> int:
        """How many packets, or images, the process had begun with in the last pass over its source."""
        (count,) = PROGRESS.unpack_from(self._progress, 0)
        return int(count)

    def kill(self) -> None:
        """End the process at once; safe from any thread and more than once."""
        self._process.kill()

    def receive(self) -> tuple[dict[str, Any], bytearray]:
        """The next message that is not a sign of life."""
        while True:
            started = time.monotonic()
            deadline = started + min(self._stall_timeout_s, self._total_left_s)
            try:
                self._send_request(deadline)
                header, raw = wire.receive(partial(self._read, deadline), self._max_raw_bytes)
            except EOFError:
                raise self._post_mortem() from None
            except wire.WireError as error:
                raise InternalError(f"the decoding process sent {error}") from None
            self._total_left_s -= time.monotonic() - started
            kind = header.get("t")
            if kind == "rejected" and header.get("reason") in REJECTIONS:
                raise VideoRejected(header["reason"], str(header.get("message")))
            if kind == "hello":
                self._greeted = True
            elif kind != "tick":
                return header, raw

    def _send_request(self, deadline: float) -> None:
        stdin = self._process.stdin
        if not self._outbox or stdin is None:
            return
        os.set_blocking(stdin.fileno(), False)
        view = memoryview(self._outbox)
        while view:
            self._wait(stdin.fileno(), select.POLLOUT, deadline)
            try:
                view = view[os.write(stdin.fileno(), view[:PIPE_BYTES]) :]
            except BlockingIOError:
                continue
            except BrokenPipeError:
                raise EOFError from None
        # The pipe stays open: its end tells the child that this process is gone.
        self._outbox = b""

    def _read(self, deadline: float, count: int) -> bytearray:
        data = bytearray(count)
        view, done = memoryview(data), 0
        while done < count:
            self._wait(self._answers, select.POLLIN, deadline)
            got = os.readv(self._answers, [view[done:]])
            if not got:
                raise EOFError
            done += got
        return data

    def _wait(self, fd: int, event: int, deadline: float) -> None:
        poll = select.poll()
        poll.register(fd, event)
        if poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
            return
        self.kill()
        if self._total_left_s < self._stall_timeout_s:
            raise VideoRejected(
                "decoder-timeout", f"decoding took longer than video.total_timeout_s = {self._total_timeout_s:g} s"
            )
        raise VideoRejected(
            "decoder-timeout",
            f"the decoder made no progress for video.stall_timeout_s = {self._stall_timeout_s:g} s",
        )

    def _post_mortem(self) -> Exception:
        try:
            code = self._process.wait(EXIT_S)
        except subprocess.TimeoutExpired:
            return VideoRejected("decoder-crashed", "the decoding process closed its pipe and stayed")
        if code < 0:
            if -code in FROM_OUTSIDE:
                name = signal.Signals(-code).name
                return VideoRejected("decoder-killed", f"the decoding process was ended from outside, by {name}")
            with suppress(ValueError):
                return VideoRejected("decoder-crashed", f"the decoding process died of {signal.Signals(-code).name}")
            return VideoRejected("decoder-crashed", f"the decoding process died of signal {-code}")
        words = self._last_words()
        if not self._greeted:
            return InternalError(f"the decoding process did not start (exit code {code}): {words}")
        return VideoRejected("decoder-crashed", f"the decoding process ended with code {code}: {words}")

    def _last_words(self) -> str:
        os.set_blocking(self._errors, False)
        with suppress(BlockingIOError):
            lines = os.read(self._errors, STDERR_BYTES).decode("utf-8", "backslashreplace").strip().splitlines()
            return ascii(lines[-1][:300]) if lines else "without a word"
        return "without a word"
