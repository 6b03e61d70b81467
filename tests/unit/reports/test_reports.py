"""The pages: complete, self-contained, escaped; what they warn of."""

import base64
import io
import json
import os
import re
import sys
from datetime import datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import polars as pl
import pytest
from PIL import Image

from trapline.catalog import Catalog
from trapline.errors import DataError
from trapline.evaluation import Evaluation, Mistake, evaluate, explore, find_clock_troubles, survey
from trapline.evaluation.photo_sample import is_grey
from trapline.evaluation.rank_figures import TaxonResult
from trapline.evaluation.ranks import RankEvaluation
from trapline.evaluation.rolled_up import RollUpResult
from trapline.formats import read
from trapline.images import Box
from trapline.prediction import PredictionFacts, Predictions, pool_events
from trapline.reports.mistakes import show_mistakes
from trapline.reports.page import thumbnail
from trapline.reports.tree_figure import draw_tree
from trapline.taxonomy import Taxon, Taxonomy

NASTY = "<script>alert(\"$x^2$ & 'lynx'\")</script>"
VOID = {"meta", "link", "img", "br", "input", "hr"}


class Structure(HTMLParser):
    """Checks that tags are closed in order and collects ids, images without text, and addresses."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.addresses: list[str] = []
        self.tags: list[str] = []
        self.without_text = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.tags.append(tag)
        if found.get("id"):
            self.ids.append(str(found["id"]))
        self.addresses += [str(found[key]) for key in ("src", "href", "xlink:href") if found.get(key)]
        self.without_text += tag == "img" and not found.get("alt")
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def structure(page: Path) -> Structure:
    parser = Structure()
    parser.feed(page.read_text(encoding="utf-8"))
    assert parser.open == []
    assert len(parser.ids) == len(set(parser.ids))
    assert parser.without_text == 0
    assert "script" not in parser.tags
    for address in parser.addresses:  # or a photo, as it lies
        assert address.startswith(("data:", "#")) or (page.parent / unquote(address)).is_file()
    return parser


@pytest.fixture
def photos(tmp_path: Path) -> Catalog:
    """Forty-eight small photos of six locations; one is no picture, one is missing, one label is nasty."""
    random = np.random.default_rng(0)
    labels = ["hare", NASTY, "blank"]
    rows: list[dict[str, Any]] = []
    for number in range(48):
        name = f"p{number}.jpg"
        pixels = random.integers(0, 255, (30, 40, 3), dtype=np.uint8)
        Image.fromarray(pixels if number % 2 else pixels[:, :, :1].repeat(3, axis=2)).save(tmp_path / name)
        rows.append(
            {
                "media_id": f"p{number}",
                "file_path": name,
                "location_id": f"L{number % 6}",
                "event_id": f"e{number // 3}",
                "labels": [labels[number % 3]],
                "camera_time": datetime(2020, 5, 1) + timedelta(hours=7 * number),
                "timestamp_source": "exif",
                "split": "train" if number % 6 < 2 else "test",
                "boxes": [
                    {"category": "animal", "conf": 0.9, "x": 0.1, "y": 0.1, "width": 0.3, "height": 0.4}
                ],
            }
        )
    (tmp_path / "p2.jpg").write_bytes(b"no picture")
    (tmp_path / "p3.jpg").unlink()
    return Catalog.from_rows(pl.DataFrame(rows), tmp_path, f"photos of {NASTY}")


def predicted(catalog: Catalog, task: str = "single-label") -> Predictions:
    random = np.random.default_rng(1)
    labels = tuple(catalog.labels)
    values = random.dirichlet(np.ones(len(labels)), len(catalog)).astype(np.float32)
    fixed = catalog.table.select(
        "media_id",
        "event_id",
        pl.lit(None, pl.Int64).alias("box"),
        "file_path",
        pl.lit("ok").alias("status"),
        pl.lit(None, pl.String).alias("reason"),
    )
    table = fixed.hstack(pl.from_numpy(values, schema=list(labels)))
    return Predictions(table, labels, "media", "f" * 64, task, PredictionFacts(model_name=NASTY))  # type: ignore[arg-type]


@pytest.mark.parametrize("task", ["single-label", "multi-label"])
def test_the_evaluation_page_is_whole_and_escapes_what_users_wrote(
    photos: Catalog, tmp_path: Path, task: str
) -> None:
    found = evaluate(photos, predicted(photos, task), samples=30)
    page = found.save_report(tmp_path / "deep" / "report.html", beside={"other": found})
    parser = structure(page)
    text = page.read_text(encoding="utf-8")
    assert "<h2>This split leaks" in text
    assert ("What is taken for what" in text) == (task == "single-label")
    assert ("of how many it was said: " in text) == (task == "single-label")
    assert parser.tags.count("svg") == (3 if task == "single-label" else 2)
    assert "img" in parser.tags
    assert "#2a6f97" not in re.sub(r"(?s)<style>.*?</style>", "", text)  # figures follow the theme


def test_a_page_of_events_names_them_and_has_their_seasons_labels_and_one_location(
    photos: Catalog, tmp_path: Path
) -> None:
    seasons = pl.Series("season", ["S1"] * 24 + [NASTY] * 24)
    labels = pl.when(seasons == "S1").then(pl.lit(["hare"])).otherwise(pl.lit(["hare", NASTY]))
    one_place = pl.lit("L0").alias("location_id")
    catalog = photos.with_table(photos.table.with_columns(seasons, one_place, labels.alias("labels")))
    frames = predicted(photos, "multi-label")
    events = pool_events(frames, catalog, how="mean", rows="event")
    page = evaluate(catalog, events, samples=30).save_report(tmp_path / "r.html", pictures=0)
    structure(page)
    text = page.read_text(encoding="utf-8")
    assert "<h2>Season by season</h2>" in text
    assert "Log loss of shared labels" in text
    assert "mean of the labels" in text
    assert "Too few locations to tell of others" in text
    assert "measured at one location (L0)" in text
    assert "What to expect at a new location" not in text
    assert "Share of events whose every label is said" in text
    assert NASTY not in text


def test_a_page_without_a_leak_has_no_alert_and_pictures_can_be_left_out(
    photos: Catalog, tmp_path: Path
) -> None:
    apart = photos.with_table(photos.table.drop("event_id"))  # this world's events reach over locations
    found = evaluate(apart, predicted(apart), part="test", samples=30, name="mine")
    assert found.leak.checked
    page = found.save_report(tmp_path / "r.html", pictures=0)
    text = page.read_text(encoding="utf-8")
    assert 'role="alert"' not in text
    assert "How good is mine?" in text
    assert "img" not in structure(page).tags


@pytest.mark.skipif(sys.platform != "linux", reason="names are bytes on Linux only")
def test_photos_whose_names_are_not_utf8_are_shown(tmp_path: Path) -> None:
    folder = tmp_path / "photos" / "A"
    folder.mkdir(parents=True)
    Image.new("RGB", (40, 30), "red").save(folder / os.fsdecode("caf\u00e9.jpg".encode("latin-1")))
    page = explore(read(tmp_path / "photos", format="photo_folder"), tmp_path / "x.html")
    assert structure(page).tags.count("img") == 1


def test_a_tree_is_drawn_whatever_its_taxa_are_called() -> None:
    names = ["Felidae", 'Lynx $\\foo$ \\d <b>&"', "Puma $x$"]
    taxa = [
        Taxon(name, "genus" if place else "family", names[0] if place else None)
        for place, name in enumerate(names)
    ]
    found = [TaxonResult(name=name, media=3, precision=1.0, recall=0.5) for name in names]
    nothing = RollUpResult(
        promise=None,
        exact=0,
        coarse=0,
        wrong=0,
        unknown=0,
        unanswered=0,
        precision=None,
        hierarchical={},
        levels=(),
    )
    ranks = RankEvaluation(
        media=3,
        unknown_labels=0,
        unknown_are_wrong=False,
        ranks=(),
        taxa=tuple(found),
        nodes=(),
        rollup=nothing,
    )
    svg = draw_tree(ranks, Taxonomy({taxon.name: taxon for taxon in taxa}, {}))
    parser = Structure()
    parser.feed(svg)
    assert parser.open == []
    assert "b" not in parser.tags
    assert "Puma $x$" in svg


def test_pictures_need_the_photos(photos: Catalog, tmp_path: Path) -> None:
    found = evaluate(photos, predicted(photos), samples=30)
    loaded = Evaluation.load_json(found.save_json(tmp_path / "e.json"))
    with pytest.raises(DataError, match="leave pictures out"):
        loaded.save_report(tmp_path / "r.html")
    structure(loaded.save_report(tmp_path / "r.html", pictures=0))


def test_pictures_are_large_until_they_are_many_and_lead_to_the_photos(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "8.2 G !! #1 é.jpg"
    Image.linear_gradient("L").resize((1200, 900)).save(tmp_path / name)
    one = Mistake(
        **{"media_id": "m", "file_path": name, "location": None, "truth": ("a",), "said": ("b",)},
        confidence=0.9,
        truth_probability=0.1,
    )
    monkeypatch.setattr("trapline.reports.mistakes.MOST_BYTES", 20_000)
    missing = one.model_copy(update={"file_path": "missing.jpg"})
    *shown, last = show_mistakes([*([one] * 6), missing], tmp_path, tmp_path / "pages" / "r.html")
    content = [base64.b64decode((photo.address or "").partition(",")[2]) for photo in shown]
    widths = [Image.open(io.BytesIO(picture)).width for picture in content]
    assert widths == sorted(widths, reverse=True)
    assert set(widths) == {800, 320}
    assert {unquote(photo.file or "") for photo in shown} == {f"../{name}"}
    assert (last.address, last.file) == (None, None)


def test_exploring_finds_what_is_wrong_and_counts_what_is_there(photos: Catalog, tmp_path: Path) -> None:
    found = survey(photos, sample=100)
    assert (found.media, found.blanks, found.sample.looked) == (48, 16, 47)
    assert list(found.sample.unreadable) == ["p2"]
    assert found.sample.sizes == {"40 × 30": 46}
    assert found.sample.grey == 23
    assert found.frames == {3: 16}
    assert found.years == {2020: 48}
    assert (found.boxes.searched, found.boxes.with_box) == (48, 48)
    assert found.boxes.area == pytest.approx([0.12] * 5)
    assert sum(found.labels[0].hours) == found.labels[0].media == 16
    titles = {one.title: one.serious for one in found.findings}
    for label in found.labels:
        assert list(label.by_location.items()) == sorted(
            label.by_location.items(), key=lambda one: (-one[1], one[0])
        )
    assert titles["Missing files: 1"]
    assert titles["Photos that cannot be read, among 47 that were opened: 1"]
    assert titles["Labels with fewer than 20 media: 3"]
    structure(explore(photos, tmp_path / "x.html", sample=10))


def test_events_are_counted_by_their_labels_and_everything_by_season(tmp_path: Path) -> None:
    events = [("S2", ["hare"]), ("S2", ["blank"]), ("S10", ["hare", "lynx"]), ("S10", None), (None, ["hare"])]
    rows = [
        {"media_id": f"{n}-{frame}", "file_path": f"{n}-{frame}.jpg", "event_id": f"e{n}", "season": season}
        | {"event_labels": labels}
        for n, (season, labels) in enumerate(events)
        for frame in range(3)
    ]
    table = pl.DataFrame(rows, schema_overrides={"event_labels": pl.List(pl.String)})
    found = survey(Catalog.from_rows(table, tmp_path, "sequences"), sample=0)
    assert (found.labelled, found.labelled_by_event) == (12, 12)  # nothing is known of a photo by itself
    assert {one.label: (one.media, one.events) for one in found.labels} == {
        "hare": (9, 3),
        "blank": (3, 1),
        "lynx": (3, 1),
    }
    assert found.events_by_labels == {0: 1, 1: 3, 2: 1}
    assert [(one.season, one.media, one.labelled, one.events) for one in found.seasons] == [
        ("S2", 6, 6, 2),
        ("S10", 6, 3, 2),
        (None, 3, 3, 1),
    ]
    assert found.seasons[1].labels == {"hare": 3, "lynx": 3}
    assert found.seasons[1].label_events == {"hare": 1, "lynx": 1}
    text = found.to_text()
    assert "Events by number of labels: 0: 1, 1: 3, 2: 1" in text
    assert re.search(r"S10 +6 +3 +2 +2", text)
    page = found.save_report(tmp_path / "e.html", pictures=False).read_text()
    Structure().feed(page)
    assert "Events by number of labels" in page
    assert "6 | 2" in page
    assert "12 by their event" in page
    saved = json.loads(found.save_json(tmp_path / "e.json").read_text())
    assert saved["seasons"][0]["labels"] == {"blank": 3, "hare": 3}
    assert saved["events_by_labels"] == {"0": 1, "1": 3, "2": 1}


def test_examples_come_from_different_locations_and_only_labelled_media(photos: Catalog) -> None:
    places = dict(photos.table.select("media_id", "location_id").iter_rows())
    for found in survey(photos, sample=0).examples.values():
        assert len(found) == 8
        assert len({places[one.media_id] for one in found[:2]}) == 2


def test_an_unlabelled_catalog_without_times_or_places_can_be_explored(tmp_path: Path) -> None:
    Image.new("RGB", (20, 10), "green").save(tmp_path / "a.jpg")
    catalog = Catalog.from_rows([{"media_id": "a", "file_path": "a.jpg"}], tmp_path, "one photo")
    found = survey(catalog)
    assert found.blanks is None
    assert found.labels == ()
    assert list(found.examples) == ["not labelled"]
    titles = [one.title for one in found.findings]
    assert titles == ["Without a label: 1 of 1 media", "No locations are known", "No times are known"]
    assert "`trapline catalog --exif` reads it" in found.findings[-1].text
    read = catalog.with_table(catalog.table.with_columns(pl.lit(None, pl.String).alias("exif_time_tag")))
    assert "cannot be split by date" in survey(read).findings[-1].text
    structure(found.save_report(tmp_path / "x.html"))


def jumps(*times: datetime) -> list[str]:
    rows = [
        {"media_id": f"{n}", "file_path": f"IMG_{n:04}.jpg", "location_id": "A", "camera_time": time}
        for n, time in enumerate(times)
    ]
    catalog = Catalog.from_rows(rows, Path(), "a card")
    return [one.text for one in find_clock_troubles(catalog) if one.title.startswith("Clocks that")]


def test_clocks_that_jump_while_the_names_go_on_are_named() -> None:
    start, day = datetime(2021, 5, 1, 12), timedelta(days=1)
    assert jumps(*(start + n * day for n in range(9))) == []
    assert jumps(start, start - timedelta(hours=1), start + day) == []  # summer time ended
    (back,) = jumps(start, start + day, start - 100 * day, start - 99 * day)
    assert "from 2021-05-02 12:00 to 2021-01-21 12:00 at 2" in back
    (leap,) = jumps(start, start + 400 * day)
    assert "from 2021-05-01 12:00 to 2022-06-05 12:00 at 1" in leap
    assert jumps(*(start + (n % 2) * day for n in range(20))) == []  # the names do not follow the clock


def test_what_is_hidden_in_a_picture_is_a_few_blocks(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (240, 320, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    pictures = [
        np.asarray(Image.open(io.BytesIO(base64.b64decode((address or "").partition(",")[2]))))
        for address in (
            thumbnail(tmp_path / "a.png"),
            thumbnail(tmp_path / "a.png", [Box(0.5, 0.5, 0.3, 0.3)], [Box(0.7, 0.5, 0.1, 0.3)]),
        )
    ]
    plain, hidden = (np.abs(np.diff(one.astype(int), axis=1)).mean(2) for one in pictures)
    assert hidden[125:185, 165:220].mean() < plain[125:185, 165:220].mean() / 5
    assert hidden[125:185, 228:250].mean() > plain[125:185, 228:250].mean() / 2  # it is shown all the same
    assert abs(hidden[:90].mean() - plain[:90].mean()) < 1


@pytest.mark.parametrize(
    ("times", "title"),
    [
        ([datetime(1970, 1, 5)], "Times before 2000: 1"),
        ([datetime(2999, 1, 5)], "Times in the future: 1"),
        ([datetime(2000, 1, 1, 0, 3), datetime(2000, 1, 2)], "Times on 1 January 2000: 1"),
        ([datetime(2006, 3, 5)], "All times lie in 2006"),
        ([datetime(2020, 1, 1, 0, 5)], "Clocks that begin at midnight of a 1 January: 1 of 1"),
        (
            [datetime(2020, 6, 5)] * 6 + [datetime(2010, 6, 5)],
            "Clocks that are years away from the others: 1 of 7",
        ),
    ],
)
def test_clocks_that_cannot_be_right_are_named(times: list[datetime], title: str, tmp_path: Path) -> None:
    rows = [
        {
            "media_id": str(place),
            "file_path": f"{place}.jpg",
            "location_id": f"L{place}",
            "camera_time": time,
            "timestamp_source": "exif",
        }
        for place, time in enumerate(times)
    ]
    found = survey(Catalog.from_rows(rows, tmp_path, "rows"))
    assert title in [one.title for one in found.findings]


def test_labels_that_differ_in_case_only_are_a_serious_finding(photos: Catalog) -> None:
    shouted = pl.when(pl.int_range(pl.len()) < 12).then(
        pl.col("labels").list.eval(pl.element().str.replace("hare", "Hare"))
    )
    found = survey(photos.with_table(photos.table.with_columns(shouted.otherwise("labels"))))
    (finding,) = [one for one in found.findings if "differ in case" in one.title]
    assert finding.serious
    assert "'Hare' (4) = 'hare' (12)" in finding.text


def test_a_label_confined_to_one_location_is_a_serious_finding(tmp_path: Path) -> None:
    rows = [
        {
            "media_id": str(n),
            "file_path": f"{n}.jpg",
            "location_id": f"L{n % 5}",
            "labels": ["lynx" if n % 5 == 0 else "hare"],
        }
        for n in range(200)
    ]
    found = survey(Catalog.from_rows(rows, tmp_path, "rows"), sample=0)
    (finding,) = [one for one in found.findings if one.title == "Labels seen at fewer than 3 locations: 1"]
    assert finding.serious
    assert "lynx (1)" in finding.text
    assert {one.label: one.top_location_share for one in found.labels} == {"hare": 0.25, "lynx": 1.0}


def test_infrared_is_grey_and_a_coloured_banner_does_not_change_that() -> None:
    random = np.random.default_rng(0)
    grey = random.integers(0, 250, (60, 80, 1), dtype=np.uint8).repeat(3, axis=2) + random.integers(
        0, 4, (60, 80, 3), dtype=np.uint8
    )
    grey[:8] = (200, 20, 20)
    assert is_grey(grey)
    assert not is_grey(random.integers(0, 255, (60, 80, 3), dtype=np.uint8))


@pytest.mark.field
def test_real_photos_of_a_road_camera_show_their_wrong_clock(field: Path) -> None:
    from trapline.images import read_exif

    folder = field / "jura" / "site-8.2-G"
    paths = sorted(folder.iterdir())[:40]
    rows = [
        {
            "media_id": path.name,
            "file_path": path.name,
            "location_id": "8.2-G",
            "camera_time": read_exif(path).camera_time,
            "timestamp_source": "exif",
        }
        for path in paths
    ]
    found = survey(Catalog.from_rows(pl.DataFrame(rows), folder, "jura"))
    assert "All times lie in 2006" in [one.title for one in found.findings]
    assert found.sample.grey == 0  # its night photos are tinted, and the report says that these do not count


@pytest.mark.field
def test_real_infrared_photos_have_no_colour(field: Path) -> None:
    folder = field / "caltech-night" / "train_features"
    rows = [{"media_id": path.name, "file_path": path.name} for path in sorted(folder.iterdir())[:30]]
    assert survey(Catalog.from_rows(rows, folder, "caltech-night")).sample.grey == 30
