"""The event loop of the process, in a thread of its own: callers that ask many things at once stay synchronous."""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class _Loop:
    """A forked child starts its own: the parent's thread does not exist there."""

    lock = threading.Lock()
    loop: asyncio.AbstractEventLoop | None = None


def submit(coroutine: Coroutine[Any, Any, T]) -> concurrent.futures.Future[T]:
    """Run a coroutine on the loop, which starts with the first one."""
    with _Loop.lock:
        if _Loop.loop is None:
            _Loop.loop = asyncio.new_event_loop()
            threading.Thread(target=_Loop.loop.run_forever, name="lavad-http", daemon=True).start()
    return asyncio.run_coroutine_threadsafe(coroutine, _Loop.loop)


def _forget_loop() -> None:
    _Loop.lock, _Loop.loop = threading.Lock(), None


os.register_at_fork(after_in_child=_forget_loop)
