"""Videos in progress share a model's batches, and nothing in the store shows it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from support.fake_models import FakeCaptioner, FakeEncoder, FakePool
from support.small_blip2 import load, pictures
from support.video_factory import make_video
from support.whole_runs import tree

from lavad_core.errors import ModelError, StoreUnavailable
from lavad_core.models.encoders.visual_batches import visual_batches
from lavad_core.models.protocols import Image
from lavad_core.models.random_models import random_folder
from lavad_core.models.shared_batches import SharedBatches
from lavad_core.stages import caption, context, encode_video
from lavad_core.video.types import VideoSource

FRAMES = (40, 30, 7, 21)
"""Lengths of the videos; their grids of every fourth frame have 10, 8, 2 and 6 frames."""

BRIGHT = 3
"""The video whose pictures a captioner may refuse."""


class Sharing(FakeCaptioner):
    """Fills its batches from all videos. It refuses bright pictures, with all that is in their batch, if it is told to."""

    refuses = False

    def __init__(self, name: str, size: int) -> None:
        super().__init__(name)
        self.shared_batches = SharedBatches(self.caption, lambda: size)

    def caption(self, images: Sequence[Image]) -> list[str]:
        if self.refuses and (bad := sum(image.mean() > 200 for image in images)):
            raise ModelError(f"{bad} of {len(images)} pictures are bright")
        return super().caption(images)


class SharingEncoder(FakeEncoder):
    """As on a GPU."""

    def __init__(self) -> None:
        super().__init__()
        self.shared_batches = visual_batches(self, lambda: 7)


class Pool(FakePool):
    def __init__(self, size: int | None) -> None:
        super().__init__()
        self._size = size
        if size is not None:
            self.encoder_model = SharingEncoder()

    def captioner(self, name: str) -> tuple[FakeCaptioner, Any]:
        if self._size is not None:
            self.captioners.setdefault(name, Sharing(name, self._size))
        return super().captioner(name)


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> list[VideoSource]:
    folder = tmp_path_factory.mktemp("videos")

    def draw(number: int) -> Callable[[int, tuple[int, int]], NDArray[np.uint8]]:
        return lambda index, size: np.full(
            (size[1], size[0], 3), 220 if number == BRIGHT else 20 * number + index, np.uint8
        )

    return [
        VideoSource(str(number), make_video(folder / f"{number}.mp4", frames=frames, fps=10, draw=draw(number)))
        for number, frames in enumerate(FRAMES)
    ]


def bench(make_bench: Callable[..., Any], folder: Path, size: int | None, workers: int, *targets: str) -> Any:
    return make_bench(
        Pool(size),
        store=folder,
        captioners={"first": {"kind": "blip2", "model": "random:first"}},
        video={"frame_interval": 4},
        run={"workers": workers, "targets": targets or ["caption"]},
    )


def together(monkeypatch: pytest.MonkeyPatch, stage: Any, videos: int) -> None:
    """No frame comes before all videos of the stage are in progress."""
    barrier, decode = threading.Barrier(videos), stage.decode_frames

    @contextmanager
    def when_all_are_there(*arguments: Any) -> Iterator[Any]:
        barrier.wait(30)
        with decode(*arguments) as frames:
            yield frames

    monkeypatch.setattr(stage, "decode_frames", when_all_are_there)


def test_short_videos_fill_batches(
    make_bench: Callable[..., Any], sources: list[VideoSource], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    each = bench(make_bench, tmp_path / "each", None, 1)
    assert each.run(*map(each.prepare, sources)) == {}
    assert each.pool.captioners["first"].calls == [10, 8, 2, 6]
    together(monkeypatch, caption, len(FRAMES))
    all_ = bench(make_bench, tmp_path / "all", 13, len(FRAMES))
    assert all_.run(*map(all_.prepare, sources)) == {}
    assert all_.pool.captioners["first"].calls == [13, 13]
    assert tree(tmp_path / "all") == tree(tmp_path / "each")


@pytest.mark.parametrize(("size", "workers"), [(4, 1), (100, 4)])
def test_the_store_does_not_show_which_pictures_met(
    make_bench: Callable[..., Any], sources: list[VideoSource], tmp_path: Path, size: int, workers: int
) -> None:
    trees = []
    for name, shared, threads in (("alone", None, 1), ("shared", size, workers)):
        resources = bench(make_bench, tmp_path / name, shared, threads, "caption", "embed_frames", "embed_windows")
        assert resources.run(*map(resources.prepare, sources)) == {}
        trees.append(tree(tmp_path / name))
    assert trees[0] == trees[1]
    assert len(trees[0]) > 4 * len(FRAMES)


@pytest.mark.parametrize("size", [3, None], ids=["shared", "of this video"])
def test_the_device_is_held_for_a_batch_and_not_for_a_video(
    make_bench: Callable[..., Any],
    sources: list[VideoSource],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    size: int | None,
) -> None:
    """The record has the seconds of both."""
    resources = bench(make_bench, tmp_path, size, 1)
    held: dict[str, set[bool]] = {"batch": set(), "frame": set()}
    say, seen = FakeCaptioner.caption, caption._Pictures.seen

    def watched_say(self: FakeCaptioner, images: Sequence[Image]) -> list[str]:
        held["batch"].add(resources.pool.lock.locked())
        return say(self, images)

    def watched_seen(self: Any, frame: Any) -> Any:
        held["frame"].add(resources.pool.lock.locked())
        return seen(self, frame)

    monkeypatch.setattr(FakeCaptioner, "caption", watched_say)
    monkeypatch.setattr(caption._Pictures, "seen", watched_seen)
    assert resources.run(resources.prepare(sources[0])) == {}
    assert held == {"batch": {True}, "frame": {False}}
    totals = resources.recorder.finish("completed").stages["caption:first"]
    assert totals.device_seconds > 0
    assert totals.waited_seconds > 0


def test_images_and_clips_of_several_videos(
    make_bench: Callable[..., Any], sources: list[VideoSource], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thread waits for the one while others wait for the other: nobody waits for ever, and most batches are full."""
    together(monkeypatch, encode_video, len(FRAMES))
    resources = bench(make_bench, tmp_path, 7, len(FRAMES), "embed_frames", "embed_windows")
    sizes: list[tuple[type, int]] = []
    batches: Any = resources.pool.encoder_model.shared_batches
    compute = batches._compute_items

    def spy(items: Sequence[Any]) -> Any:
        sizes.append((type(items[0]), len(items)))
        assert {type(item) for item in items} == {sizes[-1][0]}
        return compute(items)

    batches._compute_items = spy
    assert resources.run(*map(resources.prepare, sources)) == {}
    assert {kind for kind, _ in sizes} == {tuple, np.ndarray}
    assert sum(size for kind, size in sizes if kind is np.ndarray) == sum(-(-frames // 4) for frames in FRAMES)


def test_a_picture_that_is_refused_ends_its_own_video(
    make_bench: Callable[..., Any], sources: list[VideoSource], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Sharing, "refuses", True)
    together(monkeypatch, caption, len(FRAMES))
    resources = bench(make_bench, tmp_path, 100, len(FRAMES))
    # The fake pool does not load, and so cannot say that a model did not.
    resources.pool.failed_to_load = lambda role: False
    videos = [resources.prepare(source) for source in sources]
    failed = resources.run(*videos)
    assert {name: str(error) for name, error in failed.items()} == {str(BRIGHT): "6 of 6 pictures are bright"}
    good = [video for video in videos if video.name != str(BRIGHT)]
    assert [len(resources.rows(video, "caption:first")) for video in good] == [10, 8, 2]


def test_a_video_whose_captions_cannot_be_written_holds_up_nobody(
    make_bench: Callable[..., Any], sources: list[VideoSource], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its session ends with its pass, even while its error, and with it the frames of the stage, is kept."""

    write = context._Noting.write

    def full(self: context._Noting, batch: Any) -> None:
        if "caption" in batch.schema.names:
            raise StoreUnavailable("made by the test")
        write(self, batch)

    resources = bench(make_bench, tmp_path, 4, 1)
    monkeypatch.setattr(context._Noting, "write", full)
    with pytest.raises(StoreUnavailable) as kept:
        resources.run(resources.prepare(sources[0]))
    assert kept.tb is not None
    assert not resources.pool.captioners["first"].shared_batches._open


@pytest.mark.parametrize("name", ["blip2-opt", "blip2-t5"])
@pytest.mark.parametrize("fixed", [False, True], ids=["as many as there are", "one shape"])
@pytest.mark.usefixtures("one_thread")
def test_a_caption_is_the_same_whoever_shares_its_batch(name: str, fixed: bool) -> None:
    captioner = load(random_folder(name), batch_size=5)
    captioner._batcher._fixed = fixed
    shown = pictures(14, captioner.geometry.side, captioner.geometry.side)
    alone = [captioner.caption([picture])[0] for picture in shown]
    assert len(set(alone)) > 5
    barrier = threading.Barrier(3)

    def video(order: Sequence[int]) -> list[tuple[int, str]]:
        with captioner.shared_batches.session() as session:
            barrier.wait(30)
            return list(session.results((number, shown[number]) for number in order))

    with ThreadPoolExecutor(3) as threads:
        for said in threads.map(video, [range(14), range(13, 2, -1), (5, 0, 9)]):
            assert [caption for _, caption in said] == [alone[number] for number, _ in said]
