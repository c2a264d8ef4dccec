"""Frames that the probe decoded and a later pass could not are said in that stage's commit."""

from __future__ import annotations

from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from lavad_core.stages.context import _Noting
from lavad_core.stages.passes import _counted
from lavad_core.video.types import Frame

PICTURE = np.zeros((2, 2, 3), np.uint8)


class Committed:
    """A writer that keeps what it is asked to commit."""

    def commit(self, status: str = "ok", **rest: Any) -> tuple[str, dict[str, Any]]:
        return status, rest


@pytest.mark.parametrize(
    ("word", "substituted", "status", "lost"),
    [
        ("all there", [], "ok", 0),
        ("gaps that the probe found", [3], "ok", 0),
        ("a decoder that died", [3, 4, 5], "ok_with_gaps", 2),
    ],
)
def test_lost_frames_are_in_the_commit(word: str, substituted: list[int], status: str, lost: int) -> None:
    context: Any = SimpleNamespace(count=lambda counter, amount: None, waiting=nullcontext, frames_lost=0)
    # Two requests: a frame of both is lost once.
    frames = [Frame(index, request, PICTURE, index in substituted) for index in range(6) for request in range(2)]
    assert len(list(_counted(context, iter(frames), frozenset({3})))) == 12
    writer: Any = _Noting(Committed(), context)  # type: ignore[arg-type]
    found, rest = writer.commit(message="two captions are empty", counts={"captions": 6})
    assert (found, (rest["counts"] or {}).get("frames_lost", 0), rest["counts"]["captions"]) == (status, lost, 6)
    assert rest["message"].startswith("two captions are empty")
    assert (f"{lost} frames that the probe had decoded" in rest["message"]) == bool(lost)
    assert writer.commit("rejected", reason="no-captions")[0] == "rejected"
