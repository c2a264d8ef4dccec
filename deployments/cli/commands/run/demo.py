"""``lavad demo``: a rendered world whose truth is known, small models trained for it, and how good the scores are."""

from __future__ import annotations

import json
import shlex
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

import lavad_core
from lavad.deployments.cli.exits import guarded
from lavad.deployments.cli.flow import Plain, run_flow, scoring_flow, warn_ahead
from lavad.deployments.cli.options import common as options
from lavad.deployments.cli.terminal.text import escape, is_terminal, say, show, show_table

if TYPE_CHECKING:
    from lavad_core.config.schema import LavadConfig
    from lavad_core.runs.manifest import RunManifest

SUMMARY_WIDTH = 72
"""Characters of a summary in a table on a terminal."""

SERVED_AS = "llama"
"""The name under which a server of the demonstration's language model has it."""

TRAINING = "python -m lavad.demo.train"
"""Makes the models."""


@guarded
def demo(
    output: Annotated[
        Path, typer.Option(help="Folder for clips, results and the page.", metavar="DIR", parser=options.folder)
    ] = Path("build/demo"),
    seed: Annotated[int, typer.Option(help="Seed of the clips.", min=0)] = 0,
    clips: Annotated[int, typer.Option(help="How many; every second one has an event.", min=2, max=1000)] = 24,
    llm: Annotated[
        Literal["local", "vllm"], typer.Option(help="The language model in this process, or behind a vLLM server.")
    ] = "local",
    base_url: Annotated[
        str | None,
        typer.Option(
            help=f"With --llm vllm: a running server, up to and including /v1, that serves the model as {SERVED_AS!r}.",
            metavar="URL",
        ),
    ] = None,
    vllm: Annotated[
        str | None,
        typer.Option(
            help="With --llm vllm: the `vllm` to start, or the Python of its environment; by default that of .venv-vllm, "
            "or the one on the PATH.",
            envvar="LAVAD_VLLM",
            metavar="FILE",
        ),
    ] = None,
    set_: options.Overrides = None,
    plain: Plain = False,
) -> None:
    """Render clips of a small world, score them with small models that know this world, and compare with the true events."""
    if base_url is not None and llm != "vllm":
        raise typer.BadParameter("--base-url needs --llm vllm")
    from lavad.demo import world
    from lavad.demo.configuration import write_configuration
    from lavad.deployments.cli.signals import interruptible
    from lavad.deployments.vllm_server import find_vllm

    file = write_configuration(output)
    given = (file, output, set_ or [])
    local = _loaded(*given)
    _check_models(local)
    executable = None
    if llm == "vllm" and base_url is None:
        executable = find_vllm(vllm, Path(lavad_core.__file__).parents[1])  # the checkout, if there is one
    with interruptible() as stop:
        say(f"clips: {clips} of seed {seed} in {escape(str(output / 'videos'))}")
        world.write_set(output.absolute(), seed=seed, clips=clips)
        with _chat(local, executable, base_url, output) as chat:
            config = _loaded(*given, chat)
            warn_ahead(config)
            ended = run_flow(config, clips, plain, scoring_flow([str(output / "videos")], config), stop)
        if code := ended.exit_code:
            from lavad.deployments.cli.terminal.run_end import print_run_end
            from lavad_core.pipeline.resources import RunResources

            print_run_end(ended.manifest, RunResources(config))
            raise typer.Exit(code)
        _show(output, file, ended.manifest)


def _loaded(file: Path, output: Path, given: list[str], chat: dict[str, Any] | None = None) -> LavadConfig:
    """The configuration; store and labels are of this folder, whatever the environment says.

    Args:
        file: as written.
        output: the folder.
        given: settings of the user; those of ``chat`` choose the weights, and are not for the served section.
        chat: the served section.
    """
    if chat is not None:
        given = [*(one for one in given if not one.strip().startswith("chat")), f"chat={json.dumps(chat)}"]
    chosen = options.ConfigurationGroup(config=[file], set_=given, store=output / "store")
    return chosen.load(labels=output / "labels.txt").config


def _check_models(config: LavadConfig) -> None:
    """Raises ModelError if one of the models is not there: random ones in their place would show nothing."""
    from lavad_core.errors import ModelError
    from lavad_core.models.kinds import find_model
    from lavad_core.pipeline.graph import needed_roles

    absent = [
        f"{role}: {config.models[role].model}"
        for role in needed_roles(config)
        if find_model(config.models[role]).found is False
    ]
    if absent:
        raise ModelError(
            f"{len(absent)} of the demonstration's models are not there: {', '.join(absent)}. They are files of the "
            f"repository (demo/models); in a checkout `{TRAINING}` trains them again"
        )


@contextmanager
def _chat(config: LavadConfig, executable: str | None, base_url: str | None, output: Path) -> Iterator[Any]:
    """The section of the served language model, while it is served; None for the one in this process.

    Raises:
        ServiceUnavailable: the server did not start.
    """
    if executable is None and base_url is None:
        yield None
        return
    from lavad.deployments.vllm_server import VllmServer
    from lavad_core.models.kinds import model_identity
    from lavad_core.models.random_models import local_or_random, random_folder

    folder = Path(local_or_random(config.chat.model, random_folder))
    section = {
        "kind": "openai",
        "model": SERVED_AS,
        # Else results of other weights under the same name would be taken for these.
        "revision": model_identity(config.chat, None),
        "context_tokens": json.loads((folder / "config.json").read_text())["max_position_embeddings"],
    }
    if executable is None:
        yield {**section, "base_url": base_url}
        return
    log = output.absolute() / "vllm.log"
    say(f"vLLM: starting {escape(executable)} (it says what it does in {escape(str(output / log.name))})")
    server = VllmServer(folder, log, executable=executable, model=SERVED_AS)
    try:
        say(f"vLLM: {server.base_url} while the run lasts")
        yield {**section, "base_url": server.base_url}
    finally:
        server.stop()


def _show(output: Path, file: Path, manifest: RunManifest) -> None:
    """The tables on stdout, the page beside the clips, and how to go on."""
    from lavad.demo.results import read_results, tables, write_page
    from lavad.deployments.cli.terminal.run_end import work_line
    from lavad.deployments.cli.terminal.run_facts import headline

    result = read_results(output.absolute(), manifest)
    page = output / "demo.html"
    write_page(result, page)
    fitted = (lambda text: escape(text, limit=SUMMARY_WIDTH)) if is_terminal() else str
    for headers, rows, right in tables(result, fitted):
        show_table(headers, rows, right=right)
        show("")
    show(f"page: {escape(str(page))}")
    say(headline(manifest))
    say("work: " + (work_line(manifest) or "none"))
    again = f"lavad run {output / 'videos'} --config {file}"
    say(f"to go on: {escape(again)} --set clean.enabled=false")
    if hint := path_hint():
        say(hint)


def path_hint() -> str:
    """What makes `lavad` a command of this shell, if it is not: `make demo` calls the one of its own environment."""
    folder = Path(sys.executable).parent
    found = shutil.which("lavad")
    if found is not None and Path(found).parent == folder:
        return ""
    activate = folder / "activate"
    if activate.is_file():
        return f"`lavad` is a command of this environment: first `source {escape(shlex.quote(_near(activate)))}`"
    return f"`lavad` is not on the PATH: it is {escape(shlex.quote(_near(folder / 'lavad')))}"


def _near(path: Path) -> str:
    """Relative to the current folder, where it is below it."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
