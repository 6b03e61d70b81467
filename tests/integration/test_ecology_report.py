"""The page of a survey in a browser, from the command line on, and the tables beside it."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

RECORDS = """Station,Species,DateTimeOriginal,Count
{rows}
"""
STATIONS = """Station,latitude,longitude,Setup_date,Retrieval_date,Problem1_from,Problem1_to
A,46.50,6.10,2026-04-01,2026-05-20,2026-04-10,2026-04-14
B,46.51,6.12,2026-04-01,2026-05-20,,
C,46.52,6.15,2026-04-03,2026-05-20,,
D,46.49,6.18,2026-04-03,2026-05-22,,
"""
TIMES = {
    "fox": [
        ("A", 2, 23),
        ("A", 9, 1),
        ("B", 5, 22),
        ("B", 20, 2),
        ("C", 12, 23),
        ("C", 25, 3),
        ("A", 28, 21),
    ],
    "<i>hare</i>": [("A", 3, 5), ("D", 8, 6)],
    "human": [("A", 3, 12)],
}


Run = Callable[..., tuple[int, str, str]]
Opened = Callable[[int], tuple[list[str], str, int, list[Any]]]


@pytest.fixture
def survey(tmp_path: Path) -> Path:
    """A table of records and one of stations."""
    rows = [
        f"{place},{label},2026-04-{day:02}T{hour:02}:10:00,2"
        for label, times in TIMES.items()
        for place, day, hour in times
    ]
    (tmp_path / "records.csv").write_text(RECORDS.format(rows="\n".join(rows)))
    (tmp_path / "stations.csv").write_text(STATIONS)
    return tmp_path


@pytest.fixture
def report(survey: Path, run: Run) -> Run:
    """Runs the command: exit status, standard output, standard error."""
    return lambda *arguments: run(
        "ecology", "report", str(survey / "records.csv"), "-o", "r.html", *arguments
    )


@pytest.fixture
def opened(survey: Path) -> Opened:
    """Opens the page at a width; what the console says, its words, its width, and what axe finds."""
    playwright = pytest.importorskip("playwright.sync_api")
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if path is None:
        pytest.skip("needs a Chromium on the path")

    def at(width: int) -> tuple[list[str], str, int, list[Any]]:
        with playwright.sync_playwright() as driver:
            browser = driver.chromium.launch(executable_path=path, args=["--no-sandbox"])
            page = browser.new_page(viewport={"width": width, "height": 900})
            said: list[str] = []
            page.on("console", lambda line: said.append(line.text))
            page.on("pageerror", lambda error: said.append(str(error)))
            page.goto((survey / "r.html").as_uri())
            found = page.inner_text("body"), page.evaluate("document.documentElement.scrollWidth")
            broken = axe.run(page).response["violations"]
            browser.close()
            return said, *found, broken

    return at


def test_the_page_has_all_of_a_survey_and_its_tables_beside_it(
    survey: Path, report: Run, opened: Opened
) -> None:
    stations = str(survey / "stations.csv")
    assert report("--stations", stations, "--timezone", "Europe/Paris", "--days", "5")[0] == 0
    for width in (1280, 400):
        said, words, wide, broken = opened(width)
        assert (said, wide, broken) == ([], width, [])
    assert "Effort is guessed" not in words
    assert "<i>hare</i>" in words
    assert "by the sun" in words
    assert "left out: human" in words
    assert "MacKenzie et al. 2002" in words
    with (survey / "r-species.csv").open() as file:
        rows = {row["label"]: row for row in csv.DictReader(file)}
    assert rows["fox"]["made_of"] == "table"
    assert (rows["fox"]["records"], rows["fox"]["locations"], rows["fox"]["most_at_once"]) == (
        "7.0",
        "3.0",
        "2",
    )
    assert 0.5 < float(rows["fox"]["psi"]) <= 1
    assert report()[0] == 2  # nothing is overwritten
    assert (survey / "r-accumulation.csv").exists()


def test_without_stations_effort_is_a_guess_and_says_so(report: Run, opened: Opened) -> None:
    assert report("--species", "fox")[0] == 0
    said, words, _, _ = opened(1280)
    assert said == []
    assert "Effort is guessed" in words
    assert "There is no map" in words
    told = json.loads(report("--species", "fox", "--json", "--force")[1])
    assert told["stations_guessed"]
    assert [one["label"] for one in told["species"]] == ["fox"]
    assert set(told["species"][0]["rate"]) == {"estimate", "low", "high"}


def test_names_are_text_on_the_page_and_in_its_tables(survey: Path, report: Run) -> None:
    told = (survey / "records.csv").read_text().replace("<i>hare</i>", "=1+1").replace("\nA,", "\n$\\frac$,")
    (survey / "records.csv").write_text(told)
    stations = (survey / "stations.csv").read_text().replace("\nA,", "\n$\\frac$,")
    (survey / "stations.csv").write_text(stations)
    assert report("--stations", str(survey / "stations.csv"))[0] == 0
    assert "$\\frac$" in (survey / "r.html").read_text()
    with (survey / "r-by-location.csv").open() as file:
        assert next(csv.reader(file)) == ["location_id", "fox", "'=1+1", "made_of"]


def test_options_of_catalogs_are_refused_for_a_table(report: Run) -> None:
    status, _, said = report("--threshold", "0.5")
    assert status == 2
    assert "--threshold is of catalogs and predictions" in said


def test_columns_of_names_of_their_own_are_named_by_the_options_that_its_errors_say(
    survey: Path, report: Run
) -> None:
    for name, own in (("records.csv", {"Species": "Especie"}), ("stations.csv", {"Setup_date": "Puesta"})):
        text = (survey / name).read_text()
        for usual, word in own.items():
            text = text.replace(usual, word)
        (survey / name).write_text(text)
    stations = ("--stations", str(survey / "stations.csv"))
    assert "--column species=NAME" in report(*stations)[2]
    of_records = ("--column", "species=Especie")
    assert "--stations-column start=NAME" in report(*stations, *of_records)[2]
    status, _, err = report(*stations, *of_records, "--stations-column", "start=Puesta")
    assert status == 0, err
    assert report(*of_records, "--stations-column", "start=Puesta")[0] == 2, "there are no stations to read"
