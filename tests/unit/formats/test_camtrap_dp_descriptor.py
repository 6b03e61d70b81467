"""Camtrap DP packages as their descriptors say: where tables lie, how they are written, of which version."""

import gzip
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from trapline.catalog import Catalog
from trapline.errors import DataError
from trapline.formats import read

PROFILE = "https://raw.githubusercontent.com/tdwg/camtrap-dp/{}/camtrap-dp-profile.json"
DEPLOYMENTS = "deploymentID,locationID,latitude,longitude\nd1,wood,46.5,6.2\nd2,,46.6,6.3\n"
MEDIA_HEADER = "mediaID,deploymentID,timestamp,filePath\n"
MEDIA = [f"m{i},d{1 + i % 2},2021-03-01T06:00:0{i}Z,img/{i}.jpg\n" for i in range(4)]
OBSERVATIONS_HEADER = "observationID,deploymentID,mediaID,observationLevel,observationType,scientificName\n"
OBSERVATIONS = [f"o{i},d{1 + i % 2},m{i},media,animal,Lynx lynx\n" for i in range(4)]
WHOLE = {
    "deployments.csv": DEPLOYMENTS,
    "media.csv": MEDIA_HEADER + "".join(MEDIA),
    "observations.csv": OBSERVATIONS_HEADER + "".join(OBSERVATIONS),
}
USUAL = [{"name": name, "path": f"{name}.csv"} for name in ("deployments", "media", "observations")]


FIELDS = [{"name": name} for name in MEDIA_HEADER.strip().split(",")]


def write(folder: Path, files: dict[str, str | bytes]) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def describe(version: str = "1.0.2", resources: Any = USUAL, **more: Any) -> str:
    return json.dumps({"profile": PROFILE.format(version), "resources": resources, **more})


def with_media(**resource: Any) -> str:
    return describe(
        resources=[one for one in USUAL if one["name"] != "media"] + [{"name": "media"} | resource]
    )


def check(catalog: Catalog) -> None:
    assert catalog.table["media_id"].to_list() == ["m0", "m1", "m2", "m3"]
    assert catalog.table["labels"].to_list() == [["Lynx lynx"]] * 4
    assert catalog.table["location_id"].to_list() == ["wood", "d2", "wood", "d2"]


def split(first: str, second: str) -> dict[str, str | bytes]:
    return {first: MEDIA_HEADER + "".join(MEDIA[:1]), second: MEDIA_HEADER + "".join(MEDIA[1:])}


ROWS = [dict(zip(MEDIA_HEADER.strip().split(","), row.strip().split(","), strict=True)) for row in MEDIA]
PACKED = gzip.compress(WHOLE["media.csv"].encode())
PATHS: dict[str, tuple[str, dict[str, str | bytes]]] = {
    "in a folder": (with_media(path="tables/all media.csv"), {"tables/all media.csv": WHOLE["media.csv"]}),
    "one in a list": (with_media(path=["m.csv"]), {"m.csv": WHOLE["media.csv"]}),
    "two": (with_media(path=["a.csv", "b/c.csv"]), split("a.csv", "b/c.csv")),
    "columns in another order": (
        with_media(path=["a.csv", "b.csv"]),
        {
            "a.csv": MEDIA_HEADER + "".join(MEDIA[:3]),
            "b.csv": "filePath;mediaID;timestamp;deploymentID\nimg/3.jpg;m3;2021-03-01T06:00:03Z;d2\n",
        },
    ),
    "gzip": (with_media(path="t/media.csv.gz", compression="gz"), {"t/media.csv.gz": PACKED}),
    "gzip by its content": (with_media(path="media.csv"), {"media.csv": PACKED}),
    "packed later": (with_media(path="media.csv"), {"media.csv.gz": PACKED}),
    "unpacked later": (with_media(path="media.csv.gz"), {"media.csv": WHOLE["media.csv"]}),
    "objects in the descriptor": (with_media(data=ROWS), {}),
    "lists in the descriptor": (with_media(data=[list(ROWS[0]), *(list(row.values()) for row in ROWS)]), {}),
    "another delimiter": (
        with_media(path="m.csv", dialect={"delimiter": "|"}),
        {"m.csv": WHOLE["media.csv"].replace(",", "|")},
    ),
    "no header, but a schema": (
        with_media(path="m.csv", dialect={"header": False}, schema={"fields": FIELDS}),
        {"m.csv": "".join(MEDIA)},
    ),
    "no header, which a file says": (
        with_media(path="m.csv", dialect="d/dialect.json", schema="d/schema.json"),
        {
            "m.csv": "".join(MEDIA),
            "d/dialect.json": '{"header": false}',
            "d/schema.json": json.dumps({"fields": FIELDS}),
        },
    ),
    "no header, and the standard's columns": (
        with_media(path="m.csv", dialect={"header": False}),
        {"m.csv": "".join(row.replace(",2021", ",,2021").strip() + ",,,,,,\n" for row in MEDIA)},
    ),
    "comments": (
        with_media(path="m.csv", dialect={"commentChar": "#"}),
        {"m.csv": f"# exported, on a Monday\n{WHOLE['media.csv']}# the end\n"},
    ),
}


def package(descriptor: str, files: dict[str, str | bytes]) -> dict[str, str | bytes]:
    others = {name: WHOLE[name] for name in ("deployments.csv", "observations.csv")}
    return {**others, **files, "datapackage.json": descriptor}


@pytest.mark.parametrize("kind", PATHS)
@pytest.mark.parametrize("zipped", [False, True])
def test_tables_are_where_the_descriptor_says(kind: str, zipped: bool, tmp_path: Path) -> None:
    files = package(*PATHS[kind])
    if not zipped:
        check(read(write(tmp_path / "dp", files)))
        return
    with zipfile.ZipFile(tmp_path / "dp.zip", "w") as archive:
        for name, content in files.items():
            archive.writestr(f"An export/{name}", content)
            archive.writestr(f"__MACOSX/An export/._{name}", b"\0\5\x16\7")
    check(read(tmp_path / "dp.zip"))


@pytest.mark.parametrize("name", ["metadata.json", "Agouti export.json", "package.json"])
def test_a_descriptor_is_known_by_what_it_says(name: str, tmp_path: Path) -> None:
    folder = write(tmp_path / "dp", {**WHOLE, name: describe()})
    check(read(folder))
    check(read(folder / name))


@pytest.mark.parametrize(
    "descriptor",
    [
        json.dumps(
            {"profile": "http://rs.gbif.org/data-packages/camtrap-dp/1.0/profile/camtrap-dp-profile.json"}
        ),
        json.dumps({"$schema": PROFILE.format("1.0.2"), "resources": USUAL}),
        json.dumps({"profile": "tabular-data-package", "resources": USUAL}),
        describe().encode("utf-8-sig").decode(),
    ],
)
def test_what_says_that_it_is_camtrap_dp_is_read_as_that(descriptor: str, tmp_path: Path) -> None:
    catalog = read(write(tmp_path / "dp", {**WHOLE, "metadata.json": descriptor}))
    assert catalog.facts.format is not None
    assert catalog.facts.format.name == "camtrap_dp"
    check(catalog)


@pytest.mark.parametrize("above", ["", "export/", "a/b/"])
def test_a_zip_or_folder_around_the_package_is_looked_into(above: str, tmp_path: Path) -> None:
    files = {**WHOLE, "metadata.json": describe()}
    with zipfile.ZipFile(tmp_path / "dp.zip", "w") as archive:
        for name, content in files.items():
            archive.writestr(above + name, content)
    check(read(tmp_path / "dp.zip"))
    if above.count("/") < 2:
        write(tmp_path / "around" / above, {**files})
        check(read(tmp_path / "around"))


def test_tables_without_a_descriptor_are_read_and_that_is_noted(tmp_path: Path) -> None:
    catalog = read(write(tmp_path / "dp", {**WHOLE}))
    check(catalog)
    assert any("has no descriptor" in note for note in catalog.facts.notes)


@pytest.mark.parametrize(
    ("descriptor", "complaint"),
    [
        (with_media(path="gone.csv"), r"no file .*gone\.csv, which datapackage\.json names as its media"),
        (with_media(path="../media.csv"), "leads out of the package"),
        (with_media(path="/etc/passwd"), "leads out of the package"),
        (with_media(path=["media.csv", "C:\\media.csv"]), "leads out of the package"),
        (with_media(path="https://example.org/media.csv"), "nothing is fetched"),
        (with_media(path=7), "no name of a file"),
        (with_media(path="media.zip"), r"media\.zip is packed as a zip"),
        (with_media(data="mediaID"), "are no rows"),
        (with_media(data=[["mediaID"], ["m1", "m2"]]), "are no rows"),
        (with_media(data=[{"mediaID": "m1"}]), "deploymentID and timestamp and filePath is missing"),
        (with_media(path="media.csv", encoding="klingon"), "'klingon', which is no encoding"),
        (describe()[:-1], r"datapackage\.json line 1 column \d+ is not JSON"),
    ],
)
def test_a_descriptor_that_is_wrong_is_refused_in_words(
    descriptor: str, complaint: str, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=complaint):
        read(write(tmp_path / "dp", {**WHOLE, "media.zip": b"PK\x03\x04", "datapackage.json": descriptor}))


@pytest.mark.parametrize("missing", ["media.csv", "observations.csv", "deployments.csv"])
def test_a_package_without_one_of_its_tables_is_no_folder_of_photos(missing: str, tmp_path: Path) -> None:
    files = {name: text for name, text in WHOLE.items() if name != missing}
    folder = write(tmp_path / "dp", {**files, "datapackage.json": describe(), "img/0.jpg": b"photo"})
    with pytest.raises(DataError, match=missing):
        read(folder)


def test_of_several_packages_one_is_asked_for(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write(tmp_path / "all" / name, {**WHOLE, "datapackage.json": describe()})
    with pytest.raises(DataError, match=r"several packages: one/datapackage\.json, two/datapackage\.json"):
        read(tmp_path / "all")


@pytest.mark.parametrize(
    "words", [["-"], ["", "void"], [{"value": "-9", "label": "not known"}], ["keine Angabe", "-"]]
)
@pytest.mark.parametrize("apart", [False, True])
def test_missing_values_of_a_schema_in_the_descriptor_or_beside_it(
    words: list[Any], apart: bool, tmp_path: Path
) -> None:
    word = words[-1]["value"] if isinstance(words[-1], dict) else words[-1]
    schema = {"missingValues": words}
    observations = [
        {"name": "observations", "path": "observations.csv", "schema": "o.json" if apart else schema}
    ]
    files: dict[str, str | bytes] = {
        **WHOLE,
        "observations.csv": WHOLE["observations.csv"].replace("Lynx lynx", word),
        "datapackage.json": describe(resources=[*USUAL[:2], *observations]),
        "o.json": json.dumps(schema),
    }
    assert read(write(tmp_path / "dp", files)).labels == ["animal"]


@pytest.mark.parametrize("encoding", ["iso-8859-1", "windows-1250", "utf-16"])
def test_the_encoding_that_a_resource_names_is_taken(encoding: str, tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {
        **WHOLE,
        "deployments.csv": DEPLOYMENTS.replace("wood", "Wäldchen").encode(encoding),
        "datapackage.json": describe(resources=[USUAL[0] | {"encoding": encoding}, *USUAL[1:]]),
    }
    catalog = read(write(tmp_path / "dp", files))
    assert catalog.table["location_id"][0] == "Wäldchen"
    assert not any("guess" in note for note in catalog.facts.notes)


def drafts() -> dict[str, dict[str, str | bytes]]:
    """Packages of two media of one sequence, and a lynx, as drafts of the standard wrote them."""
    times = ["2021-03-01T06:00:00Z", "2021-03-01T06:00:01Z"]
    snake = [f"m{i},d1,s1,{time},img/{i}.jpg,image/jpeg\n" for i, time in enumerate(times)]
    deployments = "deployment_id,location_id,start,end\nd1,wood,2021-01-01T00:00:00Z,2021-12-31T00:00:00Z\n"
    of_sequence = f"o1,d1,s1,,{times[0]},animal,Lynx lynx,human\n"
    seen = "deployment_id,sequence_id,{},timestamp,observation_type,scientific_name,classification_method\n"
    return {
        "0.1.4": {
            "deployments.csv": deployments,
            "multimedia.csv": "multimedia_id,deployment_id,sequence_id,timestamp,file_path,file_mediatype\n"
            + "".join(snake),
            "observations.csv": "observation_id," + seen.format("multimedia_id") + of_sequence,
            "datapackage.json": describe(
                "0.1.4", [USUAL[0], {"name": "multimedia", "path": "multimedia.csv"}, USUAL[2]]
            ),
        },
        "0.1.6": {
            "deployments.csv": deployments,
            "media.csv": "media_id,deployment_id,sequence_id,timestamp,file_path,file_mediatype\n"
            + "".join(snake),
            "observations.csv": "observation_id," + seen.format("media_id") + of_sequence,
            "datapackage.json": describe("0.1.6"),
        },
        "0.4": {
            "deployments.csv": deployments.replace("_id", "ID"),
            "media.csv": "mediaID,deploymentID,sequenceID,timestamp,filePath,fileMediatype\n"
            + "".join(snake),
            "observations.csv": "observationID,deploymentID,sequenceID,mediaID,timestamp,observationType,"
            "scientificName,classificationMethod\n" + of_sequence,
            "datapackage.json": describe("0.4"),
        },
        "1.0-rc.1": {
            "deployments.csv": DEPLOYMENTS,
            "media.csv": "mediaID,deploymentID,eventID,timestamp,filePath,fileMediatype\n" + "".join(snake),
            "media-observations.csv": "observationID,mediaID,observationType,scientificName\no2,m1,blank,\n",
            "event-observations.csv": "observationID,eventID,observationType,scientificName\n"
            "o1,s1,animal,Lynx lynx\n",
            "datapackage.json": describe(
                "1.0-rc.1",
                [
                    *USUAL[:2],
                    {"name": "media-observations", "path": "media-observations.csv"},
                    {"name": "event-observations", "path": "event-observations.csv"},
                ],
            ),
        },
    }


@pytest.mark.parametrize("version", drafts())
def test_drafts_of_the_standard_are_read_under_todays_names(version: str, tmp_path: Path) -> None:
    folder = write(tmp_path / "dp", drafts()[version])
    own, of_events = read(folder), read(folder, event_labels=True)
    second = ["blank"] if version == "1.0-rc.1" else None
    assert own.table["location_id"].to_list() == ["wood", "wood"]
    assert own.table["event_id"].to_list() == ["s1", "s1"]
    assert own.table["labels"].to_list() == [None, second]
    assert of_events.table["labels"].to_list() == [["Lynx lynx"], second or ["Lynx lynx"]]
    assert own.table["timestamp"].null_count() == 0
    assert any(f"version {version}, a draft" in note for note in own.facts.notes)


@pytest.mark.parametrize("version", ["1.1", "1.0.3", "2.0-rc.1"])
def test_a_version_to_come_is_noted_and_its_columns_are_kept(version: str, tmp_path: Path) -> None:
    media = [
        f"{line},{value}"
        for line, value in zip(WHOLE["media.csv"].split(), ["sharpness", *"1234"], strict=True)
    ]
    files: dict[str, str | bytes] = {
        **WHOLE,
        "media.csv": "\n".join(media) + "\n",
        "datapackage.json": describe(version),
    }
    catalog = read(write(tmp_path / "dp", files))
    check(catalog)
    assert catalog.table["sharpness"].to_list() == ["1", "2", "3", "4"]
    assert any(f"version {version}, which is not known here" in note for note in catalog.facts.notes)


@pytest.mark.parametrize("version", ["1.0", "1.0.1", "1.0.2"])
def test_versions_of_the_standard_need_no_note(version: str, tmp_path: Path) -> None:
    catalog = read(write(tmp_path / "dp", {**WHOLE, "datapackage.json": describe(version)}))
    assert not any("version" in note for note in catalog.facts.notes)


@pytest.mark.parametrize(
    ("rows", "locations"),
    [
        (["d1,,50.1,5.4", "d2,,50.10,5.400"], ["d1", "d1"]),
        (["d1,,50.1,5.4", "d2,,50.1,5.5"], ["d1", "d2"]),
        (["d1,,50.1,5.4", "d2,wood,50.1,5.4"], ["wood", "wood"]),
        (["d1,,,", "d2,,,"], ["d1", "d2"]),
        (["d1,,0,0", "d2,,0,0"], ["d1", "d2"]),
        (["d1,a,50.1,5.4", "d2,b,50.1,5.4"], ["a", "b"]),
    ],
)
def test_deployments_at_one_spot_are_at_one_location(
    rows: list[str], locations: list[str], tmp_path: Path
) -> None:
    table = "deploymentID,locationID,latitude,longitude\n" + "\n".join(rows) + "\n"
    files: dict[str, str | bytes] = {**WHOLE, "deployments.csv": table, "datapackage.json": describe()}
    catalog = read(write(tmp_path / "dp", files))
    assert catalog.table["location_id"].to_list() == locations * 2
    joined = locations[0] == locations[1]
    assert any("at the coordinates of another" in note for note in catalog.facts.notes) == joined


@pytest.mark.field
def test_a_package_of_a_draft_as_it_was_published_is_read(field: Path) -> None:
    source = field / "ecology" / "mica"
    catalog = read(source, keep_urls=True, event_labels=True)
    assert len(catalog) + (catalog.facts.videos.count if catalog.facts.videos else 0) == 283
    assert catalog.table["event_id"].null_count() == 0
    assert catalog.table["location_id"].n_unique() == 4
    assert catalog.table["labels"].null_count() < len(catalog)


def test_observations_that_name_no_media_and_no_event_are_refused(tmp_path: Path) -> None:
    observations = "observationID,observationType,scientificName\no1,animal,Lynx lynx\n"
    files = {**WHOLE, "observations.csv": observations, "datapackage.json": describe()}
    with pytest.raises(DataError, match=r"observations\.csv names neither mediaID nor eventID"):
        read(write(tmp_path / "dp", files))


@pytest.mark.parametrize("beside", [{}, {"a/READ ME.txt": "Exported."}])
def test_a_package_folders_below_is_no_folder_of_photos(beside: dict[str, str], tmp_path: Path) -> None:
    files = {**WHOLE, "datapackage.json": describe()}
    below: dict[str, str | bytes] = {f"a/b/c/{name}": text for name, text in files.items()}
    check(read(write(tmp_path / "p", below | beside)))


@pytest.mark.parametrize("table", ["media", "deployments", "observations"])
def test_a_table_of_a_package_stands_for_the_package(table: str, tmp_path: Path) -> None:
    folder = write(tmp_path / "p", {**WHOLE, "datapackage.json": describe()})
    check(read(folder / f"{table}.csv"))


def test_observations_of_events_that_are_no_labels_are_told_of(tmp_path: Path) -> None:
    files = {**WHOLE, "datapackage.json": describe()}
    files["observations.csv"] = (
        "observationID,deploymentID,eventID,eventStart,eventEnd,observationLevel,observationType\n"
        "o1,d1,e1,2020-01-01T00:00:00Z,2020-12-31T00:00:00Z,event,blank\n"
    )
    notes = " ".join(read(write(tmp_path / "p", files)).facts.notes)
    assert "1 observation is of an event and is not read as labels of media (--event-labels does)" in notes


def test_a_first_part_of_bad_rows_alone_is_listed(tmp_path: Path) -> None:
    """Filtering leaves an empty first part, which Polars' `format` cannot take."""
    strange = MEDIA[0].replace(",d1,", ",d9,")
    files = {"a.csv": MEDIA_HEADER + strange, "b.csv": MEDIA_HEADER + strange.replace("m0", "m9") + MEDIA[1]}
    both = read(write(tmp_path / "dp", package(with_media(path=["b.csv", "a.csv"]), dict(files))))
    assert both.table["media_id"].to_list() == ["m1"]
    assert both.facts.rejected is not None
    assert [row.where for row in both.facts.rejected.rows][:2] == ["b.csv line 2", "a.csv line 2"]
    first = read(write(tmp_path / "other", package(with_media(path=["a.csv", "b.csv"]), dict(files))))
    assert first.table["media_id"].to_list() == ["m1"]


def test_a_name_that_no_file_can_have_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="There is no file"):
        read(write(tmp_path / "dp", package(with_media(path="x" * 5000), {})))
