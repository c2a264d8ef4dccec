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


def headline(manifest: RunManifest) -> str:
    """One line about a run."""
    named = f" ({escape(manifest.name)})" if manifest.name else ""
    limited = f"; {manifest.limited}" if manifest.limited else ""
    return (
        f"run {manifest.run_id}{named}: {escape(manifest.status)}, started {manifest.started}, "
        f"{duration_text(manifest.seconds)}, peak memory {size(manifest.peak_rss_bytes)}; "
        f"{counted(manifest) or 'no videos yet'}{limited}"
    )


def metric_rows(metrics: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Rows of a table of metrics; None is undefined."""
    return [
        (name, str(value) if isinstance(value, int) else fixed(value, none="undefined"))
        for name, value in metrics.items()
    ]
