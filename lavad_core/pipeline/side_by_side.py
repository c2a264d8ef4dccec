"""Several configurations over the same videos in one process: each model loaded once, each result made once.

A configuration alone goes stage by stage over all videos (:func:`lavad_core.pipeline.execute.run_graph`). Several go so
together: what different ones want of one model is asked of it while it is loaded, and a result that several want is looked
for, or made, once.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

from lavad_core.config.schema import LavadConfig
from lavad_core.config.section import ModelSection
from lavad_core.errors import DeviceOutOfMemory, InputError, LavadError, ModelError, NotAsked
from lavad_core.pipeline.execute import run_stage
from lavad_core.pipeline.look import prepare_all
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
    model: str | None
    """Name of the model, which differs from that of any other; None for a stage without one."""
    nodes: tuple[tuple[int, str], ...]
    """Place of the graph and id of its node, for each."""


def merged_steps(graphs: Sequence[Graph], model_of: Callable[[int, Node], str | None]) -> list[SharedStep]:
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
    current: str | None = None
    while left:
        ready = [one for one, node in left.items() if all((one[0], name) in done for name in node.inputs)]
        kinds: dict[tuple[str, str | None, str], list[tuple[int, str]]] = {}
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

    def take(self, sources: Sequence[VideoSource]) -> None:
        """Digest the videos; one that cannot be read has failed."""
        for name, prepared in prepare_all(self.resources, sources).items():
            if isinstance(prepared, InputError):
                self.failed[name] = prepared
            else:
                self.videos.append(prepared)
                self.keys[name] = self.resources.graph.keys(prepared)

    @property
    def scored(self) -> list[PreparedVideo]:
        """The videos whose work was not ended by an error."""
        return [video for video in self.videos if video.name not in self.failed]


@dataclass(frozen=True)
class SharedResult:
    """A result of one stage for one video that one or several configurations want."""

    resources: RunResources
    """Those of the first configuration that wants it."""
    video: PreparedVideo
    """The video."""
    node_id: str
    """Id of the node there."""
    key: Key
    """The key of the result."""
    wanted_by: tuple[int, ...]
    """Places of all configurations that want it."""


class SideBySide:
    """Several configurations on one store at work in one process. Use as a context manager.

    A model is shared by all configurations that have the same section for its role, whatever their other models are.

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
        self._models = first.models
        self._names: list[dict[str, str]] = []
        self._done: set[Key] = set()
        self._failed: dict[Key, LavadError] = {}

    def share_models(self) -> None:
        """Let each model be loaded once for all configurations that want it. Asks for the identity of every model.

        Raises:
            ModelError: models cannot be found; names them.
        """
        known: dict[str, list[ModelSection]] = {}
        for part in self.parts:
            names: dict[str, str] = {}
            for role in part.resources.graph.identities:
                section, alike = part.resources.config.models[role], known.setdefault(role, [])
                if section not in alike:
                    alike.append(section)
                number = alike.index(section)
                names[role] = f"{role} {number + 1}" if number else role
            self._names.append(names)
            part.resources.models = self._models.beside(part.resources.config, part.resources.ready, names)

    @property
    def loads(self) -> Mapping[str, int]:
        """Role to how often a model of it was loaded."""
        return self._models.loads

    def steps(self) -> Iterator[SharedStep]:
        """The work of all, in order: all that :meth:`wanted` gives for a step is done before the next one is taken. A model is
        freed behind its last step. :attr:`Participant.failed` says in the end which videos have no scores with which
        configuration."""
        first = self.parts[0].resources
        first.store.sweep()
        steps = merged_steps(
            [part.resources.graph for part in self.parts],
            lambda number, node: self._names[number][node.role] if node.role else None,
        )
        last = {step.model: number for number, step in enumerate(steps)}
        passes = {(at, node.id) for at, part in enumerate(self.parts) for node in passes_of(part.resources.graph)}
        last_pass = max((number for number, step in enumerate(steps) if passes & {*step.nodes}), default=-1)
        for number, step in enumerate(steps):
            yield step
            self._note_failed(step)
            if number == last_pass:
                first.frames.clear()
            if step.model is not None and last[step.model] == number:
                self._models.release(step.model)

    def wanted(self, step: SharedStep) -> list[SharedResult]:
        """The results of a step that no earlier one has made, each once."""
        found: dict[Key, SharedResult] = {}
        for at, node_id in step.nodes:
            part = self.parts[at]
            for video in part.scored:
                key = part.keys[video.name][node_id]
                if key in found:
                    found[key] = replace(found[key], wanted_by=(*found[key].wanted_by, at))
                elif key not in self._done:
                    found[key] = SharedResult(part.resources, video, node_id, key, (at,))
        self._done |= found.keys()
        return list(found.values())

    def run(self, recorder: RunRecorder, on_step: Callable[[SharedStep, int], None] | None = None) -> None:
        """Do all work in the threads of this process.

        Args:
            on_step: called before each step with how many results it looks for or makes.

        Raises:
            ModelError: a model cannot be loaded. Other errors that are not about one video likewise end the run.
        """

        def work(result: SharedResult) -> None:
            try:
                with recorder.stage(result.video.name, result.video.video_id, result.node_id) as record:
                    run_stage(result.resources, result.video, result.node_id, record)
            except LavadError as error:
                self.failed(result, error)

        with ThreadPoolExecutor(workers_of(self.parts[0].resources.config)) as threads:
            for step in self.steps():
                results = self.wanted(step)
                if on_step is not None:
                    on_step(step, len(results))
                try:
                    for _ in threads.map(work, results):
                        pass
                except BaseException:
                    self.stop()
                    threads.shutdown(cancel_futures=True)
                    raise

    def failed(self, result: SharedResult, error: LavadError) -> None:
        """Note why a result cannot be made: its video ends there, for all configurations that want it.

        Raises:
            LavadError: the error itself, where it is not about one video.
        """
        resources = result.resources
        unloaded = isinstance(error, ModelError) and resources.models.failed_to_load(
            resources.graph.node(result.node_id).role
        )
        if unloaded or not isinstance(error, InputError | DeviceOutOfMemory | NotAsked):
            raise error
        self._failed[result.key] = error
        log.warning("%r has no %s: %s", result.video.name, result.node_id, error)

    def stop(self) -> None:
        """What is in progress ends at its next frame or answer."""
        for part in self.parts:
            part.resources.stop()

    def _note_failed(self, step: SharedStep) -> None:
        if not self._failed:
            return
        for at, node_id in step.nodes:
            part = self.parts[at]
            for video in part.videos:
                error = self._failed.get(part.keys[video.name][node_id])
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
