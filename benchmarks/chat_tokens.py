"""What a token step of a chat model in this process takes: greedy, sampled and kept to choices, for a batch of requests.

    python benchmarks/chat_tokens.py [--size 135m] [--requests 16] [--tokens 24]

Each is set beside the model's forward pass alone and beside sampling row by row on the CPU in Python, in the same run on the
same device. A Llama with random weights is made on the spot; nothing is downloaded. Sizes: 13b (by default on a GPU), 135m (by
default on a CPU), small. On a CPU it is processor time of one thread.
"""

from __future__ import annotations

import argparse
import os
import platform
import random
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
import transformers

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPOSITORY / "tests"))

from support.row_by_row import RowByRow  # noqa: E402

from lavad_core.models.chat.choice_table import ChoiceTable, choice_table  # noqa: E402
from lavad_core.models.chat.choices import TokenMask  # noqa: E402
from lavad_core.models.chat.generating import ChatDecoder, _Batch, _Growing  # noqa: E402
from lavad_core.models.chat.writing import Item  # noqa: E402
from lavad_core.models.decoding import graph_of  # noqa: E402
from lavad_core.models.loading import cache_name  # noqa: E402
from lavad_core.models.protocols import ChatRequest  # noqa: E402
from lavad_core.models.random_weights import fill  # noqa: E402

HF: Any = transformers

SHAPES = {
    "13b": {"hidden_size": 5120, "intermediate_size": 13824, "num_hidden_layers": 40, "num_attention_heads": 40},
    "135m": {"hidden_size": 576, "intermediate_size": 1536, "num_hidden_layers": 30, "num_attention_heads": 9},
    "small": {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 2},
}
WORDS = 32000
"""Llama-2's vocabulary."""

PROMPT = (40, 56)
"""Tokens of the prompts."""


WARM = 3
"""Steps that are not counted: what is made on first use, and the recording of a graph."""


class TokenSteps:
    """A model, and the requests that it is asked."""

    def __init__(self, size: str, requests: int, tokens: int) -> None:
        self.device = torch.device("cuda", 0) if torch.cuda.is_available() else torch.device("cpu")
        self.tokens = tokens
        dtype = torch.float16 if self.device.type == "cuda" else torch.float32
        before = torch.get_default_dtype()
        torch.set_default_dtype(dtype)
        try:
            with self.device:
                config = HF.LlamaConfig(vocab_size=WORDS, max_position_embeddings=4096, **SHAPES[size])
                self.model = HF.LlamaForCausalLM(config).to(dtype).eval().requires_grad_(False)
        finally:
            torch.set_default_dtype(before)
        torch.manual_seed(0)
        fill(self.model, lambda values, scale: values.normal_(0.0, scale))
        self.pieces = [*"0123456789", *[""] * (WORDS - 10)]
        numbers = random.Random(0)
        self.most = tokens + 2 * WARM
        # Longer than what is measured, so that no answer is at its end.
        self.choices = tuple("".join(numbers.choices("0123456789", k=2 * self.most)) for _ in range(11))
        self.prompts = [[numbers.randrange(WORDS) for _ in range(numbers.randint(*PROMPT))] for _ in range(requests)]
        longest = max(map(len, self.prompts))
        padded = [[0] * (longest - len(prompt)) + prompt for prompt in self.prompts]
        padding = [longest - len(prompt) for prompt in self.prompts]
        self.ids, self.padding = (torch.tensor(rows, device=self.device) for rows in (padded, padding))

    def items(self, temperature: float, choices: tuple[str, ...] | None) -> list[Item]:
        return [
            Item(prompt, ChatRequest((), self.most, temperature, 0.9, seed, choices))
            for seed, prompt in enumerate(self.prompts)
        ]

    def step(self, work: Callable[[], object]) -> float:
        """Milliseconds of a token: the median of ``tokens`` steps."""
        on_gpu = self.device.type == "cuda"
        clock = time.perf_counter if on_gpu else time.process_time  # which other work on the machine changes little
        taken = []
        for _ in range(WARM + self.tokens):
            start = clock()
            work()
            if on_gpu:
                torch.cuda.synchronize(self.device)
            taken.append(1000 * (clock() - start))
        return statistics.median(taken[WARM:])

    def begun(self, temperature: float, choices: tuple[str, ...] | None) -> _Batch:
        """A batch whose prompts are read."""

        def table_of(choices: tuple[str, ...]) -> ChoiceTable:
            return choice_table(choices, enumerate(self.pieces), (), self.device)

        items = self.items(temperature, choices)
        batch = ChatDecoder(self.model, WORDS, (), table_of, self.device)._new_batch(items, self.ids.shape[1])
        batch.writer.begin(items)
        batch.choose(batch.memory.read(self.ids, self.padding), first=True)
        return batch

    def together(self, temperature: float, choices: tuple[str, ...] | None) -> float:
        batch = self.begun(temperature, choices)

        def work() -> None:
            batch.advance()
            assert batch.writer.going

        return self.step(work)

    def forward(self) -> float:
        """The model alone: on a GPU as a graph, too."""
        batch = self.begun(0.0, None)

        def work() -> None:
            batch.memory.further(batch.writer.token)

        work()
        graph = graph_of(work, "tokens") if self.device.type == "cuda" else None
        return self.step(work if graph is None else graph.replay)

    def row_by_row(self, temperature: float, choices: tuple[str, ...] | None) -> float:
        mask = TokenMask(choices, enumerate(self.pieces)) if choices else None
        writers = [RowByRow(item, mask) for item in self.items(temperature, choices)]
        memory = _Growing(self.model, cache_name(self.model))
        logits = memory.read(self.ids, self.padding)

        def work() -> None:
            nonlocal logits
            rows = logits[:, :WORDS].double().cpu()
            assert torch.isfinite(rows).all()
            said = [writer.write(row, set()) for writer, row in zip(writers, rows, strict=True)]
            logits = memory.further(torch.tensor(said, device=self.device)[:, None])

        return self.step(work)


@torch.inference_mode()
def main(argv: Sequence[str] | None = None) -> None:
    on_gpu = torch.cuda.is_available()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=SHAPES, default="13b" if on_gpu else "135m", help="of the model")
    parser.add_argument("--requests", type=int, default=16, help="requests of the batch")
    parser.add_argument("--tokens", type=int, default=24, help="steps of which the median counts")
    given = parser.parse_args(argv)
    if not on_gpu:
        torch.set_num_threads(1)
    measured = TokenSteps(given.size, given.requests, given.tokens)
    card = torch.cuda.get_device_name(measured.device) if on_gpu else f"CPU ({platform.machine()})"
    print(
        f"{card}, torch {torch.__version__}, transformers {transformers.__version__}, {os.cpu_count()} cores; "
        f"Llama {given.size}, {given.requests} requests, {WORDS} words"
    )
    alone = measured.forward()
    print(f"{'the model alone':16} {alone:8.2f} ms a token step")
    ways = (("greedy", 0.0, None), ("sampled", 0.6, None), ("choices", 0.0, measured.choices))
    for what, temperature, choices in ways:
        together, rows = measured.together(temperature, choices), measured.row_by_row(temperature, choices)
        print(
            f"{what:16} {together:8.2f} ms a token step, {together / alone:5.2f} times the model alone; row by row "
            f"{rows:8.2f} ms, {rows / together:5.2f} times as long"
        )


if __name__ == "__main__":
    main()
