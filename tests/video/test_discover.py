"""What a user may name, and the names that videos get."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lavad_core.errors import InputError, VideoRejected
from lavad_core.video.discover import discover
from lavad_core.video.identity import identify
from lavad_core.video.types import VideoSource


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Files by name alone: nothing is opened while looking for videos."""
    for name in (
        "a.mp4",
        "b.MKV",
        "notes.txt.bak",
        "cover.jpg",
        "sub/c.avi",
        "sub/deep/d.webm",
        "sub/clip/000000.jpg",
        "sub/clip/000001.jpg",
        "sub/thumbs/face.jpg",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def told(sources: list[VideoSource], root: Path) -> list[tuple[str, str, str]]:
    return [(s.name, os.path.relpath(s.path, root), s.kind) for s in sources]


def test_a_file(tree: Path) -> None:
    assert told(discover(["a.mp4"]), tree) == [("a", "a.mp4", "file")]
    assert told(discover([tree / "notes.txt.bak"]), tree) == [("notes.txt", "notes.txt.bak", "file")]


def test_a_folder(tree: Path) -> None:
    assert told(discover([tree]), tree) == [
        ("a", "a.mp4", "file"),
        ("b", "b.MKV", "file"),
        ("c", "sub/c.avi", "file"),
        ("clip", "sub/clip", "frames"),
        ("d", "sub/deep/d.webm", "file"),
    ]


def test_a_folder_of_frames(tree: Path) -> None:
    assert told(discover(["sub/clip"]), tree) == [("clip", "sub/clip", "frames")]
    assert told(discover(["sub/clip/"]), tree) == [("clip", "sub/clip", "frames")]


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("*.mp4", ["a"]),
        ("*", ["a", "b", "c", "clip", "d"]),
        ("**/*.avi", ["c"]),
        ("sub/*", ["c", "clip", "d"]),
        ("[ab].*", ["a", "b"]),
        ("sub/cli?", ["clip"]),
    ],
)
def test_globs(pattern: str, names: list[str], tree: Path) -> None:
    assert [s.name for s in discover([pattern])] == names
    assert [s.name for s in discover([str(tree / pattern)])] == names


def test_a_name_with_glob_characters_is_a_file(tree: Path) -> None:
    (tree / "[x]*.mp4").touch()
    assert [s.name for s in discover(["[x]*.mp4"])] == ["[x]*"]


LISTS = {
    "plain": b"a.mp4\nsub/c.avi\n",
    "no newline at the end": b"a.mp4\nsub/c.avi",
    "CRLF": b"a.mp4\r\nsub/c.avi\r\n",
    "byte order mark": b"\xef\xbb\xbfa.mp4\nsub/c.avi\n",
    "comments and blanks": b"# the first\n\na.mp4\n   \n#sub/deep/d.webm\nsub/c.avi\n",
    "spaces around": b"  a.mp4 \nsub/c.avi\t\n",
}


@pytest.mark.parametrize("case", LISTS)
@pytest.mark.parametrize("how", ["@", ""])
def test_lists(
    case: str, how: str, tree: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Paths are relative to the list, not to where the program runs."""
    (tree / "list.txt").write_bytes(LISTS[case])
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    assert told(discover([f"{how}{tree / 'list.txt'}"]), tree) == [("a", "a.mp4", "file"), ("c", "sub/c.avi", "file")]


def test_a_list_may_name_folders_absolute_paths_and_odd_files(tree: Path) -> None:
    (tree / "#1.mp4").touch()
    (tree / " b .mp4").touch()
    (tree / "some.lst").write_text(f"sub/clip\n{tree / 'b.MKV'}\n#1.mp4\n b .mp4\nsub/deep\n")
    assert [s.name for s in discover(["@some.lst"])] == ["clip", "b", "#1", " b ", "d"]


def test_a_listed_file_that_is_lost_does_not_stop_the_others(tree: Path) -> None:
    (tree / "list.txt").write_text("a.mp4\nlost.mp4\n")
    assert told(discover(["list.txt"]), tree) == [("a", "a.mp4", "file"), ("lost", "lost.mp4", "file")]


def test_a_file_named_with_an_at_sign(tree: Path) -> None:
    (tree / "@home.mp4").touch()
    assert [s.name for s in discover(["@home.mp4"])] == ["@home"]


NOTHING = {
    "absent file": "absent.mp4",
    "empty string": "",
    "glob without a match": "*.mov",
    "glob that matches no video": "cover.*",
    "folder without videos": "sub/thumbs",
    "absent list": "@absent.txt",
    "escape characters": "\x1b[31m\n.mp4",
    "named pipe": "pipe.mp4",
    "list of nothing": "empty.txt",
    "list that is not a text": "binary.txt",
    "NUL": "a\0.mp4",
}


@pytest.mark.parametrize("case", NOTHING)
def test_nothing_found_is_an_error_that_names_it(case: str, tree: Path) -> None:
    os.mkfifo(tree / "pipe.mp4")
    (tree / "empty.txt").write_text("# nothing\n")
    (tree / "binary.txt").write_bytes(b"\0\1\2")
    with pytest.raises(InputError) as caught:
        discover(["a.mp4", NOTHING[case]])
    message = str(caught.value)
    assert repr(NOTHING[case].removeprefix("@"))[1:-1] in message
    assert message.isprintable()


def test_a_video_named_twice_comes_once(tree: Path) -> None:
    assert [s.name for s in discover(["a.mp4", tree, "*.mp4", "./a.mp4"])] == ["a", "b", "c", "clip", "d"]


def test_links_to_folders_are_not_followed(tree: Path) -> None:
    (tree / "sub" / "loop").symlink_to(tree)
    (tree / "link.mp4").symlink_to(tree / "a.mp4")
    assert [s.name for s in discover([tree])] == ["a", "b", "link", "c", "clip", "d"]


def _link_to_nothing(path: Path) -> None:
    path.symlink_to("nowhere")


def _link_to_itself(path: Path) -> None:
    path.symlink_to(path.name)


def _link_to_a_folder(path: Path) -> None:
    path.with_name("documents").mkdir()
    path.symlink_to("documents", target_is_directory=True)


NO_FILES: dict[str, tuple[Callable[[Path], None], str]] = {
    "dangling link": (_link_to_nothing, "missing"),
    "link to itself": (_link_to_itself, "unreadable"),
    "link to a folder": (_link_to_a_folder, "missing"),
    "named pipe": (os.mkfifo, "missing"),
    "folder without videos": (Path.mkdir, "missing"),
}
"""What may have a video's ending without being a file, and why it is rejected."""


@pytest.mark.parametrize("case", NO_FILES)
@pytest.mark.parametrize("given", ["", "g*", "gone.*", "*"])
def test_nothing_with_a_video_ending_vanishes(case: str, given: str, tmp_path: Path) -> None:
    make, reason = NO_FILES[case]
    make(tmp_path / "gone.mp4")
    (tmp_path / "gone.doc").symlink_to("nowhere")
    sources = discover([str(tmp_path / given)])
    assert told(sources, tmp_path) == [("gone", "gone.mp4", "file")]
    with pytest.raises(VideoRejected) as caught:
        identify(sources[0], None)
    assert caught.value.reason == reason


def test_a_folder_called_like_a_video_is_searched(tmp_path: Path) -> None:
    (tmp_path / "day.mp4" / "night.avi").mkdir(parents=True)
    (tmp_path / "day.mp4" / "night.avi" / "000000.jpg").touch()
    assert told(discover([tmp_path]), tmp_path) == [("night.avi", "day.mp4/night.avi", "frames")]
    assert told(discover([str(tmp_path / "*")]), tmp_path) == [("night.avi", "day.mp4/night.avi", "frames")]


HIDDEN = ("._a.mp4", ".b.mp4", ".trash/c.mp4", "sub/.e.mkv", "sub/.cache/clip/000000.jpg", ".gone.mp4/x", "..mp4")


@pytest.mark.parametrize(
    ("case", "given", "names"),
    [
        ("a folder", ".", ["a", "b", "c", "clip", "d"]),
        ("a glob", "*", ["a", "b", "c", "clip", "d"]),
        ("a glob of any depth", "**/*.mp4", ["a"]),
        ("a file named itself", "._a.mp4", ["._a"]),
        ("a folder named itself", ".trash", ["c"]),
        ("a glob that spells the dot", ".?.mp4", [".b"]),
    ],
)
def test_hidden_names_are_left_out_of_searches(case: str, given: str, names: list[str], tree: Path) -> None:
    for name in HIDDEN:
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).touch()
    assert [s.name for s in discover([given])] == names, case


def test_a_folder_of_hidden_names_has_nothing_and_the_message_says_why(tmp_path: Path) -> None:
    (tmp_path / "._a.mp4").touch()
    with pytest.raises(InputError, match="hidden names"):
        discover([tmp_path])


def test_names_that_collide_get_their_folders(tree: Path) -> None:
    for name in ("x/one/v.mp4", "x/two/v.mp4", "x/two/v.avi", "x/v.mp4", "y/one/v.mp4"):
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).touch()
    assert [s.name for s in discover(["x"])] == ["one/v", "two/v.avi", "two/v.mp4", "v"]
    names = {os.path.relpath(s.path, tree): s.name for s in discover(["x", "y"])}
    assert len(set(names.values())) == 5
    assert names["y/one/v.mp4"].endswith("y/one/v.mp4")


ODD = [
    "-rf.mp4",
    "a\nb.mp4",
    "\x1b[31m.mp4",
    "\u202egpj.mp4",
    "x" * 251 + ".mp4",
    "\udcff\udcfe.mp4",
    "\\xff.mp4",
    "é.mp4",
    "~.mp4",
]


def test_odd_names_stay_harmless(tmp_path: Path) -> None:
    for name in ODD:
        (tmp_path / name).touch()
    sources = discover([tmp_path])
    assert {s.path.name for s in sources} == set(ODD)
    names = [s.name for s in sources]
    assert len(set(names)) == len(ODD)
    for name in names:
        name.encode("utf-8")
    assert "\\xff\\xfe" in names


@settings(max_examples=40, deadline=None)
@given(
    names=st.sets(
        st.binary(min_size=1, max_size=20).filter(lambda b: not {0, 47} & set(b) and b[:1] != b"."),
        min_size=1,
        max_size=8,
    )
)
def test_any_file_name(names: set[bytes], tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("any")
    for name in names:
        (folder / os.fsdecode(name + b".mp4")).touch()
    sources = discover([folder])
    assert {os.fsencode(s.path.name) for s in sources} == {name + b".mp4" for name in names}
    assert len({s.name for s in sources}) == len(sources)
    for source in sources:
        source.name.encode("utf-8")
