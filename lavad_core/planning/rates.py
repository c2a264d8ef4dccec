"""How fast models are: tables of rates, each with its source. A rate that nobody has measured or published is missing."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import Field, ValidationError, model_validator

from lavad_core.config.secrets import named_captioners
from lavad_core.config.section import CHAT_STAGES, ENCODER_STAGES, Section
from lavad_core.errors import InputError
from lavad_core.runs import work
from lavad_core.runs.manifest import RunManifest
from lavad_core.stages import units
from lavad_core.user_files import read_text

MAX_BYTES = 1 << 20
"""Bytes of a table of rates, which has some lines."""

UNITS = (*work.COUNTERS, units.FRAMES_DECODED, units.CLIPS_ENCODED, units.VISION_PASSES, units.TOKENS)
"""The units that a rate may have."""


class Rate(Section):
    """How much of one kind of work is done in a second, or how much computing a unit of it takes."""

    stages: tuple[str, ...] = Field(min_length=1)
    """Where it applies: names of stages, or of nodes (``caption:<name>``)."""
    model: str | None = None
    """Id or path; compared by its last part, so that a local folder of the same name is meant too. None: any."""
    unit: Literal[UNITS]  # type: ignore[valid-type]
    """One of :data:`UNITS`."""
    per_second: float | None = Field(default=None, gt=0)
    """Units in a second on ``machine``."""
    tflop: float | None = Field(default=None, gt=0)
    """10^12 floating-point operations of a unit."""
    kind: Literal["measured", "stated"]
    """``measured`` on ``machine``, or ``stated`` by ``source``."""
    machine: str = ""
    """Where it holds; must be given if it was measured."""
    source: str = Field(min_length=1)
    """Where it is written, or which run measured it."""

    @model_validator(mode="after")
    def _check(self) -> Rate:
        if (self.per_second is None) == (self.tflop is None):
            raise ValueError("give either per_second or tflop")
        if self.kind == "measured" and not self.machine:
            raise ValueError("a measured rate needs the machine that it was measured on")
        return self

    def is_for(self, node_id: str, model: str) -> bool:
        """Whether it is for this node with this model."""
        stage = node_id.partition(":")[0]
        named = stage in self.stages or node_id in self.stages
        return named and (self.model is None or last_part(self.model) == last_part(model))


class Device(Section):
    """The most that a device computes."""

    name: str = Field(min_length=1)
    """Its name, and that of the numbers' type."""
    tflops: float = Field(gt=0)
    """10^12 operations a second, of dense matrices."""
    source: str = Field(min_length=1)
    """Where its maker says so."""


class Dimension(Section):
    """Length of an encoder's vectors; models as in :class:`Rate`."""

    model: str
    """Name of the model."""
    dimension: int = Field(ge=1, le=1 << 20)
    """How many numbers a vector has."""


class Bytes(Section):
    """What a result takes in the store."""

    per_result: float = Field(ge=0)
    """Bytes of every result: the commit, and the Parquet file's own part."""
    per_row: dict[str, float]
    """Stage to bytes of a row, without vectors."""
    per_number: float = Field(ge=0)
    """Bytes of one number of a vector, compressed."""
    source: str = Field(min_length=1)
    """How that was found."""


class RateTable(Section):
    """A file of rates; the first that fits counts."""

    rates: tuple[Rate, ...] = ()
    """Rates of stages."""
    devices: tuple[Device, ...] = ()
    """What devices compute."""
    widths: tuple[Dimension, ...] = ()
    """Lengths of encoders' vectors."""
    stored: Bytes | None = None
    """What results take in the store; None where the file does not say."""

    def first(
        self, of: Literal["per_second", "tflop"], node_id: str, model: str, given: Mapping[str, int]
    ) -> Rate | None:
        """The rate by time or by operations for a node whose work is known in the units of ``given``."""
        fitting = (rate for rate in self.rates if rate.is_for(node_id, model) and getattr(rate, of) is not None)
        return next((rate for rate in fitting if rate.unit in given), None)

    def dimension(self, model: str) -> int | None:
        """Length of a model's vectors, if it is known."""
        return next((row.dimension for row in self.widths if last_part(row.model) == last_part(model)), None)

    def over(self, other: RateTable) -> RateTable:
        """This table, and the other one where this has nothing."""
        return RateTable(
            rates=(*self.rates, *other.rates),
            devices=(*self.devices, *other.devices),
            widths=(*self.widths, *other.widths),
            stored=self.stored or other.stored,
        )


def last_part(model: str) -> str:
    """The last part of an id or a path, in small letters."""
    return model.rstrip("/").rpartition("/")[2].lower()


def packaged_rates() -> RateTable:
    """The table of the package."""
    text = resources.files("lavad_core.planning").joinpath("rates.yaml").read_text(encoding="utf-8")
    return RateTable.model_validate(yaml.safe_load(text))


def read_rates(path: Path) -> RateTable:
    """A table of the user's own, in the form of the package's (docs/planning.md).

    Raises:
        InputError: it cannot be read, or has another form; says where.
    """
    what = "table of rates"
    text = read_text(path, what, MAX_BYTES)
    try:
        values: Any = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise InputError(f"{what}: {str(path)!r} is not YAML: {' '.join(str(error).split())[:200]}") from error
    if not isinstance(values, dict):
        raise InputError(f"{what}: {str(path)!r} holds no mapping; expected are lists `rates:` and `devices:`")
    try:
        return RateTable.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        given = repr(first["input"])[:60]
        raise InputError(
            f"{what}: {str(path)!r}: {where}: {first['msg']} (got {given}); docs/planning.md has the form"
        ) from error


MEASURED = (
    (("embed_captions", "embed_summaries", "score_zero_shot"), work.TEXTS_ENCODED, (work.TEXTS_ENCODED,)),
    (("embed_frames", "embed_windows"), units.VISION_PASSES, (work.IMAGES_ENCODED, work.VIEWS_ENCODED)),
)
"""Nodes whose seconds are taken together, the unit, and the counters that make it up. All others are measured one by one."""

MODEL_UNITS = (work.CAPTIONS_MADE, work.IMAGES_ENCODED, work.VIEWS_ENCODED, work.TEXTS_ENCODED, work.LLM_REQUESTS)
"""Counters of a model's work."""


def rates_of_run(run: RunManifest) -> RateTable:
    """What a run measured: seconds and work of its stages.

    The seconds are those of all its videos together, so with ``run.workers`` at once they overlap and the rate is a lower
    bound of what the machine does. What was cached took no time and did no work.

    Raises:
        InputError: the run did no work of a model, or it is an import.
    """
    machine = ", ".join(str(run.host[name]) for name in ("name", "system") if name in run.host) or "not recorded"
    machine += f", {run.host['cpus']} CPUs" if "cpus" in run.host else ""
    workers = run.config.get("run", {}).get("workers", 1) or "several"
    together = {node for nodes, _, _ in MEASURED for node in nodes}
    others = [((node,), unit, (unit,)) for node in run.stages if node not in together for unit in MODEL_UNITS]
    models = _models(run.config)
    found = []
    for nodes, unit, counters in (*others, *MEASURED):
        totals = [run.stages[node] for node in nodes if node in run.stages]
        seconds = sum(total.seconds for total in totals if total.done)
        amount = sum(total.work.get(counter, 0) for total in totals for counter in counters)
        if seconds <= 0 or amount <= 0:
            continue
        found.append(
            Rate(
                stages=nodes,
                model=models.get(nodes[0]),
                unit=unit,
                per_second=amount / seconds,
                kind="measured",
                machine=machine,
                source=f"run {run.run_id}: {amount} in {seconds:.1f} s of stages, {workers} videos at once",
            )
        )
    if run.origin == "import":
        raise InputError(f"{run.run_id} is an import, which measured nothing: name a run")
    if not found:
        raise InputError(f"run {run.run_id} did no work of a model: all of it was in the store; name another run")
    return RateTable(rates=tuple(found))


def _models(config: Mapping[str, Any]) -> dict[str, str]:
    """Node id to model, as a run's record has it."""
    captioners = named_captioners(config).items()
    found = {f"caption:{name}": str(section.get("model", "")) for name, section in captioners}
    encoder = str(config.get("encoder", {}).get("model", ""))
    chat = str(config.get("chat", {}).get("model", ""))
    return found | dict.fromkeys(ENCODER_STAGES, encoder) | dict.fromkeys(CHAT_STAGES, chat)
