"""JSON documents that users keep and give back: sealed when they are written, checked when they are read. There is no NaN in
them: what is undefined is null, with its reason beside it."""

from __future__ import annotations

import json
import logging
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from lavad_core.errors import InputError
from lavad_core.evaluation.types import Evaluation
from lavad_core.seal import FIELD, seal_of, sealed
from lavad_core.user_files import parse_json, read_text

log = logging.getLogger(__name__)

Value = TypeVar("Value")

VERSION = 1

_LEFT_OUT = ("known_bad", "kinds")
"""Fields of documents that are left out while they are empty: those of earlier versions are then the same."""


@dataclass(frozen=True)
class DocumentKind(Generic[Value]):
    """A kind of document."""

    name: str
    """Name of the kind, for errors; the file's field ``format`` is ``lavad-<name>``."""
    type: type[Value]
    """The frozen dataclass that it holds."""
    made_by: str
    """The command that writes one."""
    again: str
    """What a user can do about a file that is refused, in a few words."""
    max_bytes: int
    """Largest size of a file, bytes; a larger one is refused."""

    def text(self, value: Value) -> str:
        """Indented JSON in ASCII, with a line break at its end.

        Raises:
            ValueError: a number is NaN or infinite, which is a fault of the program.
        """
        fields = asdict(value, dict_factory=_fields)  # type: ignore[call-overload]  # the type is a dataclass
        document = sealed({"format": f"lavad-{self.name}", "version": VERSION, **fields})
        return json.dumps(document, indent=1, allow_nan=False) + "\n"

    def parse(self, text: str, name: str = "document") -> Value:
        """What :meth:`text` wrote.

        Args:
            text: the JSON.
            name: name of the file, for errors.

        Raises:
            InputError: it is not JSON, of another format or version, a value is missing or of another type, or it was changed
                since it was written; says which.
        """
        from pydantic import TypeAdapter, ValidationError

        what = f"{self.name}: {name!r}"
        document = parse_json(text, what)
        seal = seal_of(document) if isinstance(document, dict) else "none"
        if not isinstance(document, dict) or document.pop("format", None) != f"lavad-{self.name}":
            raise InputError(f"{what} is not one; {self.made_by} writes one")
        document.pop(FIELD, None)
        if (version := document.pop("version", None)) != VERSION:
            raise InputError(f"{what} has version {version!r}, and {VERSION} is read; {self.again}")
        try:
            value = TypeAdapter(self.type).validate_python(document)
            self.text(value)  # a number such as 1e999 is read as infinity
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            place = ".".join(map(str, first["loc"]))
            raise InputError(f"{what}: {place}: {first['msg']}; {self.again}") from error
        except ValueError as error:
            raise InputError(f"{what} has a number that is not finite: {error}") from error
        if seal == "broken":
            raise InputError(f"{what} was changed after it was written: its digest is another; {self.again}")
        if seal == "none":
            log.warning("%s has no digest (an earlier version wrote it): whether it was changed cannot be said", what)
        return value

    def read(self, path: Path) -> Value:
        """The value in a file.

        Raises:
            InputError: the file cannot be read; or see :meth:`parse`.
        """
        return self.parse(read_text(path, self.name, self.max_bytes), str(path))


def _fields(found: list[tuple[str, Any]]) -> dict[str, Any]:
    return {name: value for name, value in found if value or name not in _LEFT_OUT}


EVALUATION = DocumentKind(
    "evaluation",
    Evaluation,
    made_by="`lavad evaluate --json --output FILE`",
    again="write it again with `lavad evaluate`",
    max_bytes=256 * 2**20,  # 800 videos make 0.4 MB; a million would fit
)
