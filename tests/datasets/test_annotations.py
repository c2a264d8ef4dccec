"""Temporal annotations: forms that exist, and what is wrong with a line."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lavad_core.datasets import annotations
from lavad_core.datasets.annotations import Annotation, read_annotations
from lavad_core.errors import InputError

XD = "Bad.Boys.1995__#01-11-55_01-12-40_label_G-B2-B6"


def written(folder: Path, content: bytes) -> Path:
    path = folder / "labels.txt"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("word", "line", "name", "expected"),
    [
        ("ucf", "Abuse901_x264.mp4  Abuse  12  240  -1  -1  ", "Abuse901_x264", Annotation("Abuse", ((12, 240),))),
        ("ucf-normal", "Normal_Videos_903_x264  Normal  -1  -1  -1  -1", "Normal_Videos_903_x264", None),
        ("two", "a Arson 1 2 3 4", "a", Annotation("Arson", ((1, 2), (3, 4)))),
        ("many", "a b " + "0 9 " * 22, "a", Annotation("b", ((0, 9),) * 22)),
        ("closing-minus-one", "a Arson 1 2 3 4 -1", "a", Annotation("Arson", ((1, 2), (3, 4)))),
        ("one-frame", "a Arson 5 5", "a", Annotation("Arson", ((5, 5),))),
        ("tabs", "\ta\tArson\t1\t2\t", "a", Annotation("Arson", ((1, 2),))),
        ("crlf", "a Arson 1 2\r", "a", Annotation("Arson", ((1, 2),))),
        ("byte-order-mark", "\ufeffa Arson 1 2", "a", Annotation("Arson", ((1, 2),))),
        ("upper-ending", "a.MP4 Arson 1 2", "a", Annotation("Arson", ((1, 2),))),
        ("only-an-ending", ".mp4 Arson 1 2", ".mp4", Annotation("Arson", ((1, 2),))),
        ("dots", "v1.0 Arson 1 2", "v1.0", Annotation("Arson", ((1, 2),))),
        ("spaces-in-name", "my  video 1.mp4 Arson 1 2", "my  video 1", Annotation("Arson", ((1, 2),))),
        ("digits-in-name", "7 Arson 1 2", "7", Annotation("Arson", ((1, 2),))),
        ("xd-no-class", f"{XD}.mp4 10 20 30 40", XD, Annotation("G-B2-B6", ((10, 20), (30, 40)))),
        ("xd-class", f"{XD} G 10 20 -1", XD, Annotation("G", ((10, 20),))),
        ("no-class-no-label", "clip 10 20", "clip", Annotation("", ((10, 20),))),
        ("vertical-tab-is-no-line", "a Arson 1 2\v", "a", Annotation("Arson", ((1, 2),))),
    ],
)
def test_forms(word: str, line: str, name: str, expected: Annotation | None, tmp_path: Path) -> None:
    found = read_annotations(written(tmp_path, line.encode() + b"\n"))
    assert found == {name: expected or Annotation("Normal", ())}


def test_order_and_blank_lines(tmp_path: Path) -> None:
    found = read_annotations(written(tmp_path, b"\nb Arson 1 2\n\n  \na Arson 1 2\n\n"))
    assert list(found) == ["b", "a"]


@pytest.mark.parametrize(
    ("word", "line", "problem"),
    [
        ("not-pairs", "a Arson 1 2 3", "3 frame numbers are not pairs"),
        ("half-a-pair", "a Arson 1 -1", "1 -1 is not an interval"),
        ("backwards", "a Arson 9 3", "9 3 is not an interval"),
        ("negative", "a Arson -5 3", "-5 3 is not an interval"),
        ("no-numbers", "a Arson", "no frame numbers"),
        ("no-name", "1 2", "there is no name"),
        ("broken-number", "a Arson 1.5 2", "'1.5' is neither a class nor a frame number"),
        ("word-at-the-end", "a Arson 1 2 x", "no frame numbers"),
        ("twice", "ok Arson 1 2", "named before"),
        ("huge-number", "a Arson 1 " + "9" * 5000, "no frame numbers"),
    ],
)
def test_a_bad_line_is_shown(word: str, line: str, problem: str, tmp_path: Path) -> None:
    path = written(tmp_path, f"ok Arson 1 2\n{line}\n".encode())
    with pytest.raises(InputError) as caught:
        read_annotations(path)
    message = str(caught.value)
    assert problem in message
    for part in (repr(str(path)), "line 2:", line[:100], "name class start end"):
        assert part in message
    assert len(message) < 500 + len(str(path))


def test_control_characters_of_a_line_are_escaped(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=re.escape(r"a\x1b[31m\u202e Arson")):
        read_annotations(written(tmp_path, "a\x1b[31m\u202e Arson 1".encode()))


@pytest.mark.parametrize(
    ("word", "content", "match"),
    [
        ("empty", b"", "no annotation"),
        ("blank", b"\n \n", "no annotation"),
        ("not-utf-8", b"a Arson 1 2\n\xff", "not UTF-8 text: byte 12"),
    ],
)
def test_a_bad_file_is_named(word: str, content: bytes, match: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=match):
        read_annotations(written(tmp_path, content))


@pytest.mark.parametrize(
    ("word", "name", "match"),
    [
        ("missing", "absent.txt", "does not exist"),
        ("folder", ".", "is not a regular file"),
        ("nul", "a\0b", "does not exist|cannot be read"),
        ("too-long", "a" * 300, "cannot be read|does not exist"),
    ],
)
def test_no_file(word: str, name: str, match: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=match):
        read_annotations(tmp_path / name)


def test_a_file_beyond_the_limit_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(annotations, "MAX_BYTES", 11)
    assert read_annotations(written(tmp_path, b"a Arson 1 2"))
    with pytest.raises(InputError, match="more than 11 bytes"):
        read_annotations(written(tmp_path, b"a Arson 1 23"))


INTERVALS = st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 10**4)), max_size=25)
NAMES = st.text(st.characters(codec="utf-8", exclude_categories=["Z", "C"]), min_size=1).filter(
    lambda name: "_label_" not in name
)


@settings(deadline=None)
@given(st.dictionaries(NAMES.map(lambda name: f"{name}_x264"), INTERVALS, min_size=1, max_size=5))
def test_what_is_written_is_read(
    tmp_path_factory: pytest.TempPathFactory, videos: dict[str, list[tuple[int, int]]]
) -> None:
    path = tmp_path_factory.mktemp("labels") / "labels.txt"
    expected = {name: tuple((a, a + length) for a, length in items) for name, items in videos.items()}
    lines = [f"{name} Class {' '.join(f'{a} {b}' for a, b in items)} -1 -1" for name, items in expected.items()]
    path.write_text("\n".join(lines), encoding="utf-8")
    assert {name: found.intervals for name, found in read_annotations(path).items()} == expected
