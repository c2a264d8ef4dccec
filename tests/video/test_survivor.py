"""A decoder that dies is started again; what it read before is kept, and only a death that comes again is a verdict."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from support.video_factory import make_video, read_index
from support.video_limits import default_limits

from lavad_core.errors import VideoRejected
from lavad_core.pipeline.execute import REJECTED_BY_CONTENT
from lavad_core.video import process
from lavad_core.video.decoder import open_frames, probe
from lavad_core.video.types import NATIVE, FrameRequest, Probe, VideoSource

FRAMES = 60

# The real child, whose decoder meets something at a packet; ``once`` is a file that is there from the first time on.
FAULTY = """
import os, signal, sys
from pathlib import Path
from lavad_core.video import child, container

real = container.VideoReader._note

def note(self, packet):
    ordinal = real(self, packet)
    if ordinal == {packet} and ({always} or not Path({once!r}).exists()):
        open({once!r}, "a").close()
        {fault}
    return ordinal

container.VideoReader._note = note
child.main()
"""

SEGFAULT = "os.kill(os.getpid(), signal.SIGSEGV)"


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> VideoSource:
    path = make_video(tmp_path_factory.mktemp("video") / "v.mp4", frames=FRAMES, gop=10, b_frames=0)
    return VideoSource("v", path)


@pytest.fixture
def child_meets(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., None]:
    def put(fault: str, packet: int = 40, *, always: bool = True) -> None:
        # No file may grow in the child: the mark is made before the memory limit is, by being empty.
        program = FAULTY.format(packet=packet, fault=fault, always=always, once=str(tmp_path / "once"))
        monkeypatch.setattr(process, "child_command", lambda fd: [sys.executable, "-P", "-c", program, str(fd)])

    return put


def shown(video: VideoSource, found: Probe) -> list[tuple[int, int, bool]]:
    with open_frames(video, [FrameRequest(NATIVE, every=1)], found, default_limits(threads=1)) as frames:
        return [(frame.index, read_index(frame.image), frame.substituted) for frame in frames]


def test_what_was_read_before_a_death_is_kept(video: VideoSource, child_meets: Callable[..., None]) -> None:
    child_meets(SEGFAULT)
    found = probe(video, default_limits(), 30.0)
    assert (found.status, found.frames) == ("ok_with_gaps", 40)
    assert found.counts["stopped_at_packet"] == 40
    assert "40 packets were read before the decoder died, and none of those behind" in found.reason
    assert shown(video, found) == [(i, i, False) for i in range(40)]


def test_a_death_that_does_not_come_again_costs_nothing(video: VideoSource, child_meets: Callable[..., None]) -> None:
    child_meets(SEGFAULT, always=False)
    found = probe(video, default_limits(), 30.0)
    assert (found.status, found.frames) == ("ok", FRAMES)


def test_a_death_in_a_later_pass_keeps_the_pictures_before(
    video: VideoSource, child_meets: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    found = probe(video, default_limits(), 30.0)
    child_meets(SEGFAULT)
    assert shown(video, found) == [(i, min(i, 39), i > 39) for i in range(FRAMES)]
    assert "died twice at packet 40" in caplog.text


def test_a_death_in_a_later_pass_that_does_not_come_again(video: VideoSource, child_meets: Callable[..., None]) -> None:
    found = probe(video, default_limits(), 30.0)
    child_meets(SEGFAULT, always=False)
    assert shown(video, found) == [(i, i, False) for i in range(FRAMES)]


def test_a_death_before_the_first_frame_is_the_files(video: VideoSource, child_meets: Callable[..., None]) -> None:
    child_meets(SEGFAULT, packet=0)
    with pytest.raises(VideoRejected, match="SIGSEGV") as caught:
        probe(video, default_limits(), 30.0)
    assert caught.value.reason == "decoder-crashed"
    assert caught.value.reason in REJECTED_BY_CONTENT


@pytest.mark.parametrize(
    "fault",
    [
        "raise RuntimeError('odd')",
        "raise KeyError(7)",
        "raise AssertionError",
        "raise OSError(24, 'too many open files')",
        "raise UnicodeDecodeError('utf-8', b'x', 0, 1, 'odd')",
        "raise RecursionError",
    ],
)
def test_an_error_of_our_own_is_a_verdict_at_once_and_not_kept(
    fault: str, video: VideoSource, child_meets: Callable[..., None]
) -> None:
    child_meets(fault)
    with pytest.raises(VideoRejected, match="an error of its own") as caught:
        probe(video, default_limits(), 30.0)
    assert caught.value.reason == "decoder-failed"
    assert caught.value.reason not in REJECTED_BY_CONTENT


LIBRARY = """
from lavad_core.video import child, container

class Media:
    def __init__(self, media):
        self._media, self._calls = media, 0
    def __getattr__(self, name):
        return getattr(self._media, name)
    def demux(self, stream):
        self._calls += 1
        for number, packet in enumerate(self._media.demux(stream)):
            if self._calls == 1 and packet.size and number == {at}:
                yield packet
                raise {fault}
            yield packet

real = container.VideoReader.__init__
def init(self, media, *args):
    real(self, media, *args)
    self._media = Media(media)
container.VideoReader.__init__ = init
child.main()
"""


@pytest.mark.parametrize(
    ("word", "fault", "status"),
    [
        ("a stream that was not there at the opening", "IndexError('list index out of range')", "ok"),
        ("a value that PyAV does not take", "ValueError('odd')", "ok_with_gaps"),
        ("a fault of Cython's", "SystemError('returned NULL without setting an exception')", "ok_with_gaps"),
        ("a number that is too large", "OverflowError('too large')", "ok_with_gaps"),
    ],
)
@pytest.mark.parametrize("at", [0, 30, FRAMES - 1])
def test_what_the_library_raises_costs_no_frame(
    word: str, fault: str, status: str, at: int, video: VideoSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = LIBRARY.format(fault=fault, at=at)
    monkeypatch.setattr(process, "child_command", lambda fd: [sys.executable, "-P", "-c", program, str(fd)])
    found = probe(video, default_limits(threads=1), 30.0)
    assert (found.status, found.frames) == (status, FRAMES)
    assert shown(video, found) == [(i, i, False) for i in range(FRAMES)]
