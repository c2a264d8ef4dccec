"""A scripted server for failures that a real vLLM does not show when asked to.

Bodies are those of vLLM 0.32; ``tests/vllm/test_contract.py`` compares their shape with a real server's.
"""

from __future__ import annotations

import asyncio
import base64
import io
import json
import socket
import struct
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

MODEL = "tiny"


def chat_body(text: str, finish_reason: str = "stop", **extra: Any) -> dict[str, Any]:
    """A chat answer."""
    message = {"role": "assistant", "content": text, "refusal": None}
    return {
        "id": "chatcmpl-0",
        "object": "chat.completion",
        "created": 1,
        "model": MODEL,
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": finish_reason, **extra}],
        "usage": {"prompt_tokens": 20, "total_tokens": 26, "completion_tokens": 6},
    }


def error_body(message: str, type_: str, code: int, param: str | None = None) -> dict[str, Any]:
    return {"error": {"message": message, "type": type_, "param": param, "code": code}}


MODELS = {"object": "list", "data": [{"id": MODEL, "object": "model", "owned_by": "vllm", "max_model_len": 2048}]}
TOO_LONG = error_body(
    "This model's maximum context length is 2048 tokens. However, your prompt contains at least 2049 input tokens, which "
    "exceeds this limit even without any output tokens. Please reduce the length of the input prompt. "
    "(parameter=input_tokens, value=2049)",
    "BadRequestError",
    400,
    "input_tokens",
)
NO_MODEL = error_body("The model `nope` does not exist. Valid aliases: tiny.", "NotFoundError", 404, "model")
BUSY = error_body(
    "The engine is currently busy and cannot accept new requests. Please try again later or on a different instance.",
    "Service Unavailable",
    503,
)
DEAD = error_body(
    "EngineCore encountered an issue. See stack trace (above) for the root cause.", "InternalServerError", 500
)


@dataclass
class Reply:
    """What is sent for one request."""

    status: int = 200
    body: Any = None
    """Sent as JSON; or bytes as they are."""
    headers: dict[str, str] = field(default_factory=dict)
    content_type: str = "application/json"
    cut: int | None = None
    """Bytes of the body that are sent before the connection closes, the length having promised all; None: all."""
    reset: bool = False
    """Close with a TCP reset before anything is sent."""
    delay_s: float = 0.0
    """Wait before the first byte, seconds."""
    until: Callable[[], bool] | None = None
    """Then wait until this is true."""
    trickle_s: float = 0.0
    """Between the bytes of the body."""


@dataclass
class Seen:
    """A request that arrived."""

    method: str
    path: str
    headers: dict[str, str]
    body: Any


class ScriptedServer:
    """Answers ``/v1/models`` by itself and everything else by ``script``.

    Attributes:
        seen: requests other than ``/v1/models``, in order of arrival.
        answered: how many were answered to the end.
        most_at_once: most of them unanswered at one time.
    """

    def __init__(self, script: Callable[[Seen], Reply]) -> None:
        self.script = script
        self.models = Reply(body=MODELS)
        self.seen: list[Seen] = []
        self.answered = self.most_at_once = self._at_once = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._server = asyncio.run_coroutine_threadsafe(
            asyncio.start_server(self._serve, "127.0.0.1", 0), self._loop
        ).result(10)
        self.port = self._server.sockets[0].getsockname()[1]
        self.base_url = f"http://127.0.0.1:{self.port}/v1"

    def close(self) -> None:
        async def shut() -> None:
            self._server.close()
            tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

        asyncio.run_coroutine_threadsafe(shut(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self._one(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # whoever asked has gone
        finally:
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """True if the connection stays open."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        method, path, _ = head[0].split(" ")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
        content = await reader.readexactly(int(headers.get("content-length", 0)))
        seen = Seen(method, path, headers, json.loads(content) if content else None)
        if path == "/v1/models":
            reply = self.models
        else:
            self.seen.append(seen)
            reply = self.script(seen)
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            stays = await self._send(reply, writer)
            self.answered += 1
            return stays
        finally:
            self._at_once -= 1

    async def _send(self, reply: Reply, writer: asyncio.StreamWriter) -> bool:
        await asyncio.sleep(reply.delay_s)
        while reply.until is not None and not reply.until():
            await asyncio.sleep(0.001)
        if reply.reset:
            linger = struct.pack("ii", 1, 0)  # closing now sends RST
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            return False
        body = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
        head = {"Content-Type": reply.content_type, "Content-Length": str(len(body)), **reply.headers}
        lines = [f"HTTP/1.1 {reply.status} Scripted", *(f"{name}: {value}" for name, value in head.items())]
        writer.write("\r\n".join([*lines, "", ""]).encode())
        sent = body if reply.cut is None else body[: reply.cut]
        if reply.trickle_s:
            for number in range(len(sent)):
                writer.write(sent[number : number + 1])
                await writer.drain()
                await asyncio.sleep(reply.trickle_s)
        else:
            writer.write(sent)
        await writer.drain()
        return reply.cut is None


def in_turn(*replies: Reply) -> Callable[[Seen], Reply]:
    """A script: one reply after the other, the last one for ever."""
    rest: Iterator[Reply] = iter(replies)
    last: Sequence[Reply] = replies[-1:]

    def script(_: Seen) -> Reply:
        return next(rest, last[0])

    return script


def pictures_in(seen: Seen) -> list[NDArray[np.uint8]]:
    """The pictures that a chat request shows, uint8 [height, width, 3]; none for any other request."""
    content = seen.body["messages"][-1]["content"] if seen.path == "/v1/chat/completions" else ""
    found = []
    for part in content:
        if isinstance(part, dict) and part["type"] == "image_url":
            head, _, data = part["image_url"]["url"].partition(",")
            assert head == "data:image/jpeg;base64"
            found.append(np.asarray(Image.open(io.BytesIO(base64.b64decode(data)))))
    return found


def picture_in(seen: Seen) -> NDArray[np.uint8] | None:
    """The one picture that a chat request shows; None for a request without any."""
    found = pictures_in(seen)
    assert len(found) < 2
    return found[0] if found else None


def looking(script: Callable[[NDArray[np.uint8]], Reply]) -> Callable[[Seen], Reply]:
    """A script for what is asked about pictures. What else a client wants to know is not there, or answered in a word."""

    def answer(seen: Seen) -> Reply:
        picture = picture_in(seen)
        if picture is not None:
            return script(picture)
        asked = seen.path == "/v1/chat/completions"
        return Reply(body=chat_body("Yes.")) if asked else Reply(status=404, body=error_body("no", "NotFound", 404))

    return answer


@contextmanager
def scripted(*replies: Reply, script: Callable[[Seen], Reply] | None = None) -> Iterator[ScriptedServer]:
    """A server while the context lasts."""
    server = ScriptedServer(script or in_turn(*replies))
    try:
        yield server
    finally:
        server.close()
