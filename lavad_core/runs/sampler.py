"""Memory and processor time of this process and its children, while something is being measured."""

from __future__ import annotations

import os
import threading
import time
from contextlib import suppress
from dataclasses import dataclass

import psutil

SAMPLE_INTERVAL_S = 0.07
"""About 14 Hz: a decoded batch lives longer; a sample costs some 20 µs a process."""

CHILDREN_INTERVAL_S = 0.5
"""Finding the children reads every process of the machine, so it is done less often."""


@dataclass
class Measure:
    """A measurement going on."""

    cpu_start_s: float
    """Processor seconds of the process and its children at the beginning."""
    peak_rss_bytes: int = 0
    """Highest sum of resident memory of the process and its children so far. Pages that they share count in each.
    Stages that run at the same moment in one process each see the whole."""


class Sampler:
    """One thread that samples while there are measurements; none runs otherwise."""

    def __init__(self) -> None:
        self._process = psutil.Process()
        self._children: list[psutil.Process] = []
        self._children_at = float("-inf")
        self._sampled_at = float("-inf")
        self._rss_bytes = 0
        self._active: list[Measure] = []
        self._guard = threading.Lock()
        self._wake = threading.Event()
        self._closed = False
        self._thread: threading.Thread | None = None
        self.peak_rss_bytes = 0

    def begin(self) -> Measure:
        """Start measuring."""
        with self._guard:
            measure = Measure(self._cpu_s())
            self._active.append(measure)
            if (
                time.monotonic() - self._sampled_at > SAMPLE_INTERVAL_S
            ):  # thousands of short stages begin one after the other
                self._sample()
            measure.peak_rss_bytes = self._rss_bytes
            if self._thread is None and not self._closed:
                self._thread = threading.Thread(target=self._run, name="lavad-sampler", daemon=True)
                self._thread.start()
        self._wake.set()
        return measure

    def end(self, measure: Measure) -> float:
        """Stop; ``measure`` has the peak then.

        Returns:
            Processor seconds of the process and its children since :meth:`begin`.
        """
        with self._guard:
            self._sample()
            self._active = [other for other in self._active if other is not measure]
            return max(0.0, self._cpu_s() - measure.cpu_start_s)

    def close(self) -> None:
        """End the thread."""
        with self._guard:
            self._closed = True
            thread, self._thread = self._thread, None
        self._wake.set()
        if thread is not None:
            thread.join(timeout=5.0)

    def _run(self) -> None:
        while True:
            self._wake.wait()
            with self._guard:
                if self._closed:
                    return
                if self._active:
                    self._sample()
                else:
                    self._wake.clear()
            time.sleep(SAMPLE_INTERVAL_S)

    def _family(self) -> list[psutil.Process]:
        now = time.monotonic()
        if now - self._children_at > CHILDREN_INTERVAL_S:
            self._children_at = now
            with suppress(psutil.Error):
                self._children = self._process.children(recursive=True)
        return [self._process, *self._children]

    def _sample(self) -> None:
        total = 0
        for process in self._family():
            with suppress(psutil.Error):  # a child may have ended
                total += process.memory_info().rss
        self._rss_bytes, self._sampled_at = total, time.monotonic()
        self.peak_rss_bytes = max(self.peak_rss_bytes, total)
        for measure in self._active:
            measure.peak_rss_bytes = max(measure.peak_rss_bytes, total)

    def _cpu_s(self) -> float:
        # A child that ends moves from its own line into its parent's children_*: the sum goes on.
        total = sum(os.times()[:4])  # of this process without reading a file
        for process in self._family()[1:]:
            with suppress(psutil.Error):
                times = process.cpu_times()
                total += times.user + times.system
                total += getattr(times, "children_user", 0.0) + getattr(times, "children_system", 0.0)
        return total
