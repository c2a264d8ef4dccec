"""``lavad config``: what is configured, what could be."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from deployments.cli import options
from deployments.cli.exits import guarded
from deployments.cli.text import show

app = typer.Typer(no_args_is_help=True, help="Show the configuration, its schema and the presets.")


@app.command("show")
@guarded
def show_config(
    preset: options.Preset = None,
    config: options.Files = None,
    set_: options.Overrides = None,
    store: options.StoreFolder = None,
    origins: Annotated[bool, typer.Option(help="Say behind each value where it comes from.")] = True,
) -> None:
    """Print the resolved configuration as YAML. Secrets are masked."""
    from lavad_core.config.document import resolved_yaml

    loaded = options.loaded(preset, config, set_, store)
    show(resolved_yaml(loaded.config, loaded.origins if origins else None).rstrip("\n"))


@app.command("schema")
@guarded
def schema(
    format_: Annotated[
        Literal["json", "markdown"],
        typer.Option("--format", help="JSON Schema, or the table of docs/configuration.md."),
    ] = "json",
) -> None:
    """Print what a configuration may hold."""
    from lavad_core.config.document import json_schema, markdown_table

    show(json_schema() if format_ == "json" else markdown_table())


@app.command("presets")
@guarded
def presets(
    name: Annotated[str | None, typer.Argument(help="Print this preset's file.", show_default=False)] = None,
) -> None:
    """List the presets, or print one."""
    from lavad_core.config.load import preset_text, presets

    if name is not None:
        show(preset_text(name).rstrip("\n"))
        return
    for known, text in presets().items():
        show(f"{known:12}  {text.splitlines()[0].lstrip('# ')}")
