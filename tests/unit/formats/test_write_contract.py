"""What every writer promises, for all of them."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from trapline.catalog import Catalog
from trapline.errors import DataError, UsageError
from trapline.formats import WRITERS, write

NAMES = sorted(WRITERS)
TABLES = ("csv", "parquet")
SUFFIXES = {"csv": ".csv", "parquet": ".parquet", "summary": ".csv", "observations": ".csv"}
EACH_MEDIA = sorted(set(NAMES) - {"summary"})


def place(folder: Path, name: str) -> Path:
    return folder / (f"out{SUFFIXES.get(name, '.json')}" if WRITERS[name].into == "file" else "out")


def run(made: Any, name: str, folder: Path, **options: Any) -> tuple[Any, Path]:
    output = place(folder, name)
    options = {**made.options.get(name, {}), **options}
    report = write(made.predictions, made.catalog, output, format=name, taxonomy=made.taxonomy, **options)
    return report, output


def content(output: Path) -> str:
    files = [output] if output.is_file() else sorted(path for path in output.rglob("*"))
    texts = [path.relative_to(output.parent).as_posix() for path in files]
    texts += [p.read_text("utf-8", errors="replace") for p in files if p.is_file() and p.suffix != ".jpg"]
    return "\n".join(texts)


@pytest.mark.parametrize("name", NAMES)
def test_a_writer_says_what_it_wrote_and_what_it_loses(name: str, scene: Any, tmp_path: Path) -> None:
    report, output = run(scene(), name, tmp_path)
    assert report.rows > 0
    assert report.lost
    assert report.to_json()["format"] == name
    base = output if output.is_dir() else output.parent
    assert all((base / file).is_file() for file in report.files)
    assert not list(tmp_path.rglob("*.partial"))
    assert WRITERS[name].description


@pytest.mark.parametrize("name", sorted(set(EACH_MEDIA) - {"parquet"}))
@pytest.mark.parametrize("level", ["media", "box"])
def test_every_photo_is_in_what_is_written(name: str, level: str, scene: Any, tmp_path: Path) -> None:
    made = scene(level)
    _, output = run(made, name, tmp_path)
    text = content(output)
    for path in made.catalog.table["file_path"]:
        assert path in text


@pytest.mark.parametrize("name", NAMES)
def test_clocks_that_cannot_be_right_are_said(name: str, scene: Any, tmp_path: Path) -> None:
    made = scene()
    years = pl.Series("camera_time", [1970, 2000, 2000, 2199, 2021, 2021]).cast(pl.Int32)
    odd = pl.datetime(years, 1, pl.lit([1, 1, 2, 1, 1, 1]).explode(), time_unit="us").alias("camera_time")
    catalog = made.catalog.with_table(made.catalog.table.with_columns(odd), made.catalog.facts)
    options = {"leave_out": True} if name in ("camtrap-dp", "wildlife-insights") else {}
    wide = tmp_path / "wide.csv"
    wide.write_text(
        "deploymentID,locationID,latitude,longitude,deploymentStart,deploymentEnd,cameraID\n"
        "n,north,46,6,1960-01-01,2300-01-01,c1\ns,south,46,6,1960-01-01,2300-01-01,c2\n"
    )
    made.options = {kind: own | {"deployments": wide} for kind, own in made.options.items()}
    report, _ = run(replace(made, catalog=catalog), name, tmp_path, **options)
    whole = " | ".join(report.notes)
    for when in ("1 time lies before 2000", "1 time lies on 1 January 2000", "1 time lies in the future"):
        assert when in whole


@pytest.mark.parametrize("name", NAMES)
def test_predictions_of_events_and_several_labels_can_be_written(
    name: str, scene: Any, tmp_path: Path
) -> None:
    report, _ = run(scene("event", "multi-label"), name, tmp_path)
    assert report.rows > 0
    if name not in (*TABLES, "camtrap-dp"):
        assert any("event" in note for note in report.notes)
        assert any("3 media of the catalog have no prediction" in note for note in report.notes)


def test_blank_is_never_said_beside_another_label(scene: Any, tmp_path: Path) -> None:
    made = scene("media", "multi-label")
    both = made.predictions.table.with_columns(
        pl.when(pl.col("status") == "ok").then(0.8).cast(pl.Float32).alias("fox"),
        pl.when(pl.col("media_id") == "m1").then(0.9).otherwise(0.7).cast(pl.Float32).alias("blank"),
    )
    predictions = replace(made.predictions, table=both)
    write(predictions, made.catalog, tmp_path / "out.json", format="coco-camera-traps", threshold=0.6)
    document = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    names = {one["id"]: one["name"] for one in document["categories"]}
    said: dict[str, list[str]] = {}
    for one in document["annotations"]:
        said.setdefault(one["image_id"], []).append(names[one["category_id"]])
    assert said["m1"] == ["empty"]
    assert "fox" in said["m2"]
    assert not any("empty" in labels and len(labels) > 1 for labels in said.values())


@pytest.mark.parametrize("name", sorted(set(NAMES) - {"camtrap-dp"}))
def test_the_same_predictions_give_the_same_bytes(name: str, scene: Any, tmp_path: Path) -> None:
    made, texts = scene(), []
    for part in ("one", "two"):
        (tmp_path / part).mkdir()
        _, output = run(made, name, tmp_path / part)
        files = [output] if output.is_file() else sorted(p for p in output.rglob("*") if p.is_file())
        texts.append([p.read_bytes() for p in files])
    assert texts[0] == texts[1]


@pytest.mark.parametrize("name", sorted(set(NAMES) - {"camtrap-dp"}))
def test_what_exists_is_replaced_only_by_force(name: str, scene: Any, tmp_path: Path) -> None:
    made = scene()
    run(made, name, tmp_path)
    with pytest.raises(UsageError, match="exist"):
        run(made, name, tmp_path)
    run(made, name, tmp_path, force=True)


@pytest.mark.parametrize("name", NAMES)
def test_a_file_is_not_taken_for_a_folder_nor_a_folder_for_a_file(
    name: str, scene: Any, tmp_path: Path
) -> None:
    output = place(tmp_path, name)
    output.mkdir() if WRITERS[name].into == "file" else output.write_text("mine")
    with pytest.raises(UsageError, match="is a f"):
        run(scene(), name, tmp_path, force=True)


@pytest.mark.parametrize("name", sorted(set(NAMES) - set(TABLES)))
def test_predictions_of_another_catalog_are_refused(name: str, scene: Any, tmp_path: Path) -> None:
    made = scene()
    made.catalog = made.catalog.filter(pl.col("media_id") != "m2")
    with pytest.raises(DataError, match=r"not of this catalog.*'m2'"):
        run(made, name, tmp_path)


@pytest.mark.parametrize("name", sorted(set(NAMES) - set(TABLES)))
def test_a_box_that_the_catalog_does_not_have_is_refused(name: str, scene: Any, tmp_path: Path) -> None:
    made = scene("box")
    table = made.catalog.table.with_columns(pl.lit(None).cast(pl.Null).alias("boxes"))
    made.catalog = Catalog.from_rows(table, made.catalog.root, "without boxes")
    with pytest.raises(DataError, match="box 0 of the media 'm1'"):
        run(made, name, tmp_path)


@pytest.mark.parametrize("name", sorted(set(NAMES) - set(TABLES)))
def test_the_threshold_is_a_probability(name: str, scene: Any, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="between 0 and 1"):
        run(scene(), name, tmp_path, threshold=1.5)


@pytest.mark.parametrize("name", sorted(set(NAMES) - set(TABLES)))
def test_rows_below_the_threshold_are_said(name: str, scene: Any, tmp_path: Path) -> None:
    report, _ = run(scene(), name, tmp_path, threshold=0.5)
    assert any("1 row has no label of at least 0.5" in note for note in report.notes)


def test_unknown_formats_and_options_are_named_with_what_there_is(scene: Any, tmp_path: Path) -> None:
    made = scene()
    with pytest.raises(UsageError, match="did you mean 'megadetector'"):
        write(made.predictions, made.catalog, tmp_path / "x", format="megadetektor")
    with pytest.raises(UsageError, match=r"'csv' has no option 'interval'.*summary"):
        write(made.predictions, made.catalog, tmp_path / "x.csv", format="csv", interval=3)
    with pytest.raises(UsageError, match=r"is written as \.csv, not as"):
        write(made.predictions, made.catalog, tmp_path / "x.txt", format="csv")


def test_labels_that_the_taxonomy_lacks_are_named(scene: Any, tmp_path: Path) -> None:
    made = scene()
    part = made.taxonomy.for_labels(["fox", "vehicle"])
    with pytest.raises(DataError, match="'roe_deer' is not in it"):
        write(made.predictions, made.catalog, tmp_path / "x.csv", format="summary", taxonomy=part)
