"""A PostgreSQL server of a test's own, as Debian packages it, run by a user who is not root."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lavad_core import attached
from lavad_core.ports import free_port

USER = "postgres"
"""Debian's user of the package; PostgreSQL refuses to run as root."""

START_S = 120.0


def programs() -> Path | None:
    """The folder of the newest version's programs, which Debian does not put on the PATH."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parts[-3]))
    return found[-1].parent if found else None


@contextmanager
def postgres() -> Iterator[str]:
    """A server on the loopback with an empty database; its address, as Prefect wants it."""
    folder = programs()
    assert folder is not None, "no PostgreSQL here: ask programs() first"
    as_user = ["runuser", "-u", USER, "--"] if os.geteuid() == 0 else []
    # Not below pytest's folder, which other users may not enter.
    data = Path(tempfile.mkdtemp(prefix="lavad-postgres-"))
    try:
        if as_user:
            shutil.chown(data, USER)
        port = free_port()

        def call(program: str, *arguments: str) -> bool:
            command = [*as_user, str(folder / program), *arguments]
            done = subprocess.run(command, cwd=data, capture_output=True, text=True, timeout=START_S)
            if done.returncode and program == "initdb":
                raise AssertionError(done.stderr)
            return done.returncode == 0

        call("initdb", "-D", str(data / "db"), "-U", "lavad", "-A", "trust", "-E", "UTF8", "--no-sync")
        serve = [
            str(folder / "postgres"),
            "-D",
            str(data / "db"),
            "-p",
            str(port),
            "-h",
            "127.0.0.1",
            "-k",
            str(data),
            "-F",
        ]
        with (data / "server.log").open("wb") as log:
            process = subprocess.Popen(
                attached.attached([*as_user, *serve]),
                stdin=subprocess.PIPE, stdout=log, stderr=log, cwd=data, start_new_session=True,
            )  # fmt: skip
        try:
            own = ["-h", "127.0.0.1", "-p", str(port), "-U", "lavad"]
            deadline = time.monotonic() + START_S
            while not call("createdb", *own, "prefect"):
                assert time.monotonic() < deadline, (data / "server.log").read_text()
                time.sleep(0.2)
            yield f"postgresql+asyncpg://lavad@127.0.0.1:{port}/prefect"
        finally:
            attached.stop(process)
    finally:
        shutil.rmtree(data, ignore_errors=True)
