"""Small documents of a store beside its results: JSON with a digest of itself, written once, by name."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

from lavad_core.digest import ascii_json
from lavad_core.errors import DamagedResult
from lavad_core.location import shown
from lavad_core.seal import FIELD, seal_of, sealed
from lavad_core.store.faults import store_errors
from lavad_core.store.files import FileStore

_FILE = "note.json"


def put_note(store: FileStore, name: str, fields: Mapping[str, Any]) -> bool:
    """Write a note, unless there is one of that name: exactly one of many callers gets True.

    Args:
        store: where.
        name: below the store, with ``/``; its first part is one of :data:`lavad_core.store.local.OUTSIDE`.
        fields: values of JSON.

    Raises:
        StoreUnavailable: the storage refuses it.
    """
    with store.staging.workfolder() as workfolder:
        path = workfolder.file(_FILE)
        with store_errors("write", path), open(path, "wb") as file:
            file.write((ascii_json(sealed(fields)) + "\n").encode("ascii"))
            file.flush()
            os.fsync(file.fileno())
        return store.blobs.put_if_absent(name, path)


def read_note(store: FileStore, name: str) -> dict[str, Any] | None:
    """The fields of a note; None if there is none.

    Raises:
        DamagedResult: it is not as it was written.
        StoreUnavailable: it cannot be read.
    """
    file = store.blobs.open(name)
    if file is None:
        return None
    with file, store_errors("read", store.root / name):
        data = file.read()
    try:
        document = json.loads(data)
        whole = isinstance(document, dict) and seal_of(document) == "whole"
    except (ValueError, RecursionError):
        whole = False
    if not whole:
        raise DamagedResult(f"{shown(store.root / name)!r} was changed after it was written; remove it, and run again")
    return {key: value for key, value in document.items() if key != FIELD}
