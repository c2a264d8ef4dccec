"""What the sdist and the wheel must hold, and what they must not. Usage: python .ci/wheel_content.py DIST"""

from __future__ import annotations

import sys
import tarfile
import zipfile
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).resolve().parent.parent

PARTS = ("demo", "deployments", "flows", "tasks")
"""Folders of the root that are parts of the package ``lavad``."""


def expected() -> set[str]:
    """Every file of the packages as it is in the checkout, under its installed name."""
    folders = {"lavad_core": ROOT / "lavad_core", **{f"lavad/{part}": ROOT / part for part in PARTS}}
    files = {
        f"{name}/{path.relative_to(folder).as_posix()}"
        for name, folder in folders.items()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and not path.name.startswith(".")
    }
    return {*files, "lavad/__init__.py", "lavad/py.typed"}


def faults(dist: Path) -> list[str]:
    """What is missing or unexpected."""
    (wheel,), (sdist,) = dist.glob("*.whl"), dist.glob("*.tar.gz")
    with zipfile.ZipFile(wheel) as archive:
        in_wheel = {info.filename for info in archive.infolist() if not info.is_dir()}
        empty = [info.filename for info in archive.infolist() if not info.file_size and "." in info.filename]
    with tarfile.open(sdist) as archive:
        links = [member.name for member in archive if member.issym() or member.islnk()]
        in_sdist = {"/".join(PurePosixPath(member.name).parts[1:]) for member in archive if member.isfile()}
    wanted = expected()
    packaged = {name for name in in_wheel if ".dist-info/" not in name}
    found = [f"not in the wheel: {name}" for name in sorted(wanted - packaged)]
    found += [f"unexpected in the wheel: {name}" for name in sorted(packaged - wanted)]
    found += [f"not in the sdist: {name}" for name in sorted(wanted - in_sdist)]
    found += [f"a link in the sdist: {name}" for name in links]
    found += [f"empty: {name}" for name in empty if not name.endswith((".py", "py.typed"))]
    licences = [name for name in in_wheel if ".dist-info/licenses/" in name]
    return found + ([] if len(licences) == 2 else [f"licences in the wheel: {licences}"])


if __name__ == "__main__":
    sys.exit("\n".join(faults(Path(sys.argv[1]))) or 0)
