"""The served models of a store: what is known about them, and what it means that one is another now."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

from lavad_core.config.schema import LavadConfig
from lavad_core.config.section import ModelSection, ServedSection
from lavad_core.digest import digest
from lavad_core.errors import ModelError, StoreUnavailable
from lavad_core.models.chat.roles import SystemHandling, decided
from lavad_core.models.kinds.local_chat import FOLDED
from lavad_core.models.served.model_facts import NoServerFacts, ServerFacts, fact_differences
from lavad_core.store import mirror
from lavad_core.store.faults import store_errors
from lavad_core.store.local import kernel_lock, make_folders
from lavad_core.user_files import replacing

log = logging.getLogger(__name__)

MAX_BYTES = 16 * 2**20
"""Limit for the file; an entry takes a few hundred bytes."""

Configured = TypeVar("Configured", bound=ModelSection)

_guard = threading.Lock()
_met: dict[str, ServerFacts] = {}
"""By section: what looks after a run must be told the same as the run. Servers that were down are asked again."""
_told: set[str] = set()


@dataclass(frozen=True)
class KnownModels:
    """What a store knows about one served name."""

    models: tuple[ServerFacts, ...] = ()
    """The first is the one that results without a mark are of; those after it have results with one (``on_change:
    new``)."""
    last: int = 0
    """Which of them was served last."""


class ServedModels:
    """What is known about the served models whose results a store has.

    Args:
        path: the file.
        record: whether new facts are kept, as a run does it, which asks each server once; otherwise they are only looked at.
    """

    def __init__(self, path: Path, *, record: bool = False) -> None:
        self.path, self._record = path, record
        self._asked: set[str] = set()

    def applied(self, config: LavadConfig, identities: Mapping[str, str], *, ask: bool = True) -> dict[str, str]:
        """Identities with what their servers add to them.

        Args:
            ask: whether servers are asked; otherwise the last known answer counts.

        Raises:
            ModelError: a server has another model than the store's results are of, and ``on_change`` is ``refuse``; or it takes
                no system messages, and ``system_role`` is.
        """
        found = dict(identities)
        for role in identities:
            section = config.models.get(role)
            if section is not None and section.served is not None:
                found[role] += self.suffix(section.served, role, ask=ask)
        return found

    def suffix(self, section: ServedSection, role: str = "chat", *, ask: bool = True) -> str:
        """What is added to the identity of a served model of a role: the mark of a new model, and :data:`FOLDED`."""
        known = self._known(section)
        now = self._facts(section) if ask and not section.managed else None
        before = known.models[known.last] if known.models else _expected(section)
        folds = served_system_role(section, before if now is None else now.filled(before)) == "fold"
        return self._mark(section, role, known, now) + (FOLDED if folds else "")

    def ready(self, section: Configured, assumed: str | None, role: str = "chat") -> Configured:
        """The section that a model is to be loaded with: what ``auto`` stands for is in it.

        Args:
            assumed: the suffix with which keys were made; None if none were.

        Raises:
            ModelError: the server came up after the keys were made, and has another model or other roles than they say.
        """
        served = section.served
        if served is None:
            return section
        if assumed is not None and (now := self.suffix(served, role)) != assumed:
            raise ModelError(
                f"{section.model!r}: its server was not there when the run began, and is not as was assumed "
                f"({now or 'as before'}, and not {assumed or 'as before'}); run again, what is done is kept"
            )
        facts = self._facts(served)
        if facts is not None and facts.folds is not None:  # asked only of a chat model whose role is open
            return section.model_copy(update={"system_role": served_system_role(served, facts)})
        return section

    def last_root(self, section: ServedSection) -> str | None:
        """Where the weights are that the server had last, by its own words; None if it did not say. Nobody is asked."""
        known = self._known(section)
        return known.models[known.last].root if known.models else None

    def _facts(self, section: ServedSection) -> ServerFacts | None:
        """What the server says; None if it is down."""
        from lavad_core.models.served.ask_server import ask_for_facts
        from lavad_core.models.served.several import meet_all

        several = len(section.addresses) > 1
        key = digest([_key(section), section.addresses, section.system_messages])
        with _guard:
            if key in _met and (key in self._asked or not self._record):
                return _met[key]
            try:
                _met[key] = meet_all(section).facts if several else ask_for_facts(section)
            except NoServerFacts as error:
                log.info("the server of %r was not asked what it has: %s", section.model, error)
                return None
            self._asked.add(key)
            return _met[key]

    def _mark(self, section: ServedSection, role: str, known: KnownModels, now: ServerFacts | None) -> str:
        models = known.models
        if not models or now is None:
            if now is not None:
                self._keep(section, known, KnownModels((now,)))
            return f"#{models[known.last].mark}" if known.last and section.on_change == "new" else ""
        same = next((number for number, facts in enumerate(models) if not fact_differences(facts, now)), None)
        if same is not None:
            # What a mark is made of stays as it is.
            newest = now.filled(models[same]) if same == 0 else models[same].updated(now)
            updated = (*models[:same], newest, *models[same + 1 :])
            self._keep(section, known, KnownModels(updated, same))
        if same == 0:
            return ""
        why = "; ".join(fact_differences(models[0], now))
        setting = f"{role.replace('captioner:', 'captioners.')}.on_change"
        ways = (
            f"set {setting}=new to compute again, or =accept if it is the same (a server's update can change an answer)"
        )
        if section.on_change == "new":
            if same is not None:
                return f"#{models[same].mark}"
            _tell(f"{section.model!r} is a new model from now on, and its results are made again: {why}")
            self._keep(section, known, KnownModels((*models, now), len(models)))
            return f"#{now.mark}"
        if section.on_change == "accept":
            _tell(f"{section.model!r} is taken for the known model from now on, as asked, though {why}")
            self._keep(section, known, KnownModels((now, *models[1:])))
            return ""
        if section.on_change == "refuse":
            raise ModelError(f"{section.model!r} is not the model that the results in the store are of: {why}; {ways}")
        _tell(
            f"{section.model!r} may not be the model that the results in the store are of, and they are used together with new "
            f"ones: {why}; {ways}"
        )
        return ""

    def _known(self, section: ServedSection) -> KnownModels:
        row = self._read().get(_key(section))
        if not isinstance(row, dict) or not isinstance(row.get("models"), list):
            return KnownModels()
        models = tuple(ServerFacts.read(one) for one in row["models"] if isinstance(one, dict))
        last = row.get("last")
        return KnownModels(models, last if type(last) is int and 0 <= last < len(models) else 0)

    def _read(self) -> dict[str, Any]:
        try:
            mirror.fetch(self.path.parent.parent, self.path)
            if self.path.stat().st_size > MAX_BYTES:
                raise ValueError("too long")
            found = json.loads(self.path.read_bytes())
        except FileNotFoundError:
            return {}
        except (OSError, StoreUnavailable, ValueError, RecursionError) as error:
            _tell(
                f"what is known about served models cannot be read ({str(self.path)!r}: {error}); they count as the known ones"
            )
            return {}
        return found if isinstance(found, dict) else {}

    def _keep(self, section: ServedSection, before: KnownModels, after: KnownModels) -> None:
        if not self._record or after == before:
            return
        row = {"name": section.model, "models": [asdict(one) for one in after.models], "last": after.last}
        with kernel_lock(self.path.with_name(self.path.name + ".lock")), store_errors("write", self.path):
            make_folders(self.path.parent)
            with replacing(self.path) as draft:
                draft.write_text(json.dumps({**self._read(), _key(section): row}, indent=1, sort_keys=True))
                mirror.send(self.path.parent.parent, self.path, draft)


def served_system_role(section: ServedSection, facts: ServerFacts) -> SystemHandling:
    """What becomes of system messages: as configured, or as the server takes them.

    Raises:
        ModelError: it takes none, though they are not to be folded.
    """
    return decided(section.system_messages, lambda: "fold" if facts.folds else None, section.model)


def _expected(section: ServedSection) -> ServerFacts:
    """What is known about a server that was never met: where the run will start it, what the model's files say."""
    from lavad_core.models.chat.managed import expected_folding
    from lavad_core.models.kinds import managed

    own = managed(section)
    if own is not None and own.system_messages not in ("fold", "send"):
        return ServerFacts(folds=expected_folding(own))
    return ServerFacts()


def _key(section: ServedSection) -> str:
    """The key of a name with its revision, not of an address, which may change."""
    return digest([section.role, section.model, section.revision, section.extra_body])


def _tell(words: str) -> None:
    """Once a process."""
    with _guard:
        first = words not in _told
        _told.add(words)
    if first:
        log.warning("%s", words)
