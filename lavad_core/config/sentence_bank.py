"""Banks of sentences (``score.method: bank``): a YAML file that a user edits, read strictly."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import Any

from lavad_core.config.reading import read_yaml
from lavad_core.digest import digest
from lavad_core.errors import ConfigError, InputError
from lavad_core.location import shown
from lavad_core.user_files import read_text

WHAT = "bank of sentences"

MAX_BYTES = 8 << 20
"""A sentence has some 100 bytes."""

MAX_SENTENCES = 20_000
"""Sentences of a bank: each frame is compared with all of them."""

MAX_CHARACTERS = 400
"""The longest sentence or name. Encoders read some 77 tokens, and cut what is longer."""

SIDES = ("anomalous", "normal")


@dataclass(frozen=True)
class BankCategory:
    """A kind of anomaly, and its look-alikes that are harmless."""

    name: str
    """What a segment is called whose frames fit it best."""
    anomalous: tuple[str, ...]
    """Sentences for what it looks like."""
    normal: tuple[str, ...]
    """Sentences for what happens at such places on any day."""


@dataclass(frozen=True)
class SentenceBank:
    """All sentences that pictures are compared with."""

    categories: tuple[BankCategory, ...]
    """In the file's order."""

    @cached_property
    def digest(self) -> str:
        """Digest of names and sentences in their order; comments do not count."""
        return digest([asdict(category) for category in self.categories])

    @property
    def sentences(self) -> int:
        """How many there are, of both sides."""
        return sum(len(category.anomalous) + len(category.normal) for category in self.categories)


def package_bank() -> str:
    """The file that comes with the package: general surveillance."""
    return (resources.files("lavad_core.config") / "banks" / "surveillance.yaml").read_text(encoding="utf-8")


def read_bank(path: Path | None) -> SentenceBank:
    """The bank of a file; that of the package for None.

    Raises:
        ConfigError: it cannot be read or has another form; says where in it.
        ServiceUnavailable: the object storage of an ``s3://`` address does not answer.
    """
    if path is None:
        return parse_bank(package_bank(), f"the package's {WHAT}")
    return parse_bank(*text_of_setting(path, WHAT, MAX_BYTES, "bank.file"))


def text_of_setting(path: Path, what: str, max_bytes: int, setting: str) -> tuple[str, str]:
    """The text of a file that a setting names, and what it is and where, for errors.

    Raises:
        ConfigError: it cannot be read; names the setting.
        ServiceUnavailable: the object storage of an ``s3://`` address does not answer.
    """
    try:
        return read_text(path, what, max_bytes), f"{what} {shown(path)!r}"
    except InputError as error:
        raise ConfigError(f"{setting}: {error}") from error


def parse_bank(text: str, where: str) -> SentenceBank:
    """The bank of a text.

    Args:
        text: YAML, ``category: {anomalous: [...], normal: [...]}``.
        where: what it is and of which file, for errors.

    Raises:
        ConfigError: it has another form; says where in it.
    """
    tree = read_yaml(text, where).value
    if not isinstance(tree, dict) or not tree:
        raise ConfigError(f"{where} names no category; it has the form `category: {{anomalous: [...], normal: [...]}}`")
    bank = SentenceBank(tuple(_category(str(name), sides, where) for name, sides in tree.items()))
    if bank.sentences > MAX_SENTENCES:
        raise ConfigError(
            f"{where} has {bank.sentences} sentences; at most {MAX_SENTENCES} are compared with each frame"
        )
    return bank


def one_line(text: str, here: str) -> str:
    """A text of the file with one space for any white space.

    Raises:
        ConfigError: it has half a surrogate pair, which no result can hold.
    """
    plain = " ".join(text.split())
    try:
        plain.encode()
    except UnicodeEncodeError:
        raise ConfigError(f"{here}: {plain[:80]!r} holds half of a character; write the character itself") from None
    return plain


def _category(name: str, sides: Any, where: str) -> BankCategory:
    here = f"{where}, category {name[:80]!r}"
    if not one_line(name, here) or len(name) > MAX_CHARACTERS:
        raise ConfigError(f"{here}: a name has 1 to {MAX_CHARACTERS} characters")
    if not isinstance(sides, dict) or set(sides) != set(SIDES):
        found = ", ".join(str(side)[:40] for side in sides) if isinstance(sides, dict) else "no mapping"
        raise ConfigError(
            f"{here}: it needs the lists anomalous and normal, and no others (found: {found or 'nothing'})"
        )
    lists = [tuple(_sentences(sides[side], f"{here}, {side}")) for side in SIDES]
    if both := sorted(set(lists[0]) & set(lists[1])):
        raise ConfigError(f"{here}: {both[0][:80]!r} is on both sides; leave it on one")
    return BankCategory(name, *lists)


def _sentences(given: Any, here: str) -> Iterator[str]:
    if not isinstance(given, list) or not given:
        raise ConfigError(f"{here}: give a list of at least one sentence")
    seen: set[str] = set()
    for number, sentence in enumerate(given, 1):
        if not isinstance(sentence, str):
            raise ConfigError(f"{here}, item {number} is not a text; put a sentence with `: ` or a number in quotes")
        plain = one_line(sentence, f"{here}, item {number}")
        if not plain or len(plain) > MAX_CHARACTERS:
            raise ConfigError(
                f"{here}, item {number} has {len(plain)} characters; a sentence has 1 to {MAX_CHARACTERS}"
            )
        if plain in seen:
            raise ConfigError(f"{here}, item {number}: {plain[:80]!r} is given twice; it would count twice")
        seen.add(plain)
        yield plain
