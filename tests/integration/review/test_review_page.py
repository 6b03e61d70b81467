"""The page on which people decide, driven in a browser against the server that is started for it."""

import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from trapline.catalog import Catalog

pytestmark = pytest.mark.slow

ODD = "<img src=x onerror=document.title=1>"
"""What a label may be called, and a file."""


@pytest.fixture(scope="module")
def link(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Of 400 events, the first ones of three frames; each third is taken for blank, one frame is broken."""
    root = tmp_path_factory.mktemp("review")
    rows = []
    for event in range(400):
        for frame in range(3 if event < 150 else 1):
            name = f"{ODD.replace('/', '')} {event}-{frame}.jpg" if event == 1 else f"{event:03d}-{frame}.jpg"
            Image.new("RGB", (64, 48), (event % 250, 80 * frame, 60)).save(root / name)
            box = {"category": "animal", "conf": 0.9, "x": 0.2, "y": 0.2, "width": 0.3, "height": 0.3}
            label = ["hare", "lynx", "blank"][event % 3]
            rows.append(
                {
                    "media_id": f"{event}-{frame}",
                    "file_path": name,
                    "event_id": f"E{event:03d}",
                    "labels": [label],
                    "boxes": [] if label == "blank" else [box],
                }
            )
    (root / "000-1.jpg").write_bytes(b"no photo")
    Catalog.from_rows(rows, root, "many events").save(root / "photos.parquet")
    arguments = (str(root / "photos.parquet"), "-o", str(root / "decisions.db"))
    with served(*arguments, "--labels", f"hare,lynx,roe deer,{ODD}") as address:
        yield address


@contextmanager
def served(*arguments: str) -> Iterator[str]:
    """The address of a review that is started for it."""
    command = [sys.executable, "-m", "trapline", "review", *arguments, "--no-browser"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield next(filter(None, (re.search(r"http://\S+", line) for line in process.stdout)))[0]
        process.terminate()
        assert process.wait(60) == 0


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api")
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if path is None:
        pytest.skip("needs a Chromium on the path")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


class Reviewer:
    """One person with a browser of her own."""

    def __init__(self, browser: Any, link: str, person: str, **context: Any) -> None:
        self.person = person
        self.context = browser.new_context(**context)
        self.page = self.context.new_page()
        self.complaints: list[str] = []
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on(
            "console", lambda line: self.complaints.append(line.text) if line.type == "error" else None
        )
        self.page.goto(link)
        self.page.fill("#person-name", person)
        self.page.keyboard.press("Enter")
        self.seen()

    def seen(self) -> str:
        """The event before the eyes, once its pictures are."""
        self.page.wait_for_selector('body[data-ready]:not([data-ready=""])')
        event: str = self.page.get_attribute("body", "data-event")
        return event

    def press(self, *keys: str) -> None:
        """Each key once the pictures are there."""
        for key in keys:
            self.seen()
            self.page.keyboard.press(key)

    def kept(self) -> list[dict[str, Any]]:
        """Her decisions that stand, as the server has them, the first first."""
        self.page.wait_for_selector('body[data-unsent="0"]')
        query = {"person": self.person, "count": "500"}
        answer = self.context.request.get(f"{self.page.url.rstrip('/')}/api/history", params=query)
        return [one for one in reversed(answer.json()["decisions"]) if not one["taken_back"]]

    def words(self) -> list[str]:
        """What she decided, short."""
        return [
            " + ".join(f"{one['count'] or ''}{one['label']}" for one in decision["labels"])
            or decision["verdict"]
            for decision in self.kept()
        ]


@pytest.fixture
def reviewer(browser: Any, link: str, request: pytest.FixtureRequest) -> Iterator[Callable[..., Reviewer]]:
    """Makes one; that their pages complain of nothing is checked at the end."""
    made: list[Reviewer] = []

    def make(**context: Any) -> Reviewer:
        made.append(Reviewer(browser, link, f"{request.node.name} {len(made)}", **context))
        return made[-1]

    yield make
    for one in made:
        one.context.close()
        assert [line for line in one.complaints if "Failed to load resource" not in line] == []


def filled(person: Reviewer) -> str:
    """The answer that is filled in."""
    answer: str = person.page.inner_text("#filled b")
    return answer


def test_keys_accept_name_count_and_mark(reviewer: Callable[..., Reviewer]) -> None:
    ann = reviewer()
    ann.seen()
    suggested = filled(ann)
    ann.press("Enter", "Space", "-")
    ann.press("r", "Enter")  # roe deer
    ann.press("=")
    ann.press("l", "3", "+", "h", "Enter", ".", ";", "Enter")
    ann.press(",")
    ann.page.fill("#words", "a remark")
    ann.page.click("#remark button")
    ann.press("Space")
    assert ann.words() == [suggested, "blank", "cannot tell", "roe deer", "roe deer", "3lynx + hare", "blank"]
    *_, marked, remarked = ann.kept()
    assert (marked["sure"], marked["flagged"], remarked["remark"]) == (False, True, "a remark")
    assert all(one["frames"] is None for one in ann.kept())
    assert len({one["event"] for one in ann.kept()}) == 7


def test_individuals_are_told_in_a_few_words(reviewer: Callable[..., Reviewer]) -> None:
    ann = reviewer()
    ann.press("r", "2", "'")
    assert ann.page.input_value("#alike-words") == "2"
    ann.page.fill("#alike-words", "2 a f, 3 juv feeding at dusk")
    ann.page.keyboard.press("Enter")
    ann.page.wait_for_selector("#filled .chip >> text=adult female")
    assert (
        " ".join(ann.page.inner_text("#filled .chip >> nth=0").split()) == "roe deer − × 2 + adult female … ✕"
    )
    ann.press("Enter")
    (kept,) = ann.kept()
    deer = {"label": "roe deer", "count": 2, "life_stage": "adult", "sex": "female", "behaviour": None}
    young = {"label": "roe deer", "count": 3, "life_stage": "juvenile", "sex": None}
    assert kept["labels"] == [deer, {**young, "behaviour": "feeding at dusk"}]
    ann.press("Backspace")
    ann.page.wait_for_selector("#filled .chip >> text=juvenile feeding at dusk")
    ann.press("'")
    assert ann.page.input_value("#alike-words") == "2 adult female, 3 juvenile feeding at dusk"
    ann.page.fill("#alike-words", "")
    ann.page.keyboard.press("Enter")
    ann.press("Enter")
    assert ann.kept()[-1]["labels"] == [{**dict.fromkeys(deer), "label": "roe deer"}]


def test_what_cannot_be_meant_of_individuals_is_told(reviewer: Callable[..., Reviewer]) -> None:
    ann = reviewer()
    ann.press("r", "2", "'")
    for typed, odd in (("2 males and 1 female", "1"), ("2.5 a", "2.5"), ("0 a", "0"), ("a f m", "m")):
        ann.page.fill("#alike-words", typed)
        ann.page.keyboard.press("Enter")
        said = ann.page.evaluate("document.getElementById('alike-words').validationMessage")
        assert said.startswith(f"“{odd}” is too much")
        assert ann.page.is_visible("#alike-words")
    ann.page.fill("#alike-words", "2 males; 1 f, 3 sub-adults, 1 female")
    ann.page.keyboard.press("Enter")
    ann.page.wait_for_selector("#filled .chip >> text=subadult")
    ann.press("Enter")
    told = [(one["count"], one["life_stage"], one["sex"]) for one in ann.kept()[0]["labels"]]
    assert told == [(2, None, "male"), (2, None, "female"), (3, "subadult", None)]


def test_chosen_frames_are_decided_alone_and_the_others_are_next(reviewer: Callable[..., Reviewer]) -> None:
    ann = reviewer()
    first = ann.seen()
    ann.press("Shift+Digit2", "ArrowRight", "ArrowRight", "ArrowDown", "h", "Enter")
    assert ann.seen() == first
    ann.press("Space")
    assert [(one["frames"], one["verdict"]) for one in ann.kept()] == [([1, 2], "seen"), ([0], "blank")]
    assert ann.seen() != first
    ann.press("ArrowDown", "Escape", "Space")  # the whole event again
    assert ann.kept()[-1]["frames"] is None


def test_back_and_undo_have_no_end(reviewer: Callable[..., Reviewer]) -> None:
    ann = reviewer()
    ann.press("h", "Enter", "l", "Enter", "r", "Enter")
    ann.kept()
    ann.page.reload()
    for expected in ("roe deer", "lynx", "hare"):
        ann.press("Control+z")
        ann.page.wait_for_selector(f"#spoken:text-is('Taken back: {expected}')")
        assert filled(ann) == expected
    assert ann.words() == []
    ann.press("Control+y", "Control+y")
    assert ann.words() == ["hare", "lynx"]
    before = ann.seen()
    ann.press("Backspace")
    ann.page.wait_for_selector("#filled b:text-is('lynx')")
    ann.press("Backspace")
    ann.page.wait_for_selector("#filled b:text-is('hare')")
    ann.press("Space")  # a new answer in the place of the first
    ann.page.wait_for_selector("#filled b:text-is('lynx')")
    ann.press("Enter")  # kept as it was
    ann.page.wait_for_selector(f"body[data-event='{before}']")
    kept = ann.kept()
    assert ann.words() == ["hare", "lynx", "blank"]
    assert kept[0]["event"] == kept[2]["event"]


def test_nothing_is_decided_unseen(reviewer: Callable[..., Reviewer]) -> None:
    ann = reviewer()
    event = ann.seen()
    held: list[Any] = []
    ann.page.route("**/picture/**", lambda route: held.append(route))
    for _ in range(8):  # beyond the pictures that were there already
        ann.page.keyboard.down("Enter")  # a key held down comes again and again
    ann.page.keyboard.up("Enter")
    assert [one["event"] for one in ann.kept()] == [event]
    while "still loading" not in ann.page.inner_text("#spoken"):
        ann.page.keyboard.press("Space")
        ann.page.wait_for_timeout(250)
    for _ in range(3):
        ann.page.keyboard.press("Space")
    before = len(ann.kept())
    assert before < 10
    ann.page.unroute("**/picture/**")  # which lets them go on
    ann.press("Space")
    assert len(ann.kept()) == before + 1


def test_a_server_that_is_away_loses_nothing(reviewer: Callable[..., Reviewer]) -> None:
    ann = reviewer()
    ann.page.route("**/api/**", lambda route: route.abort())
    ann.press("h", "Enter", "Space", "Control+z", "-")
    assert "kept in this page" in ann.page.inner_text("#trouble")
    asked = []
    ann.page.on("dialog", lambda dialog: (asked.append(dialog.type), dialog.accept()))
    ann.page.reload()
    ann.page.unroute("**/api/**")
    ann.seen()
    assert ann.words() == ["hare", "cannot tell"]
    assert asked == ["beforeunload"]
    assert not ann.page.is_visible("#trouble")


def test_a_grid_is_decided_at_once_but_for_what_is_marked(reviewer: Callable[..., Reviewer]) -> None:
    ann = reviewer(viewport={"width": 900, "height": 500})
    ann.press("F2")
    ann.page.wait_for_selector(".tile")
    count = ann.page.locator(".tile").count()
    assert count > 6
    ann.page.keyboard.press("Enter")
    assert "not yet seen" in ann.page.inner_text("#spoken")
    assert ann.kept() == []
    ann.page.keyboard.press("ArrowRight")
    ann.page.keyboard.press("Space")
    ann.page.keyboard.press("r")
    ann.page.keyboard.press("Enter")
    ann.page.wait_for_selector(".tile[aria-pressed=true][data-seen]")
    ann.page.keyboard.press("Shift+Enter")  # the marked one alone; the others stay
    ann.page.wait_for_function("n => document.querySelectorAll('.tile').length === n", arg=count - 1)
    ann.page.keyboard.press("Space")
    for tile in ann.page.locator(".tile").all():
        tile.scroll_into_view_if_needed()
    ann.page.wait_for_selector(".tile:not([data-seen])", state="detached")
    ann.page.keyboard.press("Enter")
    ann.seen()
    words = ann.words()
    assert words[0] == "roe deer"
    assert len(words) == count - 1
    assert len(set(words[1:])) == 1
    ann.press("Control+z")  # all of them
    ann.page.wait_for_selector("#spoken:text('Taken back')")
    assert ann.words() == ["roe deer"]


def test_a_name_that_is_no_label_is_asked_about_once_and_names_are_only_text(
    reviewer: Callable[..., Reviewer],
) -> None:
    ann = reviewer()
    ann.press("z", "o", "r")
    ann.page.keyboard.press("Enter")
    ann.page.fill("#new-scientific", "Ictonyx striatus")
    ann.page.click("#new-label .main")
    ann.page.wait_for_selector("#filled b:text-is('zor')")
    ann.press("Enter")
    ann.press("i", "c", "t", "Enter")
    ann.press("<")  # no key of the page
    ann.press("i", "m", "g", "Enter")
    assert ann.words() == ["zor", "zor", ODD]
    assert ann.page.title() == "many events · Review"


def test_two_people_at_once_get_different_events(reviewer: Callable[..., Reviewer]) -> None:
    ann, ben = reviewer(), reviewer()
    for _ in range(3):
        ann.press("Space")
        ben.press("Space")
    events = [one["event"] for one in [*ann.kept(), *ben.kept()]]
    assert len(events) == len(set(events)) == 6


def test_who_leaves_keeps_no_event_from_others(reviewer: Callable[..., Reviewer]) -> None:
    leaving, staying = reviewer(), reviewer()
    event = leaving.seen()

    def free() -> set[str]:
        answer = staying.context.request.post(
            f"{staying.page.url}api/next",
            data={"person": staying.person, "count": 200},
            headers={"Origin": staying.page.url.rstrip("/"), "X-Trapline-Review": "1"},
        )
        return {one["event"] for one in answer.json()["asks"]}

    assert event not in free()
    leaving.page.goto("about:blank")
    for _ in range(50):
        if event in free():
            return
        staying.page.wait_for_timeout(100)
    pytest.fail(f"{event} is still lent")


def test_where_people_differ_is_shown_and_settled(reviewer: Callable[..., Reviewer]) -> None:
    ann = reviewer()
    ann.press("Space")
    (mine,) = ann.kept()
    theirs = {"decision_id": "of-somebody-else", "event": mine["event"], "person": "Ben", "verdict": "seen"}
    ann.page.evaluate(
        """body => fetch("/api/decide", {method: "POST", body: JSON.stringify(body),
        headers: {"Content-Type": "application/json", "X-Trapline-Review": "1"}})""",
        theirs | {"labels": [{"label": "lynx", "count": 2}]},
    )
    ann.press("F9")
    ann.page.click(f".past button:has-text('{ann.person}: blank · Ben: 2 × lynx')")
    ann.page.wait_for_selector(f"body[data-event='{mine['event']}']")
    assert ann.page.inner_text("#others") == "Ben: 2 × lynx"
    assert filled(ann) == "blank"
    ann.press("Enter")
    assert [one["stream"] for one in ann.kept()][-1] == "disagreements"
    ann.press("F9")
    ann.page.wait_for_selector("#past :text('Nobody differs')")


@pytest.mark.parametrize("width", [1280, 400])
def test_everybody_can_use_it(reviewer: Callable[..., Reviewer], width: int) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    ann = reviewer(viewport={"width": width, "height": 800}, has_touch=width == 400, bypass_csp=True)

    def check() -> None:
        ann.page.wait_for_timeout(100)
        assert axe.run(ann.page).response["violations"] == []
        assert ann.page.evaluate("document.documentElement.scrollWidth") <= width

    check()
    for key in ("?", "F8", "ArrowUp", "x") if width == 1280 else ("x",):  # F9 is the dialog of F8
        ann.press(key)
        ann.page.wait_for_selector("dialog[open]")
        check()
        ann.page.keyboard.press("Escape")
    ann.press("F2")
    ann.page.wait_for_selector(".tile")
    check()
    ann.page.keyboard.press("Escape")
    ann.seen()
    tap = ann.page.tap if width == 400 else ann.page.click
    tap("#do-blank")
    ann.seen()
    tap("#do-accept")
    assert len(ann.kept()) == 2


@pytest.fixture
def learning(tmp_path: Path) -> Iterator[str]:
    """Twelve labelled events, the hares red and the lynxes blue, at two locations; a model reads them."""
    rows = []
    for event in range(12):
        colour = (200, 9 * event, 40) if event % 2 else (40, 9 * event, 200)
        Image.new("RGB", (64, 48), colour).save(tmp_path / f"{event}.png")
        row = {"media_id": f"{event}", "file_path": f"{event}.png", "event_id": f"E{event}"}
        rows.append(row | {"labels": [["lynx", "hare"][event % 2]], "location_id": f"L{event % 3}"})
    Catalog.from_rows(rows, tmp_path, "two colours").save(tmp_path / "photos.parquet")
    with served(str(tmp_path / "photos.parquet"), "-o", str(tmp_path / "decisions.db"), "--train") as link:
        yield link


def test_beside_an_event_stand_the_labelled_ones_that_look_most_like_it(browser: Any, learning: str) -> None:
    ann = Reviewer(browser, learning, "Ann")
    strip = ann.page.locator("#alike")
    for _ in range(60):  # the photos are read in the background; the strip is asked for with each event
        if strip.is_visible():
            break
        ann.page.wait_for_timeout(500)
        ann.page.reload()
        ann.seen()
        ann.page.wait_for_load_state("networkidle")
    captions = strip.locator("figcaption").all_inner_texts()
    assert len(captions) == 4
    assert {caption.split(" · ")[0] for caption in captions} == {filled(ann)}
    assert all(re.fullmatch(r"(hare|lynx) · L[0-2]", caption) for caption in captions)
    widths = strip.locator("img").evaluate_all("all => all.map(one => one.complete && one.naturalWidth)")
    assert all(widths)
    ann.context.close()
    assert ann.complaints == []


def test_the_page_says_that_answers_that_say_less_count_as_right(reviewer: Callable[..., Reviewer]) -> None:
    """Where there are some, with the share that is exactly what is seen."""
    figure = {"accuracy": 0.97, "low": 0.9, "high": 0.99, "audited": 40, "labels": {}}
    exact = {"accuracy": 0.5, "low": 0.4, "high": 0.6}
    show = """async state => {
        const { showFigures } = await import("/static/figures.js");
        const root = document.createElement("div");
        showFigures(root, state, () => {});
        return root.textContent;
    }"""
    page = reviewer().page
    told = [
        page.evaluate(show, {"estimate": figure | {"coarser": count, "exact": exact}, "audits": True})
        for count in (19, 0)
    ]
    assert (
        "19 audited answers said less than what is seen (animal of a fox), which counts as right" in told[0]
    )
    assert "Exactly what is seen: 50" in told[0]
    assert "said less" not in told[1]
