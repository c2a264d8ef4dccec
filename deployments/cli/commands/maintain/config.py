"""``lavad config``: what is configured, what could be."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Literal

import typer

from lavad.deployments.cli.exits import guarded
from lavad.deployments.cli.options import common as options
from lavad.deployments.cli.options import complete
from lavad.deployments.cli.options.group import grouped
from lavad.deployments.cli.terminal.json_output import show_document
from lavad.deployments.cli.terminal.text import escape, say, show

app = typer.Typer(no_args_is_help=True, help="Show the configuration, its schema and the presets.")


@app.command("show")
@guarded
@grouped
def show_config(
    given: options.ConfigurationGroup,
    origins: Annotated[bool, typer.Option(help="Say after each value where it comes from.")] = True,
    json_: options.AsJson = False,
) -> None:
    """Print the resolved configuration as YAML. Secrets are masked."""
    import yaml

    from lavad_core.config.render import resolved_yaml

    loaded = given.load()
    if json_:
        settings = yaml.safe_load(resolved_yaml(loaded.config, None))
        show_document("config", {"settings": settings, **({"origins": dict(loaded.origins)} if origins else {})})
        return
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
    from lavad_core.config.render import json_schema, markdown_table

    show(json_schema() if format_ == "json" else markdown_table())


@app.command("presets")
@guarded
def presets(
    name: Annotated[
        str | None,
        typer.Argument(help="Print this preset's file.", autocompletion=complete.presets),
    ] = None,
    json_: options.AsJson = False,
) -> None:
    """List the presets, or print one."""
    import yaml

    from lavad_core.config.load import preset_text, presets

    known = presets() if name is None else {name: preset_text(name)}
    titles = {preset: text.splitlines()[0].lstrip("# ") for preset, text in known.items()}
    if json_:
        found = {preset: {"title": titles[preset], "settings": yaml.safe_load(text)} for preset, text in known.items()}
        show_document("presets", {"presets": found})
    elif name is not None:
        show(known[name].rstrip("\n"))
    else:
        width = max(map(len, titles))
        for preset, title in titles.items():
            show(f"{preset:{width}}  {title}")
        say("lavad config presets NAME prints one, with its origin and the figures that are expected of it")


@app.command("bank")
@guarded
def bank() -> None:
    """Print the package's bank of sentences (score.method: bank), to be edited and named as bank.file."""
    from lavad_core.config.sentence_bank import package_bank

    show(package_bank().rstrip("\n"))


@app.command("definitions")
@guarded
def definitions() -> None:
    """Print the package's definitions of what is anomalous, to be edited and named as definitions.file."""
    from lavad_core.config.definitions_file import package_definitions

    show(package_definitions().rstrip("\n"))


@app.command("prompts", short_help="Print what the chat model is asked.")
@guarded
@grouped
def show_prompts(given: options.ConfigurationGroup, json_: options.AsJson = False) -> None:
    """Print what the chat model is asked, as it leaves and as the model reads it, and whether it fits."""
    from lavad_core.planning.prompt_check import chat_stages, prompts_of

    loaded = given.load().config
    if not (stages := chat_stages(loaded)):
        say("no stage of this configuration asks a chat model")
        if not json_:
            return
    if not (prompts := prompts_of(loaded)):
        say(f"{' and '.join(stages)} ask a model of your own: only it knows how it reads its messages")
    if json_:
        show_document("prompts", {"prompts": [{**asdict(prompt), "fits": prompt.fits} for prompt in prompts]})
        return
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
