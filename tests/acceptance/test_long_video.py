"""Memory does not grow with a video's length."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from support.video_factory import make_video
from support.whole_runs import finish

from lavad_core.runs.manifest import load_run

FRAME_RATE = 4
GROWTH_BYTES = 300 * 10**6


def slowly(index: int, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Something else every ten seconds, so that captions and summaries are not all the same."""
    random = np.random.default_rng(index // (10 * FRAME_RATE))
    small = random.integers(0, 255, (4, 6, 3), dtype=np.uint8)
    return np.ascontiguousarray(np.kron(small, np.ones((size[1] // 4, size[0] // 6, 1), np.uint8)))


def peak_bytes(folder: Path, name: str, seconds: int, environment: dict[str, str]) -> int:
    video = make_video(folder / f"{name}.mp4", frames=seconds * FRAME_RATE, size=(96, 64), fps=FRAME_RATE, draw=slowly)
    store = folder / name
    log = folder / f"{name}.log"
    arguments = ["run", str(video), "--preset", "tiny", "--store", str(store), "--plain"]
    assert finish(arguments, environment, log, timeout_s=1500) == 0, log.read_text()[-3000:]
    return load_run(store).peak_rss_bytes


@pytest.mark.slow
def test_three_hours_take_the_memory_of_a_minute_and_little_more(prefect_server: str, tmp_path: Path) -> None:
    environment = {"PREFECT_API_URL": prefect_server}
    peak_bytes(tmp_path, "warm-up", 60, environment)
    minute = peak_bytes(tmp_path, "minute", 60, environment)
    hours = peak_bytes(tmp_path, "hours", 3 * 3600, environment)
    print(f"peak resident memory: 1 minute {minute / 2**20:.0f} MiB, 3 hours {hours / 2**20:.0f} MiB")
    assert hours <= minute + GROWTH_BYTES
