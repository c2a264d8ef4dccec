"""A run decodes a video twice, the probe included, and its results are those of a run that decodes it for each model."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.command import environment
from support.fake_models import FakeCaptioner, FakePool
from support.whole_runs import tree

from lavad_core.runs import work
from lavad_core.video import frame_cache
from lavad_core.video.types import NATIVE, Geometry, VideoSource

NAMES = ("first", "second", "third")


class OfManySizes(FakePool):
    """Captioners with two sizes, a third that wants pictures as decoded, and an encoder whose clips do."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder_model.clip_geometry = NATIVE  # type: ignore[assignment]

    def captioner(self, name: str) -> tuple[FakeCaptioner, Any]:
        found, lock = super().captioner(name)
        found.geometry = {"first": Geometry("square", 16), "second": Geometry("square", 24), "third": NATIVE}[name]
        return found, lock


def settings(names: tuple[str, ...] = NAMES, **run: Any) -> dict[str, Any]:
    captioners = {name: {"kind": "blip2", "model": f"random:{name}"} for name in names}
    return {"captioners": captioners, "run": run}


@pytest.fixture
def bench_of(make_bench: Callable[..., Any], tmp_path: Path) -> Callable[..., Any]:
    """A resources with a store of that name."""
    identities = {f"captioner:{name}": name for name in NAMES} | {"encoder": "e", "chat": "c"}

    def make(store: str, *, semantics: str = "paper", names: tuple[str, ...] = NAMES, **run: Any) -> Any:
        resources = make_bench(OfManySizes(), store=tmp_path / store, semantics=semantics, **settings(names, **run))
        resources._given_identities = identities
        return resources

    return make


def passes(resources: Any) -> dict[str, int]:
    """Node to passes, of those that decoded."""
    return {
        record.node: record.work[work.VIDEOS_DECODED]
        for record in resources.recorder.records
        if record.work.get(work.VIDEOS_DECODED)
    }


@pytest.mark.parametrize("semantics", ["paper", "reference"])
def test_results_are_equal_and_a_video_is_decoded_twice(
    bench_of: Callable[..., Any], street: VideoSource, semantics: str, tmp_path: Path
) -> None:
    once, each = bench_of("once", semantics=semantics), bench_of("each", semantics=semantics, frame_cache_bytes=0)
    for resources in (once, each):
        assert resources.run(resources.prepare(street)) == {}
    assert passes(once) == {"probe": 1, "caption:first": 1}
    assert passes(each) == {"probe": 1, **{f"caption:{name}": 1 for name in NAMES}, "embed_frames": 1}
    assert tree(tmp_path / "once") == tree(tmp_path / "each")
    delivered = [resources.recorder.totals()[work.FRAMES_DELIVERED] for resources in (once, each)]
    assert delivered[0] == delivered[1]
    assert once.frames._file is None, "the disk is given back with the last stage that looks at pictures"


def damage(resources: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sixth kept frame is another one when the second captioner reads it."""
    real = resources.frames.frames

    def spoilt(video_id: str, *rest: Any) -> Any:
        monkeypatch.undo()
        resources.frames._kept[video_id]["checksum"][5] ^= 1
        return real(video_id, *rest)

    monkeypatch.setattr(resources.frames, "frames", spoilt)


def test_from_a_damaged_frame_on_frames_are_decoded(
    bench_of: Callable[..., Any],
    street: VideoSource,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    good, spoilt = bench_of("good"), bench_of("spoilt")
    assert good.run(good.prepare(street)) == {}
    with monkeypatch.context() as patch:
        damage(spoilt, patch)
        assert spoilt.run(spoilt.prepare(street)) == {}
    assert passes(spoilt) == {"probe": 1, "caption:first": 1, "caption:second": 1}, "and that pass keeps them again"
    assert tree(tmp_path / "good") == tree(tmp_path / "spoilt")
    assert [record.message for record in caplog.records if "kept frames are not used" in record.message]


def test_a_folder_that_is_not_there_costs_passes_alone(
    bench_of: Callable[..., Any], street: VideoSource, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    good, without = bench_of("good"), bench_of("without", scratch=tmp_path / "absent")
    for resources in (good, without):
        assert resources.run(resources.prepare(street)) == {}
    assert sum(passes(without).values()) == 5
    assert tree(tmp_path / "good") == tree(tmp_path / "without")
    assert len([record for record in caplog.records if "frames cannot be kept" in record.message]) == 1


@pytest.mark.parametrize(
    ("names", "targets"),
    [
        pytest.param(("first",), ["caption"], id="one captioner"),
        pytest.param((), ["embed_frames", "embed_windows"], id="the encoder"),
    ],
)
def test_where_one_pass_is_all_no_file_is_made(
    bench_of: Callable[..., Any],
    street: VideoSource,
    names: tuple[str, ...],
    targets: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(folder: Path) -> None:
        raise AssertionError("a file for frames that nobody wants")

    monkeypatch.setattr(frame_cache, "_Nameless", refuse)
    resources = bench_of("store", names=names or NAMES, targets=targets)
    assert resources.run(resources.prepare(street)) == {}
    assert sum(passes(resources).values()) == 2


def test_a_run_that_goes_on_decodes_once_more(
    bench_of: Callable[..., Any], street: VideoSource, caplog: pytest.LogCaptureFixture
) -> None:
    begun = bench_of("store", names=NAMES[:1], targets=["caption"])
    assert begun.run(begun.prepare(street)) == {}
    with caplog.at_level(logging.WARNING):
        going_on = bench_of("store")
        assert going_on.run(going_on.prepare(street)) == {}
    assert passes(going_on) == {"caption:second": 1}


def test_the_benchmark_counts_the_passes(repository: Path) -> None:
    command = [sys.executable, "benchmarks/decode_passes.py", "--seconds", "1", "--size", "96x64", "--models", "2"]
    done = subprocess.run(command, cwd=repository, env=environment(), check=True, capture_output=True, text=True)
    assert [line.partition(" passes")[0].split(":") for line in done.stdout.splitlines()[:2]] == [
        [" decoded for each model", " 4"],
        ["  kept for later models", " 2"],
    ]
