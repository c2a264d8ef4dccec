"""A decoding process that is started again when it dies: what it read before is not lost with it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from typing import Any, Self

from lavad_core.errors import VideoRejected
from lavad_core.video.process import Child

log = logging.getLogger(__name__)

RETREAT_PACKETS = 33
"""How many packets before the one that a decoder died of may have to go with it: decoders hold that many back."""


class RestartingChild:
    """One request, answered by as many processes as it takes.

    A process that died is followed by one with a single thread, which shows whether the death comes again and at which packet.
    If it does, the next one stops before that packet. So a ``decoder-crashed`` that leaves here is the file's own doing. Use
    as a context manager: no process is left when the block ends.

    Args:
        request: as for :class:`Child`; ``threads``, ``strict``, ``stop_at`` and ``delivered`` change from process to process.
        raw: its raw part.
        bounds: the other arguments of :class:`Child`.

    Raises (from :meth:`receive`): as :meth:`Child.receive`.
    """

    def __init__(self, request: Mapping[str, Any], raw: bytes, bounds: Mapping[str, Any]) -> None:
        self._request, self._raw, self._bounds = dict(request), raw, bounds
        self._delivered = self._deaths = self._reached = 0
        self._ended = False
        self._change = threading.Lock()
        self._child = Child(self._request, raw, **bounds)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        self._child.__exit__()

    def kill(self) -> None:
        """End the process at once, and start no other; safe from any thread and more than once."""
        with self._change:
            self._ended = True
            self._child.kill()

    def receive(self) -> tuple[dict[str, Any], bytearray]:
        """The next message."""
        death: VideoRejected | None = None
        while True:
            try:
                message = self._child.receive()
            except VideoRejected as error:
                # A decoder that stops before its first frame is no verdict on a file that killed another one.
                if error.reason != "decoder-crashed" and not (
                    death and self._deaths > 2 and error.reason == "no-frames"
                ):
                    raise
                death = death or error
                if not self._start_again():
                    raise death from None
            else:
                self._delivered += 1
                return message

    def _start_again(self) -> bool:
        """Whether there is something left to try."""
        self._deaths += 1
        self._request |= {"threads": 1, "delivered": self._delivered}
        if self._deaths == 2:
            self._reached = self._child.reached
        if self._deaths > 1:
            less = {2: 0, 3: 1, 4: RETREAT_PACKETS}.get(self._deaths, self._reached)
            if self._reached - less < 1 or self._request["kind"] != "file":
                return False
            log.warning("the decoder died twice at packet %d; what comes after it is left out", self._reached - less)
            self._request |= {"stop_at": self._reached - less, "strict": False}
        with self._change:
            if self._ended:
                return False
            self._child.__exit__()
            self._child = Child(self._request, self._raw, **self._bounds)
        return True
