"""Pages in headless Chromium: at 1280 and 390 pixels, light and dark, with a keyboard, without a network."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from support.reported import page as demo_page
from support.reported import video
from support.reported_set import evaluated, made_set, source_of
from support.video_factory import make_video

from lavad_core.reports.site import write_report
from lavad_core.video.types import VideoSource

NAMES = ["Arson 011#x=1_with-a-very-long-name_that_never_ends_" + "x" * 80, "Normal_Videos_003", "löwe.v2"]
TEXT = "A person walks. " + "y" * 120

WIDTHS = {"desktop": 1280, "phone": 390}


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A page of each kind."""
    folder = tmp_path_factory.mktemp("pages")
    dataset, results = made_set(NAMES, frames=48, text=TEXT, unscored={"lost": TEXT})
    clip = make_video(folder / "clip.mp4", frames=64, size=(160, 120))
    videos = {NAMES[1]: VideoSource(NAMES[1], clip)}
    write_report(source_of(results, dataset, folder, videos), evaluated(dataset, results), folder / "out", [TEXT])
    (folder / "demo.html").write_text((demo_page([video(name, text=TEXT) for name in NAMES])), "utf-8")
    one, two, *_ = sorted((folder / "out" / "videos").iterdir())
    return {"index": folder / "out" / "index.html", "no pictures": one, "pictures": two, "demo": folder / "demo.html"}


@contextmanager
def opened(browser: Any, path: Path, width: int, scheme: str = "light", scripts: bool = True) -> Iterator[Any]:
    """The page; it is an error if it complains or asks for anything but itself."""
    context = browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme=scheme, java_script_enabled=scripts
    )
    page = context.new_page()
    complaints: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: asked.append(request.url[:200]))
    page.goto(path.as_uri())
    yield page
    assert complaints == []
    assert [url for url in asked if not url.startswith(("file:", "data:image/jpeg"))] == []
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", WIDTHS)
@pytest.mark.parametrize("kind", ["index", "pictures", "no pictures", "demo"])
def test_nothing_sticks_out_and_everything_has_a_name(
    browser: Any, pages: dict[str, Path], kind: str, size: str, scheme: str
) -> None:
    with opened(browser, pages[kind], WIDTHS[size], scheme) as page:
        page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true })")
        found = page.evaluate(
            """() => ({
              scroll: document.documentElement.scrollWidth, client: document.documentElement.clientWidth,
              unnamed: [...document.querySelectorAll('img, svg:not([aria-hidden])')]
                .filter(one => !(one.alt || one.getAttribute('aria-label'))).length,
              broken: [...document.images].filter(one => one.complete && !one.naturalWidth).length,
              pictures: document.images.length,
              dark: getComputedStyle(document.body).backgroundColor,
              small: [...document.querySelectorAll('main *')]
                .filter(one => one.textContent.trim() && parseFloat(getComputedStyle(one).fontSize) < 11).length,
            })"""
        )
        assert found["scroll"] <= found["client"] == WIDTHS[size]
        assert (found["unnamed"], found["broken"], found["small"]) == (0, 0, 0)
        assert found["pictures"] == {"index": 0, "pictures": 4, "no pictures": 0, "demo": 12}[kind]
        assert (sum(map(int, found["dark"][4:-1].split(","))) < 200) == (scheme == "dark")


@pytest.mark.parametrize("size", WIDTHS)
def test_shading_is_where_the_labels_are(browser: Any, pages: dict[str, Path], size: str) -> None:
    """The label is from frame 16 to 31 of 64; the number of a mark is at the time of its frame."""
    with opened(browser, pages["pictures"], WIDTHS[size]) as page:
        box = page.locator(".chart svg").bounding_box()
        shade = page.locator(".chart .truth").bounding_box()
        assert shade["x"] - box["x"] == pytest.approx(box["width"] * 0.25, abs=1)
        assert shade["width"] == pytest.approx(box["width"] * 0.25, abs=1)
        assert page.locator(".chart .truth").evaluate("one => getComputedStyle(one).fill") == "rgb(247, 216, 184)"
        marks = [mark.bounding_box() for mark in page.locator(".marks a").all()]
        centres = [(mark["x"] + mark["width"] / 2 - box["x"]) / box["width"] for mark in marks]
        assert centres == pytest.approx([1 / 8, 3 / 8, 5 / 8, 7 / 8], abs=0.01)
    with opened(browser, pages["index"], WIDTHS[size]) as page:
        box = page.locator("tr:nth-child(2) .spark svg").bounding_box()
        shade = page.locator("tr:nth-child(2) .spark .truth").bounding_box()
        assert (shade["x"] - box["x"]) / box["width"] == pytest.approx(0.25, abs=0.02)


def test_the_table_is_sorted_and_filtered(browser: Any, pages: dict[str, Path]) -> None:
    with opened(browser, pages["index"], 1280) as page:
        page.locator("#all").scroll_into_view_if_needed()  # what is not in sight is not laid out
        names = page.locator("#all tbody tr:visible th")
        assert [name.strip() for name in names.all_text_contents()] == NAMES
        page.get_by_role("button", name="video").click()
        assert [name.strip() for name in names.all_text_contents()] == sorted(NAMES, key=str.lower)
        page.get_by_role("button", name="frames", exact=True).click()
        assert names.first.text_content().strip() == NAMES[2]
        assert page.locator("th[aria-sort]").get_attribute("aria-sort") == "descending"
        page.get_by_role("button", name="frames", exact=True).click()
        assert names.first.text_content().strip() == NAMES[0]
        page.get_by_label("Find").fill("NORMAL_")
        assert [name.strip() for name in names.all_text_contents()] == [NAMES[1]]
        assert page.locator("#filter-count").inner_text() == "1 of 3 videos"
        page.get_by_label("Find").fill("")
        page.get_by_label("Show").select_option("normal")
        assert sorted(name.strip() for name in names.all_text_contents()) == sorted([NAMES[0], NAMES[2]])


def test_it_works_without_its_script_and_with_a_keyboard(browser: Any, pages: dict[str, Path]) -> None:
    with opened(browser, pages["index"], 390, scripts=False) as page:
        assert not page.get_by_label("Find").is_visible()
        assert page.locator("#all tbody tr:visible").count() == 3
        page.locator("#all tbody a").nth(1).click()
        assert page.title().startswith(NAMES[1])
    with opened(browser, pages["pictures"], 1280) as page:
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.textContent") == "To the content"
        page.locator(".marks a").first.focus()
        page.keyboard.press("Enter")
        assert page.url.endswith("#frame-0")
        page.locator("summary").first.focus()
        page.keyboard.press("Enter")
        assert page.locator("details").first.get_attribute("open") is not None
        page.locator("a[rel=next]").focus()
        page.keyboard.press("Enter")
        page.wait_for_url("**/0003-*")


def test_hundreds_of_videos_are_painted_at_once(browser: Any, tmp_path: Path) -> None:
    dataset, results = made_set([f"Normal_Videos_{number:03d}_x264" for number in range(290)], frames=320)
    write_report(source_of(results, dataset, tmp_path), evaluated(dataset, results), tmp_path / "out")
    with opened(browser, tmp_path / "out" / "index.html", 1280) as page:
        assert page.locator("#all tbody tr").count() == 290
        # The entry comes after the page has loaded, on a busy machine later.
        page.wait_for_function("performance.getEntriesByName('first-contentful-paint').length > 0")
