"""From photos without labels to a species table, by somebody who knows the truth and types it.

`trapline card` reads the photos, `trapline review` opens them, and in a real browser every key is pressed
that a person has to press: Enter where the answer that is filled in is right, the space bar for blanks, else
as many letters as bring the right label to the top. Labels are known to nobody at the beginning: each is
typed whole once. An event of which the truth says nothing is one that cannot be told. Then the table is
written, and compared with the truth event by event.

Beside it the same by sorting alone: a folder is made for each label, and each photo is dragged into one
(looking for the folder is not counted, nor is it counted for less to drag several at once). A decision takes
the seconds that are given, and so do a photo sorted and a folder made.

usage: python benchmarks/review_keys.py PHOTOS --truth labels.csv -o FOLDER [--decisions N]
           [-- OPTIONS OF REVIEW, such as --train --stream learn]

`labels.csv` has the columns `file_name` (relative to itself) and `label`.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import polars as pl
from playwright.sync_api import Page, sync_playwright
from running import trapline

from trapline.catalog import Catalog, event_key

READY = 'body[data-ready]:not([data-ready=""])'
NOTHING_LEFT = '.nothing:has-text("Nothing is left")'
"""Not that the next event is looked for, which the page says at the same place."""
BLANK = "blank"


class Typist:
    """Somebody who knows the truth, at the page's keys."""

    def __init__(self, page: Page, truth: dict[str, set[str]]) -> None:
        self.page, self.truth, self.keys, self.decisions, self.accepted = page, truth, 0, 0, 0

    def press(self, *keys: str) -> None:
        """Each counts, as by hand."""
        for key in keys:
            self.page.keyboard.press(key)
            self.keys += 1

    def decide(self) -> None:
        """The event that is shown."""
        self.page.wait_for_selector(READY)
        event = self.page.get_attribute("body", "data-event") or ""
        labels = self.truth.get(event, set())
        filled = set(self.page.locator("#filled b").all_inner_texts())
        self.decisions += 1
        if labels and filled == labels:
            self.accepted += 1
            self.press("Enter")
        elif not labels:
            self.press("-")
        elif labels == {BLANK}:
            self.press("Space")
        else:
            for number, label in enumerate(sorted(labels - {BLANK})):
                self.name(label, further=number > 0)
            if len(labels - {BLANK}) > 1 or self.page.get_attribute("body", "data-event") == event:
                self.press("Enter")
        self.page.wait_for_selector(f"body:not([data-event={event!r}])")

    def name(self, label: str, *, further: bool) -> None:
        """By the letters that bring it to the top, or whole where nobody named it yet."""
        several = (
            further or len(self.truth[self.page.get_attribute("body", "data-event") or ""] - {BLANK}) > 1
        )
        if further:
            self.press("+")
        for letter in label:
            self.press(letter if letter != "_" else "_")
            top = self.page.locator("#names [aria-selected=true] span")
            if top.count() and top.inner_text() == label:
                self.press("+" if several and not further else "Enter")
                if several and not further:
                    self.press("Escape")
                return
        self.press("Enter", "Enter")  # a new label, and yes
        self.page.wait_for_selector("#search:not([open])", state="attached")


def main() -> None:
    options, rest = arguments()
    options.output.mkdir(parents=True, exist_ok=True)
    card, log = options.output / "card", options.output / "decisions.db"
    trapline("card", options.photos, "-o", card)  # goes on where it was
    catalog = Catalog.load(card / "photos.parquet")
    with page_of(card, log, rest) as page:
        typist = Typist(page, truth_of_events(options.truth, catalog))
        while page.locator(NOTHING_LEFT).count() == 0 and typist.decisions != options.decisions:
            typist.decide()
            page.wait_for_selector(f"{READY}, {NOTHING_LEFT}")
        page.wait_for_selector('body[data-unsent="0"]')
    report(typist, answers(card, log, options.output), options)


def arguments() -> tuple[argparse.Namespace, list[str]]:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("photos", type=Path)
    parser.add_argument("--truth", type=Path, required=True)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--decisions", type=int, help="then stop, and let the machine's word stand")
    parser.add_argument("--seconds", type=float, default=1.5, help="of a decision")
    given = sys.argv[1:]
    at = given.index("--") if "--" in given else len(given)
    return parser.parse_args(given[:at]), given[at + 1 :]


def truth_of_events(table: Path, catalog: Catalog) -> dict[str, set[str]]:
    """event -> all labels of its photos; none where the truth does not say."""
    by_path = {(table.parent / name).resolve(): label for name, label in labels_of(table)}
    labels: dict[str, set[str]] = defaultdict(set)
    for event, path in catalog.table.select(event_key(), "file_path").iter_rows():
        label = by_path.get(catalog.path(path).resolve())
        labels[event] |= set() if label is None else {label}
    return {event: names - {BLANK} or names for event, names in labels.items()}


def labels_of(table: Path) -> list[tuple[str, str]]:
    """A file's name and its label, row by row."""
    return list(pl.read_csv(table).select("file_name", "label").iter_rows())


@contextmanager
def page_of(card: Path, log: Path, rest: list[str]) -> Iterator[Page]:
    """The page in a browser, a person's name given."""
    browser_path = next(
        filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
    )
    command = [sys.executable, "-m", "trapline", "review", str(card), "-o", str(log), "--no-browser", *rest]
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server,
        sync_playwright() as driver,
    ):
        assert server.stdout is not None
        link = next(filter(None, (re.search(r"http://\S+", line) for line in server.stdout)))[0]
        browser = driver.chromium.launch(executable_path=browser_path, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.goto(link)
        page.fill("#person-name", "typist")
        page.keyboard.press("Enter")
        page.wait_for_selector(f"{READY}, {NOTHING_LEFT}")
        yield page
        browser.close()
        server.terminate()


def answers(card: Path, log: Path, folder: Path) -> dict[str, set[str]]:
    """event -> what the written table says of it, people above the machine."""
    rounds = sorted(log.with_suffix(".review").glob("models/*/predictions.parquet"))
    source = [*rounds[-1:], card / "photos.parquet"]
    table = folder / "observations.csv"
    trapline("write", *source, "--decisions", log, "-f", "observations", "-o", table, "--force")
    stands = pl.read_csv(table, infer_schema=False).filter(pl.col("stands") == "true")
    labels: dict[str, set[str]] = defaultdict(set)
    for event, label in stands.select(event_key(), "label").iter_rows():
        labels[event] |= set() if label is None else {label}
    return {event: names - {BLANK} or names for event, names in labels.items()}


def report(typist: Typist, table: dict[str, set[str]], options: argparse.Namespace) -> None:
    known = {event: labels for event, labels in typist.truth.items() if labels}
    right = sum(table.get(event) == labels for event, labels in known.items()) / len(known)
    sorted_by_hand = labels_of(options.truth)
    moves, folders = len(sorted_by_hand), len({label for _, label in sorted_by_hand})
    print(f"{len(typist.truth)} events of which {len(known)} have a known answer")
    print("| | decisions | accepted as filled in | keys or moves | minutes | events right |")
    print("|---|--:|--:|--:|--:|--:|")
    minutes = typist.decisions * options.seconds / 60
    print(
        f"| review | {typist.decisions} | {typist.accepted} | {typist.keys} | {minutes:.1f} | {right:.3f} |"
    )
    minutes = (moves + folders) * options.seconds / 60
    print(f"| sorting | {moves} | | {moves + folders} | {minutes:.1f} | 1.000 |")


if __name__ == "__main__":
    main()
