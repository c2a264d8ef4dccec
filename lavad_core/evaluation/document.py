"""An evaluation as JSON, and back. No NaN: what is undefined is null, with its reason beside it."""

from __future__ import annotations

import json
import logging
from dataclasses import asdict
from pathlib import Path
from typing import Any, NoReturn

from lavad_core.errors import InputError
from lavad_core.evaluation.evaluation import Evaluation
from lavad_core.models.quoting import first_line
from lavad_core.seal import FIELD, seal_of, sealed
from lavad_core.user_files import read_text

log = logging.getLogger(__name__)

FORMAT, VERSION = "lavad-evaluation", 1

MAX_BYTES = 256 * 2**20
"""800 videos make 0.4 MB; a million would fit."""


def to_json(evaluation: Evaluation) -> str:
    """Indented JSON with a line break at its end.

    Raises:
        ValueError: a number is NaN or infinite, which is a fault of the program.
    """
    document = sealed({"format": FORMAT, "version": VERSION, **asdict(evaluation)})
    return json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def from_json(text: str, name: str = "evaluation") -> Evaluation:
    """What :func:`to_json` wrote.

    Args:
        text: the JSON.
        name: of the file, for errors.

    Raises:
        InputError: it is not JSON, of another format or version, a value is missing or of another kind, or it was changed
            since it was written; says which.
    """
    from pydantic import TypeAdapter, ValidationError

    def refuse(word: str) -> NoReturn:
        raise ValueError(f"{word} is not a number of JSON")

    try:
        document: Any = json.loads(text, parse_constant=refuse)
    except (ValueError, RecursionError) as error:
        raise InputError(f"evaluation: {name!r} is not JSON: {first_line(error)}") from error
    seal = seal_of(document) if isinstance(document, dict) else "none"
    if not isinstance(document, dict) or document.pop("format", None) != FORMAT:
        raise InputError(f"evaluation: {name!r} is not one; `lavad evaluate --json --output FILE` writes one")
    document.pop(FIELD, None)
    if (version := document.pop("version", None)) != VERSION:
        raise InputError(
            f"evaluation: {name!r} has version {version!r}, and {VERSION} is read; write it again with `lavad evaluate`"
        )
    try:
        evaluation = TypeAdapter(Evaluation).validate_python(document)
        to_json(evaluation)  # a number such as 1e999 is read as infinity
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise InputError(
            f"evaluation: {name!r}: {place}: {first['msg']}; write it again with `lavad evaluate`"
        ) from error
    except ValueError as error:
        raise InputError(f"evaluation: {name!r} has a number that is not finite: {error}") from error
    if seal == "broken":
        raise InputError(
            f"evaluation: {name!r} was changed after it was written: its digest is another; write it again with "
            "`lavad evaluate`"
        )
    if seal == "none":
        log.warning(
            "evaluation: %r has no digest (an earlier version wrote it): whether it was changed cannot be said", name
        )
    return evaluation


def read_evaluation(path: Path) -> Evaluation:
    """From a file; errors as :func:`from_json`, and if it cannot be read."""
    return from_json(read_text(path, "evaluation", MAX_BYTES), str(path))
