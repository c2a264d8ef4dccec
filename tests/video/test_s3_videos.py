"""Videos at ``s3://`` addresses: found by listing, copied once, and the same videos as on a disk."""

from __future__ import annotations

import os
import re
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from support.filled_store import fill
from support.s3_server import S3Server
from support.store_work import CONTEXT, start
from support.video_factory import make_video
from support.video_limits import default_limits

from lavad_core.config.load import load_config
from lavad_core.errors import InputError, ServiceUnavailable, VideoRejected
from lavad_core.location import s3_address
from lavad_core.pipeline.look import prepare_all
from lavad_core.pipeline.resources import RunResources
from lavad_core.planning.rates import packaged_rates
from lavad_core.planning.survey import cost_of_videos
from lavad_core.runs.manifest import new_run_id
from lavad_core.runs.video_list import load_sources, save_sources
from lavad_core.stages.node import PreparedVideo
from lavad_core.video import object_copy
from lavad_core.video.decoder import open_frames, probe, read_header
from lavad_core.video.discover import discover
from lavad_core.video.identity import IdentityCache, identify
from lavad_core.video.object_copy import COPIES, VideoCopies, find_object, local_video
from lavad_core.video.types import FrameRequest, Geometry, VideoSource

LIMITS = default_limits()

NAMES = ("a.mp4", "sub/b.avi", "sub/.hidden.mp4", "notes.txt", "sub/cover.jpg", "frames/0001.jpg")


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("video") / "a.mp4"
    make_video(path, frames=30, fps=10)
    return path


@pytest.fixture
def address(s3: S3Server, video: Path, request: pytest.FixtureRequest) -> str:
    for name in NAMES:
        s3.client.put_object(Bucket="bucket", Key=f"{request.node.name}/{name}", Body=video.read_bytes())
    return f"s3://bucket/{request.node.name}"


@pytest.fixture(autouse=True)
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folder = tmp_path / "scratch"
    folder.mkdir()
    copies = VideoCopies(folder)
    monkeypatch.setattr(object_copy, "COPIES", copies)
    yield folder
    copies.clear()


def copies_made(s3: S3Server, address: str) -> int:
    return len([line for line in s3.asked("GET") if f"/{address.removeprefix('s3://')}/" in line])


def found(*inputs: str | Path) -> list[tuple[str, str | None]]:
    return [(source.name, s3_address(source.path)) for source in discover(inputs)]


def test_a_prefix_is_searched_and_an_object_taken(address: str) -> None:
    both = [("a", f"{address}/a.mp4"), ("b", f"{address}/sub/b.avi")]
    assert found(f"{address}/") == found(address) == both
    assert found(f"{address}/sub/") == both[1:]
    assert found(f"{address}/sub/cover.jpg") == [("cover", f"{address}/sub/cover.jpg")]
    assert found(f"{address}/a.mp4", f"{address}/") == both


def test_a_list_may_name_them(address: str, tmp_path: Path, video: Path) -> None:
    (tmp_path / "list.txt").write_text(f"{video}\n{address}/gone.mp4\n{address}/sub/\n")
    assert found(tmp_path / "list.txt") == [("a", None), ("gone", f"{address}/gone.mp4"), ("b", f"{address}/sub/b.avi")]


def test_a_list_may_lie_there(address: str, s3: S3Server, tmp_path: Path) -> None:
    key = f"{address.removeprefix('s3://bucket/')}/sub/list.txt"
    s3.client.put_object(Bucket="bucket", Key=key, Body=f"# two\n./b.avi\n../a.mp4\n{address}/a.mp4\n".encode())
    both = [("b", f"{address}/sub/b.avi"), ("a", f"{address}/a.mp4")]
    assert found(f"{address}/sub/list.txt") == found(f"@{address}/sub/list.txt") == both
    with pytest.raises(InputError, match="is not a file"):
        discover([f"@{address}/sub/none.txt"])


def noise(index: int, size: tuple[int, int]) -> NDArray[Any]:
    """A picture that no codec makes small."""
    return np.random.default_rng(index).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)


@pytest.mark.parametrize("name", ["long.mp4", "moov-first.mp4", "long.mkv", "long.avi", "long.ts"])
def test_the_ends_tell_what_a_header_announces(
    name: str, s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    path, place = tmp_path / name, f"s3://bucket/{request.node.name}"
    flags = {"movflags": "faststart"} if "moov" in name else None
    make_video(path, frames=60, fps=10, container_options=flags, draw=noise)
    s3.client.put_object(Bucket="bucket", Key=f"{request.node.name}/{name}", Body=path.read_bytes())
    monkeypatch.setattr(object_copy, "ENDS_BYTES", 30_000)
    size = path.stat().st_size
    assert size > 100_000
    assert read_header(discover([place])[0], LIMITS, 30) == read_header(VideoSource("a", path), LIMITS, 30)
    assert s3.sent(place) == 60_000
    monkeypatch.setattr(object_copy, "ENDS_BYTES", 1000)
    assert read_header(discover([place])[0], LIMITS, 30) == read_header(VideoSource("a", path), LIMITS, 30)


def test_a_plan_copies_nothing(
    s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    place = f"s3://bucket/{request.node.name}"
    path = make_video(tmp_path / "a.mp4", frames=60, fps=10, draw=noise)
    s3.client.put_object(Bucket="bucket", Key=f"{request.node.name}/a.mp4", Body=path.read_bytes())
    monkeypatch.setattr(object_copy, "ENDS_BYTES", 30_000)
    _, config = fill(tmp_path / "store", "one")
    cost = cost_of_videos(config, discover([place]), packaged_rates())
    assert (dict(cost.lengths), s3.sent(place)) == ({"header": 1}, 60_000)
    assert any("1 video is on an object storage and not known by content yet" in note for note in cost.notes)


@pytest.mark.parametrize(
    ("ending", "says"),
    [
        pytest.param("/nothing/", "no video found for 's3://", id="nothing there"),
        pytest.param("/frames/", "folders of frames are read from this machine only", id="folder of frames"),
        pytest.param("//x", "has an empty part", id="empty part"),
    ],
)
def test_inputs_that_name_nothing(ending: str, says: str, address: str) -> None:
    with pytest.raises(InputError, match=says):
        discover([address + ending])


def test_it_is_the_video_that_it_would_be_on_a_disk(address: str, video: Path, s3: S3Server, scratch: Path) -> None:
    near, (far, _) = VideoSource("a", video), discover([address])
    assert identify(far, None) == identify(near, None)
    expected, got = probe(near, LIMITS, 30), probe(far, LIMITS, 30)
    assert repr(got) == repr(expected)
    request = FrameRequest(Geometry(), every=7)
    with open_frames(far, [request], got, LIMITS) as there, open_frames(near, [request], expected, LIMITS) as here:
        assert [(f.index, f.image.tobytes()) for f in there] == [(f.index, f.image.tobytes()) for f in here]
    assert copies_made(s3, address) == 1
    assert [path.is_symlink() for path in scratch.iterdir()] == [True]
    object_copy.COPIES.clear()
    assert list(scratch.iterdir()) == []


def test_what_is_known_is_not_copied_again(address: str, s3: S3Server, tmp_path: Path, scratch: Path) -> None:
    cache, source = IdentityCache(tmp_path / "digests.sqlite"), discover([address])[0]
    first = identify(source, cache)
    object_copy.COPIES.clear()
    assert identify(source, cache) == first
    assert copies_made(s3, address) == 1
    key = f"{address.removeprefix('s3://bucket/')}/a.mp4"
    s3.client.put_object(Bucket="bucket", Key=key, Body=b"another video")
    assert identify(source, cache) != first
    assert copies_made(s3, address) == 2


def test_a_digest_that_the_storage_has_compared_is_taken(address: str, s3: S3Server, video: Path) -> None:
    key = f"{address.removeprefix('s3://bucket/')}/a.mp4"
    s3.client.put_object(Bucket="bucket", Key=key, Body=video.read_bytes(), ChecksumAlgorithm="SHA256")
    assert identify(discover([address])[0], None) == identify(VideoSource("a", video), None)
    assert copies_made(s3, address) == 0


def test_threads_share_a_copy_and_room_is_made(
    address: str, s3: S3Server, scratch: Path, monkeypatch: pytest.MonkeyPatch, video: Path
) -> None:
    size = video.stat().st_size
    state = os.statvfs(scratch)
    written = lambda: sum(copy.size for copy in object_copy.COPIES._copies.values() if copy.is_whole)  # noqa: E731

    def small(folder: Path) -> os.statvfs_result:
        values = list(state)
        values[1], values[4] = 1, 3 * size - written()  # f_frsize, f_bavail: room for one copy, and half of another
        return os.statvfs_result(values)

    monkeypatch.setattr(object_copy.os, "statvfs", small)
    first, second = discover([address])
    gate = threading.Barrier(4)

    def use(source: VideoSource) -> None:
        gate.wait()
        with local_video(source) as near:
            assert near.path.read_bytes() == video.read_bytes()

    threads = [threading.Thread(target=use, args=(source,)) for source in (first, first, second, second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    assert len(list(scratch.iterdir())) == 1
    assert 2 <= copies_made(s3, address) <= 4
    monkeypatch.setattr(object_copy.os, "statvfs", lambda _: os.statvfs_result([1, 1, *[0] * 8]))
    object_copy.COPIES.clear()
    with pytest.raises(VideoRejected, match=r"do not fit .* run\.scratch names another folder"), local_video(first):
        pass


def test_a_folder_for_copies_that_is_not_there(address: str, scratch: Path) -> None:
    scratch.rmdir()
    says = rf"'a': a copy of it cannot be made in '{scratch}' \(No such file or directory\); run\.scratch names another folder"
    with pytest.raises(VideoRejected, match=says):
        identify(discover([address])[0], None)


def hold(environment: dict[str, str], source: VideoSource, connection: object) -> None:
    os.environ.update(environment)
    COPIES.use(Path(environment["SCRATCH"]))
    with local_video(source) as near:
        connection.send(near.path.stat().st_size)  # type: ignore[attr-defined]
        signal.pause()


def test_a_killed_process_leaves_no_bytes(
    address: str, s3: S3Server, scratch: Path, monkeypatch: pytest.MonkeyPatch, video: Path
) -> None:
    ours, theirs = CONTEXT.Pipe(duplex=False)
    process = start(hold, {**s3.environment, "SCRATCH": str(scratch)}, discover([address])[0], theirs)
    assert ours.poll(60)
    assert ours.recv() == video.stat().st_size
    process.kill()
    process.join()
    (left,) = scratch.iterdir()
    assert left.is_symlink()
    assert not left.exists()
    elsewhere = scratch / "lavad-video-0123456789abcdef-0123456789abcdef.mp4"
    elsewhere.symlink_to(os.readlink(left))
    with local_video(discover([address])[0]) as near:
        assert set(scratch.iterdir()) == {near.path, elsewhere}, "its process may be in another container"
    monkeypatch.setattr(object_copy, "LINK_AGE_S", -1.0)
    again = VideoCopies(scratch)
    monkeypatch.setattr(object_copy, "COPIES", again)
    with local_video(discover([address])[0]) as later:
        assert set(scratch.iterdir()) == {near.path, later.path}, "the first one's process lives"
    again.clear()


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        pytest.param(None, "missing", id="gone"),
        pytest.param(b"", "empty", id="empty"),
        pytest.param(b"new", "changed", id="new"),
    ],
)
def test_what_has_happened_to_it(
    body: bytes | None, reason: str, address: str, s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, key = discover([address])[0], f"{address.removeprefix('s3://bucket/')}/a.mp4"
    if reason == "changed":
        known = find_object(source)
        monkeypatch.setattr("lavad_core.video.identity.find_object", lambda _: known)
    if body is None:
        s3.client.delete_object(Bucket="bucket", Key=key)
    else:
        s3.client.put_object(Bucket="bucket", Key=key, Body=body)
    with pytest.raises(VideoRejected) as caught:
        identify(source, None)
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    "use",
    [
        pytest.param(lambda source, address: identify(source, None), id="identity"),
        pytest.param(lambda source, address: probe(source, LIMITS, 30), id="probe"),
        pytest.param(lambda source, address: discover([address]), id="search"),
    ],
)
def test_a_storage_that_is_away_is_a_service_that_is_down(
    use: Callable[[VideoSource, str], object], address: str, s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = discover([address])[0]
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    s3.outage.touch()
    try:
        with pytest.raises(ServiceUnavailable, match=rf"{re.escape(address)}.*it needs the storage to answer"):
            use(source, address)
    finally:
        s3.outage.unlink()


FAULTS = [
    pytest.param("403 InvalidObjectState", "GET", "to be restored from the archive", id="archived"),
    pytest.param(
        "403 AccessDenied", "GET HEAD", "AccessDenied: as the test wants it; it needs permission", id="denied"
    ),
    pytest.param("403", "GET HEAD", "it needs permission", id="denied without words"),
    pytest.param("400 KMS.DisabledException", "GET", "it needs the key of KMS", id="key"),
    pytest.param("400 InvalidRequest", "GET HEAD", "it needs what the answer names to be put right", id="unknown"),
    pytest.param("cut", "GET", "again and again, while the storage answers otherwise", id="cut off"),
    pytest.param("500 InternalError", "GET HEAD", "again and again, while the storage answers otherwise", id="error"),
]


@pytest.mark.parametrize(("what", "methods", "says"), FAULTS)
def test_an_object_that_the_storage_does_not_give_is_one_bad_video(
    what: str, methods: str, says: str, address: str, s3: S3Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    monkeypatch.setattr(object_copy, "ENDS_BYTES", 100)  # a look at its header is refused too
    with s3.failing(f"{address.removeprefix('s3://bucket/')}/a.mp4", what, methods):
        bad, good = discover([f"{address}/a.mp4", address])
        for use in (lambda: identify(bad, None), lambda: probe(bad, LIMITS, 30), lambda: read_header(bad, LIMITS, 30)):
            with pytest.raises(VideoRejected, match=re.escape(says)) as caught:
                use()
            assert caught.value.reason == "unreadable"
            assert f"'a': cannot read '{address}/a.mp4'" in str(caught.value)
            assert "RetriesExceeded" not in str(caught.value), "why the last try failed"
        resources = RunResources(load_config(settings={"store": str(tmp_path / "store")}, environ={}), {})
        found = prepare_all(resources, [bad, good])
        _, config = fill(tmp_path / "filled", "one")
        cost = cost_of_videos(config, [bad, good], packaged_rates())
    assert [type(one) for one in found.values()] == [VideoRejected, PreparedVideo]
    assert dict(cost.lengths) == {"header": 1}
    assert list(cost.uncounted) == ["a"]
    object_copy.COPIES.clear()
    assert identify(bad, None) == identify(good, None), "it is read again as soon as it is given"


@pytest.mark.parametrize("what", ["503 SlowDown", "429 TooManyRequests", "503 ServiceUnavailable"])
def test_a_storage_with_too_much_to_do_is_no_fault_of_the_video(
    what: str, address: str, s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with s3.failing(f"{address.removeprefix('s3://bucket/')}/a.mp4", what, "GET HEAD"):
        found = discover([address])
        with pytest.raises(ServiceUnavailable, match="it needs the storage to answer"):
            identify(found[0], None)


@pytest.mark.parametrize(
    ("what", "says"),
    [
        pytest.param("403 RequestTimeTooSkewed", "a clock of this machine that is right", id="clock"),
        pytest.param("301 PermanentRedirect", "the region or endpoint where the bucket is", id="region"),
        pytest.param("400 AuthorizationHeaderMalformed", "the region or endpoint where the bucket is", id="signature"),
        pytest.param("400 ExpiredToken", "credentials of the AWS SDK", id="token"),
    ],
)
def test_what_any_object_would_be_answered_is_no_fault_of_one(what: str, says: str, address: str, s3: S3Server) -> None:
    source = discover([address])[0]
    key = f"{address.removeprefix('s3://bucket/')}/a.mp4"
    with s3.failing(key, what), pytest.raises(ServiceUnavailable, match=re.escape(says)) as caught:
        identify(source, None)
    assert "permission" not in str(caught.value)


def test_records_hold_addresses(address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sources, run_id = discover([address]), new_run_id()
    (tmp_path / "store/runs").mkdir(parents=True)
    save_sources(tmp_path / "store", run_id, sources)
    assert f'"{address}/a.mp4"' in (tmp_path / f"store/runs/{run_id}.sources").read_text()
    assert load_sources(tmp_path / "store", run_id).own == sources
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    there = load_sources(tmp_path / "store", run_id).own
    assert [source.path.is_relative_to(tmp_path) for source in there] == [True, True]
