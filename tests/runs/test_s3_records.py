"""The records of runs of a store at an ``s3://`` address: other machines read them, and a kill or an outage loses none."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from support.s3_server import SECRET, S3Server

from lavad_core.config.load import load_config, load_recorded
from lavad_core.config.secrets import public_settings
from lavad_core.errors import ConfigError, InputError, StoreUnavailable
from lavad_core.location import s3_address, s3_home, shown
from lavad_core.runs import sender
from lavad_core.runs.manifest import VideoOutcome, list_runs, load_run, new_run_id
from lavad_core.runs.recorder import RunRecorder
from lavad_core.runs.run_log import load_records
from lavad_core.runs.verify import check_records
from lavad_core.runs.video_list import load_sources, save_sources
from lavad_core.store import mirror
from lavad_core.video.types import VideoSource


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mirror, "FRESH_S", 0.0)
    monkeypatch.setattr(sender, "SEND_S", 0.05)


@pytest.fixture
def home(s3: S3Server, request: pytest.FixtureRequest) -> Path:
    return s3_home(f"s3://bucket/{request.node.name}")


def elsewhere(home: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The home that the same address has on another machine."""
    address = s3_address(home)
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    assert address is not None
    return s3_home(address)


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def begin(home: Path) -> RunRecorder:
    recorder = RunRecorder(home, new_run_id(), config={"store": str(shown(home))}, name="nightly")
    save_sources(home, recorder.run_id, [VideoSource("v", Path("/videos/v.mp4"))])
    with recorder.stage("v", "a" * 32, "probe"):
        pass
    return recorder


def test_another_machine_reads_a_finished_run(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with begin(home) as recorder:
        written = recorder.finish("completed", [VideoOutcome("v", "a" * 32, "ok")])
    other = elsewhere(home, tmp_path, monkeypatch)
    assert not other.exists()
    assert list_runs(other) == [recorder.run_id]
    assert load_run(other, "nightly") == load_run(home, "nightly") == written
    assert [record.node for record in load_records(other, recorder.run_id)] == ["probe"]
    assert [source.name for source in load_sources(other, recorder.run_id).own] == ["v"]
    assert list(check_records(other)) == []


def test_it_sees_how_far_a_run_is(home: Path, s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with begin(home) as recorder:
        name = f"runs/{recorder.run_id}.jsonl"
        other = elsewhere(home, tmp_path, monkeypatch)
        for count in (1, 2):
            until(lambda: s3.names(f"s3://bucket/{home.name}").get(name) == (home / name).read_bytes())
            assert len(list(load_records(other, recorder.run_id))) == count
            with recorder.stage("v", "a" * 32, "caption"):
                pass


def test_what_a_killed_run_had_not_sent_is_sent_by_the_next_process(
    home: Path, s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sender, "SEND_S", 1000.0)
    with begin(home) as recorder:
        pass  # nothing but its list of videos was sent
    assert list(s3.names(f"s3://bucket/{home.name}")) == [f"runs/{recorder.run_id}.sources"]
    assert load_run(home).status == "interrupted"
    assert len(list(load_records(elsewhere(home, tmp_path, monkeypatch), recorder.run_id))) == 1


def test_an_outage_is_said_once_and_what_was_recorded_is_sent_afterwards(
    home: Path, s3: S3Server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with begin(home) as recorder:
        s3.outage.touch()
        try:
            with recorder.stage("v", "a" * 32, "caption"):
                pass
            until(lambda: "are not sent for now" in caplog.text)
            with pytest.raises(StoreUnavailable, match=r"s3://bucket/.*it needs the storage to answer"):
                recorder.finish("completed", [])
        finally:
            s3.outage.unlink()
    assert caplog.text.count("are not sent for now") == 1
    assert load_run(home).status == "completed"  # its log has the end
    assert s3.names(f"s3://bucket/{home.name}")[f"runs/{recorder.run_id}.jsonl"].count(b"\n") == 4


def test_a_configuration_has_the_address(s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = load_config(settings={"store": "s3://bucket/a/b/"}, environ={})
    assert shown(config.store) == public_settings(config)["store"] == "s3://bucket/a/b"
    assert config.model_dump(mode="json")["store"] == "s3://bucket/a/b"
    assert load_config(settings={"store": Path("s3://bucket/a/b")}, environ={}).store == config.store
    recorded = public_settings(config)
    assert load_recorded(recorded) == config
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert load_recorded(recorded).store == tmp_path / "lavad/s3:/bucket/a/b"


def test_errors_name_the_address(home: Path, s3: S3Server) -> None:
    with pytest.raises(InputError, match=f"store 's3://bucket/{home.name}' has no runs yet"):
        load_run(home)
    with begin(home) as recorder:
        recorder.finish("completed", [VideoOutcome("v", "a" * 32, "ok")])
    below = f"{home.name}/runs/{recorder.run_id}"
    for ending in (".json", ".sources"):
        s3.client.put_object(Bucket="bucket", Key=f"{below}{ending}", Body=b"{}")
    said = " ".join(finding.message for finding in check_records(home))
    assert [f"'s3://bucket/{below}{ending}'" in said for ending in (".json", ".sources")] == [True, True]
    assert str(home) not in said


@pytest.mark.parametrize(
    "address",
    [
        pytest.param(f"s3://key:{SECRET}@bucket/x", id="key in it"),
        pytest.param("s3://", id="nothing"),
        pytest.param("s3://b/x", id="short bucket"),
        pytest.param("s3://bucket/a/../b", id="folder above"),
        pytest.param("s3://bucket/a//b", id="empty part"),
    ],
)
def test_addresses_that_cannot_be_used(address: str) -> None:
    with pytest.raises(ConfigError, match=r"^store.*(is not an address such as|has an empty part)") as caught:
        load_config(settings={"store": address}, environ={})
    assert SECRET not in str(caught.value)
