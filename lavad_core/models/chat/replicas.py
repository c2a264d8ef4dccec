"""Several servers of one model: which of them is asked, and what becomes of one that does not answer."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from lavad_core.digest import digest
from lavad_core.errors import LavadError, ModelError, ServiceError, ServiceUnavailable
from lavad_core.models.chat.one_server import Server

DOWN_S = 5.0
"""How long a server that failed is left alone before it is looked at again, seconds. Nobody waits for that look."""

T = TypeVar("T")

log = logging.getLogger(__name__)


@dataclass(eq=False)
class _Replica:
    server: Server
    up: bool
    look_at: float = 0.0
    """When it is looked at again, if it is down; of ``time.monotonic``."""
    looking: asyncio.Task[None] | None = None
    odd: ModelError | None = None
    """Why it is never asked: it is not as the others."""


class Replicas:
    """The servers of one model. Used by the tasks of one event loop.

    Requests that belong together go to one server, so that what it remembers of their common beginning is used: the servers
    are ordered by a digest of address and key (rendezvous hashing), so that without one of them the others keep theirs. One
    that gives no answer, or 5xx, is left out until it has passed ``check`` again; its requests go to the next of their order.
    Only where none answers is that an error. A single server is asked whatever it did before.

    Args:
        servers: in any order.
        check: given an address, whether that server may be asked: raises ServiceError if it is down, ModelError if
            it is not as the others; then it is never asked. Called in a thread. Without it a server is up again after a while.
    """

    def __init__(self, servers: Sequence[Server], check: Callable[[str], None] | None) -> None:
        self._replicas = [_Replica(server, up=check is None or len(servers) == 1) for server in servers]
        self._check, self._turn = check, 0
        self._orders: dict[str, list[_Replica]] = {}

    def first(self, key: str) -> Server:
        """The server that a request of this key would be sent to now."""
        order = self._order(key)
        return next((replica for replica in order if replica.up), order[0]).server

    async def ask(
        self, key: str, send: Callable[[Server], Awaitable[T]], *, optional: bool = False
    ) -> tuple[Server, T]:
        """What the first server that answers says, and which it is.

        Args:
            key: requests of one key belong together; those of the empty one go to all in turn.
            send: asks a server.
            optional: for what servers need not have: one that answers with an error is up all the same.

        Raises:
            ServiceError: none answers, or one asks for patience.
            ModelError: none has the model, or is as the others.
            LavadError: what else ``send`` raises.
        """
        order = self._order(key)
        self._turn += not key
        if len(order) == 1:
            return order[0].server, await send(order[0].server)
        faults: list[LavadError] = []
        rest = [replica for replica in order if not replica.up]
        for replica in rest:
            self._look_again(replica)
        for replica in [*(one for one in order if one.up), *rest]:
            asked = False
            try:
                if not replica.up:
                    await self._looked(replica)
                asked = True
                return replica.server, await send(replica.server)
            except ServiceError as error:
                absent = optional and asked
                if isinstance(error, ServiceUnavailable) and (error.busy or (absent and error.answered)):
                    raise
                self._mark_down(replica, error)
                faults.append(error)
            except ModelError as error:
                if optional and asked:
                    raise
                if asked:  # it has not the model any more
                    self._mark_down(replica, error)
                faults.append(error)
        raise next((fault for fault in faults if isinstance(fault, ServiceError)), faults[0])

    async def check_all(self) -> None:
        """Look at each server now; those that are down are left out for the time being.

        Raises:
            LavadError: one is not as the others.
        """
        looks = [self._looked(replica) for replica in self._replicas]
        for replica, fault in zip(self._replicas, await asyncio.gather(*looks, return_exceptions=True), strict=True):
            if isinstance(fault, ServiceError):
                self._mark_down(replica, fault, first=True)
            elif fault is not None:
                raise fault

    async def close(self) -> None:
        for replica in self._replicas:
            if replica.looking is not None:
                replica.looking.cancel()
            await replica.server.close()

    def _order(self, key: str) -> list[_Replica]:
        if not key:
            turn = self._turn % len(self._replicas)
            return self._replicas[turn:] + self._replicas[:turn]
        if key not in self._orders:
            self._orders[key] = sorted(self._replicas, key=lambda one: digest([one.server.shown_url, key]))
        return self._orders[key]

    def _mark_down(self, replica: _Replica, why: LavadError, *, first: bool = False) -> None:
        if replica.up or first:
            log.warning(
                "%s is left out, and its requests go to the other addresses, until it answers again: %s",
                replica.server.shown_url, why,
            )  # fmt: skip
        replica.up, replica.look_at = False, time.monotonic() + DOWN_S

    def _look_again(self, replica: _Replica) -> None:
        """In the background, if it is time."""
        if replica.odd is None and replica.looking is None and time.monotonic() >= replica.look_at:
            self._look(replica)

    async def _looked(self, replica: _Replica) -> None:
        """Wait for a look at it, of which there is one at a time; raises what ``check`` does."""
        if replica.odd is not None:
            raise replica.odd
        await asyncio.shield(self._look(replica))

    def _look(self, replica: _Replica) -> asyncio.Task[None]:
        if replica.looking is None:
            replica.looking = asyncio.create_task(self._look_once(replica))
            replica.looking.add_done_callback(lambda task: task.cancelled() or task.exception())  # it is told below
        return replica.looking

    async def _look_once(self, replica: _Replica) -> None:
        try:
            if self._check is not None:
                await _in_thread(self._check, replica.server.address)
        except ServiceError:
            replica.look_at = time.monotonic() + DOWN_S
            raise
        except ModelError as error:
            replica.odd = error
            log.error("%s is not asked: %s", replica.server.shown_url, error)
            raise
        else:
            if not replica.up and replica.look_at:
                log.warning("%s answers again", replica.server.shown_url)
            replica.up = True
        finally:
            replica.looking = None


def _in_thread(work: Callable[[str], Any], address: str) -> Awaitable[None]:
    """In a thread that nothing waits for when the process ends."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()

    def finish(error: BaseException | None) -> None:
        if done.done():  # nobody waits any more
            return
        if error is None:
            done.set_result(None)
        else:
            done.set_exception(error)

    def run() -> None:
        fault: BaseException | None = None
        try:
            work(address)
        except BaseException as error:  # whatever it is, those who wait must hear of it
            fault = error
        loop.call_soon_threadsafe(finish, fault)

    threading.Thread(target=run, name="lavad-look", daemon=True).start()
    return done
