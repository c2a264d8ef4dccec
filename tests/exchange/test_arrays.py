"""``.npy`` files of others: nothing is allocated for what is not there."""

from __future__ import annotations

import io
import re
import struct
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lavad_core.imports.per_video import ImportReport, ImportSources
from lavad_core.imports.read import read_import
from lavad_core.npy_files import read_npy


def with_header(text: str, values: bytes = b"\0" * 64, version: int = 1) -> bytes:
    header = text.encode("latin-1")
    length = struct.pack("<H" if version == 1 else "<I", len(header))
    return b"\x93NUMPY" + bytes([version, 0]) + length + header + values


def header(shape: str = "(8,)", kind: str = "'<i8'", by_columns: str = "False") -> str:
    return f"{{'descr': {kind}, 'fortran_order': {by_columns}, 'shape': {shape}, }}\n"


@pytest.mark.parametrize(
    ("case", "text", "says"),
    [
        ("8 TiB", header("(1099511627776,)"), "an array [1099511627776] of int64; there are 64 bytes"),
        ("one more than there is", header("(9,)"), "an array [9] of int64; there are 64 bytes"),
        ("product of dimensions", header("(100000, 100000)"), "an array [100000, 100000] of int64"),
        ("no 64-bit number", header(f"({'9' * 4000},)"), "there are 64 bytes"),
        ("too long for a number", header(f"({'9' * 5000},)"), "header cannot be read"),
        ("negative", header("(-1,)"), "an array [-1] of int64"),
        ("negative twice", header("(-5, -2)"), "an array [-5, -2] of int64"),
        ("nothing, very often", header(f"(0, {'9' * 30})"), "Maximum allowed dimension"),
        ("nothing of too much", header("(0, 9223372036854775807, 4)"), "too big"),
        ("a hundred dimensions", header("(" + "0," * 100 + ")"), "found 100"),
        ("a truth value", header("(True,)"), "an array [True]"),
        ("half a dimension", header("(2.5,)"), "shape is not valid"),
        ("a text of 8 GB", header("()", "'<U2000000000'"), "header cannot be read"),
        ("texts", header("(4,)", "'<U4'"), "which are not numbers"),
        ("objects", header("(8,)", "'|O'"), "of object, which are not numbers"),
        ("fields of 8 GB", header("(1,)", "[('a', '<f8', (1000000000,))]"), "header cannot be read"),
        ("times", header("(8,)", "'<M8[ns]'"), "which are not numbers"),
        ("nested", "(" * 5000, "header cannot be read"),
        ("not closed", header("[["), "header cannot be read"),
        ("no text", "\0", "header cannot be read"),
        ("nothing", "", "header cannot be read"),
        ("a number", "1", "header cannot be read"),
    ],
)
@pytest.mark.parametrize("version", [1, 2, 3])
def test_headers_that_announce_what_is_not_there(case: str, text: str, says: str, version: int) -> None:
    with pytest.raises(ValueError, match=re.escape(says)) as caught:
        read_npy(with_header(text, version=version))
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    ("case", "content"),
    [("empty", b""), ("text", b"0 1 0"), ("version 9", with_header(header(), version=9)), ("cut", with_header("")[:9])],
)
def test_what_is_no_such_file(case: str, content: bytes) -> None:
    with pytest.raises(ValueError, match="header cannot be read"):
        read_npy(content)


def saved(values: object) -> bytes:
    stream = io.BytesIO()
    np.save(stream, values)  # type: ignore[arg-type]
    return stream.getvalue()


@pytest.mark.parametrize(
    "values",
    [
        np.arange(12.0).reshape(3, 4),
        np.asfortranarray(np.arange(12.0).reshape(3, 4)),
        np.array([True, False]),
        np.arange(5, dtype=">u2"),
        np.float16([0.5]),
        np.array(7),
        np.zeros((0, 3)),
    ],
    ids=["rows", "columns", "truth", "big-endian", "half", "one", "none"],
)
def test_what_numpy_writes_is_read(values: object) -> None:
    found = read_npy(saved(values))
    assert found.shape == np.shape(values)  # type: ignore[arg-type]
    assert np.array_equal(found, np.asarray(values))


@given(st.lists(st.tuples(st.integers(0, 159), st.integers(0, 255)), max_size=4), st.integers(0, 200))
def test_damage_is_a_value_error(changes: list[tuple[int, int]], kept: int) -> None:
    content = bytearray(saved(np.arange(4.0)))
    for place, value in changes:
        content[place] = value
    with suppress(ValueError):  # anything else fails
        assert read_npy(bytes(content[:kept])).nbytes <= len(content)


def test_the_good_videos_of_an_import_go_on(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.npy").write_bytes(saved(np.linspace(0, 1, 4)))
    (tmp_path / "huge.npy").write_bytes(with_header(header("(1099511627776,)")))
    (tmp_path / "object.npy").write_bytes(with_header(header("(8,)", "'|O'")))
    report = ImportReport()
    found = read_import(ImportSources(scores=tmp_path), dict.fromkeys(("a", "b", "huge", "object"), 64), report)
    assert [video.name for video in found.videos] == ["a", "b"]
    assert "an array [1099511627776] of int64" in found.unscored["huge"]
    assert len(report.problems) == 2
