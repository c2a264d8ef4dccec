"""A run in words: its line, its videos counted, its metrics."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from lavad.deployments.cli.terminal.text import escape, size
from lavad_core.escape import fixed
from lavad_core.plain_text import duration_text

if TYPE_CHECKING:
    from lavad_core.runs.manifest import RunManifest


def counted(manifest: RunManifest) -> str:
    words = [outcome.word for outcome in manifest.videos]
    return ", ".join(f"{words.count(word)} {word}" for word in dict.fromkeys(sorted(words)))


def headline(manifest: RunManifest, part: str = "") -> str:
    """One line about a run; ``part`` comes after its name."""
    named = f" ({escape(manifest.name)})" if manifest.name else ""
    limited = f"; {manifest.limited}" if manifest.limited else ""
    memory = f", peak memory {size(manifest.peak_rss_bytes)}" if manifest.peak_rss_bytes else ""
    none = "no videos" if manifest.ended else "no videos yet"
    started = f", started {manifest.started}" if manifest.started else ""
    return (
        f"run {manifest.run_id}{named}{part}: {escape(manifest.status)}{started}, "
        f"{duration_text(manifest.seconds)}{memory}; "
        f"{counted(manifest) or none}{limited}"
    )


def metric_rows(metrics: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Rows of a table of metrics; None is undefined."""
    return [
        (name, str(value) if isinstance(value, int) else fixed(value, none="undefined"))
        for name, value in metrics.items()
    ]
