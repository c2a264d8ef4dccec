"""The commands of ``lavad --help`` in panels, in plain text: the same on a terminal and in a pipe, and nothing is markup."""

from __future__ import annotations

from typing import Any

from typer.core import TyperGroup

RUN = "Run"
LOOK = "Look at results"
EVALUATE = "Evaluate"
EXCHANGE = "Exchange with other programs"
MAINTAIN = "Maintain"


class Panels(TyperGroup):
    """A group whose help lists its commands under their ``rich_help_panel``, in the order in which they were added.

    Typer itself shows panels only in its rich mode, which interprets markup in help texts and errors, and draws boxes.
    """

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        shown: dict[str, Any] = {name: command for name, command in self.commands.items() if not command.hidden}
        width = max(map(len, shown))
        panels: dict[str, list[tuple[str, str]]] = {}
        for name, command in shown.items():
            text = command.get_short_help_str(formatter.width - 6 - width)
            panels.setdefault(command.rich_help_panel, []).append((name.ljust(width), text))
        for title, rows in panels.items():
            with formatter.section(title):
                formatter.write_dl(rows)
