"""An address where a file or folder of this machine is meant is refused at once; it never becomes a folder below this one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from support.command import lavad

from lavad.deployments.cli.exits import Exit
from lavad_core.config.load import load_config
from lavad_core.errors import ConfigError, InputError
from lavad_core.exports.target import new_file
from lavad_core.location import address_scheme
from lavad_core.store.files import FileStore
from lavad_core.user_files import read_bytes, replacing
from lavad_core.video.discover import discover

SECRET = "hunter2"

PLACES = "https://u:hunter2@host/x?sig=hunter2"


@pytest.mark.parametrize(
    ("given", "scheme"),
    [
        pytest.param("s3://b/x", "s3", id="bucket"),
        pytest.param(Path("s3://b/x"), "s3", id="bucket as a path"),
        pytest.param("S3://b/x", "s3", id="capitals"),
        pytest.param("rtsp://cam/1", "rtsp", id="stream"),
        pytest.param("any+thing://x", "any+thing", id="unknown scheme"),
        pytest.param("file:///tmp/x", "file", id="file"),
        pytest.param("take1:/x.mp4", "", id="folder with a colon"),
        pytest.param(Path("take1:/x.mp4"), "", id="folder with a colon as a path"),
        pytest.param("models/a.py:make", "", id="function of a file"),
        pytest.param("C:/videos", "", id="drive"),
        pytest.param("/data/s3://b", "", id="absolute path"),
        pytest.param("./s3:/b", "", id="folder called like a scheme"),
    ],
)
def test_what_is_an_address(given: str | Path, scheme: str) -> None:
    assert address_scheme(given) == scheme


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        pytest.param(("run", "rtsp://cam/1"), "record the stream into a file first", id="stream"),
        pytest.param(("run", PLACES), "files, folders, patterns and lists of this machine", id="video"),
        pytest.param(
            ("plan", "x", "--set", "evaluate.labels=gs://b/l.txt"), "evaluate.labels (--set", id="labels of a file"
        ),
        pytest.param(
            ("plan", "x", "--set", "encoder.model=gs://b/w.pth"), "the name of a model, or its file", id="weights"
        ),
        pytest.param(("plan", "x", "--set", "store=gs://b/x"), "store (--set store): gs://…", id="store, as a setting"),
        pytest.param(("status", "--store", "gs://b/x"), "gs://… is an address", id="store"),
        pytest.param(("report", "--output", "gs://b/r"), "copy it there", id="report"),
        pytest.param(("plot", "x", "-o", "gs://b/r.png"), "copy it there", id="plot"),
        pytest.param(("overlay", "x", "-o", "gs://b/r.mp4"), "copy it there", id="overlay"),
        pytest.param(("export", "csv", "gs://b/r"), "copy it there", id="export"),
        pytest.param(("import", "--scores", PLACES), "scores: https://…", id="scores"),
        pytest.param(("evaluate", "--labels", PLACES), "labels: https://… is an address", id="labels"),
        pytest.param(("threshold", "--labels", PLACES), "labels: https://… is an address", id="labels of a threshold"),
        pytest.param(("demo", "--output", "gs://b/r"), "copy it there", id="demonstration"),
        pytest.param(("config", "show", "--config", PLACES), "config: https://… is an address", id="configuration"),
    ],
)
def test_the_command_says_what_is_supported(
    arguments: tuple[str, ...], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = lavad(*arguments)
    assert (result.exit_code, result.stdout) == (Exit.USAGE, "")
    assert says in result.stderr
    assert SECRET not in result.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("use", "error"),
    [
        pytest.param(lambda: load_config(settings={"imports": {"captions": {"a": "gs://b"}}}, environ={}), ConfigError,
                     id="path in a mapping"),
        pytest.param(lambda: load_config(environ={"LAVAD_STORE": "gs://b/x"}), ConfigError, id="environment"),
        pytest.param(lambda: read_bytes(Path("gs://b/x"), "labels", 10), InputError, id="file to read"),
        pytest.param(lambda: replacing(Path("gs://b/x")).__enter__(), InputError, id="file to replace"),
        pytest.param(lambda: new_file(Path("gs://b/x")).__enter__(), InputError, id="file to write"),
        pytest.param(lambda: FileStore(Path("gs://b/x")), InputError, id="store"),
        pytest.param(lambda: discover([Path("https://b/x.mp4")]), InputError, id="video"),
    ],
)  # fmt: skip
def test_so_does_the_library(
    use: Callable[[], object], error: type[Exception], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match="is an address"):
        use()
    assert list(tmp_path.iterdir()) == []


def test_a_list_with_an_address_is_refused(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("a.mp4\nhttps://host/b.mp4?sig=hunter2\n")
    with pytest.raises(InputError, match=r"list\.txt'.*https://… is an address") as caught:
        discover([tmp_path / "list.txt"])
    assert SECRET not in str(caught.value)
