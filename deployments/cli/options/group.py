"""Options that belong together, declared once as the fields of a frozen dataclass and given to a command as one value."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from dataclasses import is_dataclass
from typing import Any, TypeGuard


def grouped(command: Callable[..., None]) -> Callable[..., None]:
    """A command whose parameters may be dataclasses of annotated options: the command line has an option for each field.

    Args:
        command: each field of such a dataclass is declared as a parameter of a command would be, with ``Annotated`` and a
            default; or it is such a dataclass itself.
    """

    @functools.wraps(command)
    def expanded(**given: Any) -> None:
        command(**_values(command, given))

    options = [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in _options(command)]
    del expanded.__wrapped__  # the signature is what typer shows, not the command's own
    expanded.__signature__ = inspect.Signature(options)  # type: ignore[attr-defined]
    expanded.__annotations__ = {one.name: one.annotation for one in options}
    return expanded


def _is_group(annotation: object) -> TypeGuard[Callable[..., Any]]:
    return is_dataclass(annotation)


def _parameters(of: Callable[..., Any]) -> list[inspect.Parameter]:
    return list(inspect.signature(of, eval_str=True).parameters.values())


def _options(of: Callable[..., Any]) -> Iterator[inspect.Parameter]:
    for one in _parameters(of):
        if _is_group(one.annotation):
            yield from _options(one.annotation)
        else:
            yield one


def _values(of: Callable[..., Any], given: dict[str, Any]) -> dict[str, Any]:
    """The arguments of a command, or of a group, from the values of the options."""
    values = {}
    for one in _parameters(of):
        group = one.annotation
        values[one.name] = group(**_values(group, given)) if _is_group(group) else given[one.name]
    return values
