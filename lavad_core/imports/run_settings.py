"""Settings with which a run goes on from the files of a folder in the authors' layout."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from lavad_core.imports.layout import find_layout
from lavad_core.imports.per_video import ImportSources
from lavad_core.imports.values import parse_windows, read_file_of
from lavad_core.stage_names import Until

STEPS = ("captions", "cleaned", "summaries", "scores", "refined")
"""What a layout may have, in the order of the method."""

INTERVAL = 16
"""The authors' grid: windows with other frames than its multiples were sampled from every frame."""

_HEAD = "# lavad run VIDEOS --config THIS_FILE goes on from {folder!a}: {done}.\n"
_ANY_FRAME = "# Other frames than the grid's were cleaned: the windows must sample them as the authors' program does.\n"


def run_settings(folder: Path, until: Until | None = None, given: ImportSources | None = None) -> str:
    """YAML for ``lavad run --config``.

    Args:
        folder: in the authors' layout.
        until: the last step whose files are taken; None takes all.
        given: folders that were named apart, where the layout has several.

    Raises:
        InputError: it has nothing of that, or several folders where one is needed.
    """
    wanted = STEPS if until is None else STEPS[: STEPS.index(until) + 1]
    found = find_layout(folder.absolute(), given)
    imports = {name: value for name, value in _imports(found).items() if name in wanted or name == "similarities"}
    if "refined" not in imports:
        imports.pop("similarities", None)
    head = _HEAD.format(folder=str(folder), done=", ".join(name for name in STEPS if name in imports) or "nothing")
    tree: dict[str, Any] = {"imports": imports, "run": {"targets": _targets(imports)}}
    if found.cleaned is not None and "cleaned" in imports and _samples_any_frame(found.cleaned):
        head += _ANY_FRAME
        tree = {"semantics": "reference", **tree}
    return head + yaml.safe_dump(tree, sort_keys=False, allow_unicode=False)


def _imports(found: ImportSources) -> dict[str, Any]:
    """Setting to folder."""
    folders: dict[str, Path | dict[str, str] | None] = {
        "captions": {name: str(path.absolute()) for name, path in found.captions.items()},
        "cleaned": found.cleaned,
        "summaries": found.summaries,
        "scores": found.raw_scores,
        "refined": found.scores,
        "similarities": found.similarities,
    }
    return {
        name: value if isinstance(value, dict) else str(value.absolute()) for name, value in folders.items() if value
    }


def _targets(imports: dict[str, Any]) -> list[str]:
    """The segments, and the texts that exist; nothing that would be made for its own sake."""
    texts = {"captions": "caption", "cleaned": "clean", "summaries": "summarise", "scores": "score"}
    return [*(stage for name, stage in texts.items() if name in imports), "detect"]


def _samples_any_frame(folder: Path) -> bool:
    path = next(path for path in sorted(folder.iterdir()) if path.suffix == ".json")
    windows = parse_windows(*read_file_of(folder, path.stem))
    return any(frame % INTERVAL for window in windows.values() for frame in window)
