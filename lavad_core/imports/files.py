"""Reading a small file of the user's, with its limit and the errors that name it."""

from __future__ import annotations

from pathlib import Path

from lavad_core.errors import InputError


def read_bytes(path: Path, what: str, max_bytes: int) -> bytes:
    """The content of a file.

    Args:
        path: of the file.
        what: what it is, for errors: ``frame labels``.
        max_bytes: a larger file is refused before it fills the memory.

    Raises:
        InputError: it is missing, not a regular file, unreadable or too large.
    """
    shown = repr(str(path))
    try:
        # A pipe or a device would block or never end.
        if not path.is_file():
            found = "is not a regular file" if path.exists() else "does not exist"
            raise InputError(f"{what}: {shown} {found}")
        with path.open("rb") as stream:
            content = stream.read(max_bytes + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise InputError(f"{what}: {shown} cannot be read: {error}") from error
    if len(content) > max_bytes:
        raise InputError(f"{what}: {shown} has more than {max_bytes} bytes, the most that is read")
    return content


def read_text(path: Path, what: str, max_bytes: int) -> str:
    """The same as UTF-8 text, with or without a byte order mark."""
    return decode(read_bytes(path, what, max_bytes), path, what)


def decode(content: bytes, path: Path | str, what: str) -> str:
    """UTF-8 with or without a byte order mark."""
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(
            f"{what}: {str(path)!r} is not UTF-8 text: byte {error.start} is wrong; save it as UTF-8"
        ) from error
