"""The ablations on tiny clips with small random models: which runs they are, and that only what changes is computed."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest
from support.small_demonstration import CAPTIONERS, CLIPS, write_demonstration
from support.whole_runs import commits

from lavad.demo import ablations as module
from lavad.demo.ablations import (
    FULL,
    GROUPS,
    SHUFFLES,
    AblationRow,
    ablations,
    ablations_as_json,
    exchanged,
    remarks,
)
from lavad.demo.baselines import SMOOTHED
from lavad_core.errors import InputError
from lavad_core.runs.manifest import list_runs
from lavad_core.store.files import FileStore
from lavad_core.store.maintenance import results_of


def quiet(text: str) -> None:
    """Tell nobody."""


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A demonstration whose store is still empty."""
    return write_demonstration(tmp_path_factory.mktemp("demonstration"))


@pytest.fixture(scope="module")
def first(output: Path) -> list[AblationRow]:
    """The full method, into an empty store."""
    return ablations(output, [], quiet)


@pytest.fixture(scope="module")
def rows(output: Path, first: list[AblationRow]) -> list[AblationRow]:
    """All rows: some twenty loads of small models, for slow tests."""
    return ablations(output, tell=quiet)


def settings_of(output: Path, stage: str, name: str) -> set[object]:
    """Values of a setting in the results that a stage has in the store."""
    store = FileStore(output / "store")
    videos = {path.name for path in (output / "store" / stage).iterdir()}
    assert len(videos) == len(CLIPS)
    return {
        commit.provenance["settings"][name]
        for video in videos
        for commit in results_of(store, stage, video)
        if name in commit.provenance["settings"]
    }


@pytest.mark.slow
def test_every_row_is_there(rows: list[AblationRow]) -> None:
    assert rows[0].group == FULL
    names = {group: [row.name for row in rows if row.group == group] for group in GROUPS}
    assert [row.group for row in rows[1:]] == [group for group in GROUPS for _ in names[group]]
    assert names["components"] == [
        "without caption cleaning",
        "without temporal summaries",
        "without score refinement",
    ]
    assert names["captioners"] == CAPTIONERS
    assert names["neighbours"] == [f"K = {k}" for k in range(1, 11)]
    assert len(names["shuffled"]) == 2
    assert "motion energy" in names["trivial"]
    assert all(0 <= row.mean(metric) <= 1 for row in rows for metric in module.METRICS)


@pytest.mark.slow
def test_rows_that_are_means_have_a_run_each(rows: list[AblationRow]) -> None:
    runs = {row.name: row.runs for row in rows}
    assert len(runs["without caption cleaning"]) == len(CAPTIONERS)
    assert {len(row.runs) for row in rows if row.group == "shuffled"} == {len(SHUFFLES)}


def test_only_the_refinement_is_computed_for_another_k(output: Path, first: list[AblationRow]) -> None:
    before = commits(output / "store")
    full, *others = ablations(output, ["neighbours"], quiet)
    new = commits(output / "store").keys() - before.keys()
    assert {path.split("/")[0] for path in new} <= {"refine"}, "none where the slow tests were run before"
    assert full.runs == first[0].runs
    assert [row.name for row in others] == [f"K = {k}" for k in range(1, 11)]
    assert settings_of(output, "refine", "refine.neighbours") == {*range(1, 11)}
    assert others[-1].runs == full.runs, "the preset's own K"


@pytest.mark.slow
def test_the_settings_reach_the_pipeline(output: Path, rows: list[AblationRow]) -> None:
    assert settings_of(output, "refine", "refine.enabled") == {True, False}
    assert settings_of(output, "summarise", "summarise.enabled") == {True, False}
    assert settings_of(output, "clean", "clean.enabled") == {True, False}


def test_the_demonstration_stays_the_latest_run(output: Path, first: list[AblationRow]) -> None:
    assert list_runs(output / "store") == []


@pytest.mark.slow
def test_captions_of_other_clips_are_imported(output: Path, rows: list[AblationRow]) -> None:
    files = sorted((output / "captions-of-other-clips/0").rglob("*.json"))
    assert len(files) == len(CLIPS) * len(CAPTIONERS)
    store = FileStore(output / "store")
    own: dict[str, set[str]] = {}
    for path in (output / "store/caption").iterdir():
        for commit in results_of(store, "caption", path.name):
            if "imported" not in commit.provenance and commit.provenance["variant"] == CAPTIONERS[0]:
                own[path.name] = set(store.read(commit)["caption"].to_pylist())
    others = [
        commit
        for video in own
        for commit in results_of(store, "caption", video)
        if "imported" in commit.provenance and commit.provenance["variant"] == CAPTIONERS[0]
    ]
    assert len(others) >= len(CLIPS)
    for commit in others:
        given = set(store.read(commit)["caption"].to_pylist())
        assert any(given <= texts for video, texts in own.items() if video != commit.key.video_id)


def test_exchanged_captions_come_from_one_other_clip_and_keep_their_order() -> None:
    clips = {"a": 3, "b": 5, "c": 2, "d": 5}
    captions = {
        captioner: {clip: {16 * at: f"{captioner}{clip}{at}" for at in range(n)} for clip, n in clips.items()}
        for captioner in "xy"
    }
    seen = set()
    for seed in range(4):
        mixed = exchanged(captions, seed)
        assert mixed == exchanged(captions, seed)
        seen.add(json.dumps(mixed))
        for clip, frames in clips.items():
            texts = list(mixed["x"][clip].values())
            assert list(mixed["x"][clip]) == list(captions["x"][clip])
            (giver,) = {text[1] for text in texts}
            assert giver != clip
            begins = int(texts[0][2])
            assert texts == [f"x{giver}{(begins + at) % clips[giver]}" for at in range(frames)]
            assert [f"x{text[1:]}" for text in mixed["y"][clip].values()] == texts, "both captioners' from one place"
    assert len(seen) > 1
    with pytest.raises(InputError, match="at least two"):
        exchanged({"x": {"a": {0: "text"}}}, 0)


def row(group: str, name: str, auc: float, ap: float) -> AblationRow:
    return AblationRow(group, name, ({"roc_auc": auc, "average_precision": ap},))


FULL_ROW = row(FULL, "all", 0.9, 0.7)


@pytest.mark.parametrize(
    ("other", "sentence"),
    [
        pytest.param(
            row("components", "without summaries", 0.91, 0.6),
            "without summaries: ROC AUC 0.910 against 0.900 of the full method: this component does not help.",
            id="by one metric",
        ),
        pytest.param(
            row("captioners", "one", 0.9, 0.7),
            "one: ROC AUC 0.900 against 0.900 of the full method, AP 0.700 against 0.700 of the full method: "
            "the other captioners do not help.",
            id="equal is no help",
        ),
        pytest.param(
            row("trivial", "motion", 0.95, 0.8),
            "motion: ROC AUC 0.950 against 0.900 of the full method, AP 0.800 against 0.700 of the full method: "
            "THE METHOD DOES NOT BEAT IT.",
            id="beaten",
        ),
        pytest.param(
            row("neighbours", "K = 10", 0.9, 0.7), "Every other row is below the full method.", id="its own K"
        ),
        pytest.param(
            row("neighbours", "K = 3", 0.92, 0.6),
            "K = 3 is the best K: ROC AUC 0.920 against 0.900 of the full method.",
            id="another K",
        ),
        pytest.param(row("shuffled", "wrong", 0.55, 0.2), "wrong: ROC AUC 0.550, about chance.", id="chance"),
        pytest.param(row("shuffled", "wrong", 0.7, 0.2), "wrong: ROC AUC 0.700, NOT chance.", id="no chance"),
        pytest.param(row("components", "x", 0.8, 0.5), "Every other row is below the full method.", id="all helps"),
    ],
)
def test_remarks(other: AblationRow, sentence: str) -> None:
    assert remarks([FULL_ROW, other]) == [sentence]


def test_command_prints_a_table_and_writes_json(
    output: Path,
    first: list[AblationRow],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    target = tmp_path / "numbers.json"
    monkeypatch.setattr(sys, "argv", ["ablations", str(output), "--only", "trivial", "--json", str(target)])
    module.main()
    printed = capsys.readouterr()
    assert "THE NUMBERS MEAN NOTHING" in printed.err
    assert GROUPS["trivial"] in printed.out
    assert GROUPS["components"] not in printed.out
    written = json.loads(target.read_text())
    assert written["rows"][0]["roc_auc_difference"] == 0
    assert [found["name"] for found in written["rows"][1:]] == [
        "constant",
        "clip-centre prior",
        "motion energy",
        SMOOTHED,
    ]
    assert ablations_as_json(first)["rows"][0]["runs"] == written["rows"][0]["runs"]


def test_no_demonstration_is_a_clear_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "videos").mkdir()
    with pytest.raises(
        InputError, match=r"it lacks labels\.txt, truth\.json, lavad\.yaml, store; `make demo` makes one"
    ):
        ablations(tmp_path, tell=quiet)
    monkeypatch.setattr(sys, "argv", ["ablations", str(tmp_path / "absent")])
    with pytest.raises(SystemExit, match="ablations: no demonstration in"):
        module.main()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(
            lambda folder: (folder / "videos/03_fight.mp4").unlink(), r"differ in \['03_fight'\]", id="a clip is gone"
        ),
        pytest.param(
            lambda folder: (folder / "labels.txt").write_text("".join(f"{name} Normal -1 -1\n" for name in CLIPS)),
            "the metrics are undefined: all 160 frames are labelled normal",
            id="one class",
        ),
        pytest.param(
            lambda folder: (folder / "videos/03_fight.mp4").write_bytes(b"no video"),
            "1 of 3 clips have no scores, first '03_fight'",
            id="a clip is damaged",
        ),
    ],
)
def test_a_demonstration_that_is_not_whole(
    output: Path, first: list[AblationRow], tmp_path: Path, change: object, message: str
) -> None:
    folder = shutil.copytree(output, tmp_path / "copy")
    change(folder)  # type: ignore[operator]
    with pytest.raises(InputError, match=message):
        ablations(folder, [], quiet)


def test_unknown_rows(output: Path) -> None:
    with pytest.raises(InputError, match="there are no rows 'table-3'; there are components"):
        ablations(output, ["table-3"], quiet)
