"""Inputs that JSON cannot say, and the list of a run's videos."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lavad_core.errors import InputError
from lavad_core.runs.manifest import new_run_id
from lavad_core.runs.video_list import RunVideos, decode_input, encode_input, load_sources, save_sources
from lavad_core.video.types import VideoSource

NAMES = st.binary(min_size=1, max_size=30).map(lambda raw: raw.decode("utf-8", "surrogateescape"))


@given(NAMES)
def test_inputs_survive_json(name: str) -> None:
    assert decode_input(json.loads(json.dumps(encode_input(name)).encode("utf-8"))) == name


@pytest.mark.parametrize("name", ["plain.mp4", "bytes:x", "a\udcffb", "bytes:%41"])
def test_cases(name: str) -> None:
    encoded = encode_input(name)
    encoded.encode("utf-8")
    assert decode_input(encoded) == name


def test_a_list_is_read_as_it_was_saved(tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    run_id = new_run_id()
    sources = [VideoSource("a", Path("/x/a\udcff.mp4")), VideoSource("b", Path("/x/b"), "frames")]
    earlier = {VideoSource("c", Path("/x/c.mp4")): new_run_id()}
    save_sources(tmp_path, run_id, sources, earlier)
    assert load_sources(tmp_path, run_id) == RunVideos(sources, earlier)
    with pytest.raises(InputError, match="no list"):
        load_sources(tmp_path, new_run_id())
