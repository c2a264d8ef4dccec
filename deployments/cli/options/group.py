"""Options that belong together, declared once as the fields of a frozen dataclass and given to a command as one value."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import is_dataclass
from typing import Any


def grouped(command: Callable[..., None]) -> Callable[..., None]:
    """A command whose parameters may be dataclasses of annotated options: the command line has an option for each field.

    Args:
        command: each field of such a dataclass is declared as a parameter of a command would be, with ``Annotated`` and a
            default.
    """
    parameters = inspect.signature(command, eval_str=True).parameters.values()
    annotations = {parameter.name: parameter.annotation for parameter in parameters}
    groups: dict[str, Any] = {name: one for name, one in annotations.items() if is_dataclass(one)}
    fields = {name: inspect.signature(group, eval_str=True).parameters for name, group in groups.items()}
    flat: list[inspect.Parameter] = []
    for parameter in parameters:
        flat += fields[parameter.name].values() if parameter.name in fields else [parameter]
    flat = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in flat]

    @functools.wraps(command)
    def expanded(**given: Any) -> None:
        values = {name: group(**{field: given.pop(field) for field in fields[name]}) for name, group in groups.items()}
        command(**given, **values)

    del expanded.__wrapped__  # the signature is what typer shows, not the command's own
    expanded.__signature__ = inspect.Signature(flat)  # type: ignore[attr-defined]
    expanded.__annotations__ = {parameter.name: parameter.annotation for parameter in flat}
    return expanded
