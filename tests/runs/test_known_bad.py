"""Videos that are known to be bad: by content and reason, in the store."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.command import lavad

from lavad_core.pipeline.ledger import run_ending
from lavad_core.runs.known_bad import KnownBad, acknowledge, forget, is_known_bad, known_bad
from lavad_core.runs.manifest import VideoOutcome
from lavad_core.runs.verify import check_records
from lavad_core.store.files import FileStore
from lavad_core.store.maintenance import verify

BAD = KnownBad("ab" * 16, "format", "a video", "this is not a video")


def test_what_is_acknowledged_is_known_until_it_is_taken_back(tmp_path: Path) -> None:
    assert [acknowledge(tmp_path, BAD), acknowledge(tmp_path, BAD)] == [True, False]
    store = FileStore(tmp_path)
    assert is_known_bad(store, BAD.video_id, "format")
    assert not is_known_bad(store, BAD.video_id, "no-frames"), "something else is wrong with it now"
    assert not is_known_bad(store, "cd" * 16, "format")
    assert list(known_bad(tmp_path)) == [BAD]
    assert list(verify(store)) == []
    forget(tmp_path, BAD)
    assert list(known_bad(tmp_path)) == []


OTHER = KnownBad("cd" * 16, "format", "another", "this is not a video")


@pytest.mark.parametrize("damage", ["changed", "emptied", "cut off"])
def test_a_note_that_was_damaged_counts_for_nothing_and_is_named(
    damage: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for video in (BAD, OTHER):
        acknowledge(tmp_path, video)
    note = tmp_path / "known-bad" / BAD.video_id / "format.json"
    old = note.read_text()
    note.write_text({"changed": old.replace("a video", "b video"), "emptied": "", "cut off": old[:-9]}[damage])
    store = FileStore(tmp_path)
    for reader in (
        lambda: is_known_bad(store, BAD.video_id, "format") is False,
        lambda: list(known_bad(tmp_path)) == [OTHER],
    ):
        caplog.clear()
        assert reader()
        assert f"'{note}' was changed after it was written" in caplog.text
        assert "its video is not known to be bad" in caplog.text
    (finding,) = check_records(tmp_path)
    assert (finding.kind, finding.path) == ("altered", note.relative_to(tmp_path).as_posix())
    assert lavad("store", "verify", "--store", str(tmp_path)).exit_code == 4
    assert acknowledge(tmp_path, BAD), "it is not in the way"
    assert list(known_bad(tmp_path)) == [BAD, OTHER]
    assert list(check_records(tmp_path)) == []


def test_files_that_other_systems_leave_there_are_no_notes(tmp_path: Path) -> None:
    acknowledge(tmp_path, BAD)
    for name in (".DS_Store", "notes.txt", f"{BAD.video_id}/._format.json", f"{BAD.video_id}/.nfs000001", "list.json"):
        (tmp_path / "known-bad" / name).write_text("{}")
    assert list(known_bad(tmp_path)) == [BAD]
    (tmp_path / "known-bad" / "list.json").unlink()  # of which verify cannot know that it is none
    assert list(check_records(tmp_path)) == []


@pytest.mark.parametrize(
    ("videos", "name", "message"),
    [
        pytest.param("ok known", "Completed", "1 of 2 videos scored, 1 known to be bad", id="known"),
        pytest.param("known known", "Completed", "0 of 2 videos scored, 2 known to be bad", id="all-known"),
        pytest.param(
            "ok known rejected",
            "PartiallyFailed",
            "1 of 3 videos have no scores (1 rejected), 1 known to be bad",
            id="a-new-one",
        ),
        pytest.param(
            "rejected known", "Failed", "1 of 2 videos have no scores (1 rejected), 1 known to be bad", id="none"
        ),
    ],
)
def test_how_a_run_ends(videos: str, name: str, message: str) -> None:
    outcomes = [
        VideoOutcome(f"v{at}", "ab", "ok" if word == "ok" else "rejected", known_bad=word == "known")
        for at, word in enumerate(videos.split())
    ]
    assert run_ending(outcomes) == (name, message)
