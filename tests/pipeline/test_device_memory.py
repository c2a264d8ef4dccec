"""After each stage the device is empty but for models that later stages use, and a process keeps to its share of it."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import closing, nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
from support.video_factory import make_video

from lavad_core.config.models import Blip2Config, OpenAICaptionerConfig
from lavad_core.config.schema import LavadConfig
from lavad_core.models import decoding, pool
from lavad_core.models.devices import free_bytes, limit_memory
from lavad_core.pipeline.execute import run_graph
from lavad_core.pipeline.resources import RunResources
from lavad_core.runs.manifest import new_run_id
from lavad_core.runs.recorder import RunRecorder
from lavad_core.video.types import VideoSource


@pytest.fixture
def frozen() -> Iterator[None]:
    """Hides what exists from the garbage collector, which is quick then and finds what is new."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


def tensor_bytes() -> int:
    """Memory of all tensors that Python reaches."""
    gc.collect()
    found = [each.untyped_storage() for each in gc.get_objects() if issubclass(type(each), torch.Tensor)]
    return sum({storage.data_ptr(): storage.nbytes() for storage in found}.values())


class Counted(RunResources):
    """Notes the bytes of tensors before and after each stage's models are released."""

    def __init__(self, config: LavadConfig) -> None:
        super().__init__(config)
        self.used: dict[str, int] = {}
        self.left: dict[str, int] = {}

    def release_after(self, node_id: str) -> None:
        self.used[node_id] = tensor_bytes()
        super().release_after(node_id)
        self.left[node_id] = tensor_bytes()


@pytest.mark.usefixtures("one_thread", "frozen")
def test_after_each_stage_only_models_that_later_stages_use_are_left(tmp_path: Path) -> None:
    video = VideoSource("v", make_video(tmp_path / "v.mp4", frames=40, size=(98, 66)))
    config = LavadConfig(
        store=tmp_path / "store",
        captioners={kind: {"kind": "blip2", "model": f"random:blip2-{kind}"} for kind in ("opt", "t5")},
        encoder={"kind": "imagebind", "model": "random:imagebind"},
        chat={"kind": "transformers", "model": "random:llama"},
        window={"sampling": "any-frame"},
    )
    with RunRecorder(config.store, new_run_id(), config={}) as recorder, closing(Counted(config)) as resources:
        assert run_graph(resources, [resources.prepare(video)], recorder) == {}
    used, left = resources.used, resources.left
    encoder = left["embed_captions"]
    assert encoder > 100_000
    assert {node: left[node] for node in ("probe", "caption:opt", "caption:t5")} == {
        "probe": 0,
        "caption:opt": 0,
        "caption:t5": 0,
    }
    # The weights, and some numbers that come with the first picture.
    beside = {node: left[node] - encoder for node in ("embed_frames", "embed_windows", "clean", "score")}
    assert all(0 <= more <= 64 for more in beside.values()), beside
    assert left["summarise"] - encoder > 100_000, "the chat model goes on to the scores"
    assert {node: left[node] for node in ("embed_summaries", "refine", "detect")} == {
        "embed_summaries": 0,
        "refine": 0,
        "detect": 0,
    }
    assert min(used[f"caption:{kind}"] for kind in ("opt", "t5")) > 100_000


GIB = 1 << 30


@pytest.fixture
def one_gpu(monkeypatch: pytest.MonkeyPatch) -> list[tuple[float, torch.device]]:
    """A GPU of 80 GiB, of which others use 10 and this process 20; the shares that were set for it."""
    shares: list[tuple[float, torch.device]] = []
    fakes: dict[str, Any] = {
        "is_available": lambda: True,
        "device_count": lambda: 1,
        "device": lambda device: nullcontext(),
        "empty_cache": lambda: None,
        "set_per_process_memory_fraction": lambda share, device: shares.append((share, device)),
        "get_per_process_memory_fraction": lambda device: shares[-1][0],
        "mem_get_info": lambda device: (50 * GIB, 80 * GIB),
        "memory_reserved": lambda device: 20 * GIB,
    }
    for name, fake in fakes.items():
        monkeypatch.setattr(torch.cuda, name, fake)
    return shares


@pytest.mark.parametrize(("share", "free"), [(1.0, 50), (0.5, 20), (0.25, 0)], ids=["all", "half", "used up"])
def test_what_is_free_is_within_the_share(share: float, free: int, one_gpu: list[Any]) -> None:
    limit_memory(torch.device("cuda", 0), share)
    assert free_bytes(torch.device("cuda", 0)) == free * GIB


@pytest.mark.parametrize(
    ("device", "shares"),
    [("cuda:0", [(0.5, torch.device("cuda", 0))]), ("auto", [(0.5, torch.device("cuda", 0))]), ("cpu", [])],
)
def test_the_share_is_set_before_a_model_is_loaded(
    device: str, shares: list[Any], one_gpu: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Loaded:
        def __init__(self, *_: Any) -> None:
            self.shares = list(one_gpu)

        def close(self) -> None:
            """Nothing to free."""

    monkeypatch.setattr(pool, "load_model", Loaded)
    config = LavadConfig(
        captioners={
            "mine": Blip2Config(model="random:blip2-opt", device=device),
            "served": OpenAICaptionerConfig(model="m"),
        },
        run={"device_memory_share": 0.5},
    )
    with closing(pool.ModelPool(config)) as models:
        served: Any = models.captioner("served")[0]
        assert served.shares == []
        mine: Any = models.captioner("mine")[0]
        assert mine.shares == shares


def test_graphs_share_a_stream_one_after_the_other_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """cuBLAS keeps a workspace for each stream, and two graphs that live at once must not share one."""

    class Graph:
        """A recorded graph."""

    streams: list[object] = []

    def record(_: Graph, *, stream: object, capture_error_mode: str) -> Any:
        streams.append(stream)
        return nullcontext()

    fakes: dict[str, Any] = {"Stream": object, "CUDAGraph": Graph, "graph": record, "current_device": lambda: 0}
    for name, fake in fakes.items():
        monkeypatch.setattr(torch.cuda, name, fake)
    monkeypatch.setattr(decoding, "_SPARE_STREAMS", {})
    first, second = (decoding.graph_of(lambda: None, "captions") for _ in range(2))
    del first
    third, fourth = (decoding.graph_of(lambda: None, "answers") for _ in range(2))
    assert streams[2] is streams[0]
    assert len({id(stream) for stream in streams}) == 3
    assert None not in (second, third, fourth)
