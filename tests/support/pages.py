"""The pages that readers are given."""

from __future__ import annotations

from pathlib import Path


def pages(repository: Path) -> list[Path]:
    """Every page in Markdown but the history of changes."""
    found = [repository / "README.md", repository / "CONTRIBUTING.md"]
    for folder in ("docs", "benchmarks", "demo"):
        found += sorted((repository / folder).rglob("*.md"))
    return found
