"""What a text reads like: rules for docstrings, messages and pages, each with its better form."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from support.pages import pages

ROOT = Path(__file__).resolve().parent.parent
CODE = ("lavad_core", "tasks", "flows", "deployments", "demo")

THINGS = (
    "task|row|line|folder|page|file|card|word|column|record|result|request|entry|score|text|vector|section|curve|caption|"
    "summary|frame|process|picture|key|digest"
)
"""Things that a calque counts without "per": "a row a frame"."""


class Rule(NamedTuple):
    """A form that a native reader stumbles over."""

    pattern: str
    """The pattern of the form."""
    better: str
    """What to write in its place."""
    example: str
    """A text that the rule finds."""
    fine: str
    """A text close to it that the rule leaves alone."""
    where: str = "any"
    """``docstring``: its beginning only; ``any``: every text."""


RULES = {
    "of": Rule(
        r"^Of\b",
        "name the thing: 'Bytes of a mask', 'Seed of the bootstrap'",
        "Of a file of masks.",
        "Bytes of a file of masks.",
        "docstring",
    ),
    "the-same": Rule(
        r"^The same (of|for|where|by|as|after)\b",
        "a sentence stands alone: say what is the same",
        "The same for whoever has the commit.",
        "The same picture at each call.",
        "docstring",
    ),
    "per": Rule(
        rf"\b(?:[Aa]|[Oo]ne) (?:{THINGS}) an? (?!few\b|while\b|little\b)(?:grid |distinct |cleaned |unit )?"
        rf"(?:{THINGS}|stage|video|window|segment|clip|box|model|image|captioner|metric|run|set)s?\b",
        "one … per …",
        "Commit a row a grid frame.",
        "Commit one row per grid frame.",
    ),
    "else": Rule(
        r"(?:[;:,(] |\. )[Ee]lse (?!if\b)|\b(?:and|or|what|nothing|anything|something|everything|who) else (?:it|he|they) ",
        "otherwise, or 'or'",
        "the folder that is given; else the checkout's",
        "the folder that is given; otherwise the checkout's, and nothing else",
    ),
    "every-nth": Rule(
        r"\beach (?:\d*(?:1st|2nd|3rd|\dth)|Nth) (?:frame|row|line)\b",
        "every Nth frame",
        "captioners describe each 16th frame",
        "captioners describe every 16th frame",
    ),
    "is-no-file": Rule(
        r"(?<!there )(?<!There )\bis no (?:[A-Z]\w+ )?"
        r"(?:file|folder|archive|list|number|integer|address|object|video|directory|path|text|rule|score|array|segment|report|"
        r"picture|id|configuration|choice|JSON|CSV|UTF-8)\b",
        "is not a …",
        "'a.txt' is no CSV file",
        "'a.txt' is not a CSV file",
    ),
    "too-many": Rule(
        r"which are missing, which are too many",
        "which are missing, which are unexpected",
        "which are missing, which are too many",
        "there are too many videos",
    ),
    "are-wanted-too": Rule(
        r"\b(?:is|are) wanted too, and made\b",
        "the run also produces …",
        "otherwise cleaned captions are wanted too, and made",
        "otherwise the run also produces cleaned captions",
    ),
    "know-only": Rule(
        r"\bknow this \w+ \w+ only\b",
        "know only this …",
        "the models know this small world only",
        "the models know only this small world",
    ),
    "is-there-twice": Rule(
        r"\b(?:is|are) there (?:once|twice)\b",
        "is given twice",
        "Each number is there twice: what is left, and everything.",
        "Each number is given twice.",
    ),
    "what-is-there": Rule(
        r"\b(?:that|which|what|if it|if they) (?:is|are|was|were) (?:not )?there\b(?! (?:an?|no|any)\b)",
        "exists, existing, stored, or 'is down'",
        "Compute what is there again; a file that is there is replaced.",
        "Compute existing results again. It shows that there are others.",
    ),
    "is-meant-before": Rule(
        r"\bis meant before\b",
        "takes precedence over",
        "A name as given is meant before its reading as a glob.",
        "A name as given takes precedence over its reading as a glob.",
    ),
    "what-it-is-none": Rule(
        r"\ban? \w+ that is none\b|\bwhat is none\b",
        "an unusable …, or 'not a …'",
        "the words of an answer that is none",
        "the words of an unusable answer",
    ),
    "whoever": Rule(
        r"\b[Ww]hoever\b|\bfor who\b|\bwho (?:has|reads|asks|wants) (?:it|this|that) (?:has|reads|takes|finds)\b",
        "name who: 'a stage', 'a reader'",
        "the probe for whoever has the commit",
        "the probe of a commit",
    ),
    "so-many": Rule(
        r"\b[Ss]o many(?! that\b)",
        "this many",
        "The list may count so many frames more.",
        "The list may count this many frames more; there are so many that it takes an hour.",
    ),
    "are-no": Rule(
        # "bytes that are no …" is in stored results: what is stored is not reworded.
        r"(?<!there )(?<!There )(?<!bytes that )\b(?:are|were) no (?!longer\b|more\b|less\b|other\b)",
        "are not …",
        "'1,2' are no frame numbers",
        "'1,2' are not frame numbers, and there are no others",
    ),
    "is-none": Rule(
        r"(?<!there )(?<!There )\b(?:is|are) none\b",
        "is not one, does not count",
        "thumbnails and previews are none",
        "thumbnails and previews do not count; empty if there are none",
    ),
    "is-said": Rule(
        r"(?<!what )(?<!What )(?<!as )\b(?:is|are|was|were) said\b",
        "is reported, is printed; or let the message say it",
        "that others are left out is said",
        "a message says that others are left out",
    ),
    "argument-of": Rule(
        r"(?m)^\s+[a-z_]\w*(?:, \w+)*: of ",
        "name the thing: 'seed: seed of the bootstrap'",
        "Draw.\n\n    Args:\n        seed: of the bootstrap.\n    ",
        "Draw.\n\n    Args:\n        seed: seed of the bootstrap.\n    ",
    ),
    "know-of": Rule(
        r"\b(?:says?|said|known?|knows|told) of\b",
        "about",
        "what the server says of a model",
        "what the server says about a model",
    ),
    "some-hundred": Rule(
        r"\bsome (?:dozen|hundred|thousand)s?\b",
        "a few hundred",
        "an entry has some hundred bytes",
        "an entry takes a few hundred bytes",
    ),
    "to-be-had": Rule(
        r"\bbe had\b",
        "downloaded, installed, found",
        "2 of 3 models could not be had",
        "2 of 3 models could not be downloaded",
    ),
    "in-work": Rule(
        r"\bin work\b",
        "in progress, running",
        "Videos in work at once.",
        "Videos in progress at once.",
    ),
    "nothing-tells": Rule(
        r"\bnothing tells\b|\b(?:nobody|somebody) (?:says|said|tells|told|knows|counts|counted|looked|gave)\b",
        "where it is not known, or given",
        "None where nothing tells.",
        "None where it is not known.",
    ),
    "of-equals": Rule(
        r"\bof equals\b",
        "of equal ones",
        "of equals the first wins",
        "of equal ones the first wins",
    ),
    "anew": Rule(r"\banew\b", "again, from 0, over", "It is asked anew.", "It is asked again."),
    "a-sentence-each": Rule(
        r", an? (?:sentence|line|word|row|page|few words) each\b",
        "one sentence for each …",
        "what was changed, a sentence each",
        "one sentence for each change",
    ),
    "of-it": Rule(
        r"(?m)^\s*\w+: of (?:it|them|this|these)[.;]",
        "'its id', 'their names'",
        "    run_id: of it.",
        "    run_id: its id.",
    ),
}


def texts_of(path: Path) -> Iterator[tuple[int, str, bool]]:
    """(line, text, whether it is a docstring) for every text of a Python file, and for every paragraph of a page."""
    content = path.read_text(encoding="utf-8")
    if path.suffix == ".md":
        number = 1
        for paragraph in re.split(
            r"(?<=\n)\n", re.sub(r"(?ms)^```.*?^```", lambda m: "\n" * m[0].count("\n"), content)
        ):
            yield number, paragraph, False
            number += paragraph.count("\n") + 1
        return
    tree = ast.parse(content, str(path))
    documents = {
        id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value, id(node) in documents
        elif isinstance(node, ast.JoinedStr):
            pieces = [part.value if isinstance(part, ast.Constant) else "…" for part in node.values]
            yield node.lineno, "".join(map(str, pieces)), False


def found(rule: Rule, text: str, is_docstring: bool) -> re.Match[str] | None:
    if rule.where == "docstring" and not is_docstring:
        return None
    return re.search(rule.pattern, text if "(?m)" in rule.pattern else " ".join(text.split()))


def code(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


@pytest.mark.parametrize("folder", [*CODE, "pages"])
def test_texts_read_well(folder: str) -> None:
    wrong = [
        f"{path.relative_to(ROOT)}:{line}: [{name}] {hit[0]!r}: better {rule.better}"
        for path in (pages(ROOT) if folder == "pages" else code(folder))
        for line, text, is_docstring in texts_of(path)
        for name, rule in RULES.items()
        if (hit := found(rule, text, is_docstring)) is not None
    ]
    assert not wrong, "\n".join(wrong)


def test_links_lead_somewhere() -> None:
    broken = [
        f"{page.relative_to(ROOT)}: {link}"
        for page in pages(ROOT)
        for link in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
        if "://" not in link and not (page.parent / link).exists()
    ]
    assert not broken


@pytest.mark.parametrize("name", RULES)
def test_a_rule_finds_its_example_and_leaves_the_better_form(name: str) -> None:
    rule = RULES[name]
    assert found(rule, rule.example, True)
    assert not found(rule, rule.fine, True)
