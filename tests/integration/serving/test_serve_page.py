"""The page for people, in a browser."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from serving_process import Running

pytestmark = pytest.mark.slow


@pytest.fixture
def page(server: Running) -> Any:
    playwright = pytest.importorskip("playwright.sync_api")
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if found is None:
        pytest.skip("needs a Chromium on the path")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=found, args=["--no-sandbox"])
        page = browser.new_page()
        page.complaints = []
        page.on("console", lambda said: page.complaints.append(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda error: page.complaints.append(str(error)))
        page.goto(f"http://127.0.0.1:{server.port}/")
        yield page
        browser.close()


def test_a_programmer_finds_every_path_and_its_answers_described(page: Any, server: Running) -> None:
    playwright = pytest.importorskip("playwright.sync_api")
    page.goto(f"http://127.0.0.1:{server.port}/docs")
    playwright.expect(page.locator("summary").first).to_be_visible()
    shown = page.locator("summary code").all_inner_texts()
    assert {"/predict", "/v2/models/{name}/infer", "/v1/models/{name}:predict"} <= set(shown)
    page.get_by_text("/predict", exact=True).click()
    opened = page.locator("details[open]").inner_text()
    for word in ("seconds", "multipart/form-data", "Answer 200", "fingerprint", "Answer 4XX", "code"):
        assert word in opened
    assert "$ref" not in opened
    assert page.complaints == []


def test_a_person_drops_photos_and_sees_answers_with_pictures(
    page: Any, photos: list[bytes], tmp_path: Path
) -> None:
    playwright = pytest.importorskip("playwright.sync_api")
    files = []
    for place, content in enumerate([*photos[:2], b"no photo"]):
        files.append(tmp_path / f"<img src=x onerror=boom()> {place}.jpg")
        files[-1].write_bytes(content)
    (tmp_path / "labels.csv").write_text("path,label")
    page.set_input_files("#files", [*files, tmp_path / "labels.csv"])
    playwright.expect(page.locator("#state")).to_have_text("3 done. Left out, as no photos: labels.csv.")
    answers = page.locator("#answers li")
    assert answers.count() == 3
    assert (
        "<img src=x onerror=boom()> 1.jpg" in answers.nth(1).inner_text()
    )  # in the order in which they were given
    assert any(label in answers.nth(1).inner_text() for label in ("blank", "hare", "lynx"))
    assert "not a picture" in answers.nth(2).inner_text()
    widths = "() => [...document.querySelectorAll('#answers img')].map(one => one.naturalWidth)"
    assert page.evaluate(widths) == [320, 320, 0]
    broken = [tmp_path / f"broken {place}.jpg" for place in range(5)]
    for file in broken:
        file.write_bytes(b"no photo")
    page.set_input_files("#files", [*broken, files[0]])
    playwright.expect(page.locator("#state")).to_have_text("6 done.")
    playwright.expect(answers).to_have_count(9)
    assert "broken 3.jpg" in answers.nth(3).inner_text()
    assert any(label in answers.nth(5).inner_text() for label in ("blank", "hare", "lynx"))
    page.check("#event")
    page.set_input_files("#files", files[:2])
    playwright.expect(answers).to_have_count(10)
    assert "2 frames" in answers.nth(0).inner_text()
    assert [
        said for said in page.complaints if "422" not in said
    ] == []  # the browser notes each unreadable photo


def test_a_person_sees_that_photos_are_unlike_those_of_the_training(
    page: Any, photos: list[bytes], tmp_path: Path
) -> None:
    playwright = pytest.importorskip("playwright.sync_api")
    (tmp_path / "one.jpg").write_bytes(photos[0])
    answers = page.locator("#answers li")
    of_fetch = """fetch = (asked => async (...what) => {
        const said = await (await asked(...what)).json();
        return Response.json({ ...said, familiar: { photos: 1, distance: 1.2, far: window.far } });
    })(fetch)"""
    page.evaluate(of_fetch)
    for far in (False, True):
        page.evaluate("far => { window.far = far }", far)
        page.set_input_files("#files", tmp_path / "one.jpg")
        playwright.expect(answers).to_have_count(1 + far)
        assert ("not to be relied on" in answers.nth(0).inner_text()) == far
