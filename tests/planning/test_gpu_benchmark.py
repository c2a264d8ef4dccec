"""The benchmark of a GPU, small and on a CPU: that it runs, and that plans read what it writes."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

from lavad_core.planning.rates import read_rates

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "gpu.py"


@pytest.mark.usefixtures("one_thread")
def test_it_runs_small_and_plans_read_its_rates(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = importlib.util.spec_from_file_location("gpu_benchmark", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    benchmark = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, benchmark)  # dataclasses look their module up
    spec.loader.exec_module(benchmark)
    benchmark.main(["--small", "--rates", str(tmp_path / "rates.json")])
    rates = read_rates(tmp_path / "rates.json").rates
    assert [(rate.stages[0], rate.unit, rate.kind) for rate in rates] == [
        ("caption", "captions_made", "measured"),
        ("caption", "captions_made", "measured"),
        ("embed_frames", "vision_passes", "measured"),
        ("embed_captions", "texts_encoded", "measured"),
        ("summarise", "completion_tokens", "measured"),
    ]
    assert all(rate.per_second and rate.machine.startswith(("CPU", "NVIDIA")) for rate in rates)
    told = capsys.readouterr().out
    assert told.count("ids as in the largest batch: 1.0") == 4
    assert told.count("ids as by generate: 1.0") == 2
    assert told.count("alone as among others: True") == 4
    assert "2 captioners together, batches of 4: " in told
