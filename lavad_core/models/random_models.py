"""Small random models of the real classes, made on the spot: ``random:NAME`` in a configuration.

For tests, and for a first run without any download. What they say and how they score means nothing; anything that shows
their results must say so.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Callable
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

import platformdirs

from lavad_core.digest import digest
from lavad_core.errors import ModelError

PREFIX = "random:"
"""Before the name of a random model, in place of a path or hub id."""

RECIPE = 2
"""Raise it when a maker changes what it writes, so that results of the old models are not taken for the new ones'."""

_LIBRARIES = ("torch", "transformers", "tokenizers")
"""Libraries whose major version may change the files."""

_OPTIONS = {"seed": range(2**31), "image": range(14, 1025, 14)}
"""Options of a name and their values. ``image``: side in pixels, BLIP-2 only."""

_MAKERS = {
    "blip2-opt": ("lavad_core.models.captioners.random_blip2", "make_blip2_opt"),
    "blip2-t5": ("lavad_core.models.captioners.random_blip2", "make_blip2_t5"),
    "imagebind": ("lavad_core.models.encoders.random_encoders", "make_imagebind"),
    "clip": ("lavad_core.models.encoders.random_encoders", "make_clip"),
    "siglip": ("lavad_core.models.encoders.random_encoders", "make_siglip"),
    "llama": ("lavad_core.models.random_llama", "make_llama"),
}
"""Module and function that writes a kind: ``function(folder, seed=…, [image=…])``. Imported only when needed."""

_NAME = re.compile(r"(?P<kind>[a-z0-9-]+)(\?(?P<options>.*))?")


def random_folder(name: str, cache_root: Path | None = None) -> Path:
    """The folder of a random model, made the first time it is asked for; about a second, at most a few MB.

    Args:
        name: ``blip2-opt``, ``blip2-t5``, ``imagebind``, ``clip``, ``siglip`` or ``llama``; then optionally ``?seed=3``
            and, for BLIP-2, ``image=112`` (joined by ``&``). Another seed is another model.
        cache_root: where the folders are kept; the user's cache folder by default.

    Raises:
        ModelError: no such name or option, or the folder cannot be written.
    """
    kind, options = parse(name)
    majors = {library: version(library).split(".")[0] for library in _LIBRARIES}
    root = cache_root or Path(platformdirs.user_cache_dir("lavad")) / "random-models"
    folder = root / digest({"kind": kind, "options": options, "recipe": RECIPE, "libraries": majors})
    if folder.is_dir():
        return folder
    try:
        root.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=root))
        try:
            module, function = _MAKERS[kind]
            getattr(import_module(module), function)(draft, **{"seed": 0, **options})
            _publish(draft, folder)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    except OSError as error:
        raise ModelError(
            f"the random model {name!r} cannot be written below {str(root)!r}: {error}; make that folder writable, or "
            "set XDG_CACHE_HOME to one that is"
        ) from error
    return folder


def local_or_random(model: str, folder_of: Callable[[str], Path]) -> str:
    """A configured model with the folder of ``folder_of`` in place of ``random:NAME``; any other as it is."""
    return str(folder_of(model.removeprefix(PREFIX))) if model.startswith(PREFIX) else model


def random_identity(name: str) -> str:
    """``random:<name>#<recipe>``, with the options in one order, for fingerprints."""
    kind, options = parse(name)
    tail = "&".join(f"{key}={value}" for key, value in sorted(options.items()))
    return f"random:{kind}{'?' + tail if tail else ''}#{RECIPE}"


def parse(name: str) -> tuple[str, dict[str, int]]:
    """The kind and the options of a name.

    Raises:
        ModelError: it is not one of :func:`random_folder`'s names.
    """
    match = _NAME.fullmatch(name)
    if match is None or match["kind"] not in _MAKERS:
        raise ModelError(f"no random model {name!r}; there are {', '.join(_MAKERS)}")
    options: dict[str, int] = {}
    for part in filter(None, (match["options"] or "").split("&")):
        key, _, value = part.partition("=")
        allowed = _OPTIONS.get(key, range(0)) if key != "image" or match["kind"].startswith("blip2") else range(0)
        if not (value.isascii() and value.isdigit() and int(value) in allowed) or key in options:
            raise ModelError(
                f"random model {name!r}: {part!r} is not an option; they are seed=0 to {2**31 - 1} and, for BLIP-2, "
                "image=14, 28, … 1022"
            )
        options[key] = int(value)
    if options.get("seed") == 0:
        del options["seed"]  # the default, so that both spellings are one model
    return match["kind"], options


def _publish(draft: Path, folder: Path) -> None:
    """Give a finished folder its name. If another process was first, its folder stays: both hold the same bytes."""
    draft.chmod(0o755)  # mkdtemp's is for the owner alone
    for path in draft.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
    try:
        draft.rename(folder)
    except OSError:
        if not folder.is_dir():
            raise
