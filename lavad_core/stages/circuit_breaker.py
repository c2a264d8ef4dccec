"""When to stop asking: a model whose answers were of no use for the first videos will not be of use for the next 10^5."""

from __future__ import annotations

import logging
import threading

from lavad_core.errors import NotAsked

log = logging.getLogger(__name__)


class CircuitBreaker:
    """How useful the answers were for each stage of a run, in this process; safe with threads.

    Args:
        most: videos whose answers were of no use, none having had useful ones, after which a stage is given up; 0 never.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._guard = threading.Lock()
        self._useless: dict[str, list[str]] = {}
        self._useful: set[str] = set()

    def check(self, node_id: str) -> None:
        """Raises NotAsked if the stage has been given up."""
        with self._guard:
            useless = self._useless.get(node_id, [])
            given_up = 0 < self._most <= len(useless) and node_id not in self._useful
        if given_up:
            raise NotAsked(_message(node_id, useless))

    def note(self, node_id: str, video: str, useful: bool) -> None:
        """Note whether a video's answers were of use. They were not if none was, or too few for the stage's result."""
        with self._guard:
            if useful:
                self._useful.add(node_id)
                return
            useless = self._useless.setdefault(node_id, [])
            useless.append(video)
            now = len(useless) == self._most and node_id not in self._useful
        if now:
            log.warning("%s", _message(node_id, useless))


def _message(node_id: str, useless: list[str]) -> str:
    return (
        f"{node_id} is not asked for further videos: the model's answers were of no use for the first {len(useless)} of them "
        f"({', '.join(map(repr, useless[:3]))}); see what they say, change the model or the setting, then `lavad retry` "
        "(run.give_up_after_unusable, 0 asks for all)"
    )
