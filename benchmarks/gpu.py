"""What the models take on this device, at full size with random weights: captioners, ImageBind and a 13B Llama.

Each is set beside its operations at the rate that this device reaches, in the same run, for the product of two large matrices.
Nothing is downloaded, and no weights are written. The parts, in this order:

* ``imagebind``: images, clips and texts.
* ``captioners``: the five of the paper, in batches of several sizes: milliseconds a caption, what a batch's parts take, peak
  memory, in how many captions the token ids are those of the smallest batch and those of transformers' own loop, and whether a
  picture's ids are the same alone and among others.
* ``pipeline``: the captioners and ImageBind through the stages of a run, over eight videos with 225 grid frames each:
  milliseconds per grid frame without loading, the share of the time that the device is at work and that it waits for frames,
  decode passes, peak memory of each stage and what is left after it.
* ``chat``: a Llama with 13 billion parameters in this process.

Under six minutes on an H100; ``--small`` runs everything on small models, also on a CPU, whose figures mean nothing. A part
that fails is reported, the next one goes on, and the exit status is 1. It needs this package's dependencies but Prefect;
without PyAV the videos are folders of pictures. ``--rates FILE`` writes what `lavad plan --rates FILE` reads: pictures, texts
and tokens a second on this machine.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
import transformers
from full_size.alone import captioner_rows, chat_rows, imagebind_rows
from full_size.judged import verdicts
from full_size.measuring import Plan, Row, matrix_rates, plan_of
from full_size.piped import pipeline_rows

PARTS = ("imagebind", "captioners", "pipeline", "chat")
NEEDS = {"imagebind": 20, "captioners": 35, "pipeline": 110, "chat": 40}
"""Seconds that a part takes at full size on an H100, about; for ``captioners`` one of them."""


def together(plan: Plan, rows: Sequence[Row]) -> Iterator[Row]:
    """All captioners, for each size of batches."""
    for batch in plan.batches:
        timed = [row for row in rows if row.get("batch") == batch and "ms a caption" in row]
        if len(timed) == len(plan.captioners):
            total, bound = (
                round(sum(row[name] for row in timed), 2) for name in ("ms a caption", "ms at the matrix rate")
            )
            yield {"together: ms a grid frame": total, "of batches": batch, "ms at the matrix rate": bound}


def rate_table(rows: Sequence[Row], plan: Plan, machine: str) -> dict[str, Any]:
    """What ``lavad plan --rates`` reads."""
    common = {"kind": "measured", "machine": machine}
    found = []
    for row in rows:
        batch = f"benchmarks/gpu.py, random weights, batches of {row.get('batch', row.get('requests'))}"
        if "ms a caption" in row and row["batch"] == plan.usual:
            model, a_second = f"Salesforce/blip2-{row['captioner']}", 1000 / row["ms a caption"]
            found.append({"stages": ["caption"], "model": model, "unit": "captions_made", "per_second": a_second})
        elif row.get("imagebind") in ("images", "texts"):
            of_images = row["imagebind"] == "images"
            stages = ["embed_frames", "embed_windows"] if of_images else ["embed_captions", "embed_summaries"]
            unit = "vision_passes" if of_images else "texts_encoded"
            found.append(
                {"stages": stages, "model": "imagebind_huge.pth", "unit": unit, "per_second": 1000 / row["ms"]}
            )
        elif row.get("chat") == "sampled":
            model, a_second = "meta-llama/Llama-2-13b-chat-hf", row["completion tokens"] / row["s"]
            stages = ["summarise", "score"]
            found.append({"stages": stages, "model": model, "unit": "completion_tokens", "per_second": a_second})
        else:
            continue
        found[-1] |= {"per_second": round(found[-1]["per_second"], 3), "source": batch, **common}
    return {"rates": found}


class Report:
    """Rows as they come: printed, kept, and added to a file of JSON lines.

    Attributes:
        rows: all of them.
        failed: parts that ended by an exception.
    """

    def __init__(self, file: Path | None, limit_s: float) -> None:
        self.rows: list[Row] = []
        self.failed: list[str] = []
        self._file, self._limit_s, self._begun = file, limit_s, time.perf_counter()

    @property
    def seconds(self) -> float:
        """Since the beginning."""
        return time.perf_counter() - self._begun

    def add(self, row: Row) -> None:
        """A row; it is on disk before the next is measured."""
        self.rows.append(row)
        print("  ".join(f"{name}: {value}" for name, value in row.items()), flush=True)
        if self._file:
            with self._file.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")

    def part(self, name: str, needs_s: float, measure: Callable[[], Iterator[Row]]) -> None:
        """Add a part's rows, unless the time that is left is too short; an exception ends this part alone."""
        if self.seconds + needs_s > self._limit_s:
            self.add(
                {"part": name, "left out": f"it takes about {needs_s} s, {self._limit_s - self.seconds:.0f} are left"}
            )
            return
        start = time.perf_counter()
        try:
            for row in measure():
                self.add(row)
        except Exception as error:  # the edge of a part
            traceback.print_exc()
            self.failed.append(name)
            self.add({"part": name, "failed": f"{type(error).__name__}: {error}"[:500]})
        self.add({"part": name, "s": round(time.perf_counter() - start, 1)})


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, and print; 1 if a part failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="small models, to see that it runs")
    parser.add_argument("--only", choices=PARTS, action="append", help="a part; repeatable; all by default")
    parser.add_argument(
        "--limit", type=float, default=360, metavar="SECONDS", help="no part begins that would end later"
    )
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="add each row, as a line of JSON, as soon as it is known"
    )
    parser.add_argument("--rates", type=Path, metavar="FILE", help="write a table for `lavad plan --rates`")
    given = parser.parse_args(argv)
    report = Report(given.json, given.limit)
    plan = plan_of(given.small)
    if plan.device.type == "cpu":
        torch.set_num_threads(1)  # small models are slower with more, and much slower where cores are shared
    card = torch.cuda.get_device_name(plan.device) if plan.device.type == "cuda" else f"CPU ({platform.machine()})"
    machine = f"{card}, torch {torch.__version__}, transformers {transformers.__version__}, {os.cpu_count()} cores"
    report.add({"machine": machine})
    rates = matrix_rates(plan)
    for dtype, rate in rates.items():
        report.add({"product of two large matrices": str(dtype).removeprefix("torch."), "TFLOP/s": round(rate, 1)})
    for part in (name for name in PARTS if name in (given.only or PARTS)):
        needs = 0 if plan.small else NEEDS[part]
        if part == "captioners":
            for name in plan.captioners:
                report.part(f"captioner {name}", needs, partial(captioner_rows, plan, name, rates))
            report.part("captioners together", 0, partial(together, plan, report.rows))
        else:
            rows = {"imagebind": imagebind_rows, "pipeline": pipeline_rows, "chat": chat_rows}[part]
            report.part(part, needs, partial(rows, plan, rates))
        if given.rates:
            table = rate_table(report.rows, plan, machine)
            given.rates.write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")
    print("\n".join(verdicts(report.rows)))
    report.add({"whole": "all parts", "s": round(report.seconds, 1)})
    return 1 if report.failed else 0


if __name__ == "__main__":
    sys.exit(main())
