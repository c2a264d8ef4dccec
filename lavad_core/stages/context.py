"""What a stage is given, and what it may do: read its inputs, count its work, write its result."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from functools import cached_property
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from lavad_core.errors import DamagedResult
from lavad_core.pipeline.graph import Node, PreparedVideo
from lavad_core.runs.recorder import StageRecord
from lavad_core.store.types import Commit, Key, ResultWriter

if TYPE_CHECKING:
    from lavad_core.config.schema import LavadConfig
    from lavad_core.pipeline.workbench import Workbench


class StageContext:
    """One stage of one video at work.

    Attributes:
        bench: store, models, configuration.
        video: the video.
        node: which stage.
        record: counts the work done.
        refresh: replace a committed result.
    """

    def __init__(
        self, bench: Workbench, video: PreparedVideo, node_id: str, record: StageRecord, refresh: bool = False
    ) -> None:
        self.bench = bench
        self.video = video
        self.node: Node = bench.graph.node(node_id)
        self.record = record
        self.refresh = refresh

    @property
    def config(self) -> LavadConfig:
        """The configuration."""
        return self.bench.config

    @cached_property
    def keys(self) -> Mapping[str, Key]:
        """Keys of all results of this video."""
        return self.bench.graph.keys(self.video)

    @property
    def key(self) -> Key:
        """Where this stage's result goes."""
        return self.keys[self.node.id]

    def count(self, counter: str, amount: int) -> None:
        """Add to a work counter (``runs.work``), then raise Interrupted if the run is being stopped: every stage comes
        here often, and what was done counts also then."""
        self.record.work[counter] += amount
        self.bench.check_stop()

    def input(self, node_id: str) -> Commit:
        """The commit of an input.

        Raises:
            DamagedResult: it is not in the store or not whole; the caller makes it again.
        """
        commit = self.bench.store.find(self.keys[node_id])
        if commit is None:
            raise DamagedResult(f"the result of {node_id} for {self.video.name!r} is gone: {self.keys[node_id]}")
        return commit

    def table(self, node_id: str, columns: list[str] | None = None) -> pa.Table:
        """All rows of an input's result."""
        return self.bench.store.read(self.input(node_id), columns)

    def writer(self, schema: pa.Schema, node_id: str | None = None) -> AbstractContextManager[ResultWriter]:
        """A writer for this stage's result, or for another node's that is computed with it."""
        node_id = node_id or self.node.id
        provenance: dict[str, Any] = self.bench.graph.provenances(self.video)[node_id]
        return self.bench.store.writer(
            self.keys[node_id], video=self.video.name, schema=schema, provenance=provenance, replace=self.refresh
        )
