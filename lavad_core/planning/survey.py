"""The videos of a plan: which of their results are in the store, and how long they are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from lavad_core.config.schema import LavadConfig
from lavad_core.datasets.types import Dataset
from lavad_core.errors import DamagedResult, VideoRejected
from lavad_core.pipeline.graph import build_graph
from lavad_core.pipeline.pending import Survey, survey
from lavad_core.pipeline.prepare import check_imports, known_identities
from lavad_core.pipeline.resources import RunResources
from lavad_core.plain_text import number_of
from lavad_core.planning.cost import PlannedVideo, RunCost, run_cost
from lavad_core.planning.experience import Experience, experience_of
from lavad_core.planning.rates import RateTable
from lavad_core.planning.video_length import length_from_header, length_from_list, length_from_probe
from lavad_core.stages.node import Graph, PreparedVideo
from lavad_core.store.files import FileStore
from lavad_core.store.presence import store_exists
from lavad_core.store.types import Commit, Key
from lavad_core.video.decoder import read_header
from lavad_core.video.types import VideoHeader, VideoSource

HEADERS_AT_ONCE = 4
"""Headers that are read at once, each in its own process, which takes longer to start than to read."""

UNKNOWN = "unknown"
"""Begins the identity of a model that is not here: nothing in a store is found under it."""


def _unknown(config: LavadConfig) -> dict[str, str]:
    """Identities of models that are not here, by role; of two different ones they differ."""
    return {role: f"{UNKNOWN} {section.model}" for role, section in config.models.items()}


def cost_of_videos(
    config: LavadConfig,
    sources: Sequence[VideoSource],
    table: RateTable,
    *,
    refresh: bool = False,
    counted: set[Key] | None = None,
) -> RunCost:
    """What a run over videos would cost. Nothing is decoded and no model is loaded.

    Videos are digested to find their results, and the digests kept in the store's cache, as a run would; without a store
    nothing is there to be found, and they are not. Objects of a storage are not copied for it: only their ends are read.

    Args:
        refresh: what is in the store counts as left.
        counted: results that runs before this one will have made, and that do not count as left; those that are left are added.

    Raises:
        InputError: a folder of imported values is not there, or has none for a video.
    """
    check_imports(config)
    if not store_exists(config.store):
        graph = build_graph(config, _unknown(config))
        looked = _Looked(config, graph, sources, None, None, counted)
        return _cost(
            config, graph, looked, table, experience_of(None, config), ["there is no store yet: all of it is left"]
        )
    looking = RunResources(config)
    found, missing = known_identities(config, looking.weights)
    found = looking.served.applied(config, found, ask=False)
    resources = RunResources(config, {**_unknown(config), **found})
    surveyed = survey(resources, sources, refresh=refresh, copy=False)
    notes = [
        f"the model of {role} is not here, so that what it made cannot be found in the store and counts as left: {why}"
        for role, why in missing.items()
    ]
    if surveyed.unknown:
        notes.append(
            f"{number_of(len(surveyed.unknown), 'video', 'are')} on an object storage and not known by content yet, which "
            "would take a copy: what the store may have of them counts as left"
        )
    looked = _Looked(config, resources.graph, sources, surveyed, resources.store, counted)
    return _cost(config, resources.graph, looked, table, experience_of(resources.store, config), notes)


def cost_of_dataset(
    config: LavadConfig,
    dataset: Dataset,
    table: RateTable,
    frame_rate: float | None,
    *,
    counted: set[Key] | None = None,
) -> RunCost:
    """What a run over a data set would cost, by the frame counts of its list. No video is needed, so that nothing in a store
    can be told to be of it: all of it counts as left.

    Args:
        frame_rate: frames per second; that of the data set, or ``video.folder_frame_rate``, if None.
        counted: as that of :func:`cost_of_videos`.
    """
    graph = build_graph(config, _unknown(config))
    nodes = frozenset(node.id for node in graph.nodes)
    rate = frame_rate or dataset.frame_rate or config.video.folder_frame_rate
    uncounted = {name: "the list has no frame count" for name, video in dataset.videos.items() if not video.frames}
    known = (length_from_list(video, rate) for video in dataset.videos.values())
    items = (
        PlannedVideo(
            found, nodes if counted is None else _new(graph, VideoSource(found.name, Path(found.name)), counted)
        )
        for found in known
        if found is not None
    )
    notes = [f"an estimate from the list of {dataset.title} alone, at {rate:g} frames a second; no video was looked at"]
    if frame_rate is None and dataset.frame_rate is None:
        notes.append("the data set has no one frame rate; --frame-rate says another")
    store = FileStore(config.store)
    told = experience_of(store if store_exists(store.root) else None, config)
    return run_cost(config, graph, items, table, told, basis="list", uncounted=uncounted, notes=notes)


def _cost(
    config: LavadConfig, graph: Graph, looked: _Looked, table: RateTable, told: Experience, notes: list[str]
) -> RunCost:
    notes.append("answers that the cache of the language model holds are not subtracted")
    if looked.headers:
        notes.append(
            f"{number_of(len(looked.headers), 'video', 'were')} not probed yet: lengths are as the files announce"
        )
    return run_cost(config, graph, looked.items(), table, told, basis="videos", uncounted=looked.uncounted, notes=notes)


def _new(graph: Graph, source: VideoSource, counted: set[Key]) -> frozenset[str]:
    """The nodes of a video, told by its name, that are not counted yet; they are then."""
    imports = {node.id: source.name for node in graph.nodes if node.imported}
    keys = graph.keys(PreparedVideo(source.name, str(source.path), source.kind, source.name, imports))
    new = frozenset(node_id for node_id, key in keys.items() if key not in counted)
    counted |= {*keys.values()}
    return new


class _Looked:
    """Videos with what is left of them; lengths come one by one, since a video's times take 8 bytes a frame."""

    def __init__(
        self,
        config: LavadConfig,
        graph: Graph,
        sources: Sequence[VideoSource],
        surveyed: Survey | None,
        store: FileStore | None,
        counted: set[Key] | None,
    ) -> None:
        self._config, self._store = config, store
        self.uncounted: dict[str, str] = {}
        self._probes: dict[str, Commit] = {}
        self._left = {source.name: frozenset(node.id for node in graph.nodes) for source in sources}
        if surveyed is not None and store is not None:
            self._look(surveyed, store, counted)
            for source in (source for source in sources if source.name in surveyed.unknown):
                every = frozenset(node.id for node in graph.nodes)
                self._left[source.name] = every if counted is None else _new(graph, source, counted)
        elif counted is not None:
            self._left = {source.name: _new(graph, source, counted) for source in sources}
        wanted = [source for source in sources if source.name in self._left and source.name not in self._probes]
        self.headers = self._headers(wanted)

    def _look(self, surveyed: Survey, store: FileStore, counted: set[Key] | None) -> None:
        self.uncounted |= {name: f"{error.reason}: {error}" for name, error in surveyed.rejected.items()}
        self.uncounted |= {name: f"rejected by an earlier run: {why}" for name, why in surveyed.bad.items()}
        left: dict[str, set[str]] = {name: set() for name in surveyed.videos if name not in self.uncounted}
        for item in surveyed.work:
            if item.video not in left:
                continue
            if item.state == "run" and (counted is None or item.key not in counted):
                left[item.video].add(item.node_id)
                if counted is not None:
                    counted.add(item.key)
            if item.node_id == "probe" and (commit := store.find(item.key)) is not None:
                self._probes[item.video] = commit
        self._left = {name: frozenset(nodes) for name, nodes in left.items()}

    def _headers(self, sources: Sequence[VideoSource]) -> Mapping[str, VideoHeader]:
        video = self._config.video

        def read(source: VideoSource) -> VideoHeader | VideoRejected:
            try:
                return read_header(source, video.limits, video.folder_frame_rate)
            except VideoRejected as error:
                return error

        with ThreadPoolExecutor(HEADERS_AT_ONCE) as threads:
            found = dict(zip((source.name for source in sources), threads.map(read, sources), strict=True))
        for name, header in found.items():
            if isinstance(header, VideoRejected):
                self.uncounted[name] = f"{header.reason}: {header}"
        return {name: header for name, header in found.items() if not isinstance(header, VideoRejected)}

    def items(self) -> Iterator[PlannedVideo]:
        """The videos that can be counted; :attr:`uncounted` takes the others."""
        for name, left in self._left.items():
            found = None
            if name in self._probes and self._store is not None:
                try:
                    found = length_from_probe(name, self._store, self._probes[name])
                except DamagedResult as damage:
                    self.uncounted[name] = str(damage)
                    continue
            elif name in self.headers:
                found = length_from_header(name, self.headers[name], self._config.video.folder_frame_rate)
            if found is not None:
                yield PlannedVideo(found, left)
            elif name not in self.uncounted:
                self.uncounted[name] = "its file does not say how long it is; it is known once a run has probed it"
