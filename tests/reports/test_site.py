"""The report of a set: pages that hold together, show what is there, and say what is not."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from support.reported_set import evaluated, made_set, source_of
from support.video_factory import make_video
from test_demonstration_page import HOSTILE, Elements

from lavad_core.errors import DamagedResult, InputError
from lavad_core.remote_files import REPORT
from lavad_core.reports import site
from lavad_core.reports.site import page_name, write_report
from lavad_core.results.types import ResultSet, ScoredVideo, VideoResults, results_of_values
from lavad_core.video.types import VideoSource

NAMES = ["Arson 011#x=1", "Normal_Videos_003", "../../etc/passwd", "löwe.v2"]


def pages(folder: Path) -> dict[str, Elements]:
    return {
        str(path.relative_to(folder)): Elements(path.read_text(encoding="utf-8")) for path in folder.rglob("*.html")
    }


def one_line(elements: Elements) -> str:
    return " ".join(elements.spaced.split())


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    dataset, results = made_set(NAMES, unscored={"lost": "no connection"})
    write_report(source_of(results, dataset, folder), evaluated(dataset, results), folder / "out")
    return folder / "out"


def test_links_lead_to_pages_and_pages_to_nothing_else(written: Path) -> None:
    found = pages(written)
    assert sorted(path.name for path in written.iterdir()) == sorted([REPORT, "index.html", "videos"])
    assert len(found) == 1 + len(NAMES)
    for page, elements in found.items():
        ids = [attributes["id"] for _, attributes in elements.found if "id" in attributes]
        assert len(ids) == len(set(ids)), page
        for tag, attributes in elements.found:
            assert "src" not in attributes or str(attributes["src"]).startswith("data:image/jpeg;base64,")
            if tag != "a":
                assert "href" not in attributes
                continue
            where = urlsplit(str(attributes["href"]))
            assert (where.scheme, where.netloc) == ("", "")
            target = (written / page).parent / unquote(where.path) if where.path else written / page
            assert target.is_file(), (page, where)
            if where.fragment:
                assert where.fragment in ids
    raw = "".join(path.read_text(encoding="utf-8") for path in written.rglob("*.html"))
    assert not re.search(r"https?:|url\(|@import", raw)
    assert {tag for elements in found.values() for tag, _ in elements.found}.isdisjoint(
        {"iframe", "object", "form", "link", "embed"}
    )


def test_only_the_index_runs_a_script_and_its_policy_names_it(written: Path) -> None:
    for page, elements in pages(written).items():
        policy = next(
            str(attributes["content"])
            for tag, attributes in elements.found
            if tag == "meta" and attributes.get("http-equiv") == "Content-Security-Policy"
        )
        scripts = sum(tag == "script" for tag, _ in elements.found)
        assert policy.startswith("default-src 'none'; img-src data:; style-src 'unsafe-inline'")
        assert (scripts, "script-src 'sha256-" in policy) == ((1, True) if page == "index.html" else (0, False))


def test_the_index_says_what_the_numbers_are(written: Path) -> None:
    text = one_line(pages(written)["index.html"])
    dataset, results = made_set(NAMES, unscored={"lost": "no connection"})
    evaluation = evaluated(dataset, results)
    best = evaluation.rows[0].metrics["auc"]
    assert f"{best.number} {best.interval}" in text
    for said in (
        "A made-up set: import 20260101T000000000-abcdef",
        f"SHA-256 {'0' * 64}",
        "4 scored of 5 listed",
        evaluation.header.average_precision,
        evaluation.header.smoothing,
        "refined σ2",
        "video-label oracle",
        "lost no connection",
        "Not known: an import does not tell how long its scores took.",
    ):
        assert said in text, said


def test_a_video_page_says_why_its_scores_are_what_they_are(written: Path) -> None:
    elements = pages(written)[f"videos/{page_name(2, NAMES[1])}"]
    text = one_line(elements)
    for said in (
        "A person walks 0:05.5–0:10.9",
        "Not in these results: the neighbours that scores were refined with.",
        "is not at hand; name a folder that has it with --videos DIR",
        "Captions of that frame one A person walks, at ",
        "After cleaning A person walks",
        "20 of 41 scored frames got another caption than one gave them.",
        "41 scored frames",
    ):
        assert said in text, said
    shaded = [attributes for tag, attributes in elements.found if attributes.get("class") == "truth"]
    assert [(attributes["x"], attributes["width"]) for attributes in shaded] == [("250.0", "250.0")]
    marks = [str(attributes["href"]) for tag, attributes in elements.found if tag == "a" and "#" in str(attributes)]
    assert len([mark for mark in marks if mark.startswith("#frame-")]) == 8


def test_every_picture_has_a_text(written: Path) -> None:
    for page, elements in pages(written).items():
        for tag, attributes in elements.found:
            if tag == "img":
                assert attributes["alt"], page
            if tag == "svg":
                assert attributes.get("aria-hidden") == "true" or (
                    attributes["role"] == "img" and attributes["aria-label"]
                ), page


def test_published_results_have_a_page_where_there_are_any(tmp_path: Path) -> None:
    dataset, results = made_set(NAMES[:2])
    dataset = replace(dataset, adapter="ucf-crime")
    write_report(source_of(results, dataset, tmp_path), evaluated(dataset, results), tmp_path / "out")
    found = pages(tmp_path / "out")
    links = [attributes.get("href") for tag, attributes in found["index.html"].found if tag == "a"]
    assert links.count("leaderboard.html") == 1
    ours = [tag for tag, attributes in found["leaderboard.html"].found if attributes.get("class") == "ours"]
    assert ours == ["tr", "tr"]  # unsmoothed and smoothed
    text = one_line(found["leaderboard.html"])
    assert "import 20260101T000000000-abcdef" in text
    assert "2 videos instead of 290" in text
    assert "LAVAD, CVPR 2024, Table 1" in text
    write_report(source_of(results, None, tmp_path), None, tmp_path / "out")
    assert not (tmp_path / "out" / "leaderboard.html").exists()


def test_hostile_names_and_texts_are_shown_and_do_nothing(tmp_path: Path) -> None:
    dataset, results = made_set([HOSTILE, "plain"], text=HOSTILE, unscored={HOSTILE + "2": HOSTILE})
    write_report(source_of(results, dataset, tmp_path), evaluated(dataset, results), tmp_path / "out", [HOSTILE])
    shown = HOSTILE.replace("\u202e", r"\u202e").replace("\x1b", r"\x1b")
    for elements in pages(tmp_path / "out").values():
        assert not [name for _, attributes in elements.found for name in attributes if name.startswith("on")]
        assert "onerror" not in {tag for tag, _ in elements.found}
        assert sum(tag == "script" for tag, _ in elements.found) <= 1
        assert not [attributes for tag, attributes in elements.found if tag == "img"]
        assert shown in elements.text
        assert HOSTILE not in elements.text


def test_without_labels_times_and_texts_the_pages_say_so(tmp_path: Path) -> None:
    scores = ScoredVideo("bare", 40, 16, made_set(["x"])[1].scores("x").scores[:3])
    write_report(source_of(results_of_values({"bare": scores}, "id"), None, tmp_path), None, tmp_path / "out")
    found = pages(tmp_path / "out")
    text = one_line(found["videos/0001-bare.html"])
    assert "labelled no label" in text
    assert "Not in these results: captions, cleaned captions, summaries, raw scores, the neighbours" in text
    assert "moments are the numbers of frames" in text
    assert "40 frames" in text
    assert "none: nothing to evaluate against" in one_line(found["index.html"])


def test_key_frames_are_of_the_video_that_was_scored(tmp_path: Path) -> None:
    dataset, results = made_set(["one", "two", "three"], frames=48)
    videos = {
        "one": VideoSource("one", make_video(tmp_path / "one.mp4", frames=48)),
        "two": VideoSource("two", make_video(tmp_path / "two.mp4", frames=48)),  # the scores are of 64
        "three": VideoSource("three", tmp_path / "nothing.mp4"),
    }
    write_report(source_of(results, dataset, tmp_path, videos), None, tmp_path / "out")
    found = pages(tmp_path / "out")
    pictures = {page: sum(tag == "img" for tag, _ in elements.found) for page, elements in found.items()}
    assert pictures == {
        "index.html": 0,
        "videos/0001-one.html": 3,
        "videos/0002-two.html": 0,
        "videos/0003-three.html": 0,
    }
    assert "has 48 frames, its scores are of 64" in one_line(found["videos/0002-two.html"])
    assert "No pictures: 'three': the file does not exist" in one_line(found["videos/0003-three.html"])


def damaged(name: str) -> VideoResults:
    """A video whose results are gone."""
    raise DamagedResult(f"the result of clean for {name!r} is gone from the store; run again")


def test_one_damaged_video_costs_one_page(tmp_path: Path) -> None:
    dataset, results = made_set(["one", "two", "three"])
    one_less = ResultSet(
        results.set_id,
        results.origin,
        results.names,
        {},
        results.recipe,
        lambda name: damaged(name) if name == "two" else results[name],
    )
    page = write_report(source_of(one_less, dataset, tmp_path), evaluated(dataset, results), tmp_path / "out")
    assert [row.name for row in page.rows] == ["one", "three"]
    assert list(page.trouble) == ["two"]
    found = pages(tmp_path / "out")
    assert "the result of clean for 'two' is gone" in one_line(found["videos/0002-two.html"])
    assert "the result of clean for 'two' is gone" in one_line(found["index.html"])


def test_a_report_is_replaced_and_nothing_else_is(tmp_path: Path) -> None:
    dataset, results = made_set(["one", "two"])
    write_report(source_of(results, dataset, tmp_path), None, tmp_path / "out")
    dataset, results = made_set(["other"])
    write_report(source_of(results, dataset, tmp_path), None, tmp_path / "out")
    assert [path.name for path in (tmp_path / "out" / "videos").iterdir()] == ["0001-other.html"]
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").touch()
    (tmp_path / "file").touch()
    for name, said in (("mine", "holds something that is not a report"), ("file", "is not a folder")):
        with pytest.raises(InputError, match=said):
            write_report(source_of(results, dataset, tmp_path), None, tmp_path / name)
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["thesis.txt"]


def test_a_stopped_report_has_no_index(tmp_path: Path) -> None:
    dataset, results = made_set(["one", "two", "three", "four"])
    write_report(source_of(results, dataset, tmp_path), None, tmp_path / "out")

    def stop(name: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_report(source_of(results, dataset, tmp_path), None, tmp_path / "out", progress=stop)
    assert not (tmp_path / "out" / "index.html").exists()


def test_long_videos_list_the_frames_with_the_highest_scores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(site, "MAX_ROWS", 10)
    dataset, results = made_set(["a", "b"])
    write_report(source_of(results, dataset, tmp_path), None, tmp_path / "out")
    text = one_line(pages(tmp_path / "out")["videos/0002-b.html"])
    assert "The 10 with the highest scores, of 41" in text
    assert "20 of 41 scored frames got another caption than one gave them; the 10 with the highest scores are" in text
    kept = sorted(results.scores("b").scores)[-10:]
    listed = text[text.index("10 scored frames") :]
    assert re.findall(r"0:\d\d\.\d (0\.\d\d)", listed) == [
        f"{score:.2f}" for score in results.scores("b").scores if score >= kept[0]
    ]


def test_the_index_of_290_videos_is_below_ten_megabytes(tmp_path: Path) -> None:
    """A fifth of them, each as long as those of UCF-Crime are on average, with scores that are never the same twice."""
    dataset, results = made_set([f"Normal_Videos_{number:03d}_x264" for number in range(58)], frames=3840)
    results = results_of_values({name: results.scores(name) for name in results.names}, results.set_id)
    write_report(source_of(results, dataset, tmp_path), None, tmp_path / "out")
    assert (tmp_path / "out" / "index.html").stat().st_size < 10_000_000 / 5
