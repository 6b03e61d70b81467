"""Records are read of whatever table or package has them, and what is no record is counted."""

from datetime import datetime
from pathlib import Path

import polars as pl
import pytest
from survey_tables import RECORDS, write

from trapline.ecology import RECORDS as COLUMNS
from trapline.ecology import Records, read_records
from trapline.errors import DataError, UsageError


def seen(records: Records) -> list[tuple[str, str, datetime | None]]:
    return list(records.table.select("location_id", "label", "camera_time").iter_rows())


ONE = [("007", "Vulpes vulpes", datetime(2021, 5, 13, 6, 30))]


@pytest.mark.parametrize(
    "text",
    [
        'Station,Species,DateTimeOriginal\n"007",Vulpes vulpes,2021-05-13 06:30:00\n',
        "\ufefflocationID;scientificName;timestamp\n007;Vulpes vulpes;13/05/2021 06:30\n",
        "site\tlabel\tdate\ttime\n007\tVulpes vulpes\t2021-05-13\t06:30\n",
        "placename,Species,Photo Date,Photo Time\n007,Vulpes vulpes,13-May-2021,6:30 AM\n",
        '"","Station","Species","DateTimeOriginal","delta.time.secs"\n'
        '"1","007","Vulpes vulpes","2021-05-13 06:30:00",0\n',
    ],
    ids=["camtrapr", "semicolons-bom", "tabs-two-columns", "words", "r-row-names"],
)
def test_spellings_of_one_record_are_one(text: str, tmp_path: Path) -> None:
    records = read_records(write(tmp_path, "r.csv", text))
    assert seen(records) == ONE
    assert list(records.table.columns)[: len(COLUMNS)] == list(COLUMNS)
    assert records.made_of == "table"


def test_a_column_is_what_the_user_says(tmp_path: Path) -> None:
    path = write(tmp_path, "r.csv", "Station,code,Especie,DateTime\n007,x,Vulpes vulpes,2021-05-13 06:30\n")
    assert seen(read_records(path, species_column="Especie")) == ONE
    with pytest.raises(DataError, match="known to hold the species"):
        read_records(path)


def test_what_is_no_record_is_counted(tmp_path: Path) -> None:
    text = (
        RECORDS
        + "StationA,blank,2009-04-11 00:00:00\nStationA,UNID,2009-04-12 00:00:00\n,VTA,2009-04-12 00:00:00\n"
    )
    path = write(tmp_path, "r.csv", text)
    records = read_records(path, exclude=["UNID"])
    assert len(records) == 6
    notes = " ".join(records.notes)
    for told in ("1 row blank", "1 row left out as asked: UNID", "r.csv line 10 names no station"):
        assert told in notes
    with pytest.raises(DataError, match="No record has the label 'UNIDD'"):
        read_records(path, exclude=["UNIDD"])


def test_a_day_without_an_hour_is_no_time(tmp_path: Path) -> None:
    text = "Station,Species,Date\nA,fox,2021-05-13\n"
    with pytest.raises(DataError, match="days without an hour"):
        read_records(write(tmp_path, "r.csv", text))
    mixed = read_records(
        write(tmp_path, "m.csv", text.replace("Date", "DateTime") + "A,fox,2021-05-13 06:00\n")
    )
    assert mixed.table["camera_time"].null_count() == 1
    assert any("1 record without a time" in note for note in mixed.notes)


def test_attributes_and_cameras_come_along(tmp_path: Path) -> None:
    text = (
        "Station,Camera,Species,DateTime,count,Sex,Life stage,behavior,individualID,probability,"
        "FileName,Directory\n"
        "A,c1,fox,2021-05-13 06:00,2,male,adult,walking,M1,0.9,x.jpg,here\n"
    )
    row = read_records(write(tmp_path, "r.csv", text)).table.row(0, named=True)
    assert row["deployment_id"] == "A__CAM_c1"
    names = ("count", "sex", "life_stage", "behaviour", "individual", "probability", "file_path")
    assert [row[name] for name in names] == [2, "male", "adult", "walking", "M1", 0.9, "here/x.jpg"]


def test_what_is_no_count_and_no_probability_is_left_empty_and_named(tmp_path: Path) -> None:
    text = (
        "Station,Species,DateTime,count,score\nA,fox,2021-05-13 06:00,1.5,95\nA,fox,2021-05-13 07:00,2,0.5\n"
    )
    records = read_records(write(tmp_path, "r.csv", text))
    assert records.table.select("count", "probability").rows() == [(None, None), (2, 0.5)]
    notes = " ".join(records.notes)
    assert "1 cell of count cannot be one, and left empty: the first is '1.5' (r.csv line 2)" in notes
    assert "1 cell of score" in notes


def test_what_means_nothing_to_a_source_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, "r.csv", RECORDS)
    with pytest.raises(UsageError, match="levels is of folders"):
        read_records(path, levels="label/location")
    with pytest.raises(UsageError, match="is of packages and downloads"):
        read_records(path, classified_by="machine")
    with pytest.raises(UsageError, match="columns is of a table"):
        read_records(tmp_path, columns={"species": "x"})
    with pytest.raises(UsageError, match="time_format is of a table"):
        read_records(tmp_path, time_format="day-first")
    assert any("changes none" in note for note in read_records(path, timezone="Asia/Kuala_Lumpur").notes)
    with pytest.raises(UsageError, match="no time zone"):
        read_records(path, timezone="Asia/Nowhere")


def test_wildlife_insights_images_are_records(tmp_path: Path) -> None:
    write(
        tmp_path,
        "deployments.csv",
        "project_id,deployment_id,placename,longitude,latitude,start_date,end_date\n"
        "1,d1,Ridge,10.5,46.25,2021-06-01 12:00:00,2021-07-01 12:00:00\n",
    )
    write(
        tmp_path,
        "images.csv",
        "project_id,deployment_id,image_id,location,is_blank,identified_by,wi_taxon_id,class,order,family,genus,"
        "species,common_name,timestamp,age,sex,individual_id,number_of_objects\n"
        "1,d1,i1,gs://b/1.jpg,0,Ann,t,Mammalia,Carnivora,Canidae,Vulpes,vulpes,Red Fox,"
        "2021-06-02 03:04:05,Adult,,,2\n"
        "1,d1,i2,gs://b/2.jpg,1,Ann,t,,,,,,Blank,2021-06-02 03:05:00,,,,\n",
    )
    records = read_records(tmp_path)
    assert seen(records) == [("Ridge", "Vulpes vulpes", datetime(2021, 6, 2, 3, 4, 5))]
    row = records.table.row(0, named=True)
    assert (row["count"], row["life_stage"]) == (2, "Adult")


def test_a_clock_in_summer_time_is_as_written_and_utc_is_brought_to_the_deployment(tmp_path: Path) -> None:
    write(
        tmp_path,
        "deployments.csv",
        "deploymentID,locationID,latitude,longitude,deploymentStart,deploymentEnd\n"
        "d1,A,46.5,6.1,2024-03-01T12:00:00+01:00,2024-11-30T12:00:00+01:00\n",
    )
    media = "mediaID,deploymentID,timestamp,filePath\nm1,d1,2024-07-10T19:41:13+02:00,m1.jpg\n"
    write(tmp_path, "media.csv", media)
    write(
        tmp_path,
        "observations.csv",
        "observationID,deploymentID,mediaID,eventID,eventStart,eventEnd,observationLevel,observationType,"
        "scientificName\n"
        "o1,d1,m1,e1,2024-07-10T19:41:13+02:00,2024-07-10T19:41:13+02:00,media,animal,Vulpes vulpes\n"
        "o2,d1,,e2,2024-03-05T05:00:00Z,2024-03-05T05:01:00Z,event,animal,Lepus europaeus\n",
    )
    hare, fox = datetime(2024, 3, 5, 6), datetime(2024, 7, 10, 19, 41, 13)
    assert seen(read_records(tmp_path)) == [("A", "Lepus europaeus", hare), ("A", "Vulpes vulpes", fox)]
    zoned = read_records(tmp_path, timezone="Etc/UTC")
    assert zoned.table["camera_time"].to_list() == [
        datetime(2024, 3, 5, 5),
        datetime(2024, 7, 10, 17, 41, 13),
    ]


@pytest.mark.field
def test_a_package_tells_events_once_on_the_clock_of_its_deployments(field: Path) -> None:
    records = read_records(field / "fixtures" / "camtrapdp_example")
    assert not records.table.select("location_id", "event_id", "label", "individual").is_duplicated().any()
    first = records.table.filter(pl.col("event_id") == "4bb69c45")
    assert first["label"].to_list() == ["Anas platyrhynchos"]
    assert first["camera_time"].to_list() == [datetime(2020, 5, 30, 4, 57, 37)]  # 02:57:37 in UTC, in summer
    draft = read_records(field / "ecology" / "mica")
    assert len(draft) == 15
    assert any("draft" in note for note in draft.notes)


@pytest.mark.field
def test_folders_of_photos_are_records(field: Path) -> None:
    records = read_records(field / "ecology" / "camtrapr" / "sample_images_species_dir", exclude=["UNID"])
    assert len(records) == 67
    assert any("1 video" in note for note in records.notes)


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ("", "has no records"),
        ("A,fox,\nB,fox,\n", "the column is empty"),
        ("A,fox,\nB,fox,2020-01-02\n", "days without an hour"),
        ("A,fox,\nB,fox,soon\n", "the first is 'soon'"),
    ],
)
def test_a_table_without_any_record_is_an_error_that_says_why(rows: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=words):
        read_records(write(tmp_path, "r.csv", f"Station,Species,DateTime\n{rows}"))


def test_labels_that_differ_in_case_or_spaces_alone_are_named(tmp_path: Path) -> None:
    text = "Station,Species,DateTime\n" + "".join(
        f"A,{label},2020-01-01 10:00\n" for label in ("Red fox", "red  fox", "cat")
    )
    notes = read_records(write(tmp_path, "r.csv", text)).notes
    assert any("several species: 'Red fox' and 'red  fox'" in note for note in notes)
