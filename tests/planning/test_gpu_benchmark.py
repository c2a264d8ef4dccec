"""The benchmark of a GPU, small and on a CPU: that it runs, that plans read what it writes, and that a bad part ends alone."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lavad_core.planning.rates import read_rates

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "gpu.py"


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The script as a module."""
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    spec = importlib.util.spec_from_file_location("gpu_benchmark", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.mark.usefixtures("one_thread")
def test_it_runs_small_and_plans_read_its_rates(
    benchmark: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert benchmark.main(["--small", "--json", str(tmp_path / "rows"), "--rates", str(tmp_path / "rates.json")]) == 0
    rates = read_rates(tmp_path / "rates.json").rates
    assert [(rate.stages[0], rate.unit, rate.kind) for rate in rates] == [
        ("embed_frames", "vision_passes", "measured"),
        ("embed_captions", "texts_encoded", "measured"),
        ("caption", "captions_made", "measured"),
        ("caption", "captions_made", "measured"),
        ("summarise", "completion_tokens", "measured"),
    ]
    assert all(rate.per_second and rate.machine.startswith(("CPU", "NVIDIA")) for rate in rates)
    rows = [json.loads(line) for line in (tmp_path / "rows").read_text().splitlines()]
    assert [row["ids as in batches of 2"] for row in rows if "ms a caption" in row] == [1.0] * 4
    assert [row["ids as by generate"] for row in rows if "ids as by generate" in row] == [1.0] * 2
    assert all(row["alone as among others"] for row in rows if "ms a caption" in row)
    stages = [row["stage"].partition(":")[0] for row in rows if "stage" in row]
    assert stages == ["probe", "caption", "caption", "embed_captions", "embed_frames", "embed_windows"]
    (whole,) = (row for row in rows if "pipeline" in row)
    assert (whole["grid frames"], whole["decode passes a video"]) == (6, 2.0)
    assert 0 < whole["at work"] <= 1
    told = capsys.readouterr().out
    assert "met: decode passes a video: 2.0 (at most 2)" in told
    assert f"captioners in the pipeline, ms a grid frame: {whole['ms a grid frame']} (at most 25)" in told
    assert f"captioning stages, share with the device at work: {whole['at work']} (at least 0.85)" in told


def test_a_part_that_fails_or_does_not_fit_is_reported_and_the_next_goes_on(
    benchmark: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(*_: Any) -> Iterator[dict[str, Any]]:
        yield {"imagebind": "images", "batch": 2, "ms": 1.0, "share of the matrix rate": 0.5}
        raise RuntimeError("no kernel image")

    monkeypatch.setattr(benchmark, "imagebind_rows", fails)
    stages = [
        {"stage": "caption:a", "peak share": 0.95, "GiB left": 0.03},
        {"stage": "caption:b", "peak share": 0.4, "GiB left": 0.06},
        {"stage": "embed_frames", "peak share": 0.2, "GiB left": 2.3},
    ]
    monkeypatch.setattr(benchmark, "pipeline_rows", lambda *_: iter(stages))
    plan = replace(benchmark.plan_of(True), small=False)  # so that the times that parts need count
    monkeypatch.setattr(benchmark, "plan_of", lambda small: plan)
    monkeypatch.setattr(benchmark, "NEEDS", {"imagebind": 0, "pipeline": 0, "chat": 10_000})
    monkeypatch.setattr(benchmark, "matrix_rates", lambda plan: {})
    only = [word for part in ("imagebind", "pipeline", "chat") for word in ("--only", part)]
    assert benchmark.main([*only, "--json", str(tmp_path / "rows")]) == 1
    rows = [json.loads(line) for line in (tmp_path / "rows").read_text().splitlines()][1:-1]
    assert [{"s", *row} - {"s"} for row in rows] == [
        {"imagebind", "batch", "ms", "share of the matrix rate"},
        {"part", "failed"},
        {"part"},
        *[{"stage", "peak share", "GiB left"}] * 3,
        {"part"},
        {"part", "left out"},
    ]
    assert rows[1]["failed"] == "RuntimeError: no kernel image"
    assert rows[-1]["part"] == "chat"
    told = capsys.readouterr().out
    assert "NOT MET: peak of a stage, share of the memory of the GPU: 0.95 (at most 0.9)" in told
    assert "met: left on the GPU after a captioner's stage, GiB: 0.06 (at most 0.1)" in told
    assert "NOT MET: ImageBind's images, share of the matrix rate: 0.5 (at least 0.65)" in told
    assert "not measured: captioners in the pipeline, ms a grid frame" in told
