"""What the client of served chat models costs: requests a second, processor time and round trips a request.

    python benchmarks/chat_client.py [--windows 1500] [--concurrency 1 16 128]

A second process answers each request at once, so that what is left is the client's own work. The windows of a made-up video are
summarised and their summaries scored as the stages do it: prompts are counted and cut to fit, requests are sent, answers are
checked, and each is durable in a store before it is used. Prompts are counted by the server and by ``chat.tokenizer``. The
baseline of the same run is a bare loop over httpx that posts the very same bodies and reads the answers as JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import platform
import random
import resource
import sqlite3
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import httpx

from lavad_core.config.schema import LavadConfig
from lavad_core.models.chat.cached import CachedAnswers
from lavad_core.models.chat.one_server import Server
from lavad_core.models.chat.openai_server import ServedChat
from lavad_core.models.chat.own_counts import OwnCounts
from lavad_core.stages.asking import build_all
from lavad_core.stages.score import score_request
from lavad_core.stages.summarise import summary_request
from lavad_core.store.answers import AnswerCache

LLAMA = Path(__file__).resolve().parents[1] / "demo" / "models" / "llama"
"""Its tokenizer and chat template are used, not its weights."""

WARM_UP = 50
"""Requests before anything is measured: connections are there, and modules are loaded."""

_WORDS = (
    "man",
    "woman",
    "child",
    "car",
    "dog",
    "walks",
    "runs",
    "stands",
    "parks",
    "beside",
    "past",
    "the",
    "yard",
    "at",
    "night",
)


def answer_bytes(text: str) -> bytes:
    """A chat answer as vLLM writes it."""
    message = {"role": "assistant", "content": text, "refusal": None, "reasoning": None, "tool_calls": []}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop", "stop_reason": None}
    usage = {"prompt_tokens": 90, "total_tokens": 96, "completion_tokens": 6, "prompt_tokens_details": None}
    head = {"id": "chatcmpl-0", "object": "chat.completion", "created": 1, "model": "m"}
    return json.dumps({**head, "choices": [choice], "usage": usage}).encode()


def serve(started: Connection) -> None:
    """A server that knows its answers before it is asked; tells its port, and ends with its parent."""
    counts = OwnCounts(LLAMA, "m", {})
    models = json.dumps({"data": [{"id": "m", "max_model_len": 4096}]}).encode()
    summary, score = answer_bytes("A man walks past a car in a yard at night."), answer_bytes("[0.3]")

    def answer(path: str, body: bytes) -> bytes:
        if path == "/v1/models":
            return models
        if path == "/tokenize":
            messages = tuple((one["role"], one["content"]) for one in json.loads(body)["messages"])
            return b'{"count":%d}' % counts.count(messages)
        return score if b'"structured_outputs"' in body else summary

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
                content = answer(head.split(b" ", 2)[1].decode(), await reader.readexactly(int(length or 0)))
                line = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
                writer.write(line % len(content) + content)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def run() -> None:
        server = await asyncio.start_server(connected, "127.0.0.1", 0)
        started.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(run())


@dataclass
class Cost:
    """What a number of requests took."""

    requests: int
    """Questions with an answer."""
    round_trips: int
    """HTTP requests that were sent."""
    wall_s: float
    """Seconds by the clock."""
    cpu_s: float
    """Processor time of this process and of the one that renders the chat template, seconds."""


def cpu_s() -> float:
    return sum(
        used.ru_utime + used.ru_stime
        for used in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    )


def captions(number: int) -> list[str]:
    """Those of a window."""
    drawn = random.Random(number)
    return [f"{' '.join(drawn.choices(_WORDS, k=9))} {number}." for _ in range(10)]


def by_the_program(
    base_url: str, windows: int, concurrency: int, tokenizer: str | None, folder: Path
) -> tuple[Cost, list]:
    """The two stages' questions for a video, and the bodies that were sent."""
    chat = {"kind": "openai", "model": "m", "base_url": base_url, "concurrency": concurrency, "tokenizer": tokenizer}
    config = LavadConfig(chat=chat)
    bodies: list[dict[str, Any]] = []
    trips = 0
    with (
        tempfile.TemporaryDirectory(dir=folder) as store,
        closing(AnswerCache(Path(store) / "answers.sqlite")) as cache,
    ):
        model = ServedChat(config.chat)
        once = Server.once

        async def counted(self: Server, method: str, url: str, sent: bytes | None, timeout_s: float) -> dict[str, Any]:
            nonlocal trips
            trips += 1
            if sent is not None and url.endswith("/chat/completions"):
                bodies.append(json.loads(sent))
            return await once(self, method, url, sent, timeout_s)

        def ask(build: Callable[[int], Any], numbers: range) -> None:
            requests = [request for request, _ in build_all(config.chat, build, numbers)]
            for _ in CachedAnswers(model, requests, cache, "m"):
                pass

        def both(numbers: range) -> None:
            ask(lambda number: summary_request(config, model, captions(number), 5), numbers)
            ask(lambda number: score_request(config, model, f"A man walks past car {number} in a yard."), numbers)

        try:
            both(range(-WARM_UP, 0))
            Server.once = counted  # type: ignore[method-assign]
            start, cpu = time.perf_counter(), cpu_s()
            both(range(windows))
            wall = time.perf_counter() - start
        finally:
            Server.once = once  # type: ignore[method-assign]
            model.close()
    return Cost(2 * windows, trips, wall, cpu_s() - cpu), bodies


def bare(base_url: str, bodies: list[dict[str, Any]], concurrency: int) -> Cost:
    """The same bodies, posted by a loop."""
    contents = [json.dumps(body).encode() for body in bodies]

    async def run() -> Cost:
        limits = httpx.Limits(max_connections=concurrency, max_keepalive_connections=concurrency)
        async with httpx.AsyncClient(timeout=None, limits=limits, trust_env=False) as client:

            async def post(content: bytes) -> None:
                answer = await client.post(
                    f"{base_url}/chat/completions", content=content, headers={"Content-Type": "application/json"}
                )
                assert answer.json()["choices"][0]["message"]["content"]

            async def work(left: Any) -> None:
                for content in left:
                    await post(content)

            for content in contents[:WARM_UP]:
                await post(content)
            start, cpu = time.perf_counter(), cpu_s()
            left = iter(contents)
            await asyncio.gather(*(work(left) for _ in range(concurrency)))
            return Cost(len(contents), len(contents), time.perf_counter() - start, cpu_s() - cpu)

    return asyncio.run(run())


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--windows", type=int, default=1500, help="of the video: two requests each")
    parser.add_argument("--concurrency", type=int, nargs="+", default=[1, 16, 128], help="requests in flight")
    given = parser.parse_args()
    ours, theirs = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(target=serve, args=(theirs,), daemon=True)
    server.start()
    base_url = f"http://127.0.0.1:{ours.recv()}/v1"
    print("concurrency  counted by      requests/s  of bare  CPU ms/request  of bare  round trips/request")
    try:
        with tempfile.TemporaryDirectory() as name:
            for concurrency in given.concurrency:
                found = {}
                for word, tokenizer in (("the server", None), ("chat.tokenizer", str(LLAMA))):
                    found[word], bodies = by_the_program(base_url, given.windows, concurrency, tokenizer, Path(name))
                plain = bare(base_url, bodies, concurrency)
                for word, cost in {"(bare httpx)": plain, **found}.items():
                    rate, cpu = cost.requests / cost.wall_s, cost.cpu_s / cost.requests
                    of_rate, of_cpu = rate * plain.wall_s / plain.requests, cpu * plain.requests / plain.cpu_s
                    print(
                        f"{concurrency:11d}  {word:<14}  {rate:10.0f}  {of_rate:7.2f}  {1000 * cpu:14.2f}  {of_cpu:7.2f}  "
                        f"{cost.round_trips / cost.requests:19.2f}"
                    )
    finally:
        server.terminate()
        server.join()
    print(
        f"{given.windows} windows; {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, "
        f"httpx {httpx.__version__}, SQLite {sqlite3.sqlite_version}"
    )


if __name__ == "__main__":
    main()
