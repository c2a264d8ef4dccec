"""Which files the identity cache really reads."""

from __future__ import annotations

import os

import pytest

from lavad_core.video import identity


def note_hashed_files(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that are hashed from now on, in their order. Young files are cached as old ones are."""
    read: list[str] = []
    real = identity._hash

    def note(path: str, state: identity._State) -> str:
        read.append(os.path.basename(path))
        return real(path, state)

    monkeypatch.setattr(identity, "_hash", note)
    monkeypatch.setattr(identity, "SETTLED_S", -1.0)  # test files are young
    return read
