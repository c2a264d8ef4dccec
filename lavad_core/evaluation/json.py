"""An evaluation as JSON, and back. No NaN: what is undefined is null, with its reason beside it."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any, NoReturn

from lavad_core.errors import InputError
from lavad_core.evaluation.types import Evaluation
from lavad_core.imports.files import read_text
from lavad_core.models.quoting import first_line

FORMAT, VERSION = "lavad-evaluation", 1

MAX_BYTES = 256 * 2**20
"""800 videos make 0.4 MB; a million would fit."""


def to_json(evaluation: Evaluation) -> str:
    """Indented JSON with a line break at its end.

    Raises:
        ValueError: a number is NaN or infinite, which is a fault of the program.
    """
    document = {"format": FORMAT, "version": VERSION, **asdict(evaluation)}
    return json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def from_json(text: str, name: str = "evaluation") -> Evaluation:
    """What :func:`to_json` wrote.

    Args:
        text: the JSON.
        name: of the file, for errors.

    Raises:
        InputError: it is not JSON, of another format or version, or a value is missing or of another kind; says which.
    """
    from pydantic import TypeAdapter, ValidationError

    def refuse(word: str) -> NoReturn:
        raise ValueError(f"{word} is not a number of JSON")

    try:
        document: Any = json.loads(text, parse_constant=refuse)
    except (ValueError, RecursionError) as error:
        raise InputError(f"evaluation: {name!r} is not JSON: {first_line(error)}") from error
    if not isinstance(document, dict) or document.pop("format", None) != FORMAT:
        raise InputError(f"evaluation: {name!r} is not one; `lavad evaluate --json --output FILE` writes one")
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
    return evaluation


def read_evaluation(path: Path) -> Evaluation:
    """From a file; errors as :func:`from_json`, and if it cannot be read."""
    return from_json(read_text(path, "evaluation", MAX_BYTES), str(path))
