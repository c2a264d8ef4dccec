"""The demonstration's settings, written beside its results."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from lavad_core.config.layers import from_file
from lavad_core.config.load import resolved_paths
from lavad_core.config.tree import ROOT
from lavad_core.errors import InputError

CONFIGURATION = "lavad.yaml"

MARK = "# Written by `lavad demo`"
"""How the configuration in an output folder begins. The folder is ours then: clips of another seed in it are removed."""


def write_configuration(output: Path) -> Path:
    """Write the demonstration's settings with absolute paths, so that they can be used from anywhere.

    Args:
        output: made if it does not exist.

    Returns:
        the file.

    Raises:
        InputError: the folder holds something else.
    """
    file = output / CONFIGURATION
    ours = file.is_file() and file.read_text(encoding="utf-8", errors="replace").startswith(MARK)
    if (output / "videos").exists() and not ours:
        raise InputError(
            f"{str(output / 'videos')!r} was not made by `lavad demo`, which removes what it does not know there; "
            "give another --output"
        )
    own = Path(__file__).absolute().parent
    tree = resolved_paths(from_file(own / CONFIGURATION).tree, ROOT, own)
    folder = output.absolute()
    tree["store"] = str(folder / "store")
    tree["evaluate"] = {**tree.get("evaluate", {}), "labels": str(folder / "labels.txt")}
    tree["run"] = {**tree.get("run", {}), "targets": ["clean", "detect", "evaluate"]}
    output.mkdir(parents=True, exist_ok=True)
    text = f"{MARK}, from demo/{CONFIGURATION} and with paths of this machine; each `lavad demo` writes it again.\n"
    file.write_text(text + yaml.safe_dump(tree, sort_keys=False, allow_unicode=True), encoding="utf-8")
    return file


STAND_INS: Mapping[str, str] = {
    "blip2-flan-t5-xl": "blip2-t5-a",
    "blip2-flan-t5-xl-coco": "blip2-t5-b",
    "blip2-flan-t5-xxl": "blip2-t5-c",
    "blip2-opt-6.7b": "blip2-opt-a",
    "blip2-opt-6.7b-coco": "blip2-opt-b",
    "mistral-7b-instruct": str(Path(__file__).absolute().parent / "mistral.yaml"),
}
"""The paper's captioners to those of the demonstration that stand for them: T5 for T5, OPT for OPT, in order; and the second
language model of Fig. 2 to a file with its settings."""


STUDIED = 16
"""Clips that `lavad study --demo` takes, the first ones: each kind of event is among them once. All studies together then take
some ten minutes on two cores."""


@dataclass(frozen=True)
class Demonstration:
    """A folder that `lavad demo` has filled."""

    folder: Path
    """The folder."""

    @property
    def videos(self) -> Path:
        """Folder of the clips."""
        return self.folder / "videos"

    @property
    def labels(self) -> Path:
        """The temporal annotation."""
        return self.folder / "labels.txt"

    @property
    def file(self) -> Path:
        """The configuration."""
        return self.folder / CONFIGURATION

    @property
    def store(self) -> Path:
        """Folder of the results."""
        return self.folder / "store"


def demonstration(folder: Path) -> Demonstration:
    """The demonstration in a folder.

    Raises:
        InputError: it is not one; says what is missing.
    """
    needed = ("videos", "labels.txt", "truth.json", CONFIGURATION, "store")
    if missing := [name for name in needed if not (folder / name).exists()]:
        raise InputError(f"no demonstration in {str(folder)!r}: it lacks {', '.join(missing)}; `make demo` makes one")
    return Demonstration(folder.absolute())
