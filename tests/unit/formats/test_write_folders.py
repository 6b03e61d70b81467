"""Sorted folders, XMP sidecars, Wildlife Insights' CSVs and the summary."""

import csv
import json
import re
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import polars as pl
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from trapline.catalog import BOX, Catalog, relabel
from trapline.errors import DataError, UsageError
from trapline.formats import read, undo_sorted, write
from trapline.formats.writers.summary import independent_times
from trapline.formats.writers.xmp import sidecar

SPACES = {
    "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
    "dc": "http://purl.org/dc/elements/1.1/",
    "lr": "http://ns.adobe.com/lightroom/1.0/",
    "digiKam": "http://www.digikam.org/ns/1.0/",
}

SURE_BOX = {"category": "animal", "conf": 0.9, "x": 0.1, "y": 0.1, "width": 0.2, "height": 0.2}


def run(made: Any, name: str, output: Path, **options: Any) -> Any:
    options = made.options.get(name, {}) | options
    return write(made.predictions, made.catalog, output, format=name, taxonomy=made.taxonomy, **options)


def files(folder: Path) -> list[str]:
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if not p.is_dir())


SORTED = [
    "blank/north/a3.jpg",
    "failed/south/b2.jpg",
    "fox/north/a2.jpg",
    "roe_deer/north/a 1 !!.jpg",
    "trapline-sorted.json",
    "unclassified/south/b1.jpg",
    "vehicle/south/b3.jpg",
]


@pytest.mark.parametrize("mode", ["symlink", "hardlink", "copy"])
def test_photos_are_sorted_and_put_back_without_a_trace(mode: str, scene: Any, tmp_path: Path) -> None:
    made = scene()
    before = {path: path.read_bytes() for path in made.catalog.paths()}
    output = tmp_path / "sorted"
    assert run(made, "sorted", output, mode=mode, threshold=0.5).rows == 6
    assert files(output) == SORTED
    assert (output / "fox/north/a2.jpg").is_symlink() == (mode == "symlink")
    assert (output / "fox/north/a2.jpg").read_bytes() == before[made.catalog.path("north/a2.jpg")]
    assert undo_sorted(output) == (6, [])
    assert not output.exists()
    assert {path: path.read_bytes() for path in made.catalog.paths()} == before


def test_undoing_leaves_what_was_changed_or_added(scene: Any, tmp_path: Path) -> None:
    output = tmp_path / "sorted"
    run(scene(), "sorted", output, mode="copy")
    (output / "fox/north/a2.jpg").write_bytes(b"edited by its owner")
    (output / "fox/notes.txt").write_text("mine")
    (output / "mine/empty").mkdir(parents=True)
    assert undo_sorted(output) == (5, ["fox/north/a2.jpg"])
    assert files(output) == ["fox/north/a2.jpg", "fox/notes.txt", "trapline-sorted.json"]
    assert undo_sorted(output) == (0, ["fox/north/a2.jpg"])  # what is left stays on record
    (output / "fox/north/a2.jpg").unlink()
    assert undo_sorted(output) == (0, [])
    assert sorted(p.relative_to(output).as_posix() for p in output.rglob("*")) == [
        "fox",
        "fox/notes.txt",
        "mine",
        "mine/empty",
    ]
    with pytest.raises(DataError, match=r"no file .*trapline-sorted\.json"):
        undo_sorted(output)


def test_undoing_leaves_a_folder_that_was_there_before(scene: Any, tmp_path: Path) -> None:
    output = tmp_path / "sorted"
    (output / "fox").mkdir(parents=True)
    run(scene(), "sorted", output, force=True)
    assert undo_sorted(output) == (6, [])
    assert [path.name for path in output.iterdir()] == ["fox"]


KILLED_WHILE_SORTING = """
import os, shutil, signal, sys
from pathlib import Path
import polars as pl
from trapline.catalog import Catalog
from trapline.formats import write
from trapline.prediction import Predictions

copies, copy2 = 0, shutil.copy2

def dies_in_the_midst(source, place):
    global copies
    copies += 1
    if copies == 8:
        Path(place).write_bytes(Path(source).read_bytes()[:100])
        os.kill(os.getpid(), signal.SIGKILL)
    return copy2(source, place)

shutil.copy2 = dies_in_the_midst
write(
    Predictions.load(sys.argv[1]), Catalog.load(sys.argv[2]), sys.argv[3], format="sorted", mode="copy"
)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_sorting_that_was_killed_can_be_undone_and_done_again(scene: Any, tmp_path: Path) -> None:
    made, output = scene(), tmp_path / "sorted"
    paths = [f"north/{number}.jpg" for number in range(20)]
    for path in paths:
        shutil.copy(made.catalog.path("north/a2.jpg"), made.catalog.path(path))
    rows = [{"media_id": path, "file_path": path} for path in paths]
    catalog = Catalog.from_rows(rows, made.catalog.root, "twenty photos")
    first = made.predictions.table.filter(media_id="m2")
    table = pl.concat(
        first.with_columns(media_id=pl.lit(path), event_id=pl.lit(None, pl.String), file_path=pl.lit(path))
        for path in paths
    )
    predictions = replace(made.predictions, table=table)
    predictions.save(tmp_path / "p.parquet")
    catalog.save(tmp_path / "c.parquet")
    command = [sys.executable, "-c", KILLED_WHILE_SORTING]
    command += [str(tmp_path / name) for name in ("p.parquet", "c.parquet", "sorted")]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    assert len(list((output / "fox/north").iterdir())) == 8  # seven, and half of one
    assert undo_sorted(output) == (7, [])
    assert not output.exists()
    subprocess.run(command, check=False)
    assert write(predictions, catalog, output, format="sorted", force=True).rows == 20
    assert undo_sorted(output) == (20, [])
    assert not output.exists()


def test_sorting_again_that_is_refused_leaves_what_was_sorted(scene: Any, tmp_path: Path) -> None:
    made, output = scene(), tmp_path / "sorted"
    run(made, "sorted", output, mode="copy")
    (output / "fox/north/a2.jpg").write_bytes(b"edited by its owner")
    before = {path: (output / path).read_bytes() for path in files(output)}
    with pytest.raises(DataError, match=r"fox/north/a2\.jpg exists .* changed since"):
        run(made, "sorted", output, mode="copy", force=True)
    assert {path: (output / path).read_bytes() for path in files(output)} == before
    run(made, "sorted", output, mode="copy", threshold=0.8, force=True)  # no fox is sure enough now
    assert (output / "fox/north/a2.jpg").read_bytes() == b"edited by its owner"
    assert undo_sorted(output) == (6, ["fox/north/a2.jpg"])


def test_undoing_never_leaves_its_folder(tmp_path: Path) -> None:
    victim = tmp_path / "victim.txt"
    victim.write_text("mine")
    folder = tmp_path / "sorted"
    folder.mkdir()
    for path in ("../victim.txt", victim.as_posix()):
        (folder / "trapline-sorted.json").write_text(json.dumps({"made": [{"path": path, "is": None}]}))
        with pytest.raises(DataError, match="outside the folder"):
            undo_sorted(folder)
    assert victim.exists()


def test_sorting_again_takes_the_old_links_away_first(scene: Any, tmp_path: Path) -> None:
    made, output = scene(), tmp_path / "sorted"
    run(made, "sorted", output)
    assert "unclassified/south/b1.jpg" not in files(output)
    run(made, "sorted", output, threshold=0.5, force=True)
    assert files(output) == SORTED


def test_a_file_in_the_way_is_never_overwritten(scene: Any, tmp_path: Path) -> None:
    made, output = scene(), tmp_path / "sorted"
    (output / "fox/north").mkdir(parents=True)
    (output / "fox/north/a2.jpg").write_text("mine")
    with pytest.raises(DataError, match=r"fox/north/a2\.jpg exists"):
        run(made, "sorted", output, force=True)
    assert (output / "fox/north/a2.jpg").read_text() == "mine"
    with pytest.raises(UsageError, match=r"'sorted' takes for 'mode' symlink or .*, not 'move'"):
        run(made, "sorted", tmp_path / "other", mode="move")
    made.catalog.path("north/a2.jpg").unlink()
    with pytest.raises(DataError, match=r"1 photo is not below .*a2\.jpg"):
        run(made, "sorted", tmp_path / "other", mode="copy")


def keywords(path: Path) -> dict[str, list[str | None]]:
    root = ElementTree.parse(path).getroot()
    names = {"subject": "dc:subject", "hierarchy": "lr:hierarchicalSubject", "tags": "digiKam:TagsList"}
    return {
        name: [item.text for item in root.iterfind(f".//{tag}//rdf:li", SPACES)]
        for name, tag in names.items()
    }


def test_sidecars_carry_keywords_that_other_programs_read(scene: Any, tmp_path: Path) -> None:
    made = scene("box")
    before = {path: path.read_bytes() for path in made.catalog.paths()}
    report = run(made, "xmp", made.catalog.root, threshold=0.5)
    assert report.rows == 6
    assert keywords(made.catalog.root / "north/a2.jpg.xmp") == {
        "subject": ["fox", "Vulpes vulpes"],
        "hierarchy": [
            "Trapline|species|fox",
            "Trapline|taxon|Mammalia|Carnivora|Canidae|Vulpes|Vulpes vulpes",
        ],
        "tags": ["Trapline/species/fox", "Trapline/taxon/Mammalia/Carnivora/Canidae/Vulpes/Vulpes vulpes"],
    }
    assert keywords(made.catalog.root / "north/a 1 !!.jpg.xmp")["subject"] == [
        "roe_deer",
        "vehicle",
        "Capreolus capreolus",
    ]
    assert keywords(made.catalog.root / "south/b2.jpg.xmp")["hierarchy"] == ["Trapline|failed"]
    assert keywords(made.catalog.root / "south/b1.jpg.xmp")["hierarchy"] == ["Trapline|unclassified"]
    assert {path: path.read_bytes() for path in made.catalog.paths()} == before


def test_sidecars_of_other_programs_are_never_overwritten(scene: Any, tmp_path: Path) -> None:
    made, output = scene(), tmp_path / "xmp"
    (output / "north").mkdir(parents=True)
    (output / "north/a2.jpg.xmp").write_text("<x:xmpmeta xmlns:x='adobe:ns:meta/'>five stars</x:xmpmeta>")
    with pytest.raises(DataError, match=r"another program's, the first is north/a2\.jpg\.xmp"):
        run(made, "xmp", output, force=True)
    assert files(output) == ["north/a2.jpg.xmp"]
    run(made, "xmp", tmp_path / "adobe", naming="adobe")
    assert "north/a2.xmp" in files(tmp_path / "adobe")


@pytest.mark.parametrize(
    ("photos", "naming", "one_case", "complaint"),
    [
        (("a.jpg", "a.JPG"), "full", False, None),
        (("a.jpg", "a.JPG"), "full", True, "upper and lower case are one"),
        (("a.jpg", "A.jpg"), "adobe", False, None),
        (("a.jpg", "a.png"), "adobe", False, "use --naming full"),
        (("a.jpg", "a.png"), "full", False, None),
    ],
)
def test_photos_whose_names_differ_by_case_share_a_sidecar_only_where_the_disk_says_so(
    photos: tuple[str, str],
    naming: str,
    one_case: bool,
    complaint: str | None,
    scene: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made, output = scene(), tmp_path / "xmp"
    (tmp_path / "probe").touch()
    if not one_case and (tmp_path / "PROBE").exists():
        pytest.skip("upper and lower case are one on this disk")
    if one_case:
        monkeypatch.setattr(Path, "exists", lambda self: self.name != "xmp")
    ids = ["m1", "m2"]
    rows = [{"media_id": name, "file_path": path} for name, path in zip(ids, photos, strict=True)]
    catalog = Catalog.from_rows(rows, made.catalog.root, "two photos")
    predictions = replace(
        made.predictions, table=made.predictions.table.filter(pl.col("media_id").is_in(ids))
    )
    if complaint is None:
        assert write(predictions, catalog, output, format="xmp", naming=naming).rows == 2
        assert len(files(output)) == 2
        return
    with pytest.raises(DataError, match=f"share the sidecar.*{complaint}"):
        write(predictions, catalog, output, format="xmp", naming=naming)


@given(st.lists(st.text(st.characters(codec="utf-8"), max_size=30), max_size=4))
@example(["a\x01b", "c\r\nd", "\ufffe", "<script>&\"'"])
def test_any_keyword_survives_xml(words: list[str]) -> None:
    text = sidecar(words, words).split("\n", 1)[1].rsplit("\n", 1)[0]
    root = ElementTree.fromstring(text)
    read = [item.text or "" for item in root.iterfind(".//dc:subject//rdf:li", SPACES)]
    assert read == [re.sub("[\0-\x1f\ufffe\uffff]", "\ufffd", word) for word in words]


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_wildlife_insights_gets_its_four_tables(scene: Any, tmp_path: Path) -> None:
    output = tmp_path / "wi"
    report = run(scene("box"), "wildlife-insights", output, threshold=0.5, media_prefix="gs://bucket/")
    assert files(output) == ["cameras.csv", "deployments.csv", "images.csv", "projects.csv"]
    assert rows(output / "projects.csv")[0]["country_code"] == "FRA"
    assert [row["camera_id"] for row in rows(output / "cameras.csv")] == ["c1", "c2"]
    deployment = rows(output / "deployments.csv")[1]
    assert (deployment["placename"], deployment["start_date"]) == ("south", "2021-06-01 12:00:00")
    images = rows(output / "images.csv")
    assert [row["image_id"] for row in images] == ["m1", "m1", "m2", "m3", "m4", "m5", "m6"]
    first = images[0]
    assert (first["wi_taxon_id"], first["genus"], first["species"]) == ("u-roe", "Capreolus", "capreolus")
    assert (first["timestamp"], first["number_of_objects"]) == ("2021-03-01 06:00:00", "1")
    assert first["location"] == "gs://bucket/north/a 1 !!.jpg"
    assert first["uncertainty"] == "probability 0.90000"
    assert images[3]["common_name"] == "Blank"
    assert [images[place]["common_name"] for place in (4, 5)] == ["No CV Result", "No CV Result"]
    assert images[5]["uncertainty"] == "not a picture"
    assert [row["number_of_objects"] for row in images] == ["1", "1", "1", "0", "", "", "1"]
    assert any("wi_taxon_id of Red fox" in lost for lost in report.lost)
    ids = {row["deployment_id"] for row in rows(output / "deployments.csv")}
    assert {row["deployment_id"] for row in images} <= ids


@pytest.mark.parametrize(
    ("boxes", "count"),
    [
        (None, "1"),
        ([], "1"),
        ([SURE_BOX], "1"),
        ([SURE_BOX, SURE_BOX | {"x": 0.5}], "2"),
        ([SURE_BOX, SURE_BOX | {"conf": 0.01}, SURE_BOX | {"category": "person"}], "1"),
    ],
)
def test_wildlife_insights_counts_what_the_detector_counted(
    boxes: Any, count: str, scene: Any, tmp_path: Path
) -> None:
    made = scene()
    column = pl.Series("boxes", [boxes] * len(made.catalog), pl.List(BOX))
    catalog = made.catalog.with_table(made.catalog.table.with_columns(column), made.catalog.facts)
    output = tmp_path / "wi"
    run(replace(made, catalog=catalog), "wildlife-insights", output)
    counts = {row["image_id"]: row["number_of_objects"] for row in rows(output / "images.csv")}
    assert (counts["m1"], counts["m3"], counts["m5"]) == (count, "0", "")


def test_what_is_written_for_wildlife_insights_is_read_as_a_machines_word(scene: Any, tmp_path: Path) -> None:
    made = scene()
    run(made, "wildlife-insights", tmp_path / "wi", threshold=0.5)
    back = read(tmp_path / "wi", classified_by="machine").table
    before = made.catalog.table
    for column in ("media_id", "file_path", "location_id", "camera_time"):
        assert back[column].to_list() == before[column].to_list()
    labels = [["Capreolus capreolus"], ["Vulpes vulpes"], ["blank"], None, None, ["Vehicle"]]
    assert back["labels"].to_list() == labels
    assert read(tmp_path / "wi").table["labels"].null_count() == back.height


def test_wildlife_insights_says_what_is_missing(scene: Any, tmp_path: Path) -> None:
    made = scene()
    with pytest.raises(UsageError, match=r"(?s)--taxonomy.*--deployments.*--metadata"):
        write(made.predictions, made.catalog, tmp_path / "wi", format="wildlife-insights")
    deployments = made.options["wildlife-insights"]["deployments"]
    deployments.write_text(deployments.read_text().replace(",c1", ","))
    with pytest.raises(DataError, match="'d-north' has no camera_id"):
        run(made, "wildlife-insights", tmp_path / "wi")
    metadata = made.options["wildlife-insights"]["metadata"]
    metadata.write_text(metadata.read_text().replace("project_id: p1", "project_nickname: p1"))
    with pytest.raises(DataError, match="lacks project_id"):
        run(made, "wildlife-insights", tmp_path / "wi")
    assert not (tmp_path / "wi").exists()


def test_the_summary_counts_everything_once(scene: Any, tmp_path: Path) -> None:
    run(scene(), "summary", tmp_path / "s.csv", threshold=0.5)
    found = {(row["location_id"], row["label"]): row for row in rows(tmp_path / "s.csv")}
    assert set(found) == {
        ("north", "roe_deer"),
        ("north", "fox"),
        ("north", "blank"),
        ("south", "unclassified"),
        ("south", "failed"),
        ("south", "vehicle"),
    }
    assert sum(int(row["media"]) for row in found.values()) == 6
    assert found["north", "roe_deer"]["scientific_name"] == "Capreolus capreolus"
    assert found["south", "vehicle"]["first"] == "2021-07-03 00:00:00"
    sure = {label: row["mean_probability"] for (_, label), row in found.items()}
    unanswered = {"unclassified": "", "failed": ""}
    assert sure == unanswered | {"roe_deer": "0.9", "fox": "0.7", "blank": "0.9", "vehicle": "0.8"}


def test_no_events_are_counted_where_nobody_knows_which_camera_saw_what(scene: Any, tmp_path: Path) -> None:
    made = scene()
    where = pl.when(pl.col("location_id") == "north").then("location_id")
    made.catalog = made.catalog.with_table(made.catalog.table.with_columns(where.alias("location_id")))
    report = run(made, "summary", tmp_path / "s.csv")
    found = {(row["location_id"], row["label"]): row for row in rows(tmp_path / "s.csv")}
    assert found["", "vehicle"]["media"] == "1"
    assert found["", "vehicle"]["independent_events"] == ""
    assert found["north", "fox"]["independent_events"] == "1"
    assert any("3 media without a location" in lost for lost in report.lost)


def test_labels_called_like_photos_without_an_answer_are_told_apart(scene: Any, tmp_path: Path) -> None:
    made = scene()
    table = made.predictions.table.rename({"fox": "failed", "vehicle": "Unclassified"})
    labels = ("roe_deer", "failed", "Unclassified", "blank")
    predictions = replace(made.predictions, table=table, labels=labels)
    report = write(predictions, made.catalog, tmp_path / "s.csv", format="summary", threshold=0.5)
    counts = {row["label"]: int(row["media"]) for row in rows(tmp_path / "s.csv")}
    apart = {"failed (class)": 1, "failed": 1, "Unclassified (class)": 1, "unclassified": 1}
    assert counts == {"roe_deer": 1, "blank": 1} | apart
    assert any("'failed' is called 'failed (class)'" in note for note in report.notes)
    write(predictions, made.catalog, tmp_path / "sorted", format="sorted", threshold=0.5)
    assert {path.name for path in (tmp_path / "sorted").iterdir() if path.is_dir()} == set(counts)


@pytest.mark.parametrize(
    ("name", "cell"),
    [
        ('=HYPERLINK("x")', '\'=HYPERLINK("x")'),
        ("@SUM(1)", "'@SUM(1)"),
        ("-3", "-3"),
        ("+1 site", "'+1 site"),
    ],
)
def test_a_spreadsheet_runs_no_name_of_the_summary(name: str, cell: str, scene: Any, tmp_path: Path) -> None:
    made = scene()
    table = made.catalog.table.with_columns(pl.lit(name).alias("location_id"))
    write(made.predictions, made.catalog.with_table(table), tmp_path / "s.csv", format="summary")
    assert {row["location_id"] for row in rows(tmp_path / "s.csv")} == {cell}


def test_events_are_independent_of_the_last_one_that_counted() -> None:
    start = datetime(2021, 1, 1)
    minutes = [0, 20, 40, 59, 60, 75]
    times = [start + timedelta(minutes=minute) for minute in minutes]
    assert len(independent_times(times, timedelta(minutes=30))) == 3  # 0, 40, 75
    assert len(independent_times(times, timedelta(0))) == 6
    assert len(independent_times([], timedelta(minutes=30))) == 0


@given(st.lists(st.integers(0, 10_000), max_size=40), st.integers(0, 500))
def test_independent_events_are_no_more_than_photos_and_order_does_not_matter(
    minutes: list[int], gap: int
) -> None:
    times = [datetime(2021, 1, 1) + timedelta(minutes=minute) for minute in minutes]
    count = len(independent_times(times, timedelta(minutes=gap)))
    assert count == len(independent_times(times[::-1], timedelta(minutes=gap)))
    assert (count > 0) == bool(times)
    assert count <= len(times)
    assert count >= len(independent_times(times, timedelta(minutes=gap + 1)))


def test_a_summary_wants_a_sensible_interval(scene: Any, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="negative"):
        run(scene(), "summary", tmp_path / "s.csv", interval=-1)


@pytest.mark.field
def test_names_as_cameras_and_people_write_them_can_be_sorted_and_tagged(
    field: Path, scene: Any, tmp_path: Path
) -> None:
    from trapline.formats import read
    from trapline.prediction import Predictions

    root = tmp_path / "jura"
    shutil.copytree(field / "jura" / "site-8.2-G", root / "site-8.2-G")
    catalog = read(field / "jura" / "labels.csv", columns={"path": "file_name"}, root=root)
    table = catalog.table.select("media_id", "event_id", "file_path").with_columns(
        box=pl.lit(None, pl.Int64),
        status=pl.lit("ok"),
        reason=pl.lit(None, pl.String),
        red_fox=pl.lit(0.7, pl.Float32),
        badger=pl.lit(0.3, pl.Float32),
    )
    names = ["media_id", "event_id", "box", "file_path", "status", "reason", "red_fox", "badger"]
    made = Predictions(table.select(names), ("red_fox", "badger"), "media", "f" * 16, "single-label")
    assert write(made, catalog, tmp_path / "sorted", format="sorted", observers=["model"]).rows == 322
    assert len(files(tmp_path / "sorted" / "red_fox")) == 322
    assert undo_sorted(tmp_path / "sorted") == (322, [])
    assert write(made, catalog, root, format="xmp").rows == 322
    assert len(list(root.rglob("*.xmp"))) == 322


@pytest.mark.field
def test_bursts_of_several_species_are_summed_by_event(field: Path, tmp_path: Path) -> None:
    from trapline.formats import read
    from trapline.prediction import Predictions

    catalog = read(field / "trailcam-bursts" / "train_metadata.csv")
    truth = pl.read_csv(field / "trailcam-bursts" / "train_labels.csv").rename({"seq_id": "event_id"})
    labels = tuple(name for name in truth.columns if name != "event_id")
    table = truth.select(
        pl.lit(None, pl.String).alias("media_id"),
        "event_id",
        pl.lit(None, pl.Int64).alias("box"),
        pl.lit(None, pl.String).alias("file_path"),
        pl.lit("ok").alias("status"),
        pl.lit(None, pl.String).alias("reason"),
        pl.col(labels).cast(pl.Float32),
    )
    made = Predictions(table, labels, "event", "f" * 16, "multi-label")
    alone = {"observers": ["model"]}  # people speak of the single photos of these bursts
    report = write(made, catalog, tmp_path / "summary.csv", format="summary", interval=0, **alone)
    found = {row["label"]: int(row["media"]) for row in rows(tmp_path / "summary.csv")}
    per_event = catalog.table.group_by("event_id").len()
    elk = truth.filter(pl.col("elk") == 1).join(per_event, on="event_id")["len"].sum()
    assert found["elk"] == elk
    assert "other" not in found  # nothing was seen of it
    assert sum(found.values()) > len(catalog)  # bursts with two species count for both
    assert any("events" in note for note in report.notes)
    assert write(made, catalog, tmp_path / "c.json", format="coco-camera-traps").rows == 1487


@pytest.mark.parametrize("mode", ["symlink", "hardlink", "copy"])
def test_what_people_move_between_sorted_folders_comes_back_as_labels(
    mode: str, scene: Any, tmp_path: Path
) -> None:
    made, output = scene(), tmp_path / "sorted"
    for path in made.catalog.paths():
        path.write_bytes(path.read_bytes() + path.name.encode())  # no two are the same photo
    run(made, "sorted", output, mode=mode, threshold=0.5)
    (output / "marten").mkdir()
    (output / "fox/north/a2.jpg").rename(output / "marten/looks like one.jpg")
    (output / "unclassified/south/b1.jpg").rename(output / "fox/b1.jpg")
    corrections = read(output)
    assert corrections.facts.format is not None
    assert (corrections.facts.format.name, len(corrections)) == ("class_folders", 6)
    back = relabel(made.catalog, corrections)
    before = dict(made.catalog.table.select("file_path", "labels").iter_rows())
    labels = dict(back.table.select("file_path", "labels").iter_rows())
    assert labels["north/a2.jpg"] == ["marten"]
    assert labels["south/b1.jpg"] == ["fox"]
    assert labels["south/b2.jpg"] == before["south/b2.jpg"], "of a photo that failed nothing was decided"
    assert labels["south/b3.jpg"] == ["vehicle"]
