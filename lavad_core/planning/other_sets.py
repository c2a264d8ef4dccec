"""A part that is started with other settings than the rest of its set becomes a set of its own, and neither is ever whole."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass

from lavad_core.config.load import load_recorded
from lavad_core.config.schema import LavadConfig
from lavad_core.config.section import leaves
from lavad_core.errors import DamagedResult, InputError
from lavad_core.location import shown
from lavad_core.plain_text import first_few, number_of, numbered
from lavad_core.planning.sharding import ShardPlan, read_plan
from lavad_core.runs.manifest import is_run_id, load_run
from lavad_core.runs.sets import APART, FOLDER
from lavad_core.store.files import FileStore

_NOTE = re.compile(rf"{FOLDER}/([0-9a-f]+)/(?:shards|{APART}/([0-9]+)-(.*))\.json")

LOOKED_AT = 20
"""How many sets are looked at, those with the latest runs: the plan of a large one is megabytes."""

SAME = 0.5
"""Share of the videos of the larger set that both have, from which on one is taken for a part of the other."""


@dataclass
class _Known:
    """What the notes of a set say about its shards that were started one by one."""

    run_ids: dict[int, str]
    planned: bool = False


def incomplete_like(store: FileStore, plan: ShardPlan, config: LavadConfig) -> str | None:
    """A sentence about a set in the store that a new plan may have been meant for: of mostly the same videos, in shards that
    were started one by one, of which some have no run. It says what is different. None if there is none.

    Args:
        store: where.
        plan: the new one.
        config: its configuration.

    Raises:
        StoreUnavailable: the store cannot be read.
    """
    known: dict[str, _Known] = {}
    for blob in store.blobs.list(FOLDER):
        if (note := _NOTE.fullmatch(blob.name)) is None or note[1] == plan.set_id:
            continue
        found = known.setdefault(note[1], _Known({}))
        if note[2] is None:
            found.planned = True
        elif is_run_id(note[3]):
            found.run_ids[int(note[2])] = max(note[3], found.run_ids.get(int(note[2]), ""))
    started = sorted(
        (max(one.run_ids.values()), set_id) for set_id, one in known.items() if one.planned and one.run_ids
    )
    for run_id, set_id in reversed(started[-LOOKED_AT:]):
        try:
            other = read_plan(store, set_id)
        except DamagedResult:  # it says nothing
            continue
        if other is None or not _alike(plan, other):
            continue
        missing = [one.number for one in other.shards if one.videos and one.number not in known[set_id].run_ids]
        if missing:
            of = len(other.shards)
            differs = "; ".join(_differences(store, plan, other, config, run_id))
            look = f"lavad status {run_id} --store {shlex.quote(shown(store.root))}"
            return (
                f"this is a new set. The store has one of {number_of(_videos(other), 'video')} of which "
                f"{numbered('shard', missing)} of {of} {'has' if len(missing) == 1 else 'have'} no run yet (`{look}`), and "
                f"this is no part of it: {differs}. Only parts with the same videos, settings and number of shards make one "
                "set: if that was not meant, stop this one and give the command of the others"
            )
    return None


def _videos(plan: ShardPlan) -> int:
    return sum(len(shard.videos) for shard in plan.shards)


def _contents(plan: ShardPlan) -> dict[str, str]:
    """Content to the folder of its file."""
    return {
        video.content: shown(video.source.path.absolute().parent)
        for shard in plan.shards
        for video in shard.videos
        if video.content
    }


def _alike(a: ShardPlan, b: ShardPlan) -> bool:
    both, most = _contents(a).keys() & _contents(b).keys(), max(_videos(a), _videos(b))
    return bool(both) and len(both) >= SAME * most


def _differences(
    store: FileStore, here: ShardPlan, there: ShardPlan, config: LavadConfig, run_id: str
) -> Iterator[str]:
    """What two sets have different, in words."""
    if len(here.shards) != len(there.shards):
        yield f"it is in {len(there.shards)} shards, this in {len(here.shards)}"
    if here.configuration != there.configuration:
        yield _settings(store, config, run_id)
    ours, theirs = _contents(here), _contents(there)
    more = [
        f"{number_of(len(only), 'video')} only {where}"
        for only, where in ((ours.keys() - theirs.keys(), "here"), (theirs.keys() - ours.keys(), "there"))
        if only
    ]
    moved = [(ours[one], theirs[one]) for one in ours if one in theirs and ours[one] != theirs[one]]
    if moved:
        more.append(f"its videos are in {moved[0][1]!r}, these in {moved[0][0]!r}")
    if more:
        yield ", ".join(more)
    elif len(here.shards) == len(there.shards) and here.configuration == there.configuration:
        yield "names of videos differ, or videos that cannot be read"


def _settings(store: FileStore, config: LavadConfig, run_id: str) -> str:
    try:
        recorded = load_recorded(load_run(store.root, run_id).config)
    except (InputError, DamagedResult):
        return "settings differ"
    own, other = _read(config), _read(recorded)
    differing = [name for name in {**other, **own} if own.get(name) != other.get(name)]
    values = [f"{name} is {other.get(name, 'not set')} there, {own.get(name, 'not set')} here" for name in differing]
    return first_few(values) or "settings differ"


def _read(config: LavadConfig) -> dict[str, str]:
    """The settings that results depend on."""
    return {".".join(path): str(value) for path, stages, value in leaves(config) if stages}
