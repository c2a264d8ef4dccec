"""The process in which a model's chat template is rendered: ``python -m lavad_core.models.chat.template_child``.

A template comes with a model, is a small program, and Jinja's sandbox bounds neither its loops nor what it makes. Here it may
loop and grow: memory is bounded by the system, time by an alarm (and by the parent, which ends this process).

One JSON object per line. It greets with ``{"text"}``. First comes ``{"template", "variables", "memory_bytes", "timeout_s",
"characters"}``, answered by a line that says whether the template compiles; then ``{"messages"}`` as often as wanted, each
answered by ``{"text"}`` or ``{"fault", "words"}``. Ends with its standard input.

The environment is that of ``transformers.utils.chat_template_utils`` (5.24), without its tracking of what the assistant said;
``tests/chat/test_template.py`` compares them.
"""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Callable
from datetime import datetime
from typing import Any

import jinja2
import jinja2.ext
import jinja2.nodes
import jinja2.parser
import jinja2.sandbox
import jinja2.utils

from lavad_core.video.child import limit_resources

MOST_WORDS = 300
"""Characters of a template's own complaint that are passed on."""


class _Generation(jinja2.ext.Extension):
    """``{% generation %}`` marks what the assistant said; here nobody asks for it."""

    tags = {"generation"}  # noqa: RUF012  as jinja2 declares it

    def parse(self, parser: jinja2.parser.Parser) -> jinja2.nodes.Node:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return jinja2.nodes.CallBlock(self.call_method("_as_it_is"), [], [], body).set_lineno(line)

    def _as_it_is(self, caller: Callable[[], str]) -> str:
        return caller()


class _Namespace(jinja2.utils.Namespace):
    """Without names that lead to Python's own."""

    def __setitem__(self, name: str, value: Any) -> None:
        if isinstance(name, str) and name.startswith("_"):
            raise jinja2.exceptions.SecurityError(f"a namespace has no attribute {name!r}")
        super().__setitem__(name, value)


def _raise(message: str) -> None:
    raise jinja2.TemplateError(message)


def _tojson(
    value: Any, ensure_ascii: bool = False, indent: Any = None, separators: Any = None, sort_keys: bool = False
) -> str:
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def compiled(template: str) -> jinja2.Template:
    """The template, in the environment that transformers gives it."""
    environment = jinja2.sandbox.ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, jinja2.ext.loopcontrols]
    )
    environment.filters["tojson"] = _tojson
    environment.globals["raise_exception"] = _raise
    environment.globals["strftime_now"] = lambda form: datetime.now().strftime(form)
    environment.globals["namespace"] = _Namespace
    return environment.from_string(template)


def _rendered(template: jinja2.Template, variables: dict[str, Any], characters: int) -> dict[str, Any]:
    parts: list[str] = []
    left = characters
    for part in template.generate(**variables):
        left -= len(part)
        if left < 0:
            return {"fault": "too-long", "words": ""}
        parts.append(part)
    return {"text": "".join(parts)}


def _answered(work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    try:
        return work()
    except MemoryError:
        return {"fault": "memory", "words": ""}
    except Exception as error:  # this process's edge: a template may raise whatever Python can
        return {"fault": type(error).__name__, "words": str(error)[:MOST_WORDS]}


def _say(answer: dict[str, Any]) -> None:
    sys.stdout.buffer.write(json.dumps(answer).encode() + b"\n")
    sys.stdout.buffer.flush()


def main() -> None:
    """Serve one parent and leave with it."""
    _say({"text": ""})  # that it is there; from now on time is the template's
    setup = json.loads(sys.stdin.buffer.readline())
    limit_resources(setup["memory_bytes"])
    found: list[jinja2.Template] = []

    def timed(work: Callable[[], dict[str, Any]]) -> None:
        # The default action of the alarm ends the process, also within one long operation. The parent is there first,
        # unless it is gone.
        signal.setitimer(signal.ITIMER_REAL, setup["timeout_s"])
        answer = _answered(work)
        signal.setitimer(signal.ITIMER_REAL, 0)
        _say(answer)

    def compile_it() -> dict[str, Any]:
        found.append(compiled(setup["template"]))
        return {"text": ""}

    timed(compile_it)
    for line in sys.stdin.buffer:
        messages = json.loads(line)["messages"]
        fixed = {"tools": None, "documents": None, "add_generation_prompt": True}
        variables = {**fixed, **setup["variables"], "messages": messages}
        timed(lambda variables=variables: _rendered(found[0], variables, setup["characters"]))  # type: ignore[misc]


if __name__ == "__main__":
    main()
