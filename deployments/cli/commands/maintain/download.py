"""``lavad download``: the models of a configuration, before a run needs them."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lavad.deployments.cli import early
from lavad.deployments.cli.exits import Exit, guarded
from lavad.deployments.cli.options import common as options
from lavad.deployments.cli.options.group import grouped
from lavad.deployments.cli.terminal.json_output import show_document
from lavad.deployments.cli.terminal.text import escape, is_terminal, say, show_table, size

if TYPE_CHECKING:
    from lavad_core.models.download import HubModel


@guarded
@grouped
def download(
    given: options.ConfigurationGroup,
    accept_licence: Annotated[
        list[str] | None,
        typer.Option(
            "--accept-licence",
            help="You accept this licence: its name as the table has it, or a model's id; may be repeated.",
            metavar="NAME",
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="You accept the licences of all models of the table.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be downloaded.")] = False,
    json_: options.AsJson = False,
) -> None:
    """Download the models of the configuration into the hub's cache, after consent to their licences. Complete files are
    not fetched again."""
    from lavad_core.errors import LavadError
    from lavad_core.models.download import (
        TOKENIZER_ROLE,
        cache_folder,
        check_space,
        fetch,
        look_up,
        remove_own_parts,
        wanted,
    )
    from lavad_core.pipeline.graph import needed_roles

    config = given.load().config
    sections = {role: config.models[role] for role in needed_roles(config)}
    needed, elsewhere = wanted(sections)
    for role, what in elsewhere.items():
        say(f"{role}: not of the hub: {escape(what)}")
    # On a line of its own, below the hub's progress bars.
    stopped = "\nlavad: stopped; files that are complete are kept, and the same command fetches the others"
    early.stoppable(stopped, remove_own_parts)
    found: list[HubModel] = []
    failed: dict[str, LavadError] = {}
    for (model, revision), roles in needed.items():
        try:
            found.append(look_up(model, revision, roles, sections[roles[0].removesuffix(TOKENIZER_ROLE)].kind))
        except LavadError as error:
            failed[model] = error
            say(f"lavad: {escape(error)}")
    if not json_:
        _table(found)
    missing = [model for model in found if model.missing]
    if missing and not dry_run:
        _consent(missing, accept_licence or [], yes)
        check_space(missing)
    for one in [] if dry_run else found:
        if one.missing:
            say(f"downloading {escape(one.model)} at {one.commit} ({size(one.missing)})")
        try:
            # Of one that is here, this notes which commit its branch is.
            say(f"{escape(one.model)}: {escape(fetch(one))}")
        except LavadError as error:
            failed[one.model] = error
            say(f"lavad: {escape(error)}")
    if json_:
        show_document("download", _document(found, failed, elsewhere, str(cache_folder()), dry_run))
    if failed:
        say(f"lavad: {len(failed)} of {len(needed)} models could not be downloaded")
        raise typer.Exit(Exit.SOME_FAILED if len(failed) < len(needed) else Exit.NOTHING_DONE)
    total = sum(model.missing for model in missing)
    if not missing:
        say(f"all models of the hub are in {escape(cache_folder())}")
    elif dry_run:
        say(f"{size(total)} would be downloaded to {escape(cache_folder())}; nothing was")


def _table(models: Sequence[HubModel]) -> None:
    show_table(
        ("model", "for", "revision", "size", "to download", "gated", "licence"),
        [
            (
                model.model,
                ", ".join(model.roles),
                model.commit[:12],
                size(model.size),
                size(model.missing) if model.missing else "–",
                "yes" if model.gated else "no",
                _licence(model),
            )
            for model in models
        ],
        right=(3, 4),
    )


def _licence(model: HubModel) -> str:
    stated = f"; its card says {escape(model.stated_licence, limit=60)}" if model.stated_licence else ""
    return f"{model.licence}{stated}"


def _consent(models: Sequence[HubModel], accepted: Sequence[str], yes: bool) -> None:
    """Nothing is downloaded under terms that nobody has accepted.

    Raises:
        typer.BadParameter: terms were not accepted, and nobody is there to ask.
        typer.Exit: they were refused.
    """
    words = {word.casefold() for word in accepted}
    open_: dict[str, list[HubModel]] = {}
    for model in models:
        if not yes and not words & {model.licence.name.casefold(), model.model.casefold()}:
            open_.setdefault(model.licence.name, []).append(model)
    if open_ and not (is_terminal(sys.stdin) and is_terminal(sys.stderr)):
        names = ", ".join(f'"{name}"' for name in open_)
        raise typer.BadParameter(
            f"licences have to be accepted: {names}; give --accept-licence for each, or --yes",
            param_hint="--accept-licence",
        )
    for group in open_.values():
        for model in group:
            say(f"{escape(model.model)}: {_licence(model)}")
        if not typer.confirm("Do you accept these terms?", err=True):
            say("nothing was downloaded")
            raise typer.Exit(Exit.USAGE)


def _document(
    models: Sequence[HubModel], failed: dict[str, Any], elsewhere: Any, folder: str, dry_run: bool
) -> dict[str, object]:
    return {
        "folder": folder,
        "dry_run": dry_run,
        "models": [
            {
                "model": model.model,
                "roles": list(model.roles),
                "revision": model.revision,
                "commit": model.commit,
                "gated": model.gated,
                "licence": asdict(model.licence),
                "stated_licence": model.stated_licence,
                "bytes": model.size,
                "bytes_to_download": model.missing,
                "files": [file.name for file in model.files],
            }
            for model in models
        ],
        "failed": {name: str(error) for name, error in failed.items()},
        "not_of_the_hub": dict(elsewhere),
    }
