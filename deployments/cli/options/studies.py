"""What `lavad study` runs on: options, and from these to the configuration that rows change."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lavad.deployments.cli.options import common as options
from lavad.deployments.cli.options import complete
from lavad.deployments.cli.options.dataset import DatasetName, Labels, ListFile
from lavad_core.address import user_info

if TYPE_CHECKING:
    from lavad.demo.configuration import Demonstration
    from lavad_core.studies.study_runs import StudyBase
    from lavad_core.video.types import VideoSource

Name = Annotated[
    str,
    typer.Argument(
        metavar="NAME", help="A study of `lavad study list`, or the path of a file.", autocompletion=complete.studies
    ),
]
Inputs = Annotated[
    list[str] | None, typer.Argument(metavar="INPUTS", help="Videos, as for `lavad run`; none with --demo.")
]
Demo = Annotated[
    bool,
    typer.Option("--demo", help="On the demonstration's first 16 clips (--limit), and its models, after `make demo`."),
]
DemoFolder = Annotated[
    Path, typer.Option("--demo-folder", help="Where the demonstration is.", metavar="DIR", parser=options.folder)
]
DEMO_FOLDER = Path("build/demo")


def demonstration_in(folder: Path) -> Demonstration:
    """The demonstration of a folder.

    Raises:
        InputError: it is not one; says what is missing, and how another folder is named.
    """
    from lavad.demo.configuration import demonstration
    from lavad_core.errors import InputError

    try:
        return demonstration(folder)
    except InputError as error:
        raise InputError(f"{error}; --demo-folder DIR names another folder") from None


@dataclasses.dataclass(frozen=True)
class StudyGroup:
    """What the rows of a study change: a configuration with labels, or the demonstration's."""

    given: options.ConfigurationGroup
    """The configuration; a preset takes the place of the study's own."""
    adapter: DatasetName = None
    """Key of the data set."""
    labels: Labels = None
    """File of its labels."""
    list_: ListFile = None
    """List of its videos."""
    captioner: Annotated[
        list[str] | None,
        typer.Option(
            "--captioner",
            "--model",
            help="--captioner: the captioner of the configuration that stands for one of the study's. --model: the address, "
            "or a YAML file, of a language model that the study names. May be repeated.",
            metavar="NAME=OWN",
        ),
    ] = None
    """Which captioners stand for those that the study names."""
    demo: Demo = False
    """Whether the demonstration is taken."""
    demo_folder: DemoFolder = DEMO_FOLDER
    """Where it is."""

    def base(self) -> StudyBase:
        """The configuration that rows change.

        Raises:
            InputError: there is no demonstration in the folder.
        """
        from lavad_core.studies.study_runs import StudyBase

        stand_ins = dict(_stand_in(text) for text in self.captioner or ())
        paths = {"evaluate.dataset": self.adapter, "evaluate.labels": self.labels, "evaluate.list": self.list_}
        if self.demo:
            from lavad.demo.configuration import STAND_INS

            if unused := [key for key, value in {**paths, "--preset": self.given.preset}.items() if value is not None]:
                raise typer.BadParameter(f"{unused[0]} is the demonstration's own with --demo")
            found = demonstration_in(self.demo_folder)
            own = [f"store={found.store}", f"evaluate.labels={found.labels}"]
            files = [found.file, *(self.given.config or ())]
            overrides = [*(self.given.set_ or ()), *own, *self._store()]
            names = {**STAND_INS, **stand_ins}
            return StudyBase(None, files, overrides, own_preset=False, own_encoders=False, stand_ins=names)
        overrides = [*(self.given.set_ or ()), *(f"{key}={value}" for key, value in paths.items() if value is not None)]
        overrides += self._store()
        return StudyBase(self.given.preset, self.given.config or (), overrides, stand_ins=stand_ins)

    def _store(self) -> list[str]:
        return [] if self.given.store is None else [f"store={self.given.store}"]

    def check(self, inputs: list[str] | None) -> None:
        """Refuse videos beside --demo, and none without it."""
        if bool(inputs) == self.demo:
            raise typer.BadParameter(
                "give INPUTS, the videos; or --demo, which has its own (`lavad study plan` needs neither with --dataset, "
                "--labels and --list)"
            )

    def inputs(self, inputs: list[str] | None) -> list[str]:
        """What names the videos."""
        if self.demo:
            return [str(demonstration_in(self.demo_folder).videos)]
        return inputs or []

    def limited(self, limit: int | None) -> int | None:
        """How many of the videos are taken; the demonstration has a number of its own."""
        if self.demo and limit is None:
            from lavad.demo.configuration import STUDIED

            return STUDIED
        return limit

    def sources(self, inputs: list[str] | None) -> list[VideoSource]:
        """The videos.

        Raises:
            InputError: one cannot be found.
        """
        from lavad_core.video.discover import discover

        return discover(self.inputs(inputs))


def _stand_in(text: str) -> tuple[str, str]:
    name, equals, own = text.partition("=")
    if not (name and equals and own):
        raise typer.BadParameter(f"{text!r} is not NAME=OWN", param_hint="--captioner")
    if user_info(own):
        raise typer.BadParameter(
            f"the address for {name!r} has a user, and perhaps a password, which would be recorded (it is not shown); give a "
            "YAML file with a section `chat`",
            param_hint="--model",
        )
    return name, own
