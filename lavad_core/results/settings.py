"""The settings that results were made with, as the results themselves state them: numbers come from these, not from a
record."""

from __future__ import annotations

import copy
import logging
from collections.abc import Mapping
from typing import Any

from lavad_core.config.load import load_recorded
from lavad_core.config.schema import LavadConfig
from lavad_core.config.secrets import named_captioners
from lavad_core.masking import masked
from lavad_core.runs.manifest import RunManifest
from lavad_core.store.files import FileStore
from lavad_core.store.types import Commit, Key

log = logging.getLogger(__name__)


def commits_of(store: FileStore, keys: Mapping[str, Key]) -> dict[str, Commit]:
    """Node id to the commit of a video's result, of those that are in the store."""
    found = {node: store.find(key) for node, key in keys.items()}
    return {node: commit for node, commit in found.items() if commit is not None}


def config_of_results(run: RunManifest, commits: Mapping[str, Commit]) -> LavadConfig:
    """The configuration of a run, with every setting that a result depends on as that result has it in its commit. Where the
    run's record says otherwise, a warning does. The commits are those of one video: all are scored with the same settings.

    Raises:
        ConfigError: another version of the program recorded the run, and this one does not know a setting of it.
    """
    settings: dict[str, Any] = copy.deepcopy(dict(run.config))
    others: list[str] = []
    for commit in commits.values():
        for path, value in commit.provenance.get("settings", {}).items():
            if (place := _place(settings, path, commit.provenance.get("variant", ""))) is None:
                continue
            section, name = place
            if masked(value, name) != _plain(value):
                continue  # it has the form of a secret: a record never has those, and nothing here is to show it
            if name in section and _plain(section[name]) != value:
                others.append(f"{path} is {section[name]!r}, the results were made with {value!r}")
            section[name] = value
    if others:
        log.warning(
            "the record of run %s is not that of its results, which count: %s",
            run.run_id,
            "; ".join(dict.fromkeys(others)),
        )
    return load_recorded(settings)


def _place(settings: dict[str, Any], path: str, captioner: str) -> tuple[dict[str, Any], str] | None:
    """The section of a dotted path, and its last part; None for that of a captioner which the record does not have."""
    *sections, name = path.split(".")
    here: Any = settings
    if sections[:1] == ["captioner"]:
        here, sections = named_captioners(settings).get(captioner), sections[1:]
        if here is None or name not in here:  # its name, or how its answers are read: no settings
            return None
    for section in sections:
        here = here.setdefault(section, {})
    return here, name


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
