"""NumPy's ``.npy`` files may come from somebody else: they are looked at before any memory is taken for them."""

from __future__ import annotations

import io
import math
import tokenize
from typing import Any

import numpy as np
from numpy.typing import NDArray

_HEADER_DAMAGE = (
    ValueError,
    TypeError,
    EOFError,
    OSError,
    SyntaxError,
    AttributeError,
    LookupError,
    OverflowError,
    RecursionError,
    MemoryError,
    tokenize.TokenError,
)
"""What NumPy's reader raises on damaged or made-up headers: they are Python literals, and hold a description of a type."""

_VERSIONS = ((1, 0), (2, 0), (3, 0))

_KINDS = "biuf"
"""Truth values, whole numbers with a sign and without, and floating point: what labels and scores can be."""


def read_npy(content: bytes) -> NDArray[Any]:
    """An array of numbers from the bytes of a ``.npy`` file, read-only and without a copy.

    A header of a few bytes can announce terabytes: shape and type are compared with the bytes of the file before an
    array is made, so that nothing is allocated at all. Nothing is unpickled.

    Raises:
        ValueError: it is no such file, is cut off, or holds something other than numbers; says what.
    """
    stream = io.BytesIO(content)
    try:
        version = np.lib.format.read_magic(stream)
        if version not in _VERSIONS:
            raise ValueError(f"version {version[0]}.{version[1]} of the format is not known")
        header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, by_columns, kind = header(stream)  # 3.0 differs from 2.0 in the encoding of names of fields only
    except _HEADER_DAMAGE as error:
        raise ValueError(f"its header cannot be read: {str(error)[:200] or type(error).__name__}") from error
    said = f"an array {str([*shape])[:100]} of {str(kind)[:60]}"
    if kind.kind not in _KINDS:
        raise ValueError(f"it holds {said}, which are not numbers")
    count, there = math.prod(shape), len(content) - stream.tell()
    if any(length < 0 for length in shape) or count * kind.itemsize > there:
        raise ValueError(f"it says that it holds {said}; there are {there} bytes")
    try:
        values: NDArray[Any] = np.frombuffer(content, kind, count, stream.tell()) if count else np.empty(0, kind)
        return values.reshape(shape, order="F" if by_columns else "C")
    except (ValueError, TypeError, OverflowError, MemoryError) as error:  # 0 times more than an array can have
        raise ValueError(f"it says that it holds {said}: {error}") from error
