"""What a stage is given, and what it may do: read its inputs, count its work, write its result."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from functools import cached_property
from typing import Any, Protocol, TypeVar

import pyarrow as pa

from lavad_core.config.schema import LavadConfig
from lavad_core.errors import DamagedResult
from lavad_core.models.chat.in_flight import InFlight
from lavad_core.models.pool import ModelPool
from lavad_core.runs.device_clock import DeviceClock
from lavad_core.runs.recorder import StageRecord
from lavad_core.stages.circuit_breaker import CircuitBreaker
from lavad_core.stages.node import Graph, Node, PreparedVideo
from lavad_core.store.answers import AnswerCache
from lavad_core.store.types import Commit, Key, ResultWriter, Status, Store
from lavad_core.video.frame_cache import FrameCache
from lavad_core.video.types import VideoSource

T = TypeVar("T")


class StageResources(Protocol):
    """What stages use of :class:`lavad_core.pipeline.resources.RunResources`."""

    config: LavadConfig
    """The configuration."""
    models: ModelPool
    """The models, each loaded when first asked for."""
    answers: AnswerCache
    """The language model's answers, by request."""
    in_flight: InFlight
    """What is being asked of the language model."""
    patience: CircuitBreaker
    """How useful the answers of each stage's model were."""
    frames: FrameCache
    """Decoded frames that several models want."""
    clock: DeviceClock
    """How long models work and wait."""

    @property
    def store(self) -> Store: ...
    @property
    def graph(self) -> Graph: ...
    def source(self, video: PreparedVideo) -> VideoSource: ...
    def check_stop(self) -> None: ...
    def once(self, name: str, make: Callable[[], T]) -> T: ...


class StageContext:
    """One stage of one video at work.

    Attributes:
        resources: store, models, configuration.
        video: the video.
        node: which stage.
        record: counts the work done.
        refresh: replace a committed result.
        frames_lost: frames that the probe decoded and this stage's pass could not: others stand in for them.
    """

    def __init__(
        self, resources: StageResources, video: PreparedVideo, node_id: str, record: StageRecord, refresh: bool = False
    ) -> None:
        self.resources = resources
        self.video = video
        self.node: Node = resources.graph.node(node_id)
        self.record = record
        self.refresh = refresh
        self.frames_lost = 0

    @property
    def config(self) -> LavadConfig:
        """The configuration."""
        return self.resources.config

    @cached_property
    def keys(self) -> Mapping[str, Key]:
        """Keys of all results of this video."""
        return self.resources.graph.keys(self.video)

    @property
    def key(self) -> Key:
        """Where this stage's result goes."""
        return self.keys[self.node.id]

    def count(self, counter: str, amount: int) -> None:
        """Add to a work counter (``runs.work``), then raise Interrupted if the run is being stopped: every stage calls
        this often, and work done counts in that case too."""
        self.record.work[counter] += amount
        self.resources.check_stop()

    def at_work(self) -> AbstractContextManager[None]:
        """Around each call of the stage's model, inside its lock."""
        return self.resources.clock.at_work(self.record)

    def waiting(self) -> AbstractContextManager[None]:
        """Around each wait for a frame."""
        return self.resources.clock.waiting(self.record)

    def input(self, node_id: str) -> Commit:
        """The commit of an input.

        Raises:
            DamagedResult: it is not in the store or not whole; the caller makes it again.
        """
        commit = self.resources.store.find(self.keys[node_id])
        if commit is None:
            raise DamagedResult(f"the result of {node_id} for {self.video.name!r} is gone: {self.keys[node_id]}")
        return commit

    def table(self, node_id: str, columns: list[str] | None = None) -> pa.Table:
        """All rows of an input's result."""
        return self.resources.store.read(self.input(node_id), columns)

    @contextmanager
    def writer(self, schema: pa.Schema, node_id: str | None = None) -> Iterator[ResultWriter]:
        """A writer for this stage's result, or for another node's that is computed with it; its commit notes lost frames."""
        node_id = node_id or self.node.id
        provenance: dict[str, Any] = self.resources.graph.provenances(self.video)[node_id]
        with self.resources.store.writer(
            self.keys[node_id], video=self.video.name, schema=schema, provenance=provenance, replace=self.refresh
        ) as writer:
            yield _Noting(writer, self)


class _Noting:
    """A writer whose commit says how many frames of the pass were not there any more."""

    def __init__(self, writer: ResultWriter, context: StageContext) -> None:
        self._writer, self._context = writer, context

    def write(self, batch: pa.RecordBatch | pa.Table) -> None:
        self._writer.write(batch)

    def commit(
        self,
        status: Status = "ok",
        *,
        reason: str = "",
        message: str = "",
        counts: Mapping[str, int] | None = None,
        facts: Mapping[str, Any] | None = None,
    ) -> Commit:
        if (lost := self._context.frames_lost) and status != "rejected":
            status, counts = "ok_with_gaps", {**(counts or {}), "frames_lost": lost}
            words = f"the decoder died, and {lost} frames that the probe had decoded came as the nearest earlier ones"
            message = f"{message}; {words}" if message else words
        return self._writer.commit(status, reason=reason, message=message, counts=counts, facts=facts)
