"""What the studies that come with the program cost on the demonstration, one after the other on one store.

    python benchmarks/all_studies.py build/demo [STUDY …]

Each is a process of its own, `lavad study run NAME --demo`. Prints for each the seconds, processor seconds (with those of the
private Prefect server), results made and found, captions, images and requests, and the machine. Later studies find what earlier
ones have made; a copy of the folder that `make demo` has filled shows what is new to it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from lavad_core.plain_text import aligned
from lavad_core.studies.study_file import shipped_studies

COUNTED = ("captions_made", "images_encoded", "llm_requests")


def measured(name: str, folder: Path) -> tuple[dict[str, Any], float, float]:
    """The table of a study, and the seconds and processor seconds that it took."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    command = [sys.executable, "-m", "lavad.deployments.cli.main", "study", "run", name, "--demo", "--demo-folder"]
    done = subprocess.run([*command, str(folder), "--json"], stdout=subprocess.PIPE, text=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return json.loads(done.stdout), time.monotonic() - start, used


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="a copy of what `make demo` has filled")
    parser.add_argument("studies", nargs="*", help="which; all if none is named")
    arguments = parser.parse_args()
    rows = []
    totals = [0.0, 0.0]
    for name in arguments.studies or shipped_studies():
        table, seconds, used = measured(name, arguments.folder)
        totals = [totals[0] + seconds, totals[1] + used]
        counts = [table["results"]["made"], table["results"]["found"], *(table["work"].get(key, 0) for key in COUNTED)]
        rows.append((name, f"{seconds:.0f}", f"{used:.0f}", *map(str, counts)))
    rows.append(("all", *(f"{total:.0f}" for total in totals), *[""] * 5))
    print(aligned(("study", "s", "CPU s", "made", "found", *COUNTED), rows, right=range(1, 8)))
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")


if __name__ == "__main__":
    main()
