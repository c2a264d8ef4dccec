"""A user's files and folders at ``s3://`` addresses: read as those of a disk are, and written by the same rules."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, get_args

import pytest
from support.command import COMMANDS, REPOSITORY, lavad
from support.filled_store import fill
from support.s3_server import S3Server

from lavad.deployments.cli.options.common import place, store_folder
from lavad.tasks.set_evaluation import SetRef, check_baseline, evaluate_set, resolved_run, write_set_report
from lavad_core import remote_files
from lavad_core.config.load import load_config
from lavad_core.config.secrets import public_settings
from lavad_core.config.tree import rows
from lavad_core.errors import ConfigError, InputError, ServiceUnavailable
from lavad_core.evaluation.options import EvaluationOptions
from lavad_core.evaluation.sealed_json import EVALUATION
from lavad_core.remote_files import near, written
from lavad_core.user_files import read_text


@pytest.fixture(autouse=True)
def _compared_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote_files, "FRESH_S", 0.0)


@pytest.fixture
def address(s3: S3Server, request: pytest.FixtureRequest) -> str:
    return f"s3://bucket/{request.node.name.replace('[', '-').replace(']', '')}"


def put(s3: S3Server, address: str, content: str) -> None:
    s3.client.put_object(Bucket="bucket", Key=address.removeprefix("s3://bucket/"), Body=content.encode())


def content(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*.json")}


def test_a_folder_is_as_it_is_there(s3: S3Server, address: str) -> None:
    put(s3, f"{address}/a.json", "1")
    put(s3, f"{address}/sub/b.json", "2")
    folder = near(Path(address), "scores")
    assert content(folder) == {"a.json": "1", "sub/b.json": "2"}
    before = s3.sent(address)
    assert near(Path(address), "scores") == folder
    assert s3.sent(address) == before, "what is the same is not copied again"
    put(s3, f"{address}/a.json", "3")
    s3.client.delete_object(Bucket="bucket", Key=f"{address.removeprefix('s3://bucket/')}/sub/b.json")
    near(Path(address), "scores")
    assert content(folder) == {"a.json": "3"}


def test_a_file_is_read_and_what_is_not_there_is_missing(s3: S3Server, address: str) -> None:
    put(s3, f"{address}/labels.txt", "one")
    assert read_text(Path(f"{address}/labels.txt"), "labels", 10) == "one"
    s3.client.delete_object(Bucket="bucket", Key=f"{address.removeprefix('s3://bucket/')}/labels.txt")
    with pytest.raises(InputError, match=rf"labels: '{address}/labels.txt' does not exist"):
        read_text(place(f"{address}/labels.txt"), "labels", 10)


def test_what_is_not_copied(s3: S3Server, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    put(s3, f"{address}/a/../b", "x")
    with pytest.raises(InputError, match=r"'\.\.' in its name"):
        near(Path(address), "scores")
    monkeypatch.setattr(remote_files, "MAX_BYTES", 2)
    put(s3, f"{address}-long/x", "123")
    with pytest.raises(InputError, match="the most that is copied here; copy it to a local folder first"):
        near(Path(f"{address}-long"), "scores")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    s3.outage.touch()
    try:
        with pytest.raises(ServiceUnavailable, match=r"scores: cannot read .* it needs the storage to answer"):
            near(Path(address), "scores")
    finally:
        s3.outage.unlink()


def test_new_things_are_never_put_over_others(s3: S3Server, address: str) -> None:
    with written(Path(f"{address}/x.csv"), "new") as file:
        file.write_text("1")
    assert s3.names(address) == {"x.csv": b"1"}
    for there in (f"{address}/x.csv", address):
        with pytest.raises(InputError, match="exists already"), written(Path(there), "new") as file:
            file.write_text("2")
    unfinished = written(Path(f"{address}/y.csv"), "new")
    unfinished.__enter__().write_text("2")
    unfinished.__exit__(RuntimeError, RuntimeError(), None)
    with written(Path(f"{address}/x.csv"), "replace") as file:
        file.write_text("3")
    assert s3.names(address) == {"x.csv": b"3"}


def test_an_answer_that_is_lost_does_not_make_it_anothers(s3: S3Server, address: str) -> None:
    lost = s3.failing(f"{address.removeprefix('s3://bucket/')}/x.csv", "lost", "PUT")
    with lost, written(Path(f"{address}/x.csv"), "new") as file:
        file.write_text("1")
    assert s3.names(address) == {"x.csv": b"1"}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("run")
    fill(root / "store", "one", "two")
    return root / "store"


def asked(*arguments: str, store: Path) -> Any:
    result = lavad(*arguments, "--store", str(store))
    assert result.exit_code == 0, result.stderr
    return result


def test_reports_and_exports_and_numbers_go_there(s3: S3Server, address: str, run: Path, tmp_path: Path) -> None:
    put(s3, f"{address}/labels.txt", "one Fighting 16 31 -1 -1\ntwo Normal -1 -1 -1 -1\n")
    labels = ("--labels", f"{address}/labels.txt")
    told = asked("report", "--output", f"{address}/report", *labels, "--resamples", "0", store=run)
    assert told.stdout == f"page: {address}/report/index.html\n"
    pages = sorted(name for name in s3.names(f"{address}/report"))
    assert pages == [".lavad-report", "index.html", "videos/0001-one.html", "videos/0002-two.html"]
    put(s3, f"{address}/report/videos/0003-gone.html", "old")
    asked("report", "--output", f"{address}/report", *labels, "--resamples", "0", store=run)
    assert sorted(s3.names(f"{address}/report")) == pages, "what is not part of it any more goes"
    other = lavad("report", "--output", address, "--store", str(run))
    assert (other.exit_code, "holds something that is not a report" in other.stderr) == (2, True)
    asked("export", "csv", f"{address}/scores.csv", store=run)
    asked("export", "csv", str(tmp_path / "scores.csv"), store=run)
    assert s3.names(f"{address}/scores.csv")[""] == (tmp_path / "scores.csv").read_bytes()
    again = lavad("export", "csv", f"{address}/scores.csv", "--store", str(run))
    assert (again.exit_code, "exists already" in again.stderr) == (2, True)
    asked("export", "authors", f"{address}/authors", store=run)
    asked("export", "authors", str(tmp_path / "authors"), store=run)
    here = {str(path.relative_to(tmp_path / "authors")) for path in (tmp_path / "authors").rglob("*") if path.is_file()}
    assert set(s3.names(f"{address}/authors")) == here
    asked("evaluate", *labels, "--output", f"{address}/evaluation.json", "--resamples", "0", store=run)
    assert json.loads(s3.names(f"{address}/evaluation.json")[""])["format"] == "lavad-evaluation"
    asked("plot", "one", "-o", f"{address}/one.svg", "--frames", "0", store=run)
    assert s3.names(f"{address}/one.svg")[""].startswith(b"<?xml")


def test_the_report_of_a_flow_goes_there(s3: S3Server, address: str, run: Path) -> None:
    put(s3, f"{address}/labels.txt", "one Fighting 16 31 -1 -1\ntwo Normal -1 -1 -1 -1\n")
    ref = SetRef(run, resolved_run.fn(run, None), None, Path(f"{address}/labels.txt"), None, None)
    found = evaluate_set.fn(ref, EvaluationOptions(resamples=0), None)
    curves = write_set_report.fn(ref, found, f"{address}/report")
    assert set(curves) == {"roc", "pr"}
    there = s3.names(f"{address}/report")
    assert {"index.html", "roc.svg", "pr.svg"} < set(there)
    assert EVALUATION.parse(there["evaluation.json"].decode()) == found
    baseline = check_baseline.fn(ref, found, EvaluationOptions(), f"{address}/report/evaluation.json", {"auc": 0.0})
    assert not baseline.falls


def test_a_message_names_the_address(s3: S3Server, address: str, run: Path) -> None:
    put(s3, f"{address}/labels.txt", "one\n")
    refused = lavad("evaluate", "--labels", f"{address}/labels.txt", "--store", str(run))
    assert (refused.exit_code, f"'{address}/labels.txt', line 1" in refused.stderr) == (2, True)


def test_settings_name_what_is_there_and_records_hold_addresses(s3: S3Server, address: str) -> None:
    put(s3, f"{address}/settings.yaml", "evaluate:\n  labels: labels.txt\nimports:\n  captions:\n    a: captions\n")
    config = load_config(preset="tiny", files=[f"{address}/settings.yaml"], environ={})
    assert public_settings(config)["evaluate"]["labels"] == f"{address}/labels.txt"
    assert public_settings(config)["imports"]["captions"] == {"a": f"{address}/captions"}
    again = load_config(settings=public_settings(config), environ={})
    assert again.evaluate.labels == config.evaluate.labels
    with pytest.raises(ConfigError, match=r"run\.scratch \(.*s3://… is an address, and only a file or folder of this"):
        load_config(settings={"run": {"scratch": f"{address}/x"}}, environ={})


def table() -> tuple[set[str], set[str]]:
    """Names that the page says may be at an address, and that it says may not."""
    page = (REPOSITORY / "docs/inputs.md").read_text(encoding="utf-8")
    lines = page.partition("<!-- places: begin -->")[2].partition("<!-- places: end -->")[0].strip().splitlines()[2:]
    found: tuple[set[str], set[str]] = (set(), set())
    for line in lines:
        _, _, options, settings, way, _ = (part.strip() for part in line.split("|"))
        names = {name.strip().strip("`") for cell in (options, settings) for name in cell.split(",") if name.strip()}
        found[way == "no"].update(names)
    return found


def test_the_page_says_where_an_address_may_stand() -> None:
    may: set[str] = {"INPUTS"}
    may_not: set[str] = set()
    for words, command in COMMANDS.items():
        for option in command.params:
            kind = option.type_descriptor
            if Path not in (kind.annotation, *get_args(kind.annotation)):
                continue
            name = option.opts[0] if option.param_type_name == "option" else option.metavar
            takes = kind.parameter_info.parser in (place, store_folder)
            (may if takes else may_not).add(name if takes else f"{words} {name}")
    for row in rows():
        if row.shape.is_path:
            (may if row.shape.takes_address else may_not).add(row.path)
    assert (may, may_not) == table()


def test_the_commands_that_are_left_refuse_it() -> None:
    refused = lavad("demo", "--output", "s3://bucket/demo")
    assert (refused.exit_code, "only a file or folder of this machine" in refused.stderr) == (2, True)
