"""What `lavad doctor` finds, and what a run looks at before it begins."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

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


def served_check(role: str, section: Any) -> Check:
    """Whether the server of a model is there and serves it."""
    from lavad_core.errors import LavadError
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
        return Check(role, "note", f"{section.model} at {pool.shown_url}, which does not say what it serves ({absent})")
    except LavadError as error:
        return Check(role, "fault", str(error))
    serves = first_few(rows, SERVED_NAMED, lambda row: str(row["id"]))
    if row_of(rows, section.model) is None:
        return Check(role, "fault", f"{pool.shown_url} serves {serves or 'nothing'}, not {section.model!r}")
    return Check(role, "ok", f"{section.model} at {pool.shown_url}")


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
