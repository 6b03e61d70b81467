"""Camtrap DP packages as catalogs, and zips that mean harm."""

import contextlib
import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from trapline.errors import DataError, TraplineError, UsageError
from trapline.formats import read
from trapline.storage import safe_unzip

DEPLOYMENTS = (
    "deploymentID,locationID,latitude,longitude,deploymentStart,deploymentEnd\n"
    "d1,wood,46.5,6.2,2021-01-01T00:00:00Z,2021-12-31T00:00:00Z\n"
    "d2,,46.6,6.3,2021-01-01T00:00:00Z,2021-12-31T00:00:00Z\n"
)
MEDIA = (
    "mediaID,deploymentID,timestamp,filePath,filePublic,fileMediatype,fileName\n"
    "m1,d1,2021-03-01T06:00:00+01:00,media/1.jpg,true,image/jpeg,1.jpg\n"
    "m2,d1,2021-03-01T06:00:05+01:00,media/2.jpg,true,image/jpeg,2.jpg\n"
    "m3,d2,2021-03-02T06:00:00+01:00,media/3.jpg,true,image/jpeg,3.jpg\n"
    "m4,d2,2021-03-03T06:00:00Z,https://example.org/m4/file,true,image/jpeg,4.jpg\n"
)
HEADER = (
    "observationID,deploymentID,mediaID,eventID,eventStart,eventEnd,observationLevel,observationType,"
    "scientificName,bboxX,bboxY,bboxWidth,bboxHeight,classificationMethod,classificationProbability\n"
)
SPAN = "2021-03-01T05:00:00Z,2021-03-01T05:00:10Z"
OBSERVATIONS = HEADER + (
    f"o1,d1,m1,e1,{SPAN},media,animal,Vulpes vulpes,0.1,0.2,0.3,0.4,human,\n"
    f"o2,d1,m1,e1,{SPAN},media,animal,Meles meles,,,,,,\n"
    f"o3,d1,m1,e1,{SPAN},media,animal,Lynx lynx,,,,,machine,0.4\n"
    f"o4,d1,,e1,{SPAN},event,animal,Vulpes vulpes,,,,,human,\n"
    f"o5,d2,m3,,{SPAN},media,unknown,,,,,,human,\n"
)


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Path]:
    def package(**changed: str) -> Path:
        folder = tmp_path / "dp"
        (folder / "media").mkdir(parents=True, exist_ok=True)
        tables = {"deployments": DEPLOYMENTS, "media": MEDIA, "observations": OBSERVATIONS} | changed
        for name, text in tables.items():
            (folder / f"{name}.csv").write_text(text, encoding="utf-8")
        for name in "123":
            (folder / "media" / f"{name}.jpg").write_bytes(b"photo " + name.encode())
        (folder / "datapackage.json").write_text(json.dumps({"profile": "x/camtrap-dp/1.0.2/y", "name": "n"}))
        return folder

    return package


def zipped(folder: Path, inner: str = "") -> Path:
    target = folder.parent / "package.zip"
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(p for p in folder.rglob("*") if p.is_file()):
            archive.write(path, inner + path.relative_to(folder).as_posix())
    return target


def test_a_deployment_twice_is_refused(make: Callable[..., Path]) -> None:
    again = DEPLOYMENTS + "d1,meadow,46.7,6.4,2021-01-01T00:00:00Z,2021-12-31T00:00:00Z\n"
    with pytest.raises(DataError, match=r"deployments\.csv line 4.*'d1'"):
        read(make(deployments=again))


def test_media_get_place_time_event_labels_and_boxes(make: Callable[..., Path]) -> None:
    catalog = read(make())
    table = catalog.table
    assert table["media_id"].to_list() == ["m1", "m2", "m3"]
    assert table["location_id"].to_list() == ["wood", "wood", "d2"]
    assert table["labels"].to_list() == [["Vulpes vulpes", "Meles meles"], None, None]
    assert table["event_id"].to_list() == ["e1", "e1", None]  # m2 by the event's span
    assert table["camera_time"][0].hour == 6
    assert table["timestamp"][0].hour == 5
    boxes = table["boxes"].to_list()
    assert boxes[0] == [{"category": "animal", "conf": 1.0, "x": 0.1, "y": 0.2, "width": 0.3, "height": 0.4}]
    assert boxes[1] is None
    notes = " ".join(catalog.facts.notes)
    assert "1 media left out: URLs, not files" in notes
    assert "1 deployment names no location" in notes
    assert "1 observation is by machine" in notes
    assert catalog.facts.others["camtrap_dp"]["media_left_out_as_urls"] == 1


def test_urls_machines_and_events_count_when_asked_for(make: Callable[..., Path]) -> None:
    catalog = read(make(), keep_urls=True, event_labels=True, classified_by="all")
    assert catalog.table["file_path"][3] == "remote/d2/4.jpg"
    assert catalog.table["url"].to_list() == [None, None, None, "https://example.org/m4/file"]
    assert catalog.table["labels"].to_list() == [
        ["Vulpes vulpes", "Meles meles", "Lynx lynx"],
        ["Vulpes vulpes"],
        None,
        None,
    ]
    assert read(make(), classified_by="machine").labels == ["Lynx lynx"]
    for wrong in ({"classified_by": "oracle"}, {"unpack_to": "x"}):
        with pytest.raises(UsageError):
            read(make(), **wrong)


def test_a_machines_box_without_a_probability_gets_none(make: Callable[..., Path]) -> None:
    by_machine = OBSERVATIONS.replace("0.1,0.2,0.3,0.4,human,", "0.1,0.2,0.3,0.4,machine,")
    boxes = read(make(observations=by_machine), classified_by="machine").table["boxes"].to_list()
    assert boxes[0][0]["conf"] is None


def test_media_between_two_events_get_neither_and_those_after_a_nested_one_keep_theirs(
    make: Callable[..., Path],
) -> None:
    def at(minute: int) -> str:
        return f"2021-03-01T05:{minute:02}:00Z"

    media = MEDIA.splitlines(keepends=True)[0] + "".join(
        f"m{minute},d1,{at(minute)},media/{minute}.jpg,true,image/jpeg,{minute}.jpg\n"
        for minute in (0, 10, 15, 20, 30, 40, 41)
    )
    spans = {"long": (0, 40), "nested": (10, 20), "touching": (40, 40)}
    observations = HEADER + "".join(
        f"{name}{kind},d1,,{name},{at(first)},{at(last)},event,animal,{kind},,,,,human,\n"
        for name, (first, last) in spans.items()
        for kind in ("Vulpes vulpes", "Meles meles")  # two rows of one event are one event
    )
    catalog = read(make(media=media, observations=observations))
    assert dict(zip(catalog.table["media_id"], catalog.table["event_id"], strict=True)) == {
        "m0": "long", "m10": None, "m15": None, "m20": None, "m30": "long", "m40": None, "m41": None,
    }  # fmt: skip
    assert "4 media lie within several events" in " ".join(catalog.facts.notes)


@pytest.mark.parametrize("inner", ["", "inner/"])
def test_a_zip_is_the_same_catalog(make: Callable[..., Path], inner: str, tmp_path: Path) -> None:
    folder = make()
    archive = zipped(folder, inner)
    tables_only = read(archive)
    assert tables_only.root == tmp_path / "package" / inner
    assert not (tmp_path / "package").exists()
    unpacked = read(archive, unpack_to=tmp_path / "out")
    assert unpacked.table.equals(read(folder).table)
    assert all(path.is_file() for path in unpacked.paths())
    assert not list((tmp_path / "out").rglob("*.csv"))
    with pytest.raises(DataError, match="exists"):
        read(archive, unpack_to=tmp_path / "out")


@pytest.mark.parametrize(
    ("changed", "complaint"),
    [
        (
            {"media": "mediaID,timestamp\nm1,x\n"},
            r"media\.csv line 1: the column deploymentID and filePath is missing",
        ),
        ({"media": MEDIA.replace("m1,d1", "m1,d9")}, r"media\.csv line 2 names the deployment 'd9'"),
        ({"media": MEDIA.replace("m2,d1", "m1,d1")}, "more than once.*line 2"),
        ({"media": MEDIA.replace("media/1.jpg", "../1.jpg")}, "not relative"),
        ({"media": MEDIA.replace("media/", "ftp://x/")}, r"no media that are files: all 4.*\(--keep-urls\)"),
        ({"deployments": ""}, r"deployments\.csv is empty"),
        (
            {"observations": OBSERVATIONS.replace("0.1,0.2,0.3,0.4", "0.1,0.2,0.3,4")},
            "a box outside the image",
        ),
    ],
)
def test_a_package_that_is_wrong_is_named_by_file_and_line(
    make: Callable[..., Path], changed: dict[str, str], complaint: str
) -> None:
    with pytest.raises(DataError, match=complaint):
        read(make(**changed), strict=True)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (f"o9,d1,m99,e9,{SPAN},media,human,,,,,,human,\n", "names the media 'm99'"),
        (f"o9,d1,m99,,{SPAN},event,animal,Lynx lynx,,,,,human,\n", "names the media 'm99'"),
        (f"o9,d77,,e9,{SPAN},event,animal,Lynx lynx,,,,,human,\n", "names the deployment 'd77'"),
    ],
)
def test_observations_of_what_is_not_there_are_listed_and_the_rest_is_read(
    row: str, reason: str, make: Callable[..., Path]
) -> None:
    catalog = read(make(observations=OBSERVATIONS + row))
    assert catalog.table["labels"][0].to_list() == ["Vulpes vulpes", "Meles meles"]
    assert catalog.facts.rejected is not None
    (listed,) = catalog.facts.rejected.rows
    assert listed.where == "observations.csv line 7"
    assert listed.reason.startswith(reason)


def evil(path: Path, name: str, content: bytes = b"x", mode: int = 0) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        member = zipfile.ZipInfo(name)
        member.external_attr = mode << 16
        member.compress_type = zipfile.ZIP_DEFLATED
        archive.writestr(member, content)
    return path


@pytest.mark.parametrize(
    ("name", "mode", "complaint"),
    [
        ("../out.txt", 0, "outside"),
        ("/etc/out.txt", 0, "outside"),
        ("a/../../out.txt", 0, "outside"),
        ("C:/out.txt", 0, "outside"),
        ("link", 0o120777, "link"),
    ],
)
def test_a_zip_never_writes_outside_its_folder(name: str, mode: int, complaint: str, tmp_path: Path) -> None:
    archive = evil(tmp_path / "evil.zip", name, b"/etc/passwd", mode)
    with pytest.raises(DataError, match=complaint):
        safe_unzip(archive, tmp_path / "a" / "b")
    assert [p.name for p in tmp_path.rglob("*") if not p.is_dir()] == ["evil.zip"]


def test_a_zip_that_grows_without_end_is_refused(tmp_path: Path) -> None:
    archive = evil(tmp_path / "bomb.zip", "big.bin", b"\0" * 20_000_000)
    with pytest.raises(DataError, match="more than is believable"):
        safe_unzip(archive, tmp_path / "out")
    with pytest.raises(DataError, match="more than is believable"):
        safe_unzip(evil(tmp_path / "big.zip", "a", b"abcdefgh" * 9), tmp_path / "out", max_bytes=10)
    content = bytearray(evil(tmp_path / "lie.zip", "a", bytes(range(256)) * 20).read_bytes())
    place = content.rindex(b"PK\x01\x02") + 24
    content[place : place + 4] = (16).to_bytes(4, "little")  # it says 16 bytes
    (tmp_path / "lie.zip").write_bytes(content)
    with pytest.raises(DataError):
        safe_unzip(tmp_path / "lie.zip", tmp_path / "out")
    assert not any(path.is_file() for path in tmp_path.glob("out/*"))


def test_a_damaged_zip_raises_nothing_but_our_error(make: Callable[..., Path], tmp_path: Path) -> None:
    whole = zipped(make()).read_bytes()
    for place in range(0, len(whole), 97):
        broken = tmp_path / "broken.zip"
        broken.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        with contextlib.suppress(TraplineError):
            read(broken, format="camtrap_dp", unpack_to=tmp_path / "out")
        shutil.rmtree(tmp_path / "out", ignore_errors=True)


@pytest.mark.field
def test_the_standards_own_example_is_read(field: Path) -> None:
    catalog = read(field / "fixtures" / "camtrapdp_example")
    assert len(catalog) == 10
    assert all(path.is_file() for path in catalog.paths())
    whole = read(field / "fixtures" / "camtrapdp_example", keep_urls=True)
    assert len(whole) == 423
    assert whole.table["location_id"].n_unique() == 4
    assert "Anas platyrhynchos" in whole.labels
    assert whole.table["timestamp"].null_count() == 0


@pytest.mark.parametrize("word", ["-999", "unknown", "NaN", "k. A."])
def test_what_its_schema_says_is_missing_is_missing(word: str, make: Callable[..., Path]) -> None:
    observations = OBSERVATIONS.replace(
        "Vulpes vulpes,0.1,0.2,0.3,0.4", f"{word},{word},{word},{word},{word}"
    )
    folder = make(observations=observations)
    schema = {"missingValues": ["", word]}
    descriptor = {"profile": "camtrap-dp/1.0", "resources": [{"name": "observations", "schema": schema}]}
    (folder / "datapackage.json").write_text(json.dumps(descriptor))
    catalog = read(folder)
    assert catalog.table["labels"][0].to_list() == ["animal", "Meles meles"]
    assert catalog.table["boxes"][0] is None
    (note,) = [note for note in catalog.facts.notes if "taken for a missing value" in note]
    assert f"'{word}' in " in note
    assert "scientificName (1)" in note


@pytest.mark.parametrize(
    ("changed", "place", "reason"),
    [
        ({"media": MEDIA.replace("m2,d1", "m2,d9")}, "media.csv line 3", "names the deployment 'd9'"),
        (
            {"media": MEDIA.replace("media/2", "../2")},
            "media.csv line 3",
            "has a file_path that is not relative",
        ),
        (
            {"observations": OBSERVATIONS.replace("0.1,0.2,0.3,0.4", "0.1,0.2,0.3,4")},
            "observations.csv line 2",
            "has a box outside the image",
        ),
        (
            {"observations": OBSERVATIONS.replace("0.1,0.2,0.3,0.4", "0.1,,,")},
            "observations.csv line 2",
            "has a box outside the image",
        ),
    ],
)
def test_a_row_that_is_wrong_does_not_take_the_package_with_it(
    changed: dict[str, str], place: str, reason: str, make: Callable[..., Path]
) -> None:
    catalog = read(make(**changed))
    assert len(catalog) == (3 if "observations" in changed else 2)
    rejected = catalog.facts.rejected
    assert rejected is not None
    (row,) = rejected.rows
    assert row.where == place
    assert row.reason.startswith(reason)
