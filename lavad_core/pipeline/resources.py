"""What a process needs to work on stages: the store, the models, the language model's answers, the graph."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from lavad_core.config.schema import LavadConfig
from lavad_core.errors import Interrupted
from lavad_core.models.chat.in_flight import InFlight
from lavad_core.models.kinds import Configured
from lavad_core.models.kinds.model_files import weights_cache
from lavad_core.models.pool import ModelPool
from lavad_core.models.served.known_models import ServedModels
from lavad_core.pipeline.graph import build_graph
from lavad_core.pipeline.prepare import model_identities, prepare_video
from lavad_core.runs.device_clock import DeviceClock
from lavad_core.runs.manifest import FOLDER
from lavad_core.stages.circuit_breaker import CircuitBreaker
from lavad_core.stages.node import Graph, PreparedVideo
from lavad_core.stages.passes import passes_of
from lavad_core.store import mirror
from lavad_core.store.answers import AnswerCache
from lavad_core.store.files import FileStore
from lavad_core.video.frame_cache import FrameCache
from lavad_core.video.identity import IdentityCache
from lavad_core.video.object_copy import COPIES
from lavad_core.video.types import VideoSource

T = TypeVar("T")

SERVER_LOG = ".chat-server.log"
"""The ending of what a server of a run said (``chat.server: managed``)."""


class RunResources:
    """One configuration at work in one process; shared by its threads.

    Args:
        identities: role to model identity, where another process has resolved them already; otherwise resolved here.
        record: whether what servers say about their models is kept, as a run does it.
        run_id: the run whose record keeps what a server says that it starts.
        models: a pool that lives longer than this. Its models in this process are used and stay loaded; its owner
            closes it, also after an error, which may have interrupted them.

    Attributes:
        config: the configuration.
        store: the results.
        answers: the language model's answers, by request.
        digests: SHA-256 of videos by path, size and time of change.
        clock: how long models work, and wait for frames.
        frames: decoded frames that several models want.
        weights: SHA-256 of models' files, for all stores of the user.
        models: each is loaded when first asked for.
        in_flight: what is being asked of the language model.
        patience: how useful the answers of each stage's model were.
        served: what is known about served models.
    """

    def __init__(
        self,
        config: LavadConfig,
        identities: Mapping[str, str] | None = None,
        *,
        record: bool = False,
        run_id: str | None = None,
        models: ModelPool | None = None,
    ) -> None:
        self.config = config
        self._given_identities = identities
        self.in_flight = InFlight()
        self.patience = CircuitBreaker(config.run.give_up_after_unusable)
        self._stopping = threading.Event()
        self._making = threading.Lock()
        self._made: dict[str, Any] = {}
        # None of these touches the disk or loads anything before it is used.
        self.store = FileStore(config.store)
        cache = self.store.root / "cache"
        self.answers = AnswerCache((config.run.answers or cache) / "answers.sqlite")
        self.digests = IdentityCache(cache / "digests.sqlite")
        self.clock = DeviceClock()
        self.frames = FrameCache(config.run.scratch, config.run.frame_cache_bytes)
        COPIES.use(config.run.scratch)
        self.weights = weights_cache()
        self.served = ServedModels(cache / "servers.json", record=record)
        self._suffixes: dict[str, str] = {}
        self._lasting = models is not None
        self.models = ModelPool(config, self.ready) if models is None else models.beside(config, self.ready, {})
        if run_id is not None:
            self.keep_server_log(run_id)

    def keep_server_log(self, run_id: str) -> None:
        """What a server says that is started from now on is kept beside the run's record."""
        self.models.server_log = self.store.root / FOLDER / f"{run_id}{SERVER_LOG}"

    def stop(self) -> None:
        """Let the stages in progress end at their next frame or answer, without a result. For signals."""
        self._stopping.set()
        interrupt = getattr(self.models, "interrupt", None)  # a pool of the caller's own need not have it
        if interrupt is not None:
            interrupt()

    @property
    def stopping(self) -> bool:
        """Whether :meth:`stop` was called."""
        return self._stopping.is_set()

    def once(self, name: str, make: Callable[[], T]) -> T:
        """What all videos of the run share: made by the first that asks, while others wait for it. If that fails, the next one
        tries again."""
        with self._making:
            if name not in self._made:
                self._made[name] = make()
            made: T = self._made[name]
            return made

    def check_stop(self) -> None:
        """Raises Interrupted after :meth:`stop`."""
        if self._stopping.is_set():
            raise Interrupted("the run is being stopped; this stage is not committed and will be run again")

    @cached_property
    def graph(self) -> Graph:
        """The stages that this configuration needs."""
        identities = self._given_identities
        if identities is None:
            plain = model_identities(self.config, self.weights)
            identities = self.served.applied(self.config, plain)
            self._suffixes = {role: identity.removeprefix(plain[role]) for role, identity in identities.items()}
        if self._lasting:
            self.models.keep(identities)
        return build_graph(self.config, identities)

    def ready(self, role: str, section: Configured) -> Configured:
        """The section to load the model of a role with: that of a served model says what its server has said."""
        return self.served.ready(section, self._suffixes.get(role), role)

    def prepare(self, source: VideoSource) -> PreparedVideo:
        """Digest a video; see :func:`lavad_core.pipeline.prepare.prepare_video`."""
        return prepare_video(source, self.config, self.digests)

    def source(self, video: PreparedVideo) -> VideoSource:
        """The video to decode."""
        return VideoSource(video.name, Path(video.path), video.kind)

    def release_after(self, node_id: str) -> None:
        """Free the model whose last user was this node, and the kept frames with their last: its stage is over for all
        videos."""
        if [node.id for node in passes_of(self.graph)][-1:] == [node_id]:
            self.frames.clear()
        role = self.graph.node(node_id).role
        if role and self.graph.last_user(role) == node_id and not self._stays(role):
            self.models.release(role)

    def _stays(self, role: str) -> bool:
        """Whether a model is for the next run. What a server serves may be another one then."""
        return self._lasting and self.config.models[role].in_process

    def close(self) -> None:
        """Free the models, the kept frames and the copies of videos. The store holds nothing open."""
        self.frames.clear()
        COPIES.clear()
        if not self._lasting:
            self.models.close()
        else:
            for role in self.config.models:
                if not self._stays(role):
                    self.models.release(role)
        log = getattr(self.models, "server_log", None)  # a pool of the caller's own need not have it
        if log is not None and log.exists():
            mirror.send(self.store.root, log)
