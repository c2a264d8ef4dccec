"""What the documents say is what the program prints. ``python tests/cli/test_documents.py`` writes the tables anew."""

from __future__ import annotations

import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

import pytest
from jsonschema import Draft202012Validator

from deployments.cli.exits import markdown_table as exit_table
from lavad_core.config.document import json_schema, markdown_table
from lavad_core.config.load import load_config, presets

DOCUMENT = Path(__file__).resolve().parent.parent.parent / "docs" / "configuration.md"
TABLES = {"exit codes": exit_table, "fields": markdown_table}


def between(text: str, name: str) -> tuple[int, int]:
    begin, end = f"<!-- {name}: begin -->\n", f"<!-- {name}: end -->"
    return text.index(begin) + len(begin), text.index(end)


@pytest.mark.parametrize("name", list(TABLES))
def test_tables_are_current(name: str) -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    start, stop = between(text, name)
    assert text[start:stop].strip() == TABLES[name](), f"run: python {Path(__file__).name}"


def test_presets_are_described() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    assert all(f"| `{name}` |" in text for name in presets())


def test_schema_is_a_schema_that_accepts_the_presets_and_refuses_unknown_keys() -> None:
    import json

    import yaml

    schema = json.loads(json_schema())
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema)
    for name, text in presets().items():
        assert validator.is_valid(yaml.safe_load(text)), name
    assert not validator.is_valid({"windw": {}})
    for accepted in (
        {"encoder": {"model": "x.pth"}},
        {"captioners": [{"name": "a", "model": "m"}]},
        {"chat": {"seed": 1}},
    ):
        assert validator.is_valid(accepted), "a section without a kind is of the first one, as the loader has it"
        load_config(settings=accepted, environ={})
    assert not validator.is_valid({"encoder": {"kind": "clip", "long_text": "keep-end"}})
    assert not validator.is_valid({"window": {"samples": 0}})
    assert schema["$defs"]["WindowConfig"]["properties"]["clips"]["affects"] == ["embed_windows"]


def write() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    for name, table in TABLES.items():
        start, stop = between(text, name)
        text = f"{text[:start]}{table()}\n{text[stop:]}"
    DOCUMENT.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write()
