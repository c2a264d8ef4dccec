"""The configuration as people read it: the table of all fields, and a resolved configuration as YAML with origins."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import SecretStr
from pydantic_core import PydanticUndefined

from lavad_core.address import mask_addresses
from lavad_core.config.schema import SEMANTICS, LavadConfig
from lavad_core.config.secrets import is_masked_address
from lavad_core.config.section import affects_of
from lavad_core.config.tree import SettingRow, in_words, rows
from lavad_core.masking import MASK


def json_schema() -> str:
    """The JSON Schema of a configuration file; each field's ``affects`` names the stages that read it."""
    schema = LavadConfig.model_json_schema()
    for union in _unions(schema):
        # Without a kind a section is of the first one, as the loader has it: the others must say theirs, or two would fit.
        for option in union["oneOf"][1:]:
            section = schema["$defs"][option["$ref"].rpartition("/")[2]]
            section["required"] = sorted({"kind", *section.get("required", [])})
    named = schema["properties"]["captioners"]["patternProperties"]
    for pattern, section in named.items():
        named[pattern] = {"anyOf": [section, {"type": "null"}]}  # null takes one out
    return json.dumps(schema, indent=2, ensure_ascii=False)


def _unions(schema: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The places that take a section of several kinds."""
    for info in schema["properties"].values():
        place = next(iter(info.get("patternProperties", {}).values()), info)
        if "oneOf" in place:
            yield place


def markdown_table() -> str:
    """A Markdown table of every field: key, values, default, stages it affects, meaning."""
    lines = ["| key | values | default | affects | meaning |", "|---|---|---|---|---|"]
    for row in rows():
        info = row.shape.info
        assert info is not None
        affects = ", ".join(affects_of(row.path, info)) or "–"
        key = f"`{row.path}`" + (f" ({', '.join(row.kinds)})" if row.kinds and row.name != "kind" else "")
        cells = (key, in_words(row.shape), _default(row), affects, info.description or "")
        lines.append("| " + " | ".join(cell.replace("|", "\\|").replace("\n", "\\n") for cell in cells) + " |")
    return "\n".join(lines)


def _default(row: SettingRow) -> str:
    assert row.shape.info is not None
    default = row.shape.info.default
    if default is PydanticUndefined:
        return "must be given"
    if row.path in SEMANTICS["paper"]:
        return " / ".join(f"`{SEMANTICS[name][row.path]}` ({name})" for name in SEMANTICS)
    if isinstance(default, Path):
        return f"`{default}`"
    text = json.dumps(list(default) if isinstance(default, tuple) else default, ensure_ascii=False)
    return f"`{text}`"


def resolved_yaml(config: LavadConfig, origins: Mapping[str, str] | None = None) -> str:
    """The whole configuration as a YAML file that gives it again; secrets are masked comments.

    Args:
        config: to print.
        origins: dotted path to origin; put after each value as a comment.
    """
    return "\n".join(_lines(_plain(config.model_dump(mode="python")), "", 0, origins or {})) + "\n"


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(below) for key, below in value.items()}
    if isinstance(value, tuple):
        return [_plain(below) for below in value]
    return str(value) if isinstance(value, Path) else value


def _lines(value: dict[str, Any], prefix: str, indent: int, origins: Mapping[str, str]) -> Iterator[str]:
    pad = "  " * indent
    for key, below in value.items():
        path = f"{prefix}{key}"
        comment = f"  # {_one_line(origins[path])}" if path in origins else ""
        if key == "base_url":
            below = mask_addresses(below)
        if key in ("options", "extra_body"):  # what is in them is the user's own: no keys of ours
            yield f"{pad}{key}: {_flow(below)}{comment}"
        elif isinstance(below, SecretStr):
            yield f"{pad}# {key}: {MASK}{comment}"
        elif is_masked_address(key, below):
            yield f"{pad}# {key}: {below if isinstance(below, str) else _scalar(below)}{comment}"
        elif isinstance(below, dict) and below and path not in origins:
            yield f"{pad}{_scalar(key)}:"
            yield from _lines(below, f"{path}.", indent + 1, origins)
        else:
            yield f"{pad}{_scalar(key)}: {_scalar(below)}{comment}"


def _flow(value: Any) -> str:
    """Any JSON value on one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_flow(name)}: {_flow(below)}" for name, below in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_flow(below) for below in value) + "]"
    return _scalar(value, '"') if isinstance(value, str) else _scalar(value)


def _scalar(value: Any, style: str | None = None) -> str:
    """On one line, whatever is in it: YAML would show marks that turn the text around as they are."""
    return (
        yaml.safe_dump(
            value,
            default_flow_style=True,
            allow_unicode=not isinstance(value, str) or value.isprintable(),
            width=2**31,
            default_style=style or _style(value),
        )
        .removesuffix("\n...\n")
        .strip()
    )


def _style(value: Any) -> str | None:
    return '"' if isinstance(value, str) and (not value.isprintable() or value != value.strip()) else None


def _one_line(text: str) -> str:
    return text if text.isprintable() else ascii(text)
