"""What `lavad doctor` finds, and what a run looks at before it begins."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from lavad_core.config.models import VllmChatConfig
    from lavad_core.config.section import ServedSection

SERVER_TIMEOUT_S = 5.0
"""A server that does not say what it serves within this is called unreachable."""

SERVED_NAMED = 10
"""Models of a server that are named where the wanted one is not among them."""

Verdict = Literal["ok", "note", "fault"]


@dataclass(frozen=True)
class Check:
    """One thing that was looked at."""

    what: str
    """Name of what was looked at."""
    verdict: Verdict
    """``fault``: the configured run would not work."""
    found: str
    """What was found, as a sentence."""


def served_checks(role: str, section: ServedSection) -> list[Check]:
    """Whether the servers of a model are there and serve it. One that is down is no fault while another is there. Of one that
    the run starts: whether its program is there."""
    from lavad_core.models.kinds import managed

    if (own := managed(section)) is not None:
        return [_managed_check(role, own)]
    found = [_served_check(role, section.at(address)) for address in section.addresses]
    there = any(check.verdict != "fault" for check, _ in found)
    return [replace(check, verdict="note") if down and there else check for check, down in found]


def alike_check(role: str, section: ServedSection) -> Check | None:
    """Whether several servers of a model are alike; None where there is one, or none answers."""
    from lavad_core.errors import ModelError
    from lavad_core.models.served.model_facts import NoServerFacts
    from lavad_core.models.served.several import meet_all

    if section.managed or len(section.addresses) == 1:
        return None
    try:
        meet_all(section)
    except ModelError as error:
        return Check(f"{role} servers", "fault", str(error))
    except NoServerFacts:
        return None  # each one's own check says so
    return Check(f"{role} servers", "ok", "those that answer are alike")


def _managed_check(role: str, section: VllmChatConfig) -> Check:
    from lavad_core.errors import ModelError
    from lavad_core.models.chat.managed import find_command

    try:
        return Check(role, "ok", f"{section.model}: the run starts {find_command(section)}")
    except ModelError as error:
        return Check(role, "fault", str(error))


def _served_check(role: str, section: ServedSection) -> tuple[Check, bool]:
    """Whether a server is there and serves the model; and whether it is down."""
    from lavad_core.errors import LavadError, ServiceError
    from lavad_core.models.chat.http import JsonPool
    from lavad_core.models.chat.optional import EndpointMissing, listed_models, row_of
    from lavad_core.plain_text import first_few

    try:
        pool = JsonPool.for_one_look(section, SERVER_TIMEOUT_S)
        try:
            rows = listed_models(pool)
        finally:
            pool.close()
    except EndpointMissing as absent:
        found = f"{section.model} at {pool.shown_url}, which does not say what it serves ({absent})"
        return Check(role, "note", found), False
    except LavadError as error:
        return Check(role, "fault", str(error)), isinstance(error, ServiceError)
    serves = first_few(rows, SERVED_NAMED, lambda row: str(row["id"]))
    if row_of(rows, section.model) is None:
        return Check(role, "fault", f"{pool.shown_url} serves {serves or 'nothing'}, not {section.model!r}"), False
    return Check(role, "ok", f"{section.model} at {pool.shown_url}"), False


def tokenizer_check(role: str, section: Any) -> Check | None:
    """Who counts the tokens of a served chat model's prompts, where ``chat.tokenizer`` says that it is not the server; None
    where it does not, or the server does not answer."""
    from lavad_core.errors import LavadError
    from lavad_core.models.chat.http import JsonPool
    from lavad_core.models.chat.optional import EndpointMissing, listed_models, row_of
    from lavad_core.models.chat.prompt_counts import PromptCounts
    from lavad_core.models.chat.roles import folded

    try:
        pool = JsonPool.for_one_look(section, SERVER_TIMEOUT_S)
        counts = PromptCounts(section, pool, lambda messages: [messages, folded(messages)])
        try:
            row = row_of(listed_models(pool), section.model) or {}
            why = counts.use_tokenizer(row.get("root"), download=False)
        except EndpointMissing:
            why = counts.use_tokenizer(None, download=False)
        finally:
            counts.close()
            pool.close()
    except LavadError:
        return None  # its own check says so
    if why:
        return Check(f"{role} tokenizer", "note", f"the server counts the tokens of prompts: {why}")
    if counts.folder is None:
        return None
    return Check(f"{role} tokenizer", "ok", f"the tokens of prompts are counted with {counts.folder}")
