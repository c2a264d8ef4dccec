"""How a configuration field says which stages it affects."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, JsonValue
from pydantic.fields import FieldInfo

from lavad_core.stage_names import Affected

PathKey = tuple[str, ...]
"""The names from the root of the tree to a value. A name that the user chose may hold dots."""

NOTHING: tuple[Affected, ...] = ()
"""For fields that change how fast or where work is done, never its result."""


class Section(BaseModel):
    """A part of the configuration: unknown keys are refused, values cannot be changed after validation."""

    # An infinite time-out is no limit, and JSON has neither infinity nor NaN.
    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, allow_inf_nan=False)


def setting(default: Any, *, affects: Iterable[Affected], description: str, **constraints: Any) -> Any:
    """A configuration field.

    Args:
        default: the value when nobody gives one; ``...`` if it must be given.
        affects: names of the stages that read it; :data:`NOTHING` if no result depends on it.
        description: one line with the unit; shown by ``lavad config schema``.
        constraints: of ``pydantic.Field`` (``ge``, ``le``, …).
    """
    stages: list[JsonValue] = [*sorted(affects)]
    return Field(default, description=description, json_schema_extra={"affects": stages}, **constraints)


def affects_of(name: str, info: FieldInfo) -> tuple[str, ...]:
    """The stages a field declares.

    Raises:
        TypeError: it declares none: every leaf of the tree must be made with :func:`setting`.
    """
    extra = info.json_schema_extra
    if not isinstance(extra, dict) or "affects" not in extra:
        raise TypeError(f"configuration field {name!r} does not declare the stages it affects; make it with setting()")
    affects = extra["affects"]
    assert isinstance(affects, list)
    return tuple(str(stage) for stage in affects)


def leaves(section: BaseModel, path: PathKey = ()) -> Iterator[tuple[PathKey, tuple[str, ...], Any]]:
    """(path, stages it affects, value) of every leaf; a section of a mapping has its name in the path."""
    for name, info in type(section).model_fields.items():
        value = getattr(section, name)
        here = (*path, name)
        if isinstance(value, BaseModel):
            yield from leaves(value, here)
        elif isinstance(value, dict) and value and all(isinstance(below, BaseModel) for below in value.values()):
            for own, below in value.items():
                yield from leaves(below, (*here, own))
        else:
            yield here, affects_of(".".join(here), info), value
