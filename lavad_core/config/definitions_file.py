"""A user's own definitions of what is anomalous: a YAML file, read strictly."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from lavad_core.config.reading import read_yaml
from lavad_core.config.sentence_bank import BankCategory, SentenceBank, one_line, text_of_setting
from lavad_core.digest import digest
from lavad_core.errors import ConfigError
from lavad_core.plain_text import number_of

WHAT = "definitions"

MAX_BYTES = 1 << 20
"""A definition has some 500 bytes."""

MAX_DEFINITIONS = 100
"""Each is asked about by itself."""

MAX_CHARACTERS = 400
"""The longest text or name."""

FORM = "a list of `{name: ..., hazard: ..., look_alikes: [...], questions: [...]}`"


@dataclass(frozen=True)
class AnomalyDefinition:
    """A kind of anomaly, as a user understands it."""

    name: str
    """What a segment of this kind is called."""
    hazard: tuple[str, ...]
    """What it is, in one or several wordings."""
    look_alikes: tuple[str, ...]
    """Harmless scenes with the same mechanism."""
    questions: tuple[str, ...]
    """What to look at first."""


Definitions = tuple[AnomalyDefinition, ...]


def package_definitions() -> str:
    """The file that comes with the package: general surveillance."""
    return (resources.files("lavad_core.config") / "definitions" / "surveillance.yaml").read_text(encoding="utf-8")


def read_definitions(path: Path | None) -> Definitions:
    """The definitions of a file; those of the package for None.

    Raises:
        ConfigError: it cannot be read or has another form; says where in it.
        ServiceUnavailable: the object storage of an ``s3://`` address does not answer.
    """
    if path is None:
        return parse_definitions(package_definitions(), "the package's definitions")
    return parse_definitions(*text_of_setting(path, WHAT, MAX_BYTES, "definitions.file"))


def parse_definitions(text: str, where: str) -> Definitions:
    """The definitions of a text.

    Args:
        text: YAML.
        where: what it is and of which file, for errors.

    Raises:
        ConfigError: it has another form; says where in it.
    """
    given = read_yaml(text, where).value
    if not isinstance(given, list) or not 1 <= len(given) <= MAX_DEFINITIONS:
        raise ConfigError(f"{where}: it has to be {FORM}, with 1 to {MAX_DEFINITIONS} items")
    found = tuple(_definition(item, f"{where}, item {number}") for number, item in enumerate(given, 1))
    names = [one.name for one in found]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise ConfigError(f"{where}: {twice[:80]!r} is given twice; put its texts into one definition")
    return found


def _definition(given: Any, here: str) -> AnomalyDefinition:
    if not isinstance(given, dict):
        raise ConfigError(f"{here} is not a definition; the file is {FORM}")
    fields = [*AnomalyDefinition.__dataclass_fields__]
    if wrong := [str(key) for key in given if key not in fields]:
        raise ConfigError(f"{here} has the key {wrong[0][:80]!r}; keys are {', '.join(fields)}")
    if lacking := [name for name in ("name", "hazard") if name not in given]:
        raise ConfigError(f"{here} has no {lacking[0]}; the file is {FORM}")
    name = next(_texts(given["name"], f"{here}, name", most=1), None)
    if name is None:
        raise ConfigError(f"{here} has no name; the file is {FORM}")
    texts = [tuple(_texts(given.get(field, []), f"{here} ({name}), {field}")) for field in fields[1:]]
    if not texts[0]:
        raise ConfigError(f"{here} ({name}), hazard: give at least one text")
    if both := sorted(set(texts[0]) & set(texts[1])):
        raise ConfigError(f"{here} ({name}): {both[0][:80]!r} is a hazard and a look-alike; leave it in one list")
    return AnomalyDefinition(name, *texts)


def _texts(given: Any, here: str, most: int = 50) -> Iterator[str]:
    texts = given if isinstance(given, list) else [given]
    if len(texts) > most:
        raise ConfigError(f"{here}: {number_of(len(texts), 'text', 'are')} given; at most {most} are taken")
    seen: set[str] = set()
    for text in texts:
        if not isinstance(text, str):
            raise ConfigError(f"{here}: a value is not a text; put a text with `: ` or a number in quotes")
        plain = one_line(text, here)
        if not plain or len(plain) > MAX_CHARACTERS:
            raise ConfigError(f"{here}: a text has {len(plain)} characters; it may have 1 to {MAX_CHARACTERS}")
        if plain in seen:
            raise ConfigError(f"{here}: {plain[:80]!r} is given twice")
        seen.add(plain)
        yield plain


def definitions_digest(definitions: Definitions) -> str:
    """Digest of all texts in their order; comments do not count."""
    return digest([asdict(one) for one in definitions])


def bank_of_definitions(definitions: Definitions, normal: Sequence[str]) -> SentenceBank:
    """Sentences for a bank: hazards against look-alikes and what is normal anywhere.

    Args:
        definitions: one category each.
        normal: sentences of what is normal, for every category.
    """
    return SentenceBank(tuple(BankCategory(one.name, one.hazard, (*one.look_alikes, *normal)) for one in definitions))
