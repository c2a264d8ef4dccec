"""The page: what is in it, that texts stay texts, and that it needs nothing but itself."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from support.reported import page, video

from lavad_core.reports.video import FrameSpan

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)> {{ 7*7 }} $x^2$ \u202e\x1b[31m &amp;"


class Elements(HTMLParser):
    """Tags with their attributes, and the text between them, as it is and with a space at each tag."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text = self.spaced = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data
        self.spaced += f" {data}"


@pytest.fixture(scope="module")
def plain() -> str:
    return page([video("one"), video("two", truth=(), found=()), video("three", truth=None)])


def test_hostile_texts_are_shown_and_do_nothing() -> None:
    videos = [video(HOSTILE, truth=[FrameSpan(160, 319, HOSTILE)], text=HOSTILE)]
    page_with = Elements(page(videos, HOSTILE))
    assert {tag for tag, _ in page_with.found} == {tag for tag, _ in Elements(page([video()])).found}
    assert not [name for _, attributes in page_with.found for name in attributes if name.startswith("on")]
    shown = HOSTILE.replace("\u202e", r"\u202e").replace("\x1b", r"\x1b")
    assert page_with.text.count(shown) > 20
    assert page_with.text.count(HOSTILE) == 0
    alts = [attributes["alt"] for tag, attributes in page_with.found if tag == "img"]
    assert all(alt is not None and shown in alt for alt in alts)


def test_nothing_is_fetched_and_nothing_runs(plain: str) -> None:
    elements = Elements(plain)
    references = [
        str(attributes[name])
        for _, attributes in elements.found
        for name in ("src", "href", "data")
        if name in attributes
    ]
    assert references
    assert not [where for where in references if not where.startswith(("#", "data:image/jpeg;base64,"))]
    assert "url(" not in plain
    assert not re.search(r"https?:|@import", plain)
    assert not {"script", "iframe", "object", "form", "link"} & {tag for tag, _ in elements.found}
    assert "default-src 'none'" in plain


def test_it_can_be_read_by_eye_ear_and_keyboard(plain: str) -> None:
    elements = Elements(plain)
    assert all(attributes.get("alt") for tag, attributes in elements.found if tag == "img")
    curves = [attributes for tag, attributes in elements.found if tag == "svg"]
    assert len(curves) == 3
    assert all(attributes["role"] == "img" for attributes in curves)
    assert (
        curves[0]["aria-label"]
        == "Score of one over 0:50.0, 750 frames: peak 0.900 at 0:12.8. Labelled: fire 0:10.7–0:21.3. Found: 0:10.7–0:16.0."
    )
    ids = [attributes["id"] for _, attributes in elements.found if "id" in attributes]
    assert len(ids) == len(set(ids))
    targets = {str(attributes["href"])[1:] for tag, attributes in elements.found if tag == "a"}
    assert targets <= set(ids)
    assert "prefers-color-scheme: dark" in plain
    colours = set(re.findall(r"var\(--([a-z0-9]+)\)", plain))
    assert {"score", "raw", "truth", "found", "text"} <= colours
    assert colours <= set(re.findall(r"--([a-z0-9]+):", plain))


def test_it_says_what_the_results_are(plain: str) -> None:
    text = "".join(" ".join(line.split()) for line in Elements(plain).text.splitlines())
    assert "fire 0:10.7–0:21.3" in text
    assert "overlap 0.50" in text
    assert "no label" in text
    assert "All 47 scored frames" in text
    assert "plain0.750–constant0.5000.250" in text


def test_twenty_four_clips_are_below_five_megabytes() -> None:
    assert len(page([video(f"clip_{number}") for number in range(24)])) < 5_000_000
