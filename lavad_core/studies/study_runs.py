"""From the rows of a study to configurations: what is changed, on what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lavad_core.config.layers import from_file
from lavad_core.config.load import load_config, resolved_paths
from lavad_core.config.schema import LavadConfig
from lavad_core.config.tree import ROOT
from lavad_core.errors import ConfigError
from lavad_core.studies.study_file import Study, StudyRow
from lavad_core.suggest import did_you_mean

Layers = list[tuple[str, Mapping[str, Any]]]


@dataclass(frozen=True)
class StudyBase:
    """What the rows of a study change."""

    preset: str | None = None
    """Name of a preset in place of the study's own; None for that one."""
    files: Sequence[Path] = ()
    """YAML files of settings, over the preset."""
    overrides: Sequence[str] = ()
    """``KEY=VALUE`` texts, over the files. A row's own settings win over these too."""
    own_preset: bool = True
    """Whether the study's preset stands below the files where no other is named; False where they are a whole
    configuration."""
    own_encoders: bool = True
    """Whether rows bring encoders of their own; False in the demonstration, whose one encoder stands for them."""
    stand_ins: Mapping[str, str] = field(default_factory=dict)
    """Name of a captioner in studies to the name of the one that stands for it in this configuration; name of a language model
    of a row to the address of its server, or to a YAML file whose section ``chat`` it is."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Nested values, between the files with the environment and ``overrides``."""


@dataclass(frozen=True)
class PlannedRow:
    """A row with the configurations of its runs."""

    row: StudyRow
    """The row."""
    configs: tuple[LavadConfig, ...]
    """One for each run; none for a row that is quoted."""
    note: str = ""
    """What a reader of the table should know about it; empty if nothing."""
    at: Mapping[str, float] = field(default_factory=dict)
    """Axis of the study to its value in the first run; empty for a row that is quoted."""


def planned_rows(name: str, study: Study, base: StudyBase) -> list[PlannedRow]:
    """The rows of a study on a configuration.

    Args:
        name: the study's name, for errors.

    Raises:
        ConfigError: a setting of a row, or a captioner that it names, does not exist; names the study, the row and the key.
    """
    return [_planned(name, study, row, base) for row in study.rows]


def _planned(name: str, study: Study, row: StudyRow, base: StudyBase) -> PlannedRow:
    if row.quoted:
        return PlannedRow(row, ())
    if row.chat is not None and row.chat not in base.stand_ins and row.paper is not None:
        quoted = StudyRow(name=row.name, paper=row.paper, quoted=True)
        return PlannedRow(
            quoted, (), f"{row.name!r} is quoted; its language model is {row.chat!r}; {_say_where(row.chat)}"
        )
    stands = "" if base.own_encoders else str(row.encoder.get("model", ""))
    note = f"{row.name!r}: the demonstration's own encoder stands for {stands}" if stands else ""
    configs = tuple(_configs(name, study, row, base))
    return PlannedRow(row, configs, note, {axis: _at(axis, configs[0], name) for axis in study.axes})


def _at(axis: str, config: LavadConfig, name: str) -> float:
    if axis.startswith("smooth.") and config.smooth.kind == "none":
        return 0.0  # whatever its settings are, nothing reads them
    value: Any = config
    for part in axis.split("."):
        value = getattr(value, part, None)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ConfigError(f"study {name!r}: axes: {axis!r} is not a setting with a number; refine.neighbours is one")
    return float(value)


def _configs(name: str, study: Study, row: StudyRow, base: StudyBase) -> list[LavadConfig]:
    where = f"study {name!r}, row {row.name!r}"
    below: Layers = [(f"study {name!r}", study.settings), (where, row.settings)]
    below += [(where, {"encoder": row.encoder})] if base.own_encoders and row.encoder else []
    if row.chat is not None:
        below.append(_chat(row.chat, base, where))
    if row.captioners is None:
        chosen: list[Mapping[str, Any]] = [{}]
    else:
        known = list(_load(study, base, below).captioners)
        if row.captioners == "each":
            chosen = [_only([one], known) for one in known]
        else:
            chosen = [_only([_found(one, known, base, where) for one in row.captioners], known)]
    return [_load(study, base, [*below, (where, run), (where, one)]) for run in row.runs or ({},) for one in chosen]


def _load(study: Study, base: StudyBase, last: Layers) -> LavadConfig:
    preset = base.preset or (study.preset if base.own_preset else None)
    needed = ("study", {"run": {"targets": ["smooth"]}})  # the final scores: metrics need no more
    given = dict(base.settings) or None
    return load_config(preset=preset, files=base.files, settings=given, overrides=base.overrides, last=[needed, *last])


def _chat(name: str, base: StudyBase, where: str) -> tuple[str, Mapping[str, Any]]:
    """The settings of a row's own language model, and where they are from."""
    own = base.stand_ins.get(name)
    if own is None:
        raise ConfigError(f"{where}: its language model is {name!r}, beside that of the other rows; {_say_where(name)}")
    if "://" in own:
        return f"--model {name}", {"chat": {"base_url": own}}
    tree = from_file(Path(own)).tree
    if [*tree] != ["chat"]:
        raise ConfigError(
            f"{own!r}: settings of a row's language model are a section `chat` and nothing else; found "
            f"{', '.join(map(str, tree)) or 'nothing'}"
        )
    return own, resolved_paths(tree, ROOT, Path(own).absolute().parent)


def _say_where(name: str) -> str:
    return (
        f"say where that is: --model {name}=ADDRESS of its server (up to and including /v1), or =FILE.yaml with a "
        "section `chat`"
    )


def _only(kept: Sequence[str], known: Sequence[str]) -> dict[str, Any]:
    others = {one: None for one in known if one not in kept}
    return {"captioners": others} if others else {}


def _found(name: str, known: Sequence[str], base: StudyBase, where: str) -> str:
    found = base.stand_ins.get(name, name)
    if found in known:
        return found
    raise ConfigError(
        f"{where}: captioners: the configuration has no captioner {found!r}; it has {', '.join(known)}"
        + did_you_mean(found, known)
        + f"; name the one that stands for it (--captioner {name}=NAME)"
    )
