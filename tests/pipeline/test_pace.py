"""What is chosen where nobody says how many: videos in progress, and frames that wait."""

from __future__ import annotations

from typing import Any

import pytest

from lavad_core.config.schema import LavadConfig
from lavad_core.pipeline import pace
from lavad_core.stages.passes import call_size, queue_size

HERE: dict[str, Any] = {"chat": {"kind": "transformers", "model": "random:llama"}}
SERVED: dict[str, Any] = {"chat": {"kind": "openai", "model": "m"}}
UNUSED = {**SERVED, "run": {"targets": ["caption"]}}


def sized(batch: int | str, device: str = "auto") -> dict[str, Any]:
    return {"a": {"kind": "blip2", "model": "random:blip2-opt", "batch_size": batch, "device": device}}


def served_at(places: int) -> dict[str, Any]:
    return {"chat": {**SERVED["chat"], "base_url": [f"http://box-{place}/v1" for place in range(places)]}}


@pytest.mark.parametrize(
    ("settings", "cores", "expected"),
    [
        pytest.param(HERE, 1, 2, id="one core"),
        pytest.param(HERE, 2, 2, id="two cores"),
        pytest.param(HERE, 8, 8, id="one a core, for batches of short videos"),
        pytest.param(HERE, 96, 13, id="a large machine: 13 videos of 20 frames fill a batch of 256"),
        pytest.param({**HERE, "captioners": sized(32)}, 8, 4, id="small batches: half of the cores"),
        pytest.param({**HERE, "captioners": sized(32)}, 96, 8, id="small batches and a large machine"),
        pytest.param({**HERE, "captioners": sized(1024)}, 96, 16, id="no more, whatever the batch"),
        pytest.param({**HERE, "captioners": sized("auto", "cpu")}, 96, 8, id="a CPU's batches are small"),
        pytest.param(SERVED, 2, 4, id="a server"),
        pytest.param({**SERVED, "captioners": sized(32)}, 96, 8, id="a server and a large machine"),
        pytest.param(served_at(2), 2, 8, id="two servers"),
        pytest.param(served_at(9), 2, 16, id="nine servers"),
        pytest.param(UNUSED, 2, 2, id="a server that is not needed"),
        pytest.param({**SERVED, "run": {"workers": 1}}, 96, 1, id="a number"),
    ],
)
def test_videos_in_progress(
    settings: dict[str, Any], cores: int, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pace, "cores", lambda: cores)
    monkeypatch.setattr(pace, "gpus", lambda: "NVIDIA H100")
    assert pace.workers_of(LavadConfig(**settings)) == expected


@pytest.mark.parametrize(
    ("device", "expected"),
    [
        pytest.param("auto", 8, id="it will be the CPU, which gains nothing by full batches"),
        pytest.param("cuda:1", 13, id="the configuration says that there is one"),
    ],
)
def test_videos_in_progress_where_no_gpu_is_seen(device: str, expected: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace, "cores", lambda: 96)
    monkeypatch.setattr(pace, "gpus", lambda: "")
    assert pace.workers_of(LavadConfig(**SERVED, captioners=sized("auto", device))) == expected


@pytest.mark.parametrize(
    ("batch", "run", "queue", "call"),
    [
        pytest.param(8, {}, 64, 8, id="small calls"),
        pytest.param(256, {}, 512, 256, id="large calls are whole"),
        pytest.param(256, {"queue_frames": 100}, 100, 100, id="a number"),
    ],
)
def test_frames_that_wait(batch: int, run: dict[str, Any], queue: int, call: int) -> None:
    config = LavadConfig(encoder={"kind": "clip", "model": "random:clip", "batch_size": batch}, run=run)
    assert queue_size(config, "encoder") == queue
    assert call_size(config.encoder, config.run.queue_frames) == call
    assert queue_size(config, "") == run.get("queue_frames", 64)


def test_a_captioner_that_finds_its_batch_by_itself() -> None:
    class Found:
        batch_size = 16

    config = LavadConfig(captioners={"a": {"kind": "blip2", "model": "m"}})
    section = config.captioners["a"]
    assert [queue_size(config, "captioner:a", model) for model in (Found(), None)] == [64, 512]
    assert [call_size(section, most, Found()) for most in (None, 100, 8)] == [16, 16, 8]
    assert [call_size(section, most) for most in (None, 100, 8)] == [256, 100, 8]
