"""Several configurations over the same videos in one process: each model loaded once, each result made once.

A configuration alone goes stage by stage over all videos (:func:`lavad_core.pipeline.execute.run_graph`). Several go so
together: what different ones want of one model is asked of it while it is loaded, and a result that several want is looked
for, or made, once.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from lavad_core.config.schema import LavadConfig
from lavad_core.config.section import ModelSection
from lavad_core.errors import DeviceOutOfMemory, InputError, LavadError, ModelError, NotAsked
from lavad_core.models.pool import ModelPool
from lavad_core.pipeline.execute import run_stage
from lavad_core.pipeline.pace import workers_of
from lavad_core.pipeline.resources import RunResources
from lavad_core.runs.recorder import RunRecorder
from lavad_core.stages.node import Graph, Node, PreparedVideo
from lavad_core.stages.passes import passes_of
from lavad_core.stages.registry import STAGES
from lavad_core.store.types import Key
from lavad_core.video.types import VideoSource

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SharedStep:
    """Nodes of several graphs that are run together: of one stage, with one model."""

    stage: str
    """Name of the stage."""
    model: tuple[int, str] | None
    """Number of the pool and role of the model; None for a stage without one."""
    nodes: tuple[tuple[int, str], ...]
    """Place of the graph and id of its node, for each."""


def merged_steps(graphs: Sequence[Graph], model_of: Callable[[int, Node], tuple[int, str] | None]) -> list[SharedStep]:
    """All nodes of all graphs in an order in which inputs come first and a model, once begun with, is done with all that is
    ready for it before another one is. Pure.

    Args:
        graphs: one for each configuration.
        model_of: the model of a node as :class:`SharedStep` has it, given the graph's place.
    """
    place = {stage: number for number, stage in enumerate(STAGES)}
    left = {(number, node.id): node for number, graph in enumerate(graphs) for node in graph.nodes}
    done: set[tuple[int, str]] = set()
    steps: list[SharedStep] = []
    current: tuple[int, str] | None = None
    while left:
        ready = [one for one, node in left.items() if all((one[0], name) in done for name in node.inputs)]
        kinds: dict[tuple[str, tuple[int, str] | None, str], list[tuple[int, str]]] = {}
        for one in ready:
            kinds.setdefault((left[one].stage, model_of(one[0], left[one]), left[one].variant), []).append(one)
        # What needs no model first, since models wait for it; then what the loaded one can do; then the order of stages.
        chosen = min(kinds, key=lambda kind: (kind[1] is not None, kind[1] != current, place[kind[0]]))
        stage, model, _ = chosen
        current = current if model is None else model
        steps.append(SharedStep(stage, model, tuple(kinds[chosen])))
        for one in kinds[chosen]:
            done.add(one)
            del left[one]
    return steps


@dataclass
class Participant:
    """A configuration at work beside others."""

    resources: RunResources
    """Its own graph; models, frames and caches are everybody's."""
    videos: list[PreparedVideo] = field(default_factory=list)
    """The videos that could be prepared."""
    keys: dict[str, Mapping[str, Key]] = field(default_factory=dict)
    """Name of a video to the keys of its results, by node."""
    failed: dict[str, LavadError] = field(default_factory=dict)
    """Name of a video to what ended its work."""

    def add(self, source: VideoSource) -> None:
        """Digest a video; one that cannot be read has failed."""
        try:
            video = self.resources.prepare(source)
        except InputError as error:
            self.failed[source.name] = error
            return
        self.videos.append(video)
        self.keys[video.name] = self.resources.graph.keys(video)

    @property
    def scored(self) -> list[PreparedVideo]:
        """The videos whose work was not ended by an error."""
        return [video for video in self.videos if video.name not in self.failed]


class SideBySide:
    """Several configurations on one store at work in one process. Use as a context manager.

    Configurations whose sections agree on every model that both need share one pool of models. Where two differ (two chat
    models, for one), each has a pool, and a third model that both need is loaded in each.

    Args:
        configs: at least one; all have the same store.

    Attributes:
        parts: one for each configuration, in order.
    """

    def __init__(self, configs: Sequence[LavadConfig]) -> None:
        self.parts = [Participant(RunResources(config, record=True)) for config in configs]
        first = self.parts[0].resources
        for part in self.parts[1:]:
            part.resources.frames, part.resources.in_flight = first.frames, first.in_flight
        self._pools: list[ModelPool] = []
        self._pool_of: list[int] = []

    def share_models(self) -> None:
        """Put configurations together that have the same models. Asks for the identity of every model.

        Raises:
            ModelError: models cannot be found; names them.
        """
        groups: list[tuple[dict[str, ModelSection], dict[str, RunResources]]] = []
        for part in self.parts:
            config = part.resources.config
            needed = {role: config.models[role] for role in part.resources.graph.identities}
            fits = (
                number
                for number, (sections, _) in enumerate(groups)
                if all(sections.get(role, section) == section for role, section in needed.items())
            )
            number = next(fits, len(groups))
            if number == len(groups):
                groups.append(({}, {}))
            sections, owners = groups[number]
            sections |= needed
            owners |= {role: part.resources for role in needed if role not in owners}
            self._pool_of.append(number)
        lock = threading.RLock()
        for sections, owners in groups:
            pool = ModelPool(_with_models(self.parts[0].resources.config, sections), _ready(owners))
            pool.device_lock = lock
            self._pools.append(pool)
        for part, number in zip(self.parts, self._pool_of, strict=True):
            part.resources.models = self._pools[number]

    @property
    def loads(self) -> Mapping[str, int]:
        """Role to how often a model of it was loaded, over all pools."""
        loads: Counter[str] = Counter()
        for pool in self._pools:
            loads.update(pool.loads)
        return loads

    def steps(self) -> list[SharedStep]:
        """The work of all, in order."""
        return merged_steps(
            [part.resources.graph for part in self.parts],
            lambda number, node: (self._pool_of[number], node.role) if node.role else None,
        )

    def run(self, recorder: RunRecorder, on_step: Callable[[SharedStep, int], None] | None = None) -> None:
        """Do all work; :attr:`Participant.failed` then says which videos have no scores with which configuration.

        Args:
            on_step: called before each step with how many results it looks for or makes.

        Raises:
            ModelError: a model cannot be loaded. Other errors that are not about one video likewise end the run.
        """
        first = self.parts[0].resources
        first.store.sweep()
        for part in self.parts:
            part.resources.keep_server_log(recorder.run_id)
        steps = self.steps()
        last = {step.model: number for number, step in enumerate(steps)}
        passes = {(at, node.id) for at, part in enumerate(self.parts) for node in passes_of(part.resources.graph)}
        last_pass = max((number for number, step in enumerate(steps) if passes & {*step.nodes}), default=-1)
        failed: dict[Key, LavadError] = {}
        done: set[Key] = set()
        with ThreadPoolExecutor(workers_of(first.config)) as threads:
            for number, step in enumerate(steps):
                items = list(self._new(step, done))
                if on_step is not None:
                    on_step(step, len(items))
                try:
                    for _ in threads.map(lambda item: self._work(item, recorder, failed), items):
                        pass
                except BaseException:
                    for part in self.parts:
                        part.resources.stop()  # what is in progress ends at its next frame or answer
                    threads.shutdown(cancel_futures=True)
                    raise
                done |= {item.key for item in items}
                self._note_failed(step, failed)
                if number == last_pass:
                    first.frames.clear()
                if step.model is not None and last[step.model] == number:
                    pool, role = step.model
                    self._pools[pool].release(role)

    def _new(self, step: SharedStep, done: set[Key]) -> Iterator[_Item]:
        """The results of a step that no earlier one has made, each once."""
        seen: set[Key] = set()
        for at, node_id in step.nodes:
            part = self.parts[at]
            for video in part.scored:
                key = part.keys[video.name][node_id]
                if key not in done and key not in seen:
                    seen.add(key)
                    yield _Item(part.resources, video, node_id, key)

    def _work(self, item: _Item, recorder: RunRecorder, failed: dict[Key, LavadError]) -> None:
        resources, video = item.resources, item.video
        try:
            with recorder.stage(video.name, video.video_id, item.node_id) as record:
                run_stage(resources, video, item.node_id, record)
        except (InputError, DeviceOutOfMemory, NotAsked) as error:
            role = resources.graph.node(item.node_id).role
            if isinstance(error, ModelError) and resources.models.failed_to_load(role):
                raise
            failed[item.key] = error
            log.warning("%r has no %s: %s", video.name, item.node_id, error)

    def _note_failed(self, step: SharedStep, failed: Mapping[Key, LavadError]) -> None:
        if not failed:
            return
        for at, node_id in step.nodes:
            part = self.parts[at]
            for video in part.videos:
                error = failed.get(part.keys[video.name][node_id])
                if error is not None:
                    part.failed.setdefault(video.name, error)

    def close(self) -> None:
        """Free the models and the kept frames."""
        for part in self.parts:
            part.resources.close()

    def __enter__(self) -> SideBySide:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@dataclass(frozen=True)
class _Item:
    resources: RunResources
    video: PreparedVideo
    node_id: str
    key: Key


def _with_models(config: LavadConfig, sections: Mapping[str, ModelSection]) -> LavadConfig:
    """A configuration for a pool: with the models of these roles."""
    prefix = "captioner:"
    captioners = {role.removeprefix(prefix): own for role, own in sections.items() if role.startswith(prefix)}
    others = {role: own for role, own in sections.items() if not role.startswith(prefix)}
    return config.model_copy(update={"captioners": captioners, **others})


def _ready(owners: Mapping[str, RunResources]) -> Callable[[str, ModelSection], ModelSection]:
    """Asks, for each role, the configuration that was the first to need it."""
    return lambda role, section: owners[role].ready(role, section)
