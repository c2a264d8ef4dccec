"""The file of a study, read and checked: which rows a table has, and what each changes in a configuration."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from importlib import resources
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

from lavad_core.config.load import preset_text
from lavad_core.config.reading import read_yaml
from lavad_core.config.section import NAME_PATTERN, Section
from lavad_core.errors import ConfigError, InputError
from lavad_core.evaluation.published import PublishedRow, published_rows
from lavad_core.evaluation.types import METRIC_TITLES
from lavad_core.location import local_path
from lavad_core.remote_files import near
from lavad_core.suggest import did_you_mean
from lavad_core.user_files import read_text

MAX_BYTES = 1 << 20
MAX_ROWS = 200

Training = Literal["weakly-supervised", "one-class", "unsupervised", "training-free"]
Settings = dict[str, Any]


class StudyRow(Section):
    """A row of the table."""

    name: str = Field(min_length=1, max_length=120, description="What the row is; unique in the study.")
    paper: str | None = Field(default=None, description="The method of the paper's row, as its table calls it.")
    settings: Settings = Field(default={}, description="Changed settings, nested as in a configuration.")
    runs: tuple[Settings, ...] = Field(
        default=(), description="Settings of several runs over `settings`: the row is their mean."
    )
    encoder: Settings = Field(
        default={},
        description="An encoder of the row's own: a section `encoder`, over `settings`. In the demonstration its one encoder "
        "stands for it.",
    )
    captioners: Literal["each"] | tuple[Annotated[str, Field(pattern=NAME_PATTERN)], ...] | None = Field(
        default=None,
        description="Names of the captioners to keep, in the configuration's own order; `each`: one run with each alone, and "
        "the row is their mean.",
    )
    chat: str | None = Field(
        default=None,
        pattern=NAME_PATTERN,
        description="Name of a language model beside the configuration's: the user says where it is. Until then a row that the "
        "paper has is quoted.",
    )
    quoted: bool = Field(default=False, description="Only the paper's numbers: nothing is run.")
    group: str | None = Field(
        default=None, description="In pictures, rows of one group stand together, under its name."
    )
    series: str = Field(default="", description="In pictures, rows of one series have one colour, named in the legend.")


class Study(Section):
    """A table: what it stands for, what its rows change, and what is measured."""

    title: str = Field(min_length=1, description="What the table is about.")
    table: str | None = Field(default=None, description="Number of the paper's table, as `published.yaml` has it.")
    figure: str | None = Field(
        default=None, description="Number of the paper's figure, whose values are not published."
    )
    preset: str | None = Field(default=None, description="The configuration that rows change.")
    settings: Settings = Field(default={}, description="Changed settings of all rows.")
    reference: str = Field(description="Name of the row that the others are compared with.")
    metrics: tuple[str, ...] = Field(min_length=1, description="Columns: keys of metrics.")
    quotes: tuple[Training, ...] = Field(
        default=(), description="Groups of rows of the paper's table that are quoted above the study's own."
    )
    axes: tuple[str, ...] = Field(
        default=(), description="Settings, as `refine.neighbours`, over which pictures draw curves; bars without any."
    )
    rows: tuple[StudyRow, ...] = Field(min_length=1, max_length=MAX_ROWS, description="The rows, in order.")

    @property
    def stands_for(self) -> str:
        """``Table 3``, ``Fig. 6``; empty for a study of one's own."""
        return f"Table {self.table}" if self.table else f"Fig. {self.figure}" if self.figure else ""

    @property
    def published(self) -> list[PublishedRow]:
        """The rows of the paper's table."""
        return [row for row in published_rows() if row.table == self.table]

    def published_row(self, row: StudyRow) -> PublishedRow | None:
        """The paper's row beside one of the study; None if it has none."""
        return next((known for known in self.published if known.method == row.paper), None)

    @model_validator(mode="after")
    def _rows_fit(self) -> Study:
        for fault in self._faults():
            raise ValueError(fault)
        return self

    def _faults(self) -> Iterator[str]:
        names = [row.name for row in self.rows]
        for name in names:
            if names.count(name) > 1:
                yield f"two rows are called {name!r}; give each a name of its own"
        own = [row.name for row in self.rows if not row.quoted]
        if self.reference not in own:
            yield f"reference: {self.reference!r} is not a row that is run; {_one_of(self.reference, own)}"
        for metric in self.metrics:
            if metric not in METRIC_TITLES:
                yield f"metrics: there is no metric {metric!r}; {_one_of(metric, METRIC_TITLES)}"
        if self.table and self.figure:
            yield "table and figure: give the one that the study stands for"
        known = {row.table for row in published_rows()}
        if self.table and self.table not in known:
            yield f"table: the paper's numbers have no table {self.table!r}; {_one_of(self.table, sorted(known))}"
        if self.quotes and not self.table:
            yield "quotes: they are rows of the paper's table: give its number (table)"
        for row in self.rows:
            for fault in self._faults_of(row):
                yield f"row {row.name!r}: {fault}"

    def _faults_of(self, row: StudyRow) -> Iterator[str]:
        methods = [known.method for known in self.published]
        if row.paper is not None and row.paper not in methods:
            where = f"{self.stands_for} has no row {row.paper!r}" if self.table else "the study stands for no table"
            yield f"paper: {where}" + (f"; {_one_of(row.paper, methods)}" if methods else " (table); leave it out")
        if row.quoted and row.paper is None:
            yield "quoted: a row that is not run needs the paper's (paper)"
        if row.quoted and (row.settings or row.runs or row.captioners or row.encoder or row.chat):
            yield "quoted: it is not run, so that its settings would do nothing; leave them out"
        if row.runs and row.captioners == "each":
            yield "runs and `captioners: each`: both give the runs that the row is the mean of; give one"
        if row.captioners == ():
            yield "captioners: at least one is needed"
        if row.captioners is not None and any("captioners" in one for one in (row.settings, *row.runs)):
            yield "captioners: named both by themselves and in settings; give one"


def _one_of(word: str, known: Sequence[str] | Mapping[str, str]) -> str:
    return f"there is {', '.join(map(repr, known))}{did_you_mean(word, known)}"


@functools.cache
def shipped_studies() -> dict[str, Study]:
    """The studies that come with the program, by name."""
    folder = resources.files("lavad_core.studies") / "files"
    names = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".yaml"))
    return {
        name.removesuffix(".yaml"): parse_study((folder / name).read_text(encoding="utf-8"), name) for name in names
    }


def find_study(name: str) -> tuple[str, Study]:
    """A study by its name, or by the path of its file.

    Returns:
        its name (that of the file, without the ending), and the study.

    Raises:
        InputError: there is none, or the file cannot be read.
        ConfigError: something in the file is wrong; names the file, the row, the key and the way out.
    """
    if name in shipped_studies():
        return name, shipped_studies()[name]
    path = near(local_path(name), "study")
    if path.suffix in (".yaml", ".yml") or path.is_file():
        return path.stem, parse_study(read_text(path, "study", MAX_BYTES), name)
    raise InputError(
        f"there is no study {name!r}; there is {', '.join(shipped_studies())}, or give the path of a file (*.yaml)"
        + did_you_mean(name, shipped_studies())
    )


def parse_study(text: str, name: str) -> Study:
    """The study in a YAML text; ``name`` is its file, for errors.

    Raises:
        ConfigError: see :func:`find_study`.
    """
    found = read_yaml(text, name).value
    if not isinstance(found, dict):
        raise ConfigError(f"study {name!r} is not a mapping of keys to values; it begins with `title: …`")
    try:
        study = Study.model_validate(found)
    except ValidationError as error:
        faults = [_explained(one, found) for one in error.errors(include_url=False)[:5]]
        raise ConfigError("\n".join(f"study {name!r}: {fault}" for fault in faults)) from None
    if study.preset is not None:
        try:
            preset_text(study.preset)
        except ConfigError as error:
            raise ConfigError(f"study {name!r}: preset: {error}") from None
    return study


def _explained(error: ErrorDetails, given: Mapping[str, Any]) -> str:
    """What is wrong, where, and what to write."""
    place = [part for part in error["loc"] if isinstance(part, int) or part in _KEYS or error["type"] in _KEY_FAULTS]
    where: list[str] = []
    section: type[Section] = Study
    if place[:1] == ["rows"] and len(place) > 1 and isinstance(place[1], int):
        row = given["rows"][place[1]]
        named = row.get("name") if isinstance(row, dict) else None
        where.append(f"row {named!r}" if isinstance(named, str) else f"row {place[1] + 1} (without a name)")
        section, place = StudyRow, place[2:]
    if place:
        where.append(".".join(map(str, place)))
    message = error["msg"].removeprefix("Value error, ")
    if error["type"] == "extra_forbidden":
        keys = list(section.model_fields)
        message = f"unknown key; {_one_of(str(place[-1]), keys)}"
    elif error["type"] == "missing":
        message = "is missing; write it"
    return ": ".join([*where, message])


_KEYS = {*Study.model_fields, *StudyRow.model_fields}
_KEY_FAULTS = ("extra_forbidden", "missing")
