"""The decoding process: what its death, silence, size and lies do to the parent, and that it never outlives its use."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import av
import numpy as np
import psutil
import pytest
from support.video_factory import make_video, read_index
from support.video_limits import default_limits

from lavad_core.errors import InternalError, VideoRejected
from lavad_core.video import prefetch, process
from lavad_core.video.decoder import open_frames, probe
from lavad_core.video.limits import Limits
from lavad_core.video.types import NATIVE, Frame, FrameRequest, Probe, VideoSource

EVERY_FRAME = [FrameRequest(NATIVE, every=1)]

REAL = "import sys; from lavad_core.video import child"
HELLO = (
    "import os, sys; from lavad_core.video import wire; "
    "w = lambda h, n=0: os.write(int(sys.argv[1]), wire.pack(h, n)); w({'t': 'hello'})"
)


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> VideoSource:
    return VideoSource("v", make_video(tmp_path_factory.mktemp("video") / "v.mp4", frames=200, gop=25))


@pytest.fixture(scope="module")
def found(video: VideoSource) -> Probe:
    return probe(video, default_limits(), 30.0)


@pytest.fixture(autouse=True)
def no_process_is_left() -> Iterator[None]:
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    threads = threading.active_count()
    yield
    left = [c for c in psutil.Process().children(recursive=True) if c.pid not in before and c.status() != "zombie"]
    assert left == []
    assert threading.active_count() <= threads


@pytest.fixture
def child_runs(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Puts another program in the child's place."""

    def put(program: str) -> None:
        monkeypatch.setattr(process, "child_command", lambda fd: [sys.executable, "-P", "-c", program, str(fd)])

    return put


def read_all(video: VideoSource, found: Probe, limits: Limits) -> list[int]:
    with open_frames(video, EVERY_FRAME, found, limits) as frames:
        return [frame.index for frame in frames]


ENDS = {
    "segmentation fault": (
        f"{HELLO}; import signal; os.kill(os.getpid(), signal.SIGSEGV)",
        "decoder-crashed",
        "SIGSEGV",
    ),
    "abort": (f"{HELLO}; os.abort()", "decoder-crashed", "SIGABRT"),
    "killed for memory": (
        f"{HELLO}; import signal; os.kill(os.getpid(), signal.SIGKILL)",
        "decoder-killed",
        "from outside, by SIGKILL",
    ),
    "stopped with the run": (
        "import os, signal; os.kill(os.getpid(), signal.SIGINT); import time; time.sleep(60)",
        "decoder-killed",
        "from outside, by SIGINT",
    ),
    "exit without a word": (f"{HELLO}; os._exit(0)", "decoder-crashed", "code 0"),
    "exception": (f"{HELLO}; raise RuntimeError('\x1b[31m odd')", "decoder-crashed", r"RuntimeError: \\x1b\[31m odd"),
    "silence": (f"{HELLO}; import time; time.sleep(60)", "decoder-timeout", "no progress"),
    "endless signs of life": (
        f"{HELLO}\nimport time\nwhile True:\n    w({{'t': 'tick'}}); time.sleep(0.02)",
        "decoder-timeout",
        "longer than video.total_timeout_s = 2 s",
    ),
    "half a message": (f"{HELLO}; os.write(int(sys.argv[1]), b'abc'); os._exit(0)", "decoder-crashed", "code 0"),
    "out of memory": (
        f"{REAL}, container\ndef blow(*a, **k): raise MemoryError\ncontainer.open_video = blow\nchild.main()",
        "decoder-memory",
        "memory",
    ),
}


@pytest.mark.parametrize("case", ENDS)
@pytest.mark.parametrize("how", ["probe", "frames"])
def test_the_video_is_rejected_and_the_parent_lives(
    case: str, how: str, video: VideoSource, found: Probe, child_runs: Callable[[str], None]
) -> None:
    program, reason, words = ENDS[case]
    limits = default_limits(
        stall_timeout_s=1.0 if case == "silence" else 10.0, total_timeout_s=2.0 if "life" in case else 60.0
    )
    child_runs(program)
    with pytest.raises(VideoRejected, match=words) as caught:
        probe(video, limits, 30.0) if how == "probe" else read_all(video, found, limits)
    assert caught.value.reason == reason


LIES = {
    "not the protocol": "import os, sys; os.write(int(sys.argv[1]), b'x' * 100)",
    "a huge message": f"{HELLO}; w({{'t': 'frame'}}, 1 << 50); sys.stdin.buffer.read()",
    "another frame": f"{HELLO}; w({{'t': 'frame', 'i': 1, 'r': 0, 'h': 1, 'w': 1, 's': False}}); sys.stdin.buffer.read()",
    "a picture of another size": (
        f"{HELLO}; w({{'t': 'frame', 'i': 0, 'r': 0, 'h': 1, 'w': 1, 's': False}}, 4); os.write(int(sys.argv[1]), b'1234')"
    ),
    "an early end": f"{HELLO}; w({{'t': 'end'}}); sys.stdin.buffer.read()",
    "no such module": "import absent_module",
}


@pytest.mark.parametrize("case", LIES)
def test_a_child_that_lies_is_our_bug(
    case: str, video: VideoSource, found: Probe, child_runs: Callable[[str], None]
) -> None:
    child_runs(LIES[case])
    with pytest.raises(InternalError, match="decoding process"):
        read_all(video, found, default_limits())


PROBE_LIES = {
    "another answer": "w({'t': 'end'})",
    "an unknown reason": "w({'t': 'rejected', 'reason': 'whim', 'message': ''})",
    "nothing in it": "w({'t': 'probe'})",
    "more frames than stamps": "w({'t': 'probe', 'frames': 9, 'counts': {}, 'time_base': [1, 2]})",
    "a list for a number": "w({'t': 'probe', 'frames': []})",
}


@pytest.mark.parametrize("case", PROBE_LIES)
def test_a_probe_that_lies_is_our_bug(case: str, video: VideoSource, child_runs: Callable[[str], None]) -> None:
    child_runs(f"{HELLO}; {PROBE_LIES[case]}; sys.stdin.buffer.read()")
    with pytest.raises(InternalError, match="answered a probe"):
        probe(video, default_limits(), 30.0)


def decoding_child() -> psutil.Process:
    """The one decoding process of this one; other tests' servers are its children too."""
    alive = [child for child in psutil.Process().children() if child.status() != psutil.STATUS_ZOMBIE]
    (child,) = [child for child in alive if "lavad_core.video.child" in child.cmdline()]
    return child


def test_libraries_that_print_do_not_disturb(
    video: VideoSource, found: Probe, child_runs: Callable[[str], None]
) -> None:
    noise = "import os; os.write(1, b'noise' * 40_000)"
    complaints = "for _ in range(50):\n    try: os.write(2, b'x' * 4096)\n    except BlockingIOError: break"
    child_runs(f"{noise}\n{complaints}\n{REAL}\nchild.main()")
    assert read_all(video, found, default_limits()) == list(range(200))


def test_a_real_stop_in_mid_stream(video: VideoSource, found: Probe) -> None:
    """SIGSTOP: the process is there and says nothing."""
    limits = default_limits(stall_timeout_s=3.0)  # a start takes longer than 1 s on a busy machine
    with open_frames(video, EVERY_FRAME, found, limits, queue_frames=1) as frames:
        next(frames)
        child = decoding_child()
        child.suspend()
        with pytest.raises(VideoRejected) as caught:
            list(frames)
    assert caught.value.reason == "decoder-timeout"


def test_a_slow_consumer_is_not_a_stalled_decoder(video: VideoSource, found: Probe) -> None:
    limits = default_limits(stall_timeout_s=3.0, total_timeout_s=3.5)
    with open_frames(video, EVERY_FRAME, found, limits, queue_frames=2) as frames:
        next(frames)
        time.sleep(4.0)
        assert sum(1 for _ in frames) == 199


def test_the_memory_limit_holds(tmp_path: Path) -> None:
    """A picture that does not fit the address space rejects the video; with room it is decoded."""
    path = make_video(tmp_path / "v.mkv", frames=2, size=(3840, 2160), codec="mjpeg", pix_fmt="yuvj420p")
    video, roomy = VideoSource("v", path), default_limits()
    found = probe(video, roomy, 30.0)
    assert len(read_all(video, found, roomy)) == 2
    with pytest.raises(VideoRejected) as caught:
        read_all(video, found, default_limits(max_memory_bytes=48 << 20))
    assert caught.value.reason in ("decoder-memory", "changed"), "and never a verdict that is kept"


def test_more_threads_than_there_is_room_for_are_no_verdict_on_the_video(tmp_path: Path) -> None:
    video = VideoSource("v", make_video(tmp_path / "v.mp4", frames=24))
    limits = default_limits(max_memory_bytes=256 << 20, threads=64)
    found = probe(video, limits, 30.0)
    assert (found.status, found.frames) == ("ok", 24)
    assert read_all(video, found, limits) == list(range(24))


def test_leaving_early_ends_the_child(video: VideoSource, found: Probe) -> None:
    with open_frames(video, EVERY_FRAME, found, default_limits()) as frames:
        assert next(frames).index == 0
        child = decoding_child()
    assert not child.is_running() or child.status() == "zombie"
    with pytest.raises(InternalError, match="after their context had ended"):
        next(frames)


def test_an_error_of_the_consumer_ends_the_child(video: VideoSource, found: Probe) -> None:
    def consume() -> None:
        with open_frames(video, EVERY_FRAME, found, default_limits(), queue_frames=1) as frames:
            next(frames)
            raise KeyError("consumer")

    with pytest.raises(KeyError):
        consume()


def test_the_child_ends_when_its_parent_is_killed(video: VideoSource, tmp_path: Path) -> None:
    program = f"""
import sys, time
sys.path[:0] = {sys.path!r}
from pathlib import Path
from support.video_limits import default_limits
from lavad_core.video.decoder import *
video = VideoSource("v", Path({os.fspath(video.path)!r}))
found = probe(video, default_limits(), 30.0)
with open_frames(video, [FrameRequest(Geometry(), every=1)], found, default_limits(), queue_frames=1) as frames:
    next(frames)
    print("ready", flush=True)
    time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"ready\n"
        (child,) = psutil.Process(parent.pid).children()
        parent.send_signal(signal.SIGKILL)
        parent.wait(10)
    _, alive = psutil.wait_procs([child], timeout=10)
    assert not alive


def test_what_waits_is_bounded(video: VideoSource, found: Probe, monkeypatch: pytest.MonkeyPatch) -> None:
    frame_bytes = 96 * 64 * 3
    for queue_frames, queue_bytes, most in ((5, 1 << 30, 5), (64, 3 * frame_bytes, 3), (0, 1 << 30, 1), (9, 1, 1)):
        monkeypatch.setattr(prefetch, "MAX_QUEUE_BYTES", queue_bytes)
        waiting: list[int] = []
        with open_frames(video, EVERY_FRAME, found, default_limits(), queue_frames=queue_frames) as frames:
            (ahead,) = [p for p in gc.get_objects() if type(p) is prefetch.Prefetch and not p._stopped]
            next(frames)
            time.sleep(0.5)
            waiting.append(len(ahead._waiting))
            indices = [frame.index for frame in frames]
        assert waiting == [most]
        assert indices == list(range(1, 200))


def test_what_reads_ahead_ends_with_its_reader() -> None:
    """Whatever it holds, a decoding process of its own among it, is not left to the garbage collector."""
    ended: list[str] = []

    def frames() -> Generator[Frame, None, None]:
        try:
            while True:
                yield Frame(0, 0, np.zeros((1, 1, 3), np.uint8))
        finally:
            ended.append(threading.current_thread().name)

    ahead = prefetch.Prefetch(frames(), 1)
    next(iter(ahead))
    ahead.close()
    assert ended == ["lavad-frames"]


def test_memory_does_not_grow_with_length(tmp_path: Path) -> None:
    """A video ten times longer takes no more of this process, however slow the consumer."""
    me = psutil.Process()

    def growth(frames: int) -> int:
        video = VideoSource(
            "v", make_video(tmp_path / f"{frames}.mp4", frames=frames, size=(320, 240), options={"preset": "ultrafast"})
        )
        found = probe(video, default_limits(), 30.0)
        gc.collect()
        before, most = me.memory_info().rss, 0
        with open_frames(video, EVERY_FRAME, found, default_limits(), queue_frames=8) as got:
            for frame in got:
                if frame.index % 50 == 0:
                    most = max(most, me.memory_info().rss - before)
        return most

    growth(100)
    assert growth(1000) < 30 << 20  # 1000 frames are 230 MB


def repeat(path: Path, out: Path, times: int) -> Path:
    """A long video: the packets of a short one again and again."""
    with av.open(str(path)) as short, av.open(str(out), "w") as long:
        stream = short.streams.video[0]
        copy = long.add_stream_from_template(stream)
        packets = [(bytes(p), p.pts, p.dts, p.is_keyframe) for p in short.demux(stream) if p.size]
        span = len(packets) * round(1 / (stream.average_rate * stream.time_base))
        for round_ in range(times):
            for data, pts, dts, key in packets:
                packet = av.Packet(data)
                packet.pts, packet.dts, packet.is_keyframe = pts + round_ * span, dts + round_ * span, key
                packet.time_base, packet.stream = stream.time_base, copy
                long.mux(packet)
    return out


@pytest.mark.slow
def test_three_hours_take_the_memory_of_a_minute(tmp_path: Path) -> None:
    """Both processes, at their highest: streaming may not hold the video, and the timeline is a few bytes a frame."""
    short = make_video(tmp_path / "short.mp4", frames=300, size=(64, 48))
    me, most = psutil.Process(), {}
    for name, times in (("minute", 6), ("hours", 1080)):
        video = VideoSource(name, repeat(short, tmp_path / f"{name}.mp4", times))
        found = probe(video, default_limits(), 30.0)
        assert (found.status, found.frames) == ("ok", 300 * times)
        peak = 0
        with open_frames(video, [FrameRequest(NATIVE, every=16)], found, default_limits()) as frames:
            for number, frame in enumerate(frames):
                assert frame.index == 16 * number
                if number % 100 == 0:
                    peak = max(peak, sum(p.memory_info().rss for p in (me, *me.children())))
        assert number == (300 * times - 1) // 16
        most[name] = peak
    assert most["hours"] - most["minute"] < 100 << 20


def test_starting_is_fast(video: VideoSource) -> None:
    """CPU time of a whole probe of a small video, so that a busy machine does not matter."""
    before = os.times()
    probe(video, default_limits(), 30.0)
    after = os.times()
    used = sum(after[:4]) - sum(before[:4])
    assert used < 1.5


def test_the_child_imports_little() -> None:
    program = (
        "import lavad_core.video.child, lavad_core.video.container, sys; "
        "print(*sorted({m.split('.')[0] for m in sys.modules}))"
    )
    loaded = subprocess.run(
        [sys.executable, "-P", "-c", program],
        env=process.child_environment(),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout.split()
    assert {"av", "numpy", "lavad_core"} <= set(loaded)
    assert not {"torch", "transformers", "prefect", "pydantic", "pyarrow", "httpx"} & set(loaded)


def test_the_environment_holds_no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "secret")
    monkeypatch.setenv("LAVAD_CHAT__API_KEY", "secret")
    assert "secret" not in process.child_environment().values()


def test_frames_are_right_after_all_this(video: VideoSource, found: Probe) -> None:
    with open_frames(video, [FrameRequest(NATIVE, every=7)], found, default_limits()) as frames:
        assert all(read_index(f.image) == f.index for f in frames)
    assert np.all(np.diff(found.pts) > 0)
