"""The commands evaluate and explore, and their pages in a browser."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from PIL import Image

from trapline.catalog import Catalog
from trapline.cli import main
from trapline.prediction import PredictionFacts, Predictions

LABELS = ("blank", "hare", "lynx")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixty photos of ten locations with a split by location, and predictions for all but one of them."""
    home = tmp_path_factory.mktemp("judged")
    random = np.random.default_rng(0)
    rows: list[dict[str, Any]] = []
    for number in range(60):
        name = f"p{number}.jpg"
        pixels = random.integers(0, 255, (24, 32, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((320, 240)).save(home / name)
        part = "train" if number % 10 < 5 else "validation"
        rows.append(
            {
                "media_id": f"p{number}",
                "file_path": name,
                "location_id": f"L{number % 10}",
                "labels": [LABELS[number % 3]],
                "split": part,
            }
        )
    catalog = Catalog.from_rows(pl.DataFrame(rows), home, "a small world")
    catalog.save(home / "catalog.parquet")
    values = random.dirichlet(np.ones(3), 60) + 0.5 * np.eye(3)[np.arange(60) % 3]
    fixed = catalog.table.select(
        "media_id",
        "event_id",
        pl.lit(None, pl.Int64).alias("box"),
        "file_path",
        pl.lit("ok").alias("status"),
        pl.lit(None, pl.String).alias("reason"),
    )
    table = fixed.hstack(
        pl.from_numpy((values / values.sum(axis=1, keepdims=True)).astype(np.float32), schema=list(LABELS))
    )
    Predictions(table, LABELS, "media", "f" * 64, "single-label", PredictionFacts(model_name="small")).save(
        home / "p.csv"
    )
    return home


def run(*arguments: str) -> int:
    try:
        main(list(arguments))
    except SystemExit as stop:
        return int(stop.code or 0)
    return 0


def test_evaluate_prints_a_table_and_writes_a_report(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = tmp_path / "report.html"
    arguments = ("evaluate", str(folder / "catalog.parquet"), str(folder / "p.csv"), "--part", "validation")
    assert run(*arguments, "--samples", "50", "-o", str(report)) == 0
    printed = capsys.readouterr().out
    assert "small on the part 'validation': 30 media of 5 locations" in printed
    assert "95 % interval" in printed
    assert "LEAK" not in printed
    assert "How good is small?" in report.read_text(encoding="utf-8")
    mistakes = (tmp_path / "report.mistakes.csv").read_text(encoding="utf-8")
    assert f"--only {tmp_path / 'report.mistakes.csv'} -o decisions.db" in report.read_text(encoding="utf-8")
    assert f"All {len(mistakes.splitlines()) - 1} mistakes" in report.read_text(encoding="utf-8")
    report.rename(tmp_path / "other.html")
    assert run(*arguments, "-o", str(report)) == 2
    assert "report.mistakes.csv exists" in capsys.readouterr().err
    assert run(*arguments, "--samples", "50", "-o", str(report), "--force", "--pictures", "0") == 0


def test_evaluate_prints_and_writes_json(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    written = tmp_path / "e.json"
    arguments = ("evaluate", str(folder / "catalog.parquet"), str(folder / "p.csv"), "--samples", "50")
    assert run(*arguments, "--json", "-o", str(written)) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed == json.loads(written.read_text(encoding="utf-8"))
    assert printed["counts"]["evaluated"] == 60
    assert printed["leak"]["findings"] == ["30 of 60 evaluated media were themselves trained on."]


@pytest.mark.parametrize(
    ("options", "status", "complaint"),
    [
        (["--part", "test"], 1, "no media in the part 'test'"),
        (["--intervals-over", "camera"], 2, "--intervals-over must be one of location, event, season, media"),
        (["-o", "report.pdf"], 2, "written as .html or .json"),
        (["--samples", "1"], 2, "--samples"),
    ],
)
def test_evaluate_says_what_is_wrong(
    folder: Path, options: list[str], status: int, complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["evaluate", str(folder / "catalog.parquet"), str(folder / "p.csv"), *options]
    assert run(*arguments) == status
    assert complaint in capsys.readouterr().err


def test_explore_prints_the_labels_and_writes_a_page(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page, catalog = tmp_path / "explore.html", str(folder / "catalog.parquet")
    assert run("explore", catalog, "-o", str(page)) == 0
    printed = capsys.readouterr().out
    assert "60 photos, 60 labelled, of 10 locations" in printed
    assert "No times are known" in printed
    assert "What is in these photos?" in page.read_text(encoding="utf-8")
    assert run("explore", catalog, "-o", str(page)) == 2
    capsys.readouterr()
    assert run("explore", catalog, "--json", "--full") == 0
    assert json.loads(capsys.readouterr().out)["sample"]["looked"] == 60


def test_explore_shows_the_labels_that_predictions_contradict(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page, sources = tmp_path / "x.html", [str(folder / "catalog.parquet"), str(folder / "p.csv")]
    arguments = ("explore", sources[0], "--predictions", sources[1], "--sample", "0")
    assert run(*arguments, "-o", str(page)) == 0
    captured = capsys.readouterr()
    assert "It is not known on which photos the model was trained" in captured.out
    listed = (tmp_path / "x.label_errors.csv").read_text(encoding="utf-8").splitlines()
    assert f"Wrote {tmp_path / 'x.label_errors.csv'}" in captured.err
    assert f"trapline review {' '.join(sources)} --only" in page.read_text(encoding="utf-8")
    assert run(*arguments, "--json") == 0
    errors = json.loads(capsys.readouterr().out)["label_errors"]
    assert [one["media_id"] for one in errors["contradicted"]] == [row.split(",")[0] for row in listed[1:]]
    assert run(*arguments, "-o", str(page), "--no-pictures", "--force") == 0
    assert "data:image" not in page.read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.parametrize("width", [390, 1200])
def test_the_pages_open_for_everybody_without_errors_requests_or_sideways_scrolling(
    folder: Path, tmp_path: Path, width: int
) -> None:
    playwright = pytest.importorskip("playwright.sync_api")
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    browser_path = next(
        filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
    )
    if browser_path is None:
        pytest.skip("needs a Chromium on the PATH to open the pages in")
    catalog = str(folder / "catalog.parquet")
    pages = [tmp_path / "evaluate.html", tmp_path / "explore.html"]
    assert run("evaluate", catalog, str(folder / "p.csv"), "--samples", "50", "-o", str(pages[0])) == 0
    assert run("explore", catalog, "--predictions", str(folder / "p.csv"), "-o", str(pages[1])) == 0
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=browser_path, args=["--no-sandbox"])
        for page in pages:
            tab = browser.new_page(viewport={"width": width, "height": 800})
            troubles: list[str] = []
            requests: list[str] = []
            tab.on("console", lambda message, seen=troubles: seen.append(message.text))
            tab.on("pageerror", lambda error, seen=troubles: seen.append(str(error)))
            tab.on("request", lambda request, seen=requests: seen.append(request.url))
            tab.goto(page.as_uri())
            assert troubles == []
            assert [url for url in requests if not url.startswith("data:")] == [page.as_uri()]
            assert tab.evaluate("document.documentElement.scrollWidth") <= width
            shown = tab.evaluate("[...document.images].filter(i => i.naturalWidth > 0).length")
            assert shown == tab.evaluate("document.images.length") > 0
            small = tab.locator("details.large img").first.bounding_box()["width"]
            tab.locator("details.large summary").first.press("Enter")
            assert tab.locator("details.large img").first.bounding_box()["width"] > 1.5 * small
            assert [one["id"] for one in axe.run(tab).response["violations"]] == []
        browser.close()
