"""The chat template in a model's folder, without loading the model."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lavad_core.digest import ascii_json
from lavad_core.errors import ModelError
from lavad_core.models.chat.roles import SystemHandling
from lavad_core.models.chat.template import MAX_TEMPLATE_CHARACTERS, default_template, resolved_role, special_tokens

TEMPLATE_FILE = "chat_template.jinja"
CONFIGURATION = "tokenizer_config.json"
TOKENS = "special_tokens_map.json"
FILES = (CONFIGURATION, TEMPLATE_FILE, TOKENS)
"""The files of a model's repository that say how its prompts are written."""

MAX_CONFIGURATION_BYTES = 16 * 2**20
"""Limit for a tokenizer's configuration: those of models with thousands of added tokens have 1 MB."""


def template_in(folder: Path, variables: Mapping[str, Any] | None = None) -> tuple[str, dict[str, Any]] | None:
    """The template and what it may name, the special tokens and ``variables``; None for a model without one, or whose files
    are not to be read: the error comes when it is loaded."""
    given = {**_object(folder / CONFIGURATION), **_object(folder / TOKENS)}
    tokens = special_tokens(given)
    text = _text(folder / TEMPLATE_FILE, 4 * MAX_TEMPLATE_CHARACTERS)
    source = text if text else default_template(given.get("chat_template"))
    return (source, {**tokens, **(variables or {})}) if source else None


def role_in(folder: Path, variables: Mapping[str, Any], model: str) -> SystemHandling | None:
    """What the template in a model's folder does with a system message; None where there is none to ask.

    Raises:
        ModelError: the template is beyond its limits or takes no messages.
    """
    found = template_in(folder, variables)
    return None if found is None else resolved_role(found[0], ascii_json(found[1]), model)


def _object(path: Path) -> Mapping[str, Any]:
    try:
        found = json.loads(_text(path, MAX_CONFIGURATION_BYTES))
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _text(path: Path, most: int) -> str:
    try:
        if path.stat().st_size > most:
            raise ModelError(f"{str(path)!r} has more than {most} bytes")
        return path.read_text("utf-8", errors="replace")
    except OSError:
        return ""
