"""Models of a process: each loaded once when first asked for, released when its stage is over."""

from __future__ import annotations

import copy
import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from typing import Any

from lavad_core.config.models import VllmChatConfig
from lavad_core.config.schema import LavadConfig
from lavad_core.config.section import ModelSection
from lavad_core.errors import ConfigError, InternalError, ModelError
from lavad_core.models.chat.own_server import OwnServer
from lavad_core.models.kinds import load_model, managed, pinned
from lavad_core.models.protocols import Captioner, ChatModel, Encoder

Lock = AbstractContextManager[Any]

_CAPTIONER = "captioner:"

MOST_DEATHS = 3
"""How often in a run a server of our own that died at work is started again."""

log = logging.getLogger(__name__)


class ModelPool:
    """The models of one configuration, shared by the threads of one process, and by configurations at work :meth:`beside` it.

    Roles are ``captioner:<name>``, ``encoder`` and ``chat``. A model comes with the lock to hold during each call of it, and
    never while decoding: for models in this process it is :attr:`device_lock`, for served ones a lock that does not lock.

    Attributes:
        device_lock: held by the thread that computes on this process's device. Reentrant.
        loads: role to how often it was loaded.
        server_log: file of what a server says that is started here (``chat.server: managed``).
    """

    def __init__(self, config: LavadConfig, ready: Callable[[str, ModelSection], ModelSection] | None = None) -> None:
        """``ready`` gives for role and section the section to load the model with; without it nothing is changed."""
        self._config, self._ready = config, ready
        self._names: Mapping[str, str] = {}
        self.server_log = config.store / "cache" / "chat-server.log"
        self._guard = threading.Lock()
        self._models: dict[str, Future[Any]] = {}
        self._failed: set[str] = set()
        self._captioner_loading = threading.Lock()
        self._closed = threading.Event()
        self._interrupted = threading.Event()
        self._servers: dict[str, OwnServer] = {}
        self._deaths: Counter[str] = Counter()
        self._kept: dict[str, tuple[str, ModelSection]] = {}
        self._buried: list[Future[Any]] = []
        self.device_lock = threading.RLock()
        self.loads: Counter[str] = Counter()

    def beside(
        self, config: LavadConfig, ready: Callable[[str, ModelSection], ModelSection], names: Mapping[str, str]
    ) -> ModelPool:
        """A pool for another configuration in this process, with the loaded models of this one.

        Args:
            config: its sections say how its models are loaded.
            ready: as that of the constructor.
            names: role to the name of its model. One name is one model, however many configurations have it.
        """
        other = copy.copy(self)
        other._config, other._ready, other._names = config, ready, names
        return other

    def captioner(self, name: str) -> tuple[Captioner, Lock]:
        """The captioner of that name. Loading it releases the others, whose stages come before or after: a thread that
        still holds one of them gets an InternalError from it.

        Raises:
            ConfigError: the configuration has no captioner of that name.
            ModelError: it cannot be loaded; the next call tries again.
            DeviceOutOfMemory: it does not fit.
        """
        section = self._config.captioners.get(name)
        if section is None:
            raise ConfigError(f"no captioner {name!r}; there are {', '.join(self._config.captioners)}")

        def load(ready: ModelSection) -> Any:
            with self._captioner_loading:  # one at a time: two would each miss the other to release
                self._release_captioners()
                return load_model(ready, f"captioners.{name}")

        return self._model(_CAPTIONER + name, section, load)

    def encoder(self) -> tuple[Encoder, Lock]:
        """The encoder; errors as :meth:`captioner`."""
        return self._model("encoder", self._config.encoder, lambda ready: load_model(ready, "encoder"))

    def chat(self) -> tuple[ChatModel, Lock]:
        """The chat model; errors as :meth:`captioner`, and those of a server that is asked what it serves.

        A server of a run's own is started when no captioner is loaded, beside the encoder if that is, and is ended before
        another model is loaded. One that has died since is started again, a few times.
        """
        self._bury("chat")
        return self._model("chat", self._config.chat, lambda ready: load_model(ready, "chat"))

    def failed_to_load(self, role: str) -> bool:
        """Whether the last try to load the model of a role failed."""
        with self._guard:
            return self._name(role) in self._failed

    def interrupt(self) -> None:
        """Let calls of models in this process end early where the models can, and servers not be waited for. Takes no lock: for
        signals."""
        self._interrupted.set()
        for server in list(self._servers.values()):
            server.give_up()
        for future in list(self._models.values()):
            if future.done() and future.exception() is None:
                interrupt = getattr(future.result(), "interrupt", None)
                if interrupt is not None:
                    interrupt()

    def release(self, role: str) -> None:
        """Free a model if it is loaded (waits for a call of it that is under way). Asked for again, it is loaded again, and
        deaths of its server are counted from 0."""
        name = self._name(role)
        self._release(name)
        with self._guard:
            self._deaths.pop(name, None)

    def keep(self, identities: Mapping[str, str]) -> None:
        """Free models that are not what they were at the last call: their files have changed since, the hub's branch has moved,
        or this pool's configuration loads them otherwise. What they compute would be recorded as the new model's.

        Args:
            identities: role to model identity, as it is now.
        """
        for role, identity in identities.items():
            name, now = self._name(role), (identity, self._config.models[role])
            if self._kept.setdefault(name, now) != now:
                self.release(role)
                self._kept[name] = now

    def _name(self, role: str) -> str:
        return self._names.get(role, role)

    def _release(self, name: str) -> None:
        with self._guard:
            future = self._models.pop(name, None)
            server = self._servers.pop(name, None)
        self._free(future, server)

    def _free(self, future: Future[Any] | None, server: OwnServer | None) -> None:
        # One that never loaded has nothing to close, and its caller has the error.
        if future is not None and future.exception() is None:
            with self.device_lock:
                future.result().close()
        if server is not None:
            server.stop()

    def _bury(self, role: str) -> None:
        """Forget a model whose server of our own has died, so that the next call starts another.

        Raises:
            ModelError: it has died too often.
        """
        name = self._name(role)
        with self._guard:
            server = self._servers.get(name)
            future = self._models.get(name)
            if server is None or not server.ended or future is None or not future.done():
                return
            del self._servers[name], self._models[name]
            self._deaths[name] += 1
            deaths = self._deaths[name]
            if deaths > MOST_DEATHS:
                self._failed.add(name)
            self._buried.append(future)  # closed later: threads that ask it still are told that it is gone
        server.stop()
        if deaths > MOST_DEATHS:
            raise ModelError(f"the server of {role} has died {deaths} times in this run: {server.tail()}")
        log.warning("the server of %s has died, and is started again: %s", role, server.tail())

    def close(self) -> None:
        """Free all models. The pool is not used afterwards."""
        with self._guard:
            self._closed.set()
            names = list(self._models)
        for name in names:
            self._release(name)
        for future in self._buried:
            self._free(future, None)

    def _model(self, role: str, section: ModelSection, load: Callable[[ModelSection], Any]) -> tuple[Any, Lock]:
        """The model of a section, and its lock. Whatever the kind: what a section says about itself decides."""
        lock: Lock = self.device_lock if section.in_process else nullcontext()
        name = self._name(role)

        def loaded() -> Any:
            if (device := getattr(section, "device", None)) is not None:
                from lavad_core.models.devices import limit_memory, resolve_device  # torch, which a plan does without

                limit_memory(resolve_device(device), self._config.run.device_memory_share)
            if section.in_process:
                for other in list(self._servers):
                    self._release(other)
            own = managed(section)
            if own is None:
                return load(pinned(self._ready(role, section) if self._ready else section))
            running = self._started(name, own)
            try:
                return load(self._ready(role, running) if self._ready else running)
            except BaseException:  # nobody will release it
                with self._guard:
                    server = self._servers.pop(name, None)
                self._free(None, server)
                raise

        return self._get(role, loaded), lock

    def _started(self, name: str, section: VllmChatConfig) -> VllmChatConfig:
        from lavad_core.models.chat.managed import start_managed

        def started(server: OwnServer) -> None:
            self._servers[name] = server
            if self._closed.is_set() or self._interrupted.is_set():  # whoever did it may not have seen this one
                server.give_up()

        with self._captioner_loading:
            self._release_captioners()
            try:
                return start_managed(section, self.server_log, started)
            except BaseException:
                self._servers.pop(name, None)
                raise

    def _release_captioners(self) -> None:
        """Free the loaded ones. One that another thread is about to load is not waited for: it waits for this thread."""
        with self._guard:
            names = [name for name, future in self._models.items() if name.startswith(_CAPTIONER) and future.done()]
        for name in names:
            self._release(name)

    def _get(self, role: str, load: Callable[[], Any]) -> Any:
        """The model of a role: loaded by the first thread that asks, while others wait for the same outcome."""
        name = self._name(role)
        with self._guard:
            if self._closed.is_set():
                raise InternalError("the model pool is closed")
            future = self._models.get(name)
            mine = future is None
            if future is None:
                future = self._models[name] = Future()
        if not mine:
            return future.result()
        try:
            model = load()
        except BaseException as error:  # whatever it is, those who wait must hear of it
            with self._guard:
                self._failed.add(name)
                if self._models.get(name) is future:
                    del self._models[name]  # not cached: the next one tries again
            future.set_exception(error)
            raise
        with self._guard:
            self.loads[role] += 1
            self._failed.discard(name)
        future.set_result(model)
        return model


@contextmanager
def open_encoder(config: LavadConfig) -> Iterator[Encoder]:
    """The encoder of a configuration, for vectors of one's own texts and pictures; its memory is freed at the end.

    Args:
        config: ``config.encoder`` says which model and where.

    Yields:
        a :class:`lavad_core.models.protocols.Encoder`; vectors are float32 [n, dimension], of length 1.

    Raises:
        ModelError: it cannot be found or loaded.
        DeviceOutOfMemory: it does not fit.
    """
    with closing(ModelPool(config)) as pool:
        yield pool.encoder()[0]
