"""From templates to HTML that needs nothing but itself and runs nothing but its own script.

Everything that a video's name or a model brings in is text: escaped by the templates, and characters that are not printable
are shown as escapes.
"""

from __future__ import annotations

import base64
import hashlib
import re
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from lavad_core.escape import escape
from lavad_core.reports import charts

LONGEST_PART = 24
"""Letters of a name that are kept together: a name may have 250 and no place to break."""


def render(template: str, **values: Any) -> str:
    """The HTML of a template, which is named without ``.html.jinja``, with the values that it shows."""
    return _environment().get_template(f"{template}.html.jinja").render(values)


def part(macro: str, *values: Any) -> Markup:
    """The HTML of a macro of ``parts``, for a value that a page holds without what it was made of."""
    made: Markup = getattr(_environment().get_template("parts.html.jinja").module, macro)(*values)
    return made


@cache
def _environment() -> Environment:
    loader = PackageLoader("lavad_core.reports", "templates")
    environment = Environment(
        loader=loader,
        autoescape=True,
        finalize=_visible,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"data_uri": _data_uri, "line": charts.curve_path, "breakable": _breakable}
    environment.globals |= {"chart_of": charts.chart, "place": charts.chart_point}
    for name in ("style.css", "table.js"):
        source = loader.get_source(environment, name)[0]
        environment.globals[name.replace(".", "_")] = Markup(source)
        # The policy of the page names its script by digest: no other runs.
        digest = base64.b64encode(hashlib.sha256(source.encode()).digest()).decode("ascii")
        environment.globals[name.replace(".", "_") + "_sha256"] = f"sha256-{digest}"
    return environment


def _visible(value: Any) -> Any:
    """Text without characters that turn it around or cannot be seen; what is markup already stays."""
    if not isinstance(value, str) or isinstance(value, Markup):
        return value
    return escape(value)


def _breakable(name: str) -> Markup:
    """A name that a narrow column breaks at its joints first, and a long part without joints anywhere."""
    parts = re.split(r"(?<=[_/.-])", escape(name))
    pieces = (part[at : at + LONGEST_PART] for part in parts for at in range(0, max(len(part), 1), LONGEST_PART))
    return Markup("<wbr>").join(pieces)


def _data_uri(jpeg: bytes) -> str:
    return "data:image/jpeg;base64," + base64.b64encode(jpeg).decode("ascii")
