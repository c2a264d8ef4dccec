"""Files of a user: small ones are read within a limit, with errors that name the file; one that is written is whole or absent.

Of JSON nothing is taken that Python reads and the standard does not know: NaN, a key twice.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

from lavad_core import location
from lavad_core.errors import InputError
from lavad_core.location import COPY_THERE, refuse_address
from lavad_core.quoting import first_line
from lavad_core.remote_files import near


def read_bytes(path: Path, what: str, max_bytes: int) -> bytes:
    """The content of a file.

    Args:
        path: where the file is.
        what: what it is, for errors: ``frame labels``.
        max_bytes: a larger file is refused before it fills the memory.

    Raises:
        InputError: it is missing, an address that is not read, not a regular file, unreadable or too large.
        ServiceUnavailable: the object storage of an ``s3://`` address does not answer.
    """
    shown = repr(location.shown(path))
    path = near(path, what)
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
    """The content of a UTF-8 file, with or without a byte order mark; arguments and errors as :func:`read_bytes`."""
    return decode_utf8(read_bytes(path, what, max_bytes), path, what)


def decode_utf8(content: bytes, path: Path | str, what: str) -> str:
    """Bytes of ``path`` as UTF-8 text, with or without a byte order mark.

    Raises:
        InputError: they are not UTF-8.
    """
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(
            f"{what}: {str(path)!r} is not UTF-8 text: byte {error.start} is wrong; save it as UTF-8"
        ) from error


def once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON; ValueError where it has a key twice."""
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f"an object has the key {name[:80]!r} twice")
        found[name] = value
    return found


def parse_json(
    text: str,
    shown: str,
    expected: str = "",
    *,
    pairs: Callable[[list[tuple[str, Any]]], Any] = once_each,
    nan: bool = False,
) -> Any:
    """The value of a JSON text.

    Args:
        text: what is parsed.
        shown: what it is and of which file, for errors: ``frame labels: 'test.json'``.
        expected: the end of an error's message.
        pairs: makes an object of its keys and values.
        nan: whether to pass NaN and infinities on, to a caller that knows what they are values of.

    Raises:
        InputError: it is not JSON.
    """

    def no_number(word: str) -> NoReturn:
        raise ValueError(f"a value is {word}, which is not a number of JSON")

    try:
        return json.loads(text, parse_constant=float if nan else no_number, object_pairs_hook=pairs)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{shown} is not JSON: {first_line(error)}{expected and f'; {expected}'}") from error


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A file to write, which takes the place of ``path`` when the block ends, so that nobody reads half of it. It is removed if
    the block raises.

    Raises:
        InputError: it is an address.
        OSError: it cannot be put there.
    """
    refuse_address(path, "the file to write", way=COPY_THERE)
    draft = path.with_name(f".{secrets.token_hex(8)}.part")
    try:
        yield draft
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
