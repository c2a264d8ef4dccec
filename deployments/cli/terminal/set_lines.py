"""A set in shards, in words: how much of it is done, and which command makes the rest."""

from __future__ import annotations

import shlex
from collections.abc import Container, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from lavad.deployments.cli.terminal.text import escape, say
from lavad_core.plain_text import number_of, numbered

if TYPE_CHECKING:
    from lavad_core.planning.set_state import SetState
    from lavad_core.runs.manifest import RunManifest


def store_option(run: RunManifest) -> str:
    """What a command needs to find the run from any folder and in any shell."""
    store = str(run.config.get("store", ""))
    return f" --store {escape(shlex.quote(store))}" if store else ""


def set_line(state: SetState) -> str:
    """One line: how many videos of the whole set have scores."""
    others = "".join(f", {count} {word}" for word, count in state.others.items())
    return (
        f"set {state.shard.set_id} in {number_of(state.shard.of, 'shard')}: {state.scored} of "
        f"{number_of(len(state.videos), 'video', 'have')} scores{others}"
    )


def ways_on(state: SetState, run: RunManifest) -> Iterator[str]:
    """What is to be done for the parts that are missing; nothing where every shard has a run that came to its end.

    Args:
        state: how far the set is.
        run: one of its runs, by which commands find it.
    """
    of = state.shard.of
    if state.going:
        yield f"{numbered('shard', state.going)} of {of}: at work"
    if state.shard.number and not state.shard.run:
        if state.without_run:
            yield f"{_have(state.without_run, of)} no run here yet: {again(state.without_run, of)}"
        if state.cut_off:
            yield f"{_cut_off(state)}: {again(state.cut_off, of)}; what is finished is found"
        return
    over = next((one for one in state.runs if one.shard is not None and not one.shard.number), None)
    retry = f"`lavad retry {state.shard.run or run.run_id}{store_option(run)}`"
    if over is not None and over.status == "running":
        if state.cut_off:
            yield f"{_cut_off(state)}: run {over.run_id}, which is over the set, issues it again"
        return
    if state.without_run:
        yield f"{_have(state.without_run, of)} no run: {retry} takes up their videos"
    if state.cut_off:
        yield f"{_cut_off(state)}: {retry} makes the rest"


def again(numbers: tuple[int, ...], of: int) -> str:
    """Which command makes shards that were started one by one."""
    named = [f"--shard {number}/{of}" for number in numbers[:2]]
    more = ", and so on" if len(numbers) > len(named) else ""
    return f"give the same `lavad run` again with {' and with '.join(named)}{more}"


def state_of_set(root: Path, run: RunManifest, known_bad: Container[tuple[str, str]] | None = None) -> SetState | None:
    """The set of a shard's run, and of a run over a set. None for other runs, and with a warning where it cannot be read: the
    run's own record tells the rest."""
    from lavad_core.errors import InputError, StoreError
    from lavad_core.planning.set_state import set_state

    try:
        return set_state(root, run, known_bad)
    except (InputError, StoreError) as error:
        say(f"WARNING: {escape(error)}")
        return None


def _cut_off(state: SetState) -> str:
    numbers, of = state.cut_off, state.shard.of
    return f"{numbered('shard', numbers)} of {of} {'was' if len(numbers) == 1 else 'were'} cut off"


def _have(numbers: tuple[int, ...], of: int) -> str:
    return f"{numbered('shard', numbers)} of {of} {'has' if len(numbers) == 1 else 'have'}"
