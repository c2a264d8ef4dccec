"""MATLAB files with a cell of pictures: which of them have a mark. Read piece by piece, within the bytes of the file.

SciPy's reader takes memory for whatever a file announces (a cell of a few bytes can say that it has 2³¹ elements: 16 GB), and
damaged files end the whole process inside it. The layout is that of "MAT-File Format" (MathWorks), level 5.
"""

from __future__ import annotations

import math
import struct
import zlib

import numpy as np
from numpy.typing import NDArray

MAX_UNPACKED_BYTES = 2 * 2**30
"""Limit for a MATLAB file. The longest of Avenue has 1439 masks of 360x640: 0.3 GB."""

_HEADER_BYTES = 128
_MATRIX, _PACKED = 14, 15
_CELL = 1
_NUMERIC = range(6, 16)
"""Classes of arrays: double and single, then whole numbers of 8 to 64 bits; truth values are those of 8 bits with a flag."""

_TYPES = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
"""Types of the numbers as they are stored, which may be smaller than the array's."""

_MAX_DIMENSIONS = 32
_PIECE_BYTES = 2**18


def marked_elements(content: bytes, variable: str) -> NDArray[np.bool_]:
    """Whether a number in each array of the cell ``variable`` is not 0: bool [M], in the order of the file (columns first).

    Raises:
        ValueError, zlib.error, struct.error: there is no such cell, it announces more than there is, holds something else
            than arrays of numbers, is cut off, or the file becomes too large when unpacked.
    """
    if len(content) < _HEADER_BYTES or content[126:128] not in (b"IM", b"MI"):
        raise ValueError("it does not begin as such a file does")
    order = ">" if content[126:128] == b"MI" else "<"
    place, unpacked = _HEADER_BYTES, 0
    while place + 8 <= len(content):
        kind, size = struct.unpack_from(f"{order}II", content, place)
        place += 8
        element = _Element(content[place : place + size], kind == _PACKED, order, MAX_UNPACKED_BYTES - unpacked)
        place += size
        if kind == _PACKED:
            kind, size = element.tag()
        if kind == _MATRIX and (found := _marked(element, size, variable)) is not None:
            element.finish()
            return found
        unpacked += element.place
    raise ValueError(f"there is no variable {variable}")


class _Element:
    """The content of an element from its front, unpacked piece by piece."""

    def __init__(self, content: bytes, packed: bool, order: str, most: int) -> None:
        self._content, self.order, self._most = memoryview(content), order, most
        self._unpack = zlib.decompressobj() if packed else None
        self._next = 0
        self._ready = b""
        self.place = 0

    def read(self, count: int) -> bytes:
        """The next bytes."""
        while len(self._ready) < count:
            self._ready += self._more()
        found, self._ready = self._ready[:count], self._ready[count:]
        self._advance(count)
        return found

    def skip(self, count: int) -> None:
        """Leave the next bytes out."""
        left = count
        while left > len(self._ready):
            left -= len(self._ready)
            self._ready = self._more()
        self._ready = self._ready[left:]
        self._advance(count)

    def finish(self) -> None:
        """Nothing more must follow; what was packed carries a checksum, which is looked at here."""
        while self._unpack is not None and not self._unpack.eof:
            self._ready += self._piece()
            if len(self._ready) > 8:
                raise ValueError("it is longer than it says")

    def tag(self) -> tuple[int, int]:
        """Type and size in bytes of an element."""
        kind, size = struct.unpack(f"{self.order}II", self.read(8))
        return kind, size

    def data(self) -> bytes:
        """The data of a small element: flags, dimensions or a name."""
        first = self.read(8)
        (word,) = struct.unpack(f"{self.order}I", first[:4])
        if word >> 16:  # up to four bytes stand in the tag itself
            return first[4 : 4 + min(word >> 16, 4)]
        (size,) = struct.unpack(f"{self.order}I", first[4:])
        if size > _PIECE_BYTES:
            raise ValueError(f"flags, dimensions or a name of {size} bytes")
        return self.read(size + -size % 8)[:size]

    def _advance(self, count: int) -> None:
        self.place += count
        if self.place > self._most:
            raise ValueError(f"it has more than {MAX_UNPACKED_BYTES} bytes when unpacked")

    def _more(self) -> bytes:
        found = self._piece()
        if not found:
            raise ValueError("it ends in the middle of an array")
        return found

    def _piece(self) -> bytes:
        """The next bytes; none at the end of what was packed."""
        if self._unpack is None:
            found = bytes(self._content[self._next : self._next + _PIECE_BYTES])
            self._next += len(found)
        else:
            given = self._unpack.unconsumed_tail
            if not given:
                given = bytes(self._content[self._next : self._next + _PIECE_BYTES])
                self._next += len(given)
            found = self._unpack.decompress(given, _PIECE_BYTES)
            if not found and given and not self._unpack.eof:
                return self._piece()
        if not found and not (self._unpack is not None and self._unpack.eof):
            raise ValueError("it ends in the middle of an array")
        return found


def _marked(element: _Element, size: int, variable: str) -> NDArray[np.bool_] | None:
    """The marks of a variable; None if it has another name."""
    end = element.place + size
    kind, count, name = _header(element)
    if name != variable.encode():
        return None
    if kind != _CELL:
        raise ValueError(f"{variable} is not a cell")
    if not count:
        raise ValueError(f"{variable} has no element")
    if count * 8 > end - element.place:
        raise ValueError(f"{variable} says that it has {count} elements, and {end - element.place} bytes are there")
    return np.array([_is_marked(element, end, f"element {number} of {variable}") for number in range(1, count + 1)])


def _is_marked(element: _Element, end: int, what: str) -> bool:
    kind, size = element.tag()
    if kind != _MATRIX or element.place + size > end:
        raise ValueError(f"{what} is not an array, or longer than the cell")
    if not size:
        return False
    end = element.place + size
    kind, count, _ = _header(element)
    if kind not in _NUMERIC:
        raise ValueError(f"{what} is not an array of numbers")
    if count > end - element.place:
        raise ValueError(f"{what} says that it has {count} numbers, and {max(end - element.place, 0)} bytes are there")
    marked = parts = 0
    while element.place + 8 <= end:  # its real part, then an imaginary one
        marked += _numbers(element, end, count, what)
        parts += 1
    if (count and not parts) or element.place > end:
        raise ValueError(f"{what} is not as long as it says")
    element.skip(end - element.place)
    return bool(marked)


def _numbers(element: _Element, end: int, count: int, what: str) -> bool:
    """Whether a part of an array has a number that is not 0."""
    first = element.read(8)
    (kind,) = struct.unpack(f"{element.order}I", first[:4])
    small = kind >> 16  # up to four bytes stand in the tag itself
    (size,) = (small,) if small else struct.unpack(f"{element.order}I", first[4:])
    if (code := _TYPES.get(kind & 0xFFFF)) is None:
        raise ValueError(f"{what} has numbers of an unknown type")
    numbers = np.dtype(element.order + code)
    if size != count * numbers.itemsize or (size > 4 if small else element.place + size > end):
        raise ValueError(f"{what} says that it has {count} numbers, and {size} bytes are of them")
    if small:
        return bool(np.frombuffer(first[4 : 4 + size], numbers).any())
    marked = False
    for at in range(0, size, _PIECE_BYTES):
        marked |= bool(np.frombuffer(element.read(min(_PIECE_BYTES, size - at)), numbers).any())
    element.skip(min(-size % 8, end - element.place))
    return marked


def _header(element: _Element) -> tuple[int, int, bytes]:
    """Class, number of elements and name of an array."""
    flags = element.data()
    dimensions = element.data()
    if len(flags) < 4 or len(dimensions) % 4 or not 2 <= len(dimensions) // 4 <= _MAX_DIMENSIONS:
        raise ValueError("flags or dimensions of another length")
    (word,) = struct.unpack(f"{element.order}I", flags[:4])
    lengths = struct.unpack(f"{element.order}{len(dimensions) // 4}i", dimensions)
    if min(lengths) < 0:
        raise ValueError(f"dimensions {list(lengths)}")
    return word & 0xFF, math.prod(lengths), element.data()
