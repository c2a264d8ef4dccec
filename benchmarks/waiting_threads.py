"""What torch's threads cost beside other work where they spin while they wait for each other, and where they sleep.

    python benchmarks/waiting_threads.py [--busy 2] [--times 5]

The language model of the demonstration answers 40 questions, beside this many processes that only count. Prints for each policy
(`OMP_WAIT_POLICY`; active spins without end, and where nothing is said the OpenMP library spins for a while) the seconds and
processor seconds of each time, and the machine.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import time
from pathlib import Path

BUSY = "while True: pass"

MODEL = Path(__file__).absolute().parent.parent / "demo/models/llama"


def answer(times: int) -> None:
    """Print the seconds and processor seconds of each time, in a process whose policy is set."""
    from lavad_core.config.models import LocalChatConfig
    from lavad_core.models.chat.in_process import LocalChat
    from lavad_core.models.protocols import ChatRequest

    chat = LocalChat.load(LocalChatConfig(model=str(MODEL), device="cpu", batch_size=64), str(MODEL))
    texts = ["\n".join(["a woman walks a dog in a yard at night"] * (1 + number % 10)) for number in range(40)]
    asked = [ChatRequest((("user", text),), max_tokens=24, temperature=0.0, top_p=0.9, seed=0) for text in texts]
    list(chat.answer(asked))
    for _ in range(times):
        start, used = time.monotonic(), time.process_time()
        list(chat.answer(asked))
        print(f"{time.monotonic() - start:.2f} s, {time.process_time() - used:.2f} processor s", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--busy", type=int, default=2, help="processes beside it")
    parser.add_argument("--times", type=int, default=5, help="how often the questions are asked")
    parser.add_argument("--policy", choices=("active", "passive"), help="this policy alone, in this process")
    arguments = parser.parse_args()
    if arguments.policy:
        answer(arguments.times)
        return
    beside = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(arguments.busy)]
    try:
        for policy in ("active", "passive"):
            print(f"{policy}, beside {arguments.busy} busy processes:", flush=True)
            own = [sys.executable, __file__, "--policy", policy, "--times", str(arguments.times)]
            subprocess.run(own, env=os.environ | {"OMP_WAIT_POLICY": policy}, check=True)
    finally:
        for process in beside:
            process.kill()
            process.wait()
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")


if __name__ == "__main__":
    main()
