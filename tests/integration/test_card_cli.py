"""`trapline card`: a table and a page of photos that nobody has labelled, whatever the card holds."""

import html
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import zipfile
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from PIL import Image

import trapline
from trapline.catalog import Catalog
from trapline.errors import DataError, UsageError
from trapline.models import MeasuredAt, find_detector
from trapline.observations import Observations
from trapline.review import Desk
from trapline.review.requests import DecideForm, NextForm
from trapline.synthetic import make_world

SAME = ("species.csv", "index.html")
"""Files that are the same whatever happened to the run; of the Parquet files it is the content."""


@pytest.fixture(scope="session")
def card(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve synthetic photos of one camera, in a folder as cameras make them."""
    home = tmp_path_factory.mktemp("card")
    make_world(home / "world", locations=1, events_per_location=4, size=(320, 240))
    (home / "Old oak").mkdir()
    next((home / "world" / "photos").iterdir()).rename(home / "Old oak" / "DCIM")
    return home / "Old oak"


@pytest.fixture(scope="session")
def done(card: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What an undisturbed run leaves of it."""
    return trapline.card(card, tmp_path_factory.mktemp("done") / "out").folder


def photo(path: Path, time: datetime | None = None, serial: str | None = None, seed: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 255, (40, 60, 3)).astype(np.uint8)
    exif = Image.Exif()
    if time is not None:
        exif[306] = f"{time:%Y:%m:%d %H:%M:%S}"
    if serial is not None:
        exif.get_ifd(0x8769)[0xA431] = serial
    Image.fromarray(pixels).save(path, exif=exif)


def text_of(page: str) -> str:
    return re.sub(
        r"\s+", " ", re.sub(r"<[^>]*>", " ", re.sub(r"<style>.*?</style>", "", page, flags=re.DOTALL))
    )


def test_one_command_leaves_table_page_and_what_goes_on(
    run: Any, card: Path, done: Path, tmp_path: Path
) -> None:
    status, out, err = run("card", str(card))
    folder = tmp_path / "Old oak-card"
    assert status == 0, err
    assert "Old oak-card/index.html" in out
    assert err.count("one camera") == 1
    for name in SAME:
        assert (folder / name).stat().st_size > 100
    table = pl.read_csv(folder / "species.csv")
    assert table["location_id"].unique().to_list() == ["Old oak"]
    assert table["media"].sum() == 12
    assert set(table["label"]) <= {"animal", "person", "vehicle", "unknown", "blank"}
    assert zipfile.is_zipfile(folder / "species.xlsx")
    assert Catalog.load(folder / "photos.parquet").table["event_id"].n_unique() == 4
    assert Observations.load(folder / "observations.parquet").standing["media_id"].n_unique() == 12
    page = (folder / "index.html").read_text("utf-8")
    assert "http" not in re.sub(r"http-equiv|http://www.w3.org\S*", "", page)  # nothing from a network
    assert "How far this can be believed" in page


def test_a_second_run_looks_only_at_new_photos(card: Path, tmp_path: Path) -> None:
    copy = tmp_path / "card"
    names = sorted(path.name for path in (card / "DCIM").iterdir())
    (copy / "DCIM").mkdir(parents=True)
    for name in names[:9]:
        os.link(card / "DCIM" / name, copy / "DCIM" / name)
    trapline.card(copy, tmp_path / "out")
    for name in names[9:]:
        os.link(card / "DCIM" / name, copy / "DCIM" / name)
    steps: list[int] = []
    again = trapline.card(
        copy,
        tmp_path / "out",
        report=lambda what, at, of, rate: steps.append(at) if what == "find boxes" else None,
    )
    assert steps[0] > 9
    assert again.figures.media == 12
    assert trapline.card(copy, tmp_path / "fresh").observations.table.equals(again.observations.table)


def test_killed_in_the_middle_it_goes_on_to_the_same_result(card: Path, done: Path, tmp_path: Path) -> None:
    program = (
        "import os, signal, sys, trapline\n"
        "def report(what, at, of, rate):\n"
        "    if what == 'find boxes': os.kill(os.getpid(), signal.SIGKILL)\n"
        "trapline.card(sys.argv[1], sys.argv[2], report=report)\n"
    )
    command = [sys.executable, "-c", program, str(card), str(tmp_path / "out")]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    assert not (tmp_path / "out" / "species.csv").exists()
    trapline.card(card, tmp_path / "out")
    for name in SAME:
        mine = (tmp_path / "out" / name).read_text("utf-8").replace(str(tmp_path / "out"), str(done))
        assert mine == (done / name).read_text("utf-8"), name
    for name in ("photos.parquet", "observations.parquet"):
        assert pl.read_parquet(tmp_path / "out" / name).equals(pl.read_parquet(done / name))


def decide_all(desk: Desk, *_: object) -> None:
    """What a person does on the page, in place of serving it."""
    for number, ask in enumerate(desk.next(NextForm(person="Ada", count=50))):
        desk.decide(
            [
                DecideForm(
                    decision_id=f"decision-{number}",
                    ask=ask["ask"],
                    event=ask["event"],
                    person="Ada",
                    verdict="blank",
                )
            ]
        )


def test_the_commands_for_the_next_step_can_be_pasted(
    run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trapline.review.serve_review", decide_all)
    make_world(tmp_path / "world", locations=1, events_per_location=12, size=(160, 120))
    run("card", "world/photos/SYN01", "-o", "my card")
    lines = pasted(tmp_path / "my card" / "index.html")
    assert {words[1] for words in lines} == {"review", "write", "catalog", "split", "train", "card"}
    status, _, err = run(*next(words[1:] for words in lines if words[1] == "review"))
    assert status == 0, err
    writes = [words for words in lines if words[1] == "write"]
    for words in writes:
        if "xmp" in words:
            continue  # needs ExifTool
        status, _, err = run(*words[1:])
        assert status == 0, (words, err)
    assert set(pl.read_csv(tmp_path / "my card" / "decided.csv")["label"]) == {"blank"}
    sorted_folder = tmp_path / "my card" / "sorted"
    links = sorted(path for path in sorted_folder.rglob("*") if path.is_symlink())
    for number, link in enumerate(links):
        target = sorted_folder / ("fox" if number % 2 else "deer") / link.relative_to(sorted_folder).name
        target.parent.mkdir(exist_ok=True)
        target.symlink_to(link.resolve())
        link.unlink()
    for name in ("catalog", "split", "train", "card"):
        words = next(words for words in reversed(lines) if words[1] == name and "--show-people" not in words)
        status, _, err = run(*words[1:])
        assert status == 0, (name, err)
    labels = set(pl.read_csv(tmp_path / "my card" / "species.csv")["label"])
    assert "animal" not in labels
    assert labels & {"deer", "fox"}


def test_a_model_names_what_is_in_the_boxes(
    card: Path, done: Path, tmp_path: Path, write_tiny_model: Callable[..., Path]
) -> None:
    at = MeasuredAt.of({"wood": 40})
    model = write_tiny_model(tmp_path / "model.onnx", labels=("fox", "deer"), measured_at=at)
    named = trapline.card(card, tmp_path / "out", model=model)
    alone = {one.label: one.media for one in trapline.card(card, done).figures.answers}
    counts = {one.label: one.media for one in named.figures.answers}
    assert {"fox", "deer"} & set(counts)
    assert set(counts) <= {"fox", "deer", "blank", "human", "vehicle"}
    assert counts.get("blank") == alone.get("blank")
    assert sum(counts.values()) == 12
    page = text_of(named.page.read_text("utf-8"))
    assert "knows fox, deer" in page
    assert page.count("measured at one location (wood)") == 1
    assert page.count("cannot be told: its card keeps no statistics") == 1
    assert page.index("measured at one location (wood)") < page.index("What was seen")


def pasted(page: Path) -> list[list[str]]:
    """The commands of a page, in words."""
    return [
        shlex.split(html.unescape(line))
        for line in re.findall(r"<code>(trapline .*?)\n</code>", page.read_text("utf-8"))
    ]


def test_what_is_pasted_goes_on_with_the_same_model_detector_and_reader(
    card: Path, tmp_path: Path, write_tiny_model: Callable[..., Path]
) -> None:
    model = write_tiny_model(tmp_path / "my model.onnx", labels=("fox", "deer"))
    detector = tmp_path / "mine.onnx"
    shutil.copyfile(find_detector("auto"), detector)
    page = trapline.card(
        card, tmp_path / "out", model=model, detector=detector, format="photo_folder", pictures=1
    ).page
    (words,) = (words for words in pasted(page) if "--show-people" in words)
    assert words[:3] == ["trapline", "card", str(card)]
    for option, value in (("--model", model), ("--detector", detector), ("--format", "photo_folder")):
        assert words[words.index(option) + 1] == str(value)


def test_pictures_of_several_cameras_say_of_which_they_are(tmp_path: Path) -> None:
    for camera in ("North", "South"):
        photo(tmp_path / "cards" / camera / "DCIM" / "IMG_0001.JPG", datetime(2024, 5, 1, 10, 30))
    page = trapline.card(tmp_path / "cards", tmp_path / "out").page.read_text("utf-8")
    assert {name for name in ("North", "South") if f"{name} · 2024-05-01 10:30" in page} == {"North", "South"}


@pytest.mark.parametrize("location", [None, "ridge"])
def test_a_page_says_why_no_visits_are_counted_where_no_location_is_known(
    tmp_path: Path, location: str | None, write_tiny_model: Any
) -> None:
    rows = [
        {
            "media_id": f"{n}.jpg",
            "file_path": f"{n}.jpg",
            "location_id": location,
            "camera_time": datetime(2026, 5, 1, n),
        }
        for n in range(2)
    ]
    for n in range(2):
        photo(tmp_path / "photos" / f"{n}.jpg", seed=n)
    media = Catalog.from_rows(rows, tmp_path / "photos", "a table").save(tmp_path / "photos.parquet")
    model = write_tiny_model(tmp_path / "model.onnx")
    page = trapline.card(media, tmp_path / "out", model=model).page.read_text("utf-8")
    assert ("No photo has a location, so that no visits are counted" in page) == (location is None)
    assert "Photos of one visit are answered together" not in page, "nothing says which these are"


def test_words_in_backticks_are_code_on_the_page(tmp_path: Path) -> None:
    photo(tmp_path / "photos" / "1.jpg")
    page = trapline.card(tmp_path / "photos", tmp_path / "out").page.read_text("utf-8")
    assert "<code>trapline catalog</code>" in page
    assert "`" not in text_of(page)


def test_a_page_that_shows_people_does_not_say_that_it_hides_them(tmp_path: Path) -> None:
    photo(tmp_path / "photos" / "1.jpg")
    for shown in (False, True):
        page = trapline.card(tmp_path / "photos", tmp_path / "out", show_people=shown).page
        text = text_of(page.read_text("utf-8"))
        assert ("are not shown" in text, "--show-people" in text) == (not shown, not shown)


def test_an_option_of_reading_is_named_with_the_command_that_has_it(run: Any, tmp_path: Path) -> None:
    photo(tmp_path / "elsewhere" / "1.jpg")
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "labels.csv").write_text(f"file,label\n{tmp_path / 'elsewhere' / '1.jpg'},fox\n")
    for command in (("card",), ("detect", "-o", "boxes.parquet")):
        status, _, err = run(*command, "home/labels.csv")
        assert status == 1
        assert (
            f"--root is an option of `trapline catalog`, whose catalog `trapline {command[0]}` takes" in err
        )
    _, _, err = run("catalog", "home/labels.csv", "-o", "c.parquet")
    assert "--root" in err
    assert "is an option of" not in err


@pytest.mark.parametrize(("second", "labelled"), [("", 1), ("deer", 2)])
def test_a_page_says_that_labels_of_people_name_the_animals(
    tmp_path: Path, second: str, labelled: int
) -> None:
    for number in (1, 2):
        photo(tmp_path / "photos" / f"{number}.jpg", seed=number)
    (tmp_path / "labels.csv").write_text(f"file,label\nphotos/1.jpg,fox\nphotos/2.jpg,{second}\n")
    text = text_of(trapline.card(tmp_path / "labels.csv", tmp_path / "out").page.read_text("utf-8"))
    assert f"{labelled} of 2 photos are called what the labels that came with them say" in text
    assert ("No other species are named" in text) is (labelled < 2)
    assert "No species are named" not in text


def test_beside_a_table_that_names_photos_in_folders_is_a_place_for_the_outcome(
    run: Any, tmp_path: Path
) -> None:
    photo(tmp_path / "photos" / "1.jpg")
    (tmp_path / "labels.csv").write_text("file,label\nphotos/1.jpg,fox\n")
    status, out, _ = run("card", "labels.csv")
    assert (status, out.split()[3:5]) == (0, ["fox", "1"])
    status, _, err = run("card", "labels.csv", "-o", "photos/out")
    assert status == 2
    assert "in the folder of the photos" in err


PEOPLE = [
    {"category": "person", "conf": 0.4, "x": 0.5, "y": 0.5, "width": 0.2, "height": 0.2},
    {"category": "animal", "conf": 0.9, "x": 0.1, "y": 0.1, "width": 0.2, "height": 0.2},
]


def test_photos_of_people_are_not_shown_unless_asked_for(tmp_path: Path) -> None:
    for number in range(4):
        photo(
            tmp_path / "photos" / f"{number}.jpg", datetime(2024, 5, 1) + timedelta(hours=number), seed=number
        )
    catalog = trapline.read(tmp_path / "photos", location="auto")
    boxes = [PEOPLE, PEOPLE[1:], [], PEOPLE[:1]]
    catalog.with_table(
        catalog.table.with_columns(boxes=pl.Series(boxes, dtype=catalog.table["boxes"].dtype))
    ).save(tmp_path / "c.parquet")
    done = trapline.card(tmp_path / "c.parquet", tmp_path / "out")
    counts = {one.label: one.media for one in done.figures.answers}
    assert counts == {"animal": 2, "person": 2, "blank": 1}
    page = done.page.read_text("utf-8")
    assert page.count("data:image") == 2
    assert "1 is not shown, because people may be in them" in text_of(page)
    shown = trapline.card(tmp_path / "c.parquet", tmp_path / "out", show_people=True)
    assert shown.page.read_text("utf-8").count("data:image") == 5  # one shows both


@pytest.mark.parametrize("what", ["nothing", "videos", "gone"])
def test_a_card_without_photos_leaves_nothing(run: Any, tmp_path: Path, what: str) -> None:
    if what != "gone":
        (tmp_path / "card").mkdir()
    if what == "videos":
        (tmp_path / "card" / "a.mp4").write_bytes(b"\0" * 100)
    status, out, err = run("card", "card", "-o", "out")
    assert (status, out) == (1, "")
    told = {"nothing": "no picture", "videos": "1 .mp4): media are photos here. Take frames out of them"}
    assert (told | {"gone": "nothing at"})[what] in err
    assert not (tmp_path / "out").exists()


def test_a_hostile_card_is_told_row_by_row(run: Any, tmp_path: Path, write_zoo: Any) -> None:
    kinds = write_zoo(tmp_path / "zoo <b>&amp;'")
    names = [
        name
        for name in kinds
        if Path(name).suffix.lower() in {".jpg", ".png", ".gif", ".tif", ".bmp", ".webp"}
    ]
    status, _, err = run("card", "zoo <b>&amp;'", "-o", "-out", "--strict")
    assert status == 1, err
    table = pl.read_csv("-out/species.csv")
    there = [name for name in names if os.path.lexists(tmp_path / "zoo <b>&amp;'" / name)]
    failed = [name for name in there if kinds[name] == "failed" and name != "folder.jpg"]
    assert table["media"].sum() >= len(there) - 1
    assert dict(table.select("label", "media").iter_rows())["failed"] >= len(failed) - 1
    page = Path("-out/index.html").read_text("utf-8")
    assert "<b>&amp;" not in page.replace("<b>0", "").replace("<b>1", "")
    assert "bomb.png" in page
    assert "./-out" in page


def test_a_folder_is_gone_on_with_only_if_it_is_of_this_card(card: Path, done: Path, tmp_path: Path) -> None:
    photo(tmp_path / "a" / "1.jpg", datetime(2024, 5, 1))
    other = tmp_path / "other"
    other.mkdir()
    (other / "precious.txt").write_text("mine")
    for folder, complaint in ((other, "not empty"), (tmp_path / "a" / "out", "folder of the photos")):
        with pytest.raises(UsageError, match=complaint):
            trapline.card(tmp_path / "a", folder)
    assert sorted(path.name for path in other.iterdir()) == ["precious.txt"]
    with pytest.raises(UsageError, match="was made of"):
        trapline.card(tmp_path / "a", done)
    out = tmp_path / "out"
    trapline.card(tmp_path / "a", out)
    photo(tmp_path / "a" / "1.jpg", datetime(2024, 6, 1))
    with pytest.raises(UsageError, match="another card"):
        trapline.card(tmp_path / "a", out)
    trapline.card(tmp_path / "a", out, force=True)
    (out / "species.csv").write_text("corrected by hand")
    with pytest.raises(UsageError, match="was edited"):
        trapline.card(tmp_path / "a", out)
    assert (out / "species.csv").read_text() == "corrected by hand"


def test_one_camera_is_one_location_and_several_are_several(tmp_path: Path) -> None:
    def locations(**photos: tuple[str | None, int]) -> set[str | None]:
        folder = tmp_path / f"card {len(list(tmp_path.iterdir()))}"
        for name, (serial, hour) in photos.items():
            path = folder / f"{name.replace('__', '/').replace('_', '-')}.jpg"
            photo(path, datetime(2024, 5, 1, hour), serial)
        read = trapline.read(folder, location="auto")
        names = read.table["location_id"].unique()
        return {name and name.replace(folder.name, "card") for name in names}

    assert locations(a=(None, 1), b=("S1", 2)) == {"card"}
    assert locations(a=("S1", 1), b=("S2", 2)) == {"camera S1", "camera S2"}
    assert locations(a=("S1", 1), b=("S2", 2), c=(None, 3)) == {"camera S1", "camera S2", None}
    assert locations(north__a=(None, 1), south__b=(None, 2)) == {"north", "south"}
    assert locations(north__a=("S1", 1), south__b=("S2", 2), c=(None, 2)) == {"north", "south", "card"}
    assert locations(DCIM__a=("S1", 1), DCIM__b=("S1", 2)) == {"card"}
    dates = {"2024_05_01__a": (None, 1), "2024_05_02__b": (None, 2)}
    assert locations(**dates) == {"card"}
    moved = {"day__a": ("S1", 1), "night__b": ("S1", 2), "day__c": ("S1", 3), "night__d": ("S1", 4)}
    assert locations(**moved) == {"card"}
    moved = {"north__a": ("S1", 1), "south__b": ("S1", 2)}
    assert locations(**moved) == {"north", "south"}


def test_json_tells_what_was_seen(run: Any, card: Path) -> None:
    status, out, _ = run("card", str(card), "-o", "out", "--json")
    told = json.loads(out)
    assert status == 0
    assert told["photos"] == sum(one["photos"] for one in told["answers"].values()) == 12
    assert told["page"] == "out/index.html"


def test_what_is_no_card_is_refused_with_what_is_accepted(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="source must be"):
        trapline.card(None)  # type: ignore[arg-type]
    with pytest.raises(DataError, match="nothing at"):
        trapline.card(tmp_path / "nowhere", tmp_path / "out")


def test_a_card_of_which_no_photo_can_be_read_has_a_row_for_each(run: Any, tmp_path: Path) -> None:
    (tmp_path / "card").mkdir()
    for number in range(3):
        (tmp_path / "card" / f"{number}.jpg").write_text("no picture")
    status, out, err = run("card", "card", "-o", "out")
    assert status == 0, err
    assert out.splitlines()[1].split() == ["failed", "3", "–"]
