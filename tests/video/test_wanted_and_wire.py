"""Which frames are due, and the messages between the two processes."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lavad_core.errors import InternalError
from lavad_core.video import wanted, wire
from lavad_core.video.types import NATIVE, FrameRequest

REFUSED = {
    "neither": FrameRequest(NATIVE),
    "both": FrameRequest(NATIVE, frames=(1,), every=2),
    "every 0": FrameRequest(NATIVE, every=0),
    "twice": FrameRequest(NATIVE, frames=(1, 1)),
    "falling": FrameRequest(NATIVE, frames=(2, 1)),
    "negative": FrameRequest(NATIVE, frames=(-1, 1)),
    "beyond the end": FrameRequest(NATIVE, frames=(0, 10)),
    "falling array": FrameRequest(NATIVE, frames=np.array([2, 1])),
}


@pytest.mark.parametrize("case", REFUSED)
def test_impossible_requests_are_refused(case: str) -> None:
    with pytest.raises(InternalError, match="frame request 1"):
        wanted.check_requests([FrameRequest(NATIVE, every=1), REFUSED[case]], 10)


lists = st.lists(st.integers(0, 60), unique=True).map(lambda v: FrameRequest(NATIVE, frames=tuple(sorted(v))))
arrays = lists.map(lambda r: FrameRequest(NATIVE, frames=np.array(r.frames, np.int64)))
steps = st.integers(1, 70).map(lambda n: FrameRequest(NATIVE, every=n))


@given(st.lists(st.one_of(lists, arrays, steps), max_size=5), st.integers(61, 90))
def test_each_wanted_frame_once_in_order(requests: list[FrameRequest], frames: int) -> None:
    wanted.check_requests(requests, frames)
    got = list(wanted.needed(requests, frames))
    assert [i for i, _ in got] == sorted({i for i, _ in got})
    for number, request in enumerate(requests):
        frames_wanted = list(request.frames if request.frames is not None else range(0, frames, request.every or 1))
        assert [i for i, to in got if number in to] == frames_wanted
    assert all(to == sorted(to) and to for _, to in got)
    assert all(type(i) is int for i, _ in got)


def reader(data: bytes) -> Any:
    stream = io.BytesIO(data)

    def read(count: int) -> bytes:
        piece = stream.read(count)
        if len(piece) < count:
            raise EOFError
        return piece

    return read


@given(st.dictionaries(st.text(), st.one_of(st.integers(), st.text(), st.none())), st.binary(max_size=100))
def test_messages_come_back(header: dict[str, Any], raw: bytes) -> None:
    assert wire.receive(reader(wire.pack(header, len(raw)) + raw), 100) == (header, bytearray(raw))


BROKEN = {
    "cut prefix": (wire.pack({}, 0)[:5], EOFError),
    "cut header": (wire.pack({"a": 1}, 0)[:-1], EOFError),
    "cut bytes": (wire.pack({}, 4) + b"123", EOFError),
    "too many bytes": (wire.pack({}, 101), wire.WireError),
    "too long a header": (wire.PREFIX.pack(wire.MAX_HEADER_BYTES + 1, 0), wire.WireError),
    "not JSON": (wire.PREFIX.pack(3, 0) + b"abc", wire.WireError),
    "not text": (wire.PREFIX.pack(3, 0) + b"\xff\xfe\xfd", wire.WireError),
    "not an object": (wire.PREFIX.pack(2, 0) + b"[]", wire.WireError),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_messages_are_refused(case: str) -> None:
    data, error = BROKEN[case]
    with pytest.raises(error):
        wire.receive(reader(data), 100)
