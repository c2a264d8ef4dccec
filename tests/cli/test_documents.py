"""What the documents say is what the program prints. ``python tests/cli/test_documents.py`` writes the tables again."""

from __future__ import annotations

import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

import pytest
from jsonschema import Draft202012Validator

from lavad.deployments.cli.exits import MEANING
from lavad_core.config.load import load_config, presets
from lavad_core.config.render import json_schema, markdown_table
from lavad_core.datasets.annotations import read_annotations
from lavad_core.imports.values import parse_texts, read_file_of
from lavad_core.pipeline.execute import REJECTED_BY_CONTENT
from lavad_core.video.discover import VIDEO_SUFFIXES
from lavad_core.video.numbered_frames import IMAGE_SUFFIXES
from lavad_core.video.types import REJECTIONS

DOCS = Path(__file__).resolve().parent.parent.parent / "docs"
DOCUMENT, INPUTS = DOCS / "configuration.md", DOCS / "inputs.md"


def exit_table() -> str:
    """The exit codes."""
    rows = [f"| {code.value} | {text} |" for code, text in MEANING.items()]
    return "\n".join(["| code | meaning |", "|---|---|", *rows])


def endings() -> str:
    """What folders are searched for."""
    return " ".join(f"`{ending}`" for ending in sorted(VIDEO_SUFFIXES))


def reasons() -> str:
    """Why videos are rejected, and what the next run does about it."""
    rows = [
        f"| `{reason}` | {meaning} | {'kept' if reason in REJECTED_BY_CONTENT else 'tried again'} |"
        for reason, meaning in REJECTIONS.items()
    ]
    return "\n".join(["| reason | meaning | by the next run |", "|---|---|---|", *rows])


TABLES = {
    "exit codes": (DOCUMENT, exit_table),
    "fields": (DOCUMENT, markdown_table),
    "endings": (INPUTS, endings),
    "reasons": (INPUTS, reasons),
}


def between(text: str, name: str) -> tuple[int, int]:
    begin, end = f"<!-- {name}: begin -->\n", f"<!-- {name}: end -->"
    return text.index(begin) + len(begin), text.index(end)


def part(document: Path, name: str) -> str:
    text = document.read_text(encoding="utf-8")
    start, stop = between(text, name)
    return text[start:stop].strip()


@pytest.mark.parametrize("name", list(TABLES))
def test_tables_are_current(name: str) -> None:
    document, table = TABLES[name]
    assert part(document, name) == table(), f"run: python {Path(__file__).name}"


def example(name: str) -> str:
    """What stands in a code block of docs/inputs.md."""
    return "\n".join(part(INPUTS, name).splitlines()[1:-1])


def test_the_examples_of_labels_and_imports_are_read(tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_text(example("labels"))
    read = read_annotations(tmp_path / "labels.txt")
    assert {name: (label.class_name, label.intervals) for name, label in read.items()} == {
        "street_1": ("Fighting", ((120, 260),)),
        "street_2": ("Arson", ((40, 90), (300, 410))),
        "street_3": ("Normal", ()),
    }
    (tmp_path / "v.json").write_text(example("imports"))
    assert list(parse_texts(*read_file_of(tmp_path, "v"))) == [0, 16, 32]


def test_the_text_on_frames_and_lists_names_what_the_code_has() -> None:
    text = INPUTS.read_text(encoding="utf-8")
    images = text[text.index("## Folders of frames") :]
    assert set(images[images.index("(`.") + 2 : images.index("`)")].split()) == IMAGE_SUFFIXES
    assert f"`video.folder_frame_rate` ({load_config(environ={}).video.folder_frame_rate:g})" in text


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
        {"captioners": {"a": {"model": "m"}}},
        {"chat": {"seed": 1}},
    ):
        assert validator.is_valid(accepted), "a section without a kind is of the first one, as the loader has it"
        load_config(settings=accepted, environ={})
    assert not validator.is_valid({"encoder": {"kind": "clip", "long_text": "keep-end"}})
    assert not validator.is_valid({"window": {"samples": 0}})
    assert schema["$defs"]["WindowConfig"]["properties"]["clips"]["affects"] == ["embed_windows"]


def write() -> None:
    for name, (document, table) in TABLES.items():
        text = document.read_text(encoding="utf-8")
        start, stop = between(text, name)
        document.write_text(f"{text[:start]}{table()}\n{text[stop:]}", encoding="utf-8")


if __name__ == "__main__":
    write()
