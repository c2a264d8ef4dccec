"""``lavad study``: the command, the flow behind it, and what a SIGKILL leaves."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.command import environment, lavad
from support.flow_runs import artifacts, task_runs
from support.small_demonstration import CLIPS
from support.small_study import MINE, numbers
from support.whole_runs import commits, start

from lavad.demo import configuration
from lavad.flows.study import run_study
from lavad_core.studies.study_run import saved_table
from lavad_core.studies.study_table import StudyTable

WITHOUT_PREFECT = "import sys; from pathlib import Path; from support.small_study import run; run(Path(sys.argv[1]))"


def test_the_command_runs_shows_and_prints_for_papers(
    ran: tuple[Path, StudyTable], tmp_path: Path, prefect_server: str
) -> None:
    folder = shutil.copytree(ran[0], tmp_path / "copy")
    file = tmp_path / "mine.yaml"
    file.write_text(MINE)
    done = lavad("study", "run", str(file), "--demo", "--demo-folder", str(folder))
    assert done.exit_code == 0, done.stderr
    assert "THE NUMBERS WILL MEAN NOTHING" in done.stderr
    assert "0 results made" in done.stderr
    assert "without refinement" in done.stdout
    printed = {
        kind: lavad("study", "show", str(file), "--demo", "--demo-folder", str(folder), "--format", kind).stdout
        for kind in ("table", "markdown", "latex", "csv", "json")
    }
    assert printed["table"] == done.stdout
    document = json.loads(printed["json"])
    assert (document["format"], [row["name"] for row in document["rows"]]) == (
        "lavad-study",
        [row["name"] for row in yaml.safe_load(MINE)["rows"]],
    )
    value = f"{100 * document['rows'][1]['cells']['auc']['ours']:.2f}"
    assert all(value in printed[kind] for kind in ("table", "markdown", "latex", "csv"))
    assert printed["latex"].count(r"\\") == 6


def test_the_demonstration_s_own_number_of_clips_is_said_with_the_table(
    ran: tuple[Path, StudyTable], tmp_path: Path, prefect_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(configuration, "STUDIED", 2)
    folder = shutil.copytree(ran[0], tmp_path / "copy")
    file = tmp_path / "mine.yaml"
    file.write_text(MINE)
    given = ["study", "run", str(file), "--demo", "--demo-folder", str(folder)]
    for limit, videos, notes in ((["--limit", "3"], 3, []), ([], 2, ["the first 2 of 3 videos; --limit 3 takes all"])):
        document = json.loads(lavad(*given, *limit, "--json").stdout)
        assert {row["videos"] for row in document["rows"]} == {videos}
        assert [note for note in document["notes"] if "--limit" in note] == notes
    planned = lavad("study", "plan", *given[2:], "--json")
    assert "--limit: the first 2 of 3 videos" in planned.stderr


def test_the_flow_has_a_task_for_each_new_result_named_by_its_rows_and_an_artifact(
    ran: tuple[Path, StudyTable], tmp_path: Path, prefect_server: str
) -> None:
    folder = shutil.copytree(ran[0], tmp_path / "copy")
    file = tmp_path / "mine.yaml"
    rows = "".join(f"  - {{name: {name}, settings: {{refine: {{neighbours: 3}}}}}}\n" for name in ("K = 3", "again"))
    file.write_text(MINE + rows)
    given: dict[str, Any] = {"store": str(folder / "store"), "evaluate": {"labels": str(folder / "labels.txt")}}
    where = {"config": str(folder / "lavad.yaml"), "whole_config": True, "settings": given, "resamples": 0}
    state: Any = run_study(str(file), [str(folder / "videos")], return_state=True, **where)
    assert (state.name, state.message) == ("Completed", "7 rows measured")
    names = [one.name for one in task_runs(state, len(CLIPS), "publish")]
    assert sorted(name for name in names if " · " in name) == [f"refine · {clip} · K = 3, again" for clip in CLIPS]
    assert "| K = 3 |" in artifacts(state)["lavad-study"]
    again: Any = run_study(str(file), [str(folder / "videos")], return_state=True, **where)
    assert not [one.name for one in task_runs(again, 1, "publish") if " · " in one.name], (
        "a result that was there had a task run"
    )


@pytest.mark.slow
@pytest.mark.parametrize("wanted", [5, 30, 60])
@pytest.mark.parametrize("prefect", [pytest.param(True, id="through Prefect"), pytest.param(False, id="without")])
def test_killed_it_goes_on_and_ends_with_the_same_table(
    ran: tuple[Path, StudyTable], empty: Path, tmp_path: Path, wanted: int, prefect: bool, prefect_server: str
) -> None:
    folder, file = shutil.copytree(empty, tmp_path / "copy"), tmp_path / "mine.yaml"
    file.write_text(MINE)
    tests = str(Path(__file__).parent.parent)

    def begin() -> Any:
        if prefect:
            command = ["study", "run", str(file), "--demo", "--demo-folder", str(folder)]
            return start(command, {"PREFECT_API_URL": prefect_server}, tmp_path / "log")
        own = environment()
        own["PYTHONPATH"] += f":{tests}"
        return subprocess.Popen([sys.executable, "-c", WITHOUT_PREFECT, str(folder)], env=own)

    def ended(process: Any) -> int | None:
        return process.exitcode if prefect else process.poll()  # type: ignore[no-any-return]

    def wait(process: Any) -> None:
        process.join(300) if prefect else process.wait(300)

    process = begin()
    while ended(process) is None and len(commits(folder / "store")) < wanted:
        time.sleep(0.02)
    assert ended(process) is None, (tmp_path / "log").read_text()[-3000:] if prefect else "it ended by itself"
    process.kill()
    wait(process)
    before = commits(folder / "store")
    process = begin()
    wait(process)
    assert ended(process) == 0
    assert numbers(saved_table(folder / "store", "mine")) == numbers(ran[1])
    now = commits(folder / "store")
    assert len(now) == len(commits(ran[0] / "store"))
    assert {path: now[path] for path in before} == before, "a committed result was written again"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(["run", "table3"], "give INPUTS", id="no videos"),
        pytest.param(["run", "table3", "x", "--demo"], "give INPUTS", id="videos of one's own in the demonstration"),
        pytest.param(["run", "table3", "--demo", "--demo-folder", "none"], "`make demo` makes one", id="no demonstration"),
        pytest.param(["run", "tabel3", "x"], "did you mean 'table3'", id="no such study"),
        pytest.param(["run", "table6", "x", "--captioner", "y"], "is not NAME=OWN", id="no stand-in"),
        pytest.param(["show", "table3", "--store", "none"], "there is no store", id="no store"),
        pytest.param(["run", "fig2", "x", "--model", "m=http://u:pw@h/v1"], "(it is not shown)", id="a password"),
    ],
)  # fmt: skip
def test_wrong_use_is_named(arguments: list[str], message: str) -> None:
    done = lavad("study", *arguments)
    assert done.exit_code in (2, 4)
    assert message in done.stderr
