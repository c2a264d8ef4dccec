"""``lavad config``: what is configured, what could be."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from lavad.deployments.cli.exits import guarded
from lavad.deployments.cli.options import common as options
from lavad.deployments.cli.terminal.text import escape, say, show

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


@app.command("prompts")
@guarded
def show_prompts(
    preset: options.Preset = None,
    config: options.Files = None,
    set_: options.Overrides = None,
    store: options.StoreFolder = None,
) -> None:
    """Print what the chat model is asked, as it leaves and as the model reads it, and whether it fits."""
    from lavad_core.planning.prompt_check import chat_stages, prompts_of

    loaded = options.loaded(preset, config, set_, store).config
    if not (stages := chat_stages(loaded)):
        say("no stage of this configuration asks a chat model")
        return
    if not (prompts := prompts_of(loaded)):
        say(f"{' and '.join(stages)} ask a model of your own: how it reads its messages, it alone knows")
    for prompt in prompts:
        how = "folded into the user's turn" if prompt.folds else "sent as they are"
        show(f"# {prompt.stage}: {prompt.in_words}; system messages are {how}")
        for role, text in prompt.messages:
            show(f"[{role}]\n{escape(text, keep_lines=True)}")
        if prompt.rendered is None:
            show("# the server does not say how the model reads it")
        else:
            show(f"# as the model reads it\n{escape(prompt.rendered, keep_lines=True)}")
        show("")
