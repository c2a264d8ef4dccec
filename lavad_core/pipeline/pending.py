"""What a run would do, and why: the store compared with the keys of the graph. Nothing is computed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from lavad_core.errors import VideoRejected
from lavad_core.escape import shortened
from lavad_core.pipeline.resources import RunResources
from lavad_core.stages.node import PreparedVideo
from lavad_core.store.maintenance import results_of
from lavad_core.store.types import Key
from lavad_core.video.identity import is_identified
from lavad_core.video.types import VideoSource


@dataclass(frozen=True)
class PlannedWork:
    """One stage of one video."""

    video: str
    """Name of the video."""
    node_id: str
    """The stage, with the captioner where there is one."""
    key: Key
    """The key of the result."""
    state: Literal["cached", "run", "rejected"]
    """``cached``: the result exists; ``rejected``: an earlier run found that the video cannot be scored; ``run``."""
    why: str
    """For ``run``, what makes it necessary."""


def plan_work(resources: RunResources, videos: Sequence[PreparedVideo], *, refresh: bool = False) -> list[PlannedWork]:
    """The work for each video and stage, in the order in which it would run; with ``refresh`` existing results would be
    computed again."""
    work: list[PlannedWork] = []
    planned: dict[Key, PlannedWork] = {}
    # By video and not by content: videos of one content may have other values imported under their names.
    known = [(video, resources.graph.provenances(video), resources.graph.keys(video)) for video in videos]
    for node in resources.graph.nodes:
        for video, made_of, keys in known:
            key = keys[node.id]
            if (first := planned.get(key)) is not None:
                shared: Literal["cached", "rejected"] = "rejected" if first.state == "rejected" else "cached"
                work.append(PlannedWork(video.name, node.id, key, shared, f"same content as {first.video}"))
                continue
            found = resources.store.find(key)
            if found is not None and refresh:
                item = PlannedWork(video.name, node.id, key, "run", "there already; computed again as asked")
            elif found is not None:
                state: Literal["cached", "run", "rejected"] = "rejected" if found.status == "rejected" else "cached"
                item = PlannedWork(video.name, node.id, key, state, found.message if state == "rejected" else "")
            else:
                inputs = [planned[keys[name]] for name in node.inputs]
                again = [item.node_id for item in inputs if item.state == "run"]
                why = _why(resources, key, made_of[node.id], again)
                item = PlannedWork(video.name, node.id, key, "run", why)
            planned[key] = item
            work.append(item)
    return work


@dataclass(frozen=True)
class Survey:
    """What a run over given videos would do."""

    videos: Mapping[str, PreparedVideo]
    """Videos whose content is known, by name."""
    work: Sequence[PlannedWork]
    """The work, as :func:`plan_work` has it; of a video that an earlier run rejected only that, since a run leaves the rest
    out."""
    rejected: Mapping[str, VideoRejected]
    """Videos that cannot be read, with the reason."""
    unknown: Sequence[str] = ()
    """Names of objects that would have to be copied to know their content; nothing is in ``work`` for them."""

    @property
    def bad(self) -> Mapping[str, str]:
        """Videos that an earlier run rejected, with what it said."""
        return {item.video: item.why for item in self.work if item.state == "rejected"}


def survey(
    resources: RunResources, sources: Sequence[VideoSource], *, refresh: bool = False, copy: bool = True
) -> Survey:
    """Digest the videos, and compare what is needed for them with the store.

    Args:
        refresh: existing results would be computed again.
        copy: also those objects of a storage that must be copied for it.
    """
    videos: dict[str, PreparedVideo] = {}
    unknown: list[str] = []
    rejected: dict[str, VideoRejected] = {}
    for source in sources:
        try:
            if copy or is_identified(source, resources.digests):
                videos[source.name] = resources.prepare(source)
            else:
                unknown.append(source.name)
        except VideoRejected as rejection:
            rejected[source.name] = rejection
    work = plan_work(resources, list(videos.values()), refresh=refresh)
    bad = {item.video for item in work if item.state == "rejected"}
    left = [item for item in work if item.state == "rejected" or item.video not in bad]
    return Survey(videos, left, rejected, unknown)


def _why(resources: RunResources, key: Key, wanted: Mapping[str, Any], again: Sequence[str]) -> str:
    """What differs from the most similar existing result."""
    others = [
        commit
        for commit in results_of(resources.store, key.stage, key.video_id)
        if commit.key != key
        and commit.provenance.get("variant") == wanted.get("variant")
        and commit.status != "rejected"
    ]
    if not others:
        return "not computed yet"
    differences = min((_differences(commit.provenance, wanted) for commit in others), key=len)
    own = [text for text in differences if not text.startswith("input ")]
    if own:
        return "; ".join(own[:5])
    return f"follows from {', '.join(again)}" if again else "; ".join(differences[:5]) or "not computed yet"


def _differences(there: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    found = []
    for part in ("version", "model", "imported"):
        if there.get(part) != wanted.get(part):
            found.append(f"{part}: {_short(there.get(part))} → {_short(wanted.get(part))}")
    old, new = there.get("settings", {}), wanted.get("settings", {})
    for name in sorted({*old, *new}):
        if old.get(name) != new.get(name):
            found.append(f"{name}: {_short(old.get(name))} → {_short(new.get(name))}")
    before, after = there.get("inputs", {}), wanted.get("inputs", {})
    found += [f"input {name} changed" for name in sorted({*before, *after}) if before.get(name) != after.get(name)]
    return found


def _short(value: Any) -> str:
    return "–" if value is None else shortened(json.dumps(value, ensure_ascii=False), 40)
