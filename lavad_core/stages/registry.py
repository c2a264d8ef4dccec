"""Every stage by name: the files of :data:`lavad_core.stage_names.STAGE_NAMES`."""

from __future__ import annotations

from importlib import import_module
from typing import Protocol, cast

import pyarrow as pa

from lavad_core.config.schema import LavadConfig
from lavad_core.stage_names import STAGE_NAMES
from lavad_core.stages.context import StageContext
from lavad_core.stages.node import Node, Reads
from lavad_core.stages.units import Work
from lavad_core.stages.video_frames import FrameTimes
from lavad_core.store.types import Commit


class Stage(Protocol):
    """What a stage's file says."""

    @property
    def VERSION(self) -> int:
        """Raised when the stage's code gives other results for the same inputs: it and all that follows run again."""

    @property
    def DESCRIPTION(self) -> str:
        """A sentence, for tables and the orchestrator's pages."""

    @property
    def SCHEMA(self) -> pa.Schema:
        """The rows of its results."""

    def reads(self, config: LavadConfig) -> list[Reads]:
        """What its results are made from under a configuration: one result per video for each item."""

    def costs(self, config: LavadConfig, node: Node, video: FrameTimes) -> Work:
        """The work of one result for a video of known length, and its rows: what a plan adds up."""

    def run(self, context: StageContext) -> Commit:
        """Make one result for one video and commit it."""


STAGES: dict[str, Stage] = {name: cast(Stage, import_module(f"lavad_core.stages.{name}")) for name in STAGE_NAMES}
"""Name to stage, in the order in which they run."""
