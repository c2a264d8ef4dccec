"""A set in shards, in words: how much of it is done, and which command makes the rest."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import TYPE_CHECKING

from lavad.deployments.cli.terminal.text import escape
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
    of, retry = state.shard.of, f"`lavad retry {run.run_id}{store_option(run)}`"
    if state.going:
        yield f"{numbered('shard', state.going)} of {of}: at work"
    if state.shard.run or not state.shard.number:
        over = next((one for one in state.runs if one.shard is not None and not one.shard.number), None)
        if state.without_run and (over is None or over.status != "running"):
            yield f"{_have(state.without_run, of)} no run: {retry} takes up their videos"
    elif state.without_run:
        yield f"{_have(state.without_run, of)} no run here yet: {again(state)}"
    if state.cut_off:
        were = "was" if len(state.cut_off) == 1 else "were"
        yield f"{numbered('shard', state.cut_off)} of {of} {were} cut off: {retry} makes the rest"


def again(state: SetState) -> str:
    """Which command makes the shards that have no run."""
    named = [f"--shard {number}/{state.shard.of}" for number in state.without_run[:2]]
    more = ", and so on" if len(state.without_run) > len(named) else ""
    return f"give the same `lavad run` again with {' and with '.join(named)}{more}"


def _have(numbers: tuple[int, ...], of: int) -> str:
    return f"{numbered('shard', numbers)} of {of} {'has' if len(numbers) == 1 else 'have'}"
