"""Camtrap DP: valid by the standard's schemas, honest about what is missing, gentle with what is there."""

import csv
import json
import re
import shutil
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from trapline.catalog import INDIVIDUAL, INDIVIDUALS, Catalog
from trapline.errors import DataError, UsageError
from trapline.formats import read, write
from trapline.formats.camtrap_dp_schema import TABLES, columns, table_schema
from trapline.images import SUFFIXES
from trapline.prediction import Predictions
from trapline.prediction.table import FIXED
from trapline.taxonomy import read_taxonomy

PATHS = {"north/a 1 !!.jpg", "north/a2.jpg", "north/a3.jpg", "south/b1.jpg", "south/b2.jpg", "south/b3.jpg"}


def problems(folder: Path) -> list[Any]:
    """What frictionless finds wrong, with the standard's schemas in place of their addresses."""
    from frictionless import Package

    descriptor = json.loads((folder / "datapackage.json").read_text("utf-8"))
    descriptor.pop("profile")
    descriptor["resources"] = [resource for resource in descriptor["resources"] if "path" in resource]
    for resource in descriptor["resources"]:
        assert resource["profile"] == "tabular-data-resource"
        assert "camtrap-dp/1.0.2/" in resource["schema"]
        resource.pop("profile")
        resource["schema"] = table_schema(resource["name"])
    report = Package.from_descriptor(descriptor, basepath=str(folder)).validate()
    found: list[Any] = report.flatten(["rowNumber", "fieldName", "type", "note"])
    return found


def table(folder: Path, name: str) -> list[dict[str, str]]:
    with (folder / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def package(made: Any, folder: Path, **options: Any) -> Any:
    options = made.options["camtrap-dp"] | options
    return write(
        made.predictions, made.catalog, folder, format="camtrap-dp", taxonomy=made.taxonomy, **options
    )


@pytest.mark.parametrize("task", ["single-label", "multi-label"])
@pytest.mark.parametrize("level", ["media", "box", "event"])
def test_a_package_is_valid_by_the_standards_schemas(
    level: str, task: str, scene: Any, tmp_path: Path
) -> None:
    made = scene(level, task)
    package(made, tmp_path / "dp", threshold=0.25)
    assert problems(tmp_path / "dp") == []
    descriptor = json.loads((tmp_path / "dp" / "datapackage.json").read_text("utf-8"))
    assert descriptor["profile"].endswith("camtrap-dp/1.0.2/camtrap-dp-profile.json")
    required = {
        "resources",
        "profile",
        "created",
        "contributors",
        "project",
        "spatial",
        "temporal",
        "taxonomic",
    }
    assert required <= set(descriptor)
    levels = ["event", "media"] if level == "event" else ["media"]  # of media that are of no event
    assert descriptor["project"]["observationLevel"] == levels
    assert descriptor["temporal"] == {"start": "2021-02-01", "end": "2021-08-01"}
    assert descriptor["spatial"]["coordinates"][0][0] == [6.25, 46.25]
    for name in TABLES:
        header = (tmp_path / "dp" / f"{name}.csv").read_text("utf-8").splitlines()[0]
        assert header == ",".join(columns(name))


def test_individuals_are_observations_of_their_own_and_valid(scene: Any, tmp_path: Path) -> None:
    made = scene()
    told = [("fox", 2, "adult", "female", "=feeding"), ("fox", 3, "juvenile", None, None)]
    one = [
        {"label": n, "count": c, "life_stage": a, "sex": s, "behaviour": b, "of_event": False}
        for n, c, a, s, b in told
    ]
    rows = made.catalog.table.with_columns(
        pl.Series("labels", [["fox"]] * len(made.catalog)),
        pl.Series(INDIVIDUALS, [one] * len(made.catalog), dtype=pl.List(INDIVIDUAL)),
    )
    options = made.options["camtrap-dp"]
    catalog = made.catalog.with_table(rows)
    write(None, catalog, tmp_path / "dp", format="camtrap-dp", taxonomy=made.taxonomy, **options)
    assert problems(tmp_path / "dp") == []
    rows_of = table(tmp_path / "dp", "observations")
    fields = ("count", "lifeStage", "sex", "behavior")
    assert {tuple(row[name] for name in fields) for row in rows_of} == {
        ("2", "adult", "female", "=feeding"),
        ("3", "juvenile", "", ""),
    }
    assert len({row["observationID"] for row in rows_of}) == len(rows_of)
    options = made.options["wildlife-insights"]
    write(None, catalog, tmp_path / "wi", format="wildlife-insights", taxonomy=made.taxonomy, **options)
    fields = ("number_of_objects", "age", "sex", "behavior")
    assert {tuple(row[name] for name in fields) for row in table(tmp_path / "wi", "images")} == {
        ("2", "Adult", "Female", "=feeding"),
        ("3", "Juvenile", "", ""),
    }


def test_the_validation_of_this_test_finds_what_is_wrong(scene: Any, tmp_path: Path) -> None:
    package(scene(), tmp_path / "dp")
    path = tmp_path / "dp" / "observations.csv"
    path.write_text(path.read_text("utf-8").replace(",machine,", ",oracle,", 1), encoding="utf-8")
    assert [problem[1:3] for problem in problems(tmp_path / "dp")] == [
        ["classificationMethod", "constraint-error"]
    ]


def test_observations_say_who_saw_what_how_surely(scene: Any, tmp_path: Path) -> None:
    package(scene(), tmp_path / "dp", threshold=0.5)
    rows = {row["mediaID"]: row for row in table(tmp_path / "dp", "observations")}
    said = {
        media: (row["observationType"], row["scientificName"], row["classificationProbability"])
        for media, row in rows.items()
    }
    assert said == {
        "m1": ("animal", "Capreolus capreolus", "0.90000"),
        "m2": ("animal", "Vulpes vulpes", "0.70000"),
        "m3": ("blank", "", "0.90000"),
        "m4": ("unknown", "", ""),
        "m5": ("unclassified", "", ""),
        "m6": ("vehicle", "", "0.80000"),
    }
    assert rows["m1"]["classifiedBy"] == "alpine (0123456789abcdef)"
    assert rows["m1"]["classificationMethod"] == "machine"
    assert rows["m5"]["observationComments"] == "not classified: not a picture"
    assert rows["m5"]["classificationMethod"] == ""
    assert "roe_deer (0.3)" in rows["m4"]["observationComments"]
    assert all(row["count"] == "" for row in rows.values())  # nobody counted
    media = {row["mediaID"]: row for row in table(tmp_path / "dp", "media")}
    assert {row["filePath"] for row in media.values()} == PATHS
    assert media["m1"]["timestamp"] == "2021-03-01T06:00:00+01:00"
    assert media["m4"]["timestamp"] == "2021-07-01T23:00:00+02:00"
    assert media["m4"]["deploymentID"] == "d-south"
    assert media["m1"]["filePublic"] == "false"


def test_boxes_and_events_become_observations_of_their_level(scene: Any, tmp_path: Path) -> None:
    package(scene("box"), tmp_path / "boxes")
    boxed = [row for row in table(tmp_path / "boxes", "observations") if row["bboxX"]]
    assert [(row["bboxX"], row["bboxHeight"], row["observationType"]) for row in boxed] == [
        ("0.100000", "0.400000", "animal"),
        ("0.600000", "0.400000", "vehicle"),
    ]
    package(scene("event"), tmp_path / "events")
    events = {row["eventID"]: row for row in table(tmp_path / "events", "observations")}
    assert events["e1"]["observationLevel"] == "event"
    assert events["e1"]["mediaID"] == ""
    assert (events["e1"]["eventStart"], events["e1"]["eventEnd"]) == (
        "2021-03-01T06:00:00+01:00",
        "2021-03-01T06:00:02+01:00",
    )


@pytest.mark.parametrize("level", ["media", "box"])
def test_a_package_is_read_back(level: str, scene: Any, tmp_path: Path) -> None:
    made = scene(level)
    package(made, tmp_path / "dp", threshold=0.5)
    back = read(tmp_path / "dp", classified_by="machine")
    before = made.catalog.table
    for column in ("media_id", "file_path", "location_id", "event_id", "camera_time"):
        assert back.table[column].to_list() == before[column].to_list()
    labels = back.table["labels"].to_list()
    first = ["Capreolus capreolus"] if level == "media" else ["Capreolus capreolus", "vehicle"]
    assert labels == [first, ["Vulpes vulpes"], ["blank"], None, None, ["vehicle"]]
    assert back.table["timestamp"][0].isoformat() == "2021-03-01T05:00:00+00:00"
    people = read(tmp_path / "dp")
    assert people.labels == []  # what a model said is no label unless asked for


def test_all_that_is_missing_is_named_at_once(scene: Any, tmp_path: Path) -> None:
    made = scene()
    with pytest.raises(UsageError) as caught:
        write(made.predictions, made.catalog, tmp_path / "dp", format="camtrap-dp")
    message = str(caught.value)
    assert all(name in message for name in ("--taxonomy", "--deployments", "--timezone", "--metadata"))
    assert "samplingDesign" in message
    assert not (tmp_path / "dp").exists()


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("- a list\n", "no keys"),
        ("project: {title: x}\n", "contributors.*project.samplingDesign.*project.individualAnimals"),
        ("contributors: [{title: x}]\nproject: {title: x, samplingDesign: luck}\n", "samplingDesign"),
        ("a: [\n", "neither YAML nor JSON"),
    ],
)
def test_metadata_that_lack_something_are_refused(
    text: str, complaint: str, scene: Any, tmp_path: Path
) -> None:
    (tmp_path / "wrong.yaml").write_text(text)
    with pytest.raises(DataError, match=f"(?s){complaint}"):
        package(scene(), tmp_path / "dp", metadata=tmp_path / "wrong.yaml")
    assert not (tmp_path / "dp").exists()


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("name: Test Project\n", "name: lower-case"),
        ("licenses:\n  - {name: CC0-1.0, scope: data}\n", "licenses: for each of the scopes"),
        ("licenses:\n  - {scope: data}\n  - {name: x, scope: media}\n", "licenses.*a name or a path"),
        ("licenses: [{name: a, scope: data}, {name: b, scope: photos}]\n", "licenses"),
        ("contributors: [{title: A. Person, role: boss}]\n", "contributors.role: one of contact"),
        ("licenses: [{name: CC0-1.0, scope: data}, {path: 'https://x.org', scope: media}]\n", None),
        ("contributors: [{title: A. Person, role: rightsHolder}]\n", None),
    ],
)
def test_metadata_that_the_profile_of_the_standard_forbids_are_refused(
    text: str, complaint: str | None, scene: Any, tmp_path: Path
) -> None:
    made = scene()
    before = made.options["camtrap-dp"]["metadata"].read_text()
    key = text.split(":")[0]
    before = re.sub(rf"(?m)^{key}:.*\n(  .*\n)*", "", before)
    (tmp_path / "changed.yaml").write_text(before + text)
    if complaint is None:
        package(made, tmp_path / "dp", metadata=tmp_path / "changed.yaml")
        return
    with pytest.raises(DataError, match=complaint):
        package(made, tmp_path / "dp", metadata=tmp_path / "changed.yaml")


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (("latitude", "breadth"), "line 1 lacks the columns latitude"),
        (
            ("deploymentID,locationID", "deployment_id,deploymentID"),
            "has both deployment_id and deploymentID",
        ),
        (("46.5,", "146.5,"), "line 2: the latitude is '146.5'"),
        (("46.5,", ","), "line 2: the latitude is empty"),
        (("46.5,6.25", "0.0,0"), "line 2: latitude and longitude are both 0"),
        (("2021-02-01,", "yesterday,"), "line 2: deploymentStart is 'yesterday'"),
        (("2021-02-01,", "2022-02-01,"), "line 2.*ends .* before it starts"),
        (("d-south,south", "d-north,south"), "more than one row of the deployment 'd-north'"),
        (("d-south,south", "d-east,east"), r"3 media have no deployment.*location 'south' .*\(3 media\)"),
        (("2021-02-01,", "2021-03-28 02:30,"), "daylight saving"),
    ],
)
def test_a_table_of_deployments_that_is_wrong_is_named_by_line(
    change: tuple[str, str], complaint: str, scene: Any, tmp_path: Path
) -> None:
    made = scene()
    path = made.options["camtrap-dp"]["deployments"]
    path.write_text(path.read_text().replace(*change))
    with pytest.raises(DataError, match=complaint):
        package(made, tmp_path / "dp")


def test_columns_of_deployments_obey_the_standard(scene: Any, tmp_path: Path) -> None:
    made = scene()
    path = made.options["camtrap-dp"]["deployments"]
    path.write_text(path.read_text().replace("cameraModel", "featureType"))
    with pytest.raises(DataError, match=r"featureType is 'Reconyx-HF2X'; Camtrap DP wants one of roadPaved"):
        package(made, tmp_path / "dp")


def test_locations_with_several_deployments_are_told_apart_by_time(scene: Any, tmp_path: Path) -> None:
    made = scene()
    path = made.options["camtrap-dp"]["deployments"]
    lines = path.read_text().splitlines()
    lines[2] = "d-early,south,46.25,6.5,2021-06-01,2021-07-02T00:00:00,,"
    lines.append("d-late,south,46.25,6.5,2021-07-02T00:00:01,2021-08-01,,")
    path.write_text("\n".join(lines))
    package(made, tmp_path / "dp")
    homes = {row["mediaID"]: row["deploymentID"] for row in table(tmp_path / "dp", "media")}
    assert (homes["m4"], homes["m5"], homes["m6"]) == ("d-early", "d-early", "d-late")


def test_media_without_an_instant_are_refused_or_left_out_loudly(scene: Any, tmp_path: Path) -> None:
    made = scene()
    times = made.catalog.table["camera_time"].to_list()
    times[1], times[2] = None, times[2].replace(month=3, day=28, hour=2, minute=30)  # skipped in Paris
    changed = made.catalog.table.with_columns(pl.Series("camera_time", times, pl.Datetime("us")))
    made.catalog = Catalog.from_rows(changed, made.catalog.root, "timeless")
    with pytest.raises(DataError, match=r"2 media have no time .*north/a2\.jpg.*--leave-out"):
        package(made, tmp_path / "dp")
    report = package(made, tmp_path / "dp", leave_out=True)
    assert any("2 media" in lost for lost in report.lost)
    assert len(table(tmp_path / "dp", "media")) == 4
    package(made, tmp_path / "fixed", leave_out=True, timezone="+01:00")  # clocks that never change
    assert len(table(tmp_path / "fixed", "media")) == 5


def test_rows_are_added_to_a_package_and_none_is_touched(scene: Any, tmp_path: Path) -> None:
    folder = tmp_path / "dp"
    package(scene("media"), folder)
    before = {name: (folder / f"{name}.csv").read_bytes() for name in TABLES}
    report = write_events(scene, folder)
    assert problems(folder) == []
    for name in TABLES:
        assert (folder / f"{name}.csv").read_bytes().startswith(before[name])
    assert (folder / "media.csv").read_bytes() == before["media"]
    assert report.rows == 2
    assert len(table(folder, "observations")) == 6 + 2
    descriptor = json.loads((folder / "datapackage.json").read_text("utf-8"))
    assert descriptor["project"]["observationLevel"] == ["media", "event"]
    with pytest.raises(DataError, match="written to it before"):
        write_events(scene, folder)


def write_events(scene: Any, folder: Path) -> Any:
    made = scene("event")
    return write(
        made.predictions,
        made.catalog,
        folder,
        format="camtrap-dp",
        taxonomy=made.taxonomy,
        timezone="Europe/Paris",
    )


def test_a_folder_with_something_else_in_it_is_left_alone(scene: Any, tmp_path: Path) -> None:
    (tmp_path / "dp").mkdir()
    (tmp_path / "dp" / "diary.txt").write_text("mine")
    with pytest.raises(DataError, match=r"no datapackage\.json"):
        package(scene(), tmp_path / "dp")
    (tmp_path / "dp" / "datapackage.json").write_text('{"profile": "tabular-data-package"}')
    with pytest.raises(DataError, match="has the profile 'tabular-data-package'"):
        package(scene(), tmp_path / "dp")
    assert (tmp_path / "dp" / "diary.txt").read_text() == "mine"


def test_prefixes_make_urls_and_paths_that_the_standard_forbids_are_refused(
    scene: Any, tmp_path: Path
) -> None:
    made = scene()
    package(made, tmp_path / "dp", media_prefix="https://photos.example.org/", file_public=True)
    assert table(tmp_path / "dp", "media")[0]["filePath"].startswith("https://photos.example.org/north/")
    assert problems(tmp_path / "dp") == []
    with pytest.raises(DataError, match="filePath is '~/north"):
        package(made, tmp_path / "other", media_prefix="~/")


@pytest.mark.field
def test_the_standards_own_example_is_valid_and_takes_predictions(field: Path, tmp_path: Path) -> None:
    folder = tmp_path / "dp"
    shutil.copytree(field / "fixtures" / "camtrapdp_example", folder)
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755)
    assert problems(folder) == []
    before = {name: (folder / f"{name}.csv").read_bytes() for name in TABLES}
    catalog = read(folder)
    rows = [
        (m, None, None, p, "ok", None, 0.8, 0.2) for m, p in catalog.table["media_id", "file_path"].rows()
    ]
    names = ["media_id", "event_id", "box", "file_path", "status", "reason", "red_fox", "badger"]
    schema = dict.fromkeys(names[:6], pl.String) | {
        "box": pl.Int64,
        "red_fox": pl.Float32,
        "badger": pl.Float32,
    }
    predictions = Predictions(
        pl.DataFrame(rows, schema=schema, orient="row"),
        ("red_fox", "badger"),
        "media",
        "ab" * 8,
        "single-label",
    )
    taxonomy = read_taxonomy(field / "taxonomy.csv")
    report = write(predictions, catalog, folder, format="camtrap-dp", taxonomy=taxonomy)
    assert report.rows == 10
    assert problems(folder) == []
    for name in TABLES:
        assert (folder / f"{name}.csv").read_bytes().startswith(before[name])
    assert (folder / "media.csv").read_bytes() == before["media"]
    assert set(read(folder, classified_by="machine").labels) >= {"Vulpes vulpes"}
    descriptor = json.loads((folder / "datapackage.json").read_text("utf-8"))
    assert [r["name"] for r in descriptor["resources"]][-1] == "individuals"  # what we do not know stays
    assert len([t for t in descriptor["taxonomic"] if t["scientificName"] == "Vulpes vulpes"]) == 1


def season(tmp_path: Path, year: int, labels: dict[str, str], *, event: str | None = None) -> Any:
    """A folder's catalog of one season, its media ids being paths as cameras number them; predictions."""
    rows = [
        {
            "media_id": path,
            "file_path": path,
            "location_id": "north",
            "deployment_id": f"n{year}",
            "event_id": event,
            "camera_time": datetime(year, 5, 1, 6, place),
            "timestamp_source": "exif",
        }
        for place, path in enumerate(labels)
    ]
    catalog = Catalog.from_rows(pl.DataFrame(rows, infer_schema_length=None), tmp_path / str(year), "season")
    names = ("roe_deer", "fox", "vehicle", "blank")
    said = [
        (path, event, None, path, "ok", None, *(0.9 if name == label else 0.0 for name in names))
        for path, label in labels.items()
    ]
    table = pl.DataFrame(said, schema=FIXED | dict.fromkeys(names, pl.Float32()), orient="row")
    return catalog, Predictions(table, names, "media", f"{year}" * 4, "single-label")


def add_season(made: Any, folder: Path, catalog: Catalog, predictions: Predictions, **options: Any) -> Any:
    deployments = folder.parent / "seasons.csv"
    deployments.write_text(
        "deploymentID,locationID,latitude,longitude,deploymentStart,deploymentEnd\n"
        "n2023,north,46.5,6.25,2023-01-01,2023-12-31\nn2024,north,46.5,6.25,2024-01-01,2024-12-31\n"
    )
    options = made.options["camtrap-dp"] | {"deployments": deployments} | options
    return write(
        predictions, catalog, folder, format="camtrap-dp", taxonomy=made.taxonomy, force=True, **options
    )


FIRST = {"north/IMG_0000.JPG": "fox", "north/IMG_0001.JPG": "roe_deer"}
SECOND = {"north/IMG_0000.JPG": "vehicle", "north/IMG_0001.JPG": "blank", "north/IMG_0002.JPG": "fox"}


def test_the_next_season_has_the_same_file_names_and_is_not_put_on_the_photos_of_the_first(
    scene: Any, tmp_path: Path
) -> None:
    made, folder = scene(), tmp_path / "dp"
    add_season(made, folder, *season(tmp_path, 2023, FIRST, event="visit"))
    before = {name: (folder / f"{name}.csv").read_bytes() for name in TABLES}
    second = season(tmp_path, 2024, SECOND, event="visit")
    with pytest.raises(DataError, match=r"(?s)north/IMG_0000\.JPG.*2023-05-01.*2024-05-01.*--media-prefix"):
        add_season(made, folder, *second)
    assert {name: (folder / f"{name}.csv").read_bytes() for name in TABLES} == before
    report = add_season(made, folder, *second, media_prefix="season2/")
    assert any("3 new media" in note and "'season2/'" in note for note in report.notes)
    assert problems(folder) == []
    media = {row["mediaID"]: row for row in table(folder, "media")}
    assert len(media) == 2 + 3
    said = {
        (media[row["mediaID"]]["filePath"], row["observationTags"].removeprefix("label:"))
        for row in table(folder, "observations")
    }
    assert said == set(FIRST.items()) | {(f"season2/{path}", label) for path, label in SECOND.items()}
    for row in table(folder, "observations"):
        photo = media[row["mediaID"]]
        assert (row["deploymentID"], row["eventStart"]) == (photo["deploymentID"], photo["timestamp"])
    events = {(row["eventID"], row["deploymentID"]) for row in table(folder, "observations")}
    assert events == {("visit", "n2023"), ("season2/visit", "n2024")}
    with pytest.raises(DataError, match="written to it before"):
        add_season(made, folder, *second, media_prefix="season2/")
    catalog, predictions = second
    other = replace(predictions, model="other-model")
    add_season(made, folder, catalog, other, media_prefix="season2/")  # the same photos by another model
    assert len(table(folder, "media")) == 5
    assert len({row["eventID"] for row in table(folder, "observations")}) == 2
    assert problems(folder) == []


def test_seasons_in_folders_of_their_own_that_share_ids_are_told_apart_by_a_prefix(
    scene: Any, tmp_path: Path
) -> None:
    made, folder = scene(), tmp_path / "dp"
    add_season(made, folder, *season(tmp_path, 2023, FIRST), media_prefix="season1/")
    second = season(tmp_path, 2024, SECOND)
    with pytest.raises(
        DataError, match=r"2 of these media ids.*north/IMG_0000\.JPG.*season1/.*--media-prefix"
    ):
        add_season(made, folder, *second)
    add_season(made, folder, *second, media_prefix="season2/")
    media = {row["mediaID"]: row for row in table(folder, "media")}
    for row in table(folder, "observations"):
        assert media[row["mediaID"]]["deploymentID"] == row["deploymentID"]
    assert len(media) == 5


def test_what_is_said_of_a_photo_of_the_package_has_the_deployment_and_time_of_the_package(
    scene: Any, tmp_path: Path
) -> None:
    made, folder = scene(), tmp_path / "dp"
    add_season(made, folder, *season(tmp_path, 2023, FIRST))
    catalog, predictions = season(tmp_path, 2023, FIRST)
    moved = catalog.with_table(catalog.table.with_columns(pl.lit("n2024").alias("deployment_id")))
    add_season(made, folder, moved, replace(predictions, model="other-model"), timezone="+02:00")
    assert {row["deploymentID"] for row in table(folder, "observations")} == {"n2023"}
    assert len(table(folder, "media")) == 2


def test_an_id_that_was_given_finds_its_photo_wherever_the_file_lies(scene: Any, tmp_path: Path) -> None:
    made, folder = scene(), tmp_path / "dp"
    package(made, folder, media_prefix="https://photos.example.org/")
    local = replace(made.predictions, model="other-model")
    write(local, made.catalog, folder, format="camtrap-dp", taxonomy=made.taxonomy, timezone="Europe/Paris")
    assert len(table(folder, "media")) == 6
    assert len(table(folder, "observations")) == 12


def test_a_box_too_thin_to_be_written_is_left_out_and_counted(scene: Any, tmp_path: Path) -> None:
    made = scene("box")
    boxes = made.catalog.table["boxes"].to_list()
    boxes[0][0]["width"] = 4e-7
    made.catalog = made.catalog.with_table(
        made.catalog.table.with_columns(pl.Series("boxes", boxes, made.catalog.table.schema["boxes"]))
    )
    report = package(made, tmp_path / "dp")
    assert any("1 box without an area" in lost for lost in report.lost)
    first, second = table(tmp_path / "dp", "observations")[:2]
    assert (first["scientificName"], first["bboxX"]) == ("Capreolus capreolus", "")
    assert second["bboxX"] == "0.600000"
    assert problems(tmp_path / "dp") == []


@pytest.mark.parametrize("suffix", sorted(SUFFIXES))
def test_every_kind_of_photo_that_is_read_has_its_media_type_on_any_system(
    suffix: str, scene: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mimetypes.guess_type", lambda path: (None, None))  # no table of the system's
    made = scene()
    paths = pl.col("file_path").str.replace(r"\.jpg$", suffix.upper())
    made.catalog = made.catalog.with_table(made.catalog.table.with_columns(paths))
    package(made, tmp_path / "dp")
    types = {row["fileMediatype"] for row in table(tmp_path / "dp", "media")}
    usual = dict.fromkeys((".jpg", ".jpe", ".jfif", ".mpo"), "jpeg") | {".tif": "tiff"}
    assert types == {f"image/{usual.get(suffix, suffix[1:])}"}
    assert problems(tmp_path / "dp") == []
