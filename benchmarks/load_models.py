"""What the fresh process of a flow run costs: its start, and the loading of a captioner's weights, beside plain reads.

    python benchmarks/load_models.py [--layers 3] [--folder DIR] [--times 3] [--device auto]

Writes a BLIP-2 of the published shape in half precision with random weights, with as many layers of its language model as are
asked for (32 are all: 15.9 GB; 3 are 4.2 GB), and loads it as a run does, each time in a process of its own: once from the disk
(the kernel is asked to forget the files), and from the kernel's cache. Beside each is the time in which the same bytes are
read. On a busy machine only processor time counts, which is what loading takes from the cache of an idle one. Then what loading
is worth in a shard: five captioners of the full size at the rate that was measured, beside the captioning of the shard.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

FULL_LAYERS = 32
FULL_GB = 15.9
CAPTIONERS = 5
GRID_FRAMES = 69_488
"""Of UCF-Crime's 290 test videos: every 16th of 1,111,808 frames."""
MS = 40.0
"""A grid frame through five captioners on an H100 (README.md, *What has not been verified*)."""
SHARDS = 4
"""A device, as `lavad run --shards` makes them."""
BLOCK = 16 * 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layers", type=int, default=3, help=f"of the language model, up to {FULL_LAYERS}")
    parser.add_argument("--folder", type=Path, help="on the disk that is measured; a temporary folder if not given")
    parser.add_argument("--times", type=int, default=3, help="loads of which the median counts, once the first is done")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--load", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.load is not None:
        print(loaded(given.load, given.device))
        return
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        size = write(Path(folder), given.layers)
        print(f"{platform.machine()}, {os.cpu_count()} cores; a BLIP-2 of {size / 1e9:.1f} GB, device {given.device}")
        print(f"{'':15}{'plain read':>11}{'load':>9}{'of processor':>14}{'start':>9}{'load / read':>13}")
        forget(Path(folder))
        plain = read(Path(folder))
        forget(Path(folder))
        cold = in_process(Path(folder), given.device)
        show("from the disk", plain, cold)
        warm = [(read(Path(folder)), in_process(Path(folder), given.device)) for _ in range(given.times)]
        middle = {name: statistics.median(one[name] for _, one in warm) for name in cold}
        show("from the cache", statistics.median(one for one, _ in warm), middle)
        gb = size / 1e9
        print(
            f"{gb / plain:.2f} GB/s read from the disk, {gb / middle['cpu']:.2f} GB a second of processor time loaded"
        )
        print(share("the disk", cold["load"] / gb))
        print(share("the cache, processor time alone", middle["cpu"] / gb))


def write(folder: Path, layers: int) -> int:
    """A captioner's folder; the bytes of its weights. They are written file by file, and never all in memory."""
    import torch
    from full_size.made import caption_config
    from safetensors.torch import save_file
    from transformers import Blip2ForConditionalGeneration

    from lavad_core.models.captioners.random_blip2 import make_blip2_opt

    config = caption_config("opt-6.7b", small=False)
    make_blip2_opt(folder, image=config.vision_config.image_size)
    (folder / "model.safetensors").unlink()
    config.text_config.num_hidden_layers = layers
    config.save_pretrained(folder)
    with torch.device("meta"):
        shapes = Blip2ForConditionalGeneration(config).state_dict()
    files: dict[str, dict[str, Any]] = {}
    for number, (name, tensor) in enumerate(shapes.items()):
        files.setdefault(f"model-{number // 256:05d}.safetensors", {})[name] = tensor
    total, numbers = 0, torch.randn(2**24).mul_(0.02).half()
    for file, tensors in files.items():
        made = {
            name: numbers.repeat(one.numel() // len(numbers) + 1)[: one.numel()].reshape(one.shape).clone()
            for name, one in tensors.items()
        }
        save_file(made, folder / file, metadata={"format": "pt"})
        total += (folder / file).stat().st_size
    index = {"metadata": {"total_size": total}, "weight_map": {name: file for file in files for name in files[file]}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    return total


def loaded(folder: Path, device: str) -> str:
    """Seconds in which this process loads the captioner, and those of its processor time."""
    from lavad_core.config.models import Blip2Config
    from lavad_core.models.captioners.blip2 import Blip2Captioner

    wall, cpu = time.perf_counter(), time.process_time()
    section = Blip2Config(model=str(folder), device=device, dtype="float16", batch_size=1)
    captioner = Blip2Captioner.load(section, str(folder))
    for parameter in captioner._model.parameters():
        parameter.flatten()[
            ::1024
        ].sum().item()  # on a CPU the weights may be a map of the file, of which nothing is read
    return f"{time.perf_counter() - wall} {time.process_time() - cpu}"


def in_process(folder: Path, device: str) -> dict[str, float]:
    """Seconds in a new process: ``load``, ``cpu`` of it, and ``start`` for the rest, the import of libraries above all."""
    begun = time.perf_counter()
    command = [sys.executable, __file__, "--load", str(folder), "--device", device]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    load, cpu = map(float, done.stdout.split()[-2:])
    return {"load": load, "cpu": cpu, "start": time.perf_counter() - begun - load}


def read(folder: Path) -> float:
    """Seconds in which all bytes of the weights are read."""
    begun, block = time.perf_counter(), bytearray(BLOCK)
    for path in folder.glob("*.safetensors"):
        with path.open("rb", buffering=0) as file:
            while file.readinto(block):
                pass
    return time.perf_counter() - begun


def forget(folder: Path) -> None:
    """Ask the kernel to drop the weights from its cache."""
    for path in folder.glob("*.safetensors"):
        with path.open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def show(name: str, plain: float, one: dict[str, float]) -> None:
    """A row."""
    print(
        f"{name:15}{plain:9.1f} s{one['load']:7.1f} s{one['cpu']:12.1f} s{one['start']:7.1f} s{one['load'] / plain:13.1f}"
    )


def share(name: str, seconds_a_gb: float) -> str:
    """What loading all captioners is worth in shards of UCF-Crime's test set, on one device and on eight."""
    seconds = CAPTIONERS * FULL_GB * seconds_a_gb
    parts = [seconds / (seconds + GRID_FRAMES * MS / 1000 / (SHARDS * devices)) for devices in (1, 8)]
    return (
        f"{CAPTIONERS} x {FULL_GB} GB from {name}: {seconds:.0f} s a shard, {parts[0]:.0%} of a shard of UCF-Crime on one "
        f"device, {parts[1]:.0%} on eight"
    )


if __name__ == "__main__":
    main()
