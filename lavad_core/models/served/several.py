"""Several servers of one model: whether they are the same.

An answer counts as the model's whichever of them gave it, so that each has to have the same weights, the same context, the same
tokens and the same roles, as far as servers tell.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass

from lavad_core.address import bare_address
from lavad_core.config.section import ServedSection
from lavad_core.digest import digest
from lavad_core.errors import ModelError, RequestRejected, ServiceError, ServiceUnavailable
from lavad_core.method.summarising import Messages
from lavad_core.models.chat.http import JsonPool
from lavad_core.models.chat.optional import EndpointMissing, context_of, listed_models, names_of, row_of
from lavad_core.models.chat.prompt_counts import CHECKED
from lavad_core.models.chat.roles import folded
from lavad_core.models.served.ask_server import MEETING_TIMEOUT_S, ask_for_facts, length_by_count, try_chat
from lavad_core.models.served.model_facts import NoServerFacts, ServerFacts

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Met:
    """What one of several servers says."""

    shown_url: str
    """Its address, without user and password."""
    facts: ServerFacts
    """What identifies its model."""
    context: int
    """Tokens of prompt and answer that can be used, at most the configured ones."""
    counts: tuple[int | None, ...]
    """Tokens of the prompts of :data:`CHECKED`; None where it does not count."""


_guard = threading.Lock()
_compared: dict[str, tuple[ServedSection, Met]] = {}
"""By name and addresses: with what section servers are asked, and the one that others have to be like, also those that come up
later."""


def meet_all(section: ServedSection) -> Met:
    """One of the servers at the section's addresses, all of which have been asked.

    Raises:
        ModelError: one refuses the key, does not serve the model, or is not as the others; it is named.
        NoServerFacts: none is there.
    """
    with ThreadPoolExecutor(len(section.addresses)) as threads:
        answers = list(threads.map(lambda address: _met_or_fault(section, address), section.addresses))
    met = [one for one in answers if isinstance(one, Met)]
    if not met:
        raise NoServerFacts("; ".join(map(str, answers)))
    known = min(met, key=lambda one: sum(bool([*_differences(section, one, other)]) for other in met))
    for one in met:
        _refuse_another(section, known, one)
    for fault in answers:
        if isinstance(fault, ServiceError):
            log.warning("one of the servers of %r is down, and is looked at when it answers: %s", section.model, fault)
    with _guard:
        _compared[_key(section)] = section, known
    return known


def meet_first(section: ServedSection) -> None:
    """:func:`meet_all`, where this process has not met them yet; nothing if none is there."""
    with _guard:
        met = _key(section) in _compared
    if not met:
        with suppress(NoServerFacts):
            meet_all(section)


def meet(section: ServedSection, address: str) -> None:
    """Look whether the server at one of the section's addresses may be asked.

    Raises:
        ServiceError: it is down, or gives no answer.
        ModelError: it refuses the key, does not serve the model, or is not as the others.
    """
    with _guard:
        asked, known = _compared.get(_key(section), (section, None))
    now = _meet(asked, address)
    if known is None:  # none was there when they were asked before
        with _guard:
            asked, known = _compared.setdefault(_key(section), (asked, now))
    _refuse_another(asked, known, now)


def _met_or_fault(section: ServedSection, address: str) -> Met | ServiceError:
    try:
        return _meet(section, address)
    except ServiceError as error:
        return error


def _meet(section: ServedSection, address: str) -> Met:
    alone = section.at(address)
    pool = JsonPool.for_one_look(alone, MEETING_TIMEOUT_S)
    try:
        try:
            try_chat(pool, alone)  # it may list its models while its engine hangs
            facts = ask_for_facts(alone)
        except RequestRejected as refusal:
            raise ModelError(f"{pool.shown_url} refuses the key: {refusal}") from refusal
        except NoServerFacts as error:
            raise ServiceUnavailable(str(error)) from error
        context = getattr(section, "context_tokens", sys.maxsize)
        try:
            rows = listed_models(pool)
        except EndpointMissing:
            pass
        else:
            if row_of(rows, section.model) is None:
                raise ModelError(
                    f"{pool.shown_url} does not serve the model {section.model!r}; it serves {names_of(rows)} (start it with "
                    "--served-model-name, or take its address out of chat.base_url)"
                )
            context = min(context, context_of(rows, section.model) or context)
        return Met(pool.shown_url, facts, context, tuple(_count(pool, alone, dialog) for dialog in CHECKED))
    finally:
        pool.close()


def _count(pool: JsonPool, section: ServedSection, dialog: Messages) -> int | None:
    for form in (dialog, folded(dialog)):
        try:
            return length_by_count(pool, section, form)
        except (EndpointMissing, RequestRejected, ModelError):
            continue
    return None


def _differences(section: ServedSection, known: Met, now: Met) -> Iterator[str]:
    """What tells one server from another, for people."""
    facts, others = now.facts, known.facts
    if facts.root and others.root and facts.weights != others.weights:
        yield f"it serves {facts.root!r}, and the other {others.root!r}"
    if now.context != known.context:
        yield f"its context is {now.context} tokens, and that of the other {known.context} (--max-model-len)"
    if facts.folds is not None and others.folds is not None and facts.folds != others.folds:
        yield "one of them takes system messages and the other does not"
    if now.counts != known.counts:
        yield f"prompts have {_listed(now.counts)} tokens there, and {_listed(known.counts)} at the other"
    answers = {facts.answer, others.answer}
    if section.on_change != "accept" and None not in answers and len(answers) > 1:
        yield (
            f"it answers a fixed question with {str(facts.answer)[:60]!r}, and the other with {str(others.answer)[:60]!r} "
            "(if the weights are the same, for example on another GPU: chat.on_change=accept)"
        )


def _listed(counts: Sequence[int | None]) -> str:
    return ", ".join("unknown" if count is None else str(count) for count in counts)


def _refuse_another(section: ServedSection, known: Met, now: Met) -> None:
    if why := "; ".join(_differences(section, known, now)):
        raise ModelError(
            f"{now.shown_url} is not as {known.shown_url}, and both are addresses of {section.model!r}: {why}; start both "
            f"alike, or take {now.shown_url} out of chat.base_url"
        )


def _key(section: ServedSection) -> str:
    names = [section.role, section.model, section.revision, section.extra_body]
    return digest([*names, *map(bare_address, section.addresses)])
