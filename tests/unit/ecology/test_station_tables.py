"""Tables of stations are read as they are written, and what they do not say is asked for."""

from datetime import datetime
from pathlib import Path

import pytest
from survey_tables import STATIONS, write

from trapline.ecology import Stations, guess_stations, read_records, read_stations
from trapline.errors import DataError


def station_days(stations: Stations) -> list[tuple[str, str, str]]:
    return [
        (each.location_id, f"{each.start:%Y-%m-%d}", f"{each.end:%Y-%m-%d}") for each in stations.stations
    ]


CAMTRAPR = [
    ("StationA", "2009-04-02", "2009-05-14"),
    ("StationB", "2009-04-03", "2009-05-16"),
    ("StationC", "2009-04-04", "2009-05-17"),
]


def iso(text: str) -> str:
    rows = [line.split(",") for line in text.splitlines()]
    return "\n".join(
        ",".join("-".join(reversed(cell.split("/"))) if "/" in cell else cell for cell in row) for row in rows
    )


@pytest.mark.parametrize(
    "text",
    [
        STATIONS,
        iso(STATIONS),
        "\ufeff" + STATIONS.replace(",", ";"),
        STATIONS.replace(",,", ",NA,NA").replace("\n", "\r\n"),
        STATIONS.replace("Setup_date", "start date")
        .replace("Retrieval_date", "End")
        .replace("Station,", "SiteID,"),
        STATIONS.replace(",", "\t"),
    ],
    ids=["camtrapr", "iso", "semicolons-bom", "na-crlf", "other-names", "tabs"],
)
def test_spellings_of_one_table_are_one(text: str, tmp_path: Path) -> None:
    stations = read_stations(write(tmp_path, "s.csv", text))
    assert station_days(stations) == CAMTRAPR
    assert [each.whole_days for each in stations.stations] == [True] * 3
    assert stations.stations[2].problems == ((datetime(2009, 5, 12), datetime(2009, 5, 18)),)
    assert stations.stations[0].values["utm_y"] == "604000"


def test_hours_stay_hours_and_a_day_beside_them_is_its_noon(tmp_path: Path) -> None:
    text = (
        "Station,Setup_date,Retrieval_date,Problem1_from,Problem1_to,Problem2_from,Problem2_to\n"
        "01,2020-01-01 15:30,2020-01-20,2020-01-05 08:00,2020-01-05 20:00,2020-01-10,2020-01-11\n"
    )
    station = read_stations(write(tmp_path, "s.csv", text)).stations[0]
    assert station.location_id == "01"
    assert (station.start, station.end) == (datetime(2020, 1, 1, 15, 30), datetime(2020, 1, 20, 12))
    assert not station.whole_days
    assert station.problems == (
        (datetime(2020, 1, 5, 8), datetime(2020, 1, 5, 20)),
        (datetime(2020, 1, 10), datetime(2020, 1, 12)),
    )


def test_an_hour_alone_and_a_column_of_times_are_read(tmp_path: Path) -> None:
    text = "Station,Setup_date,Setup_time,Retrieval_date\nA,13/04/2009,9:30 AM,14/05/2009 18\n"
    station = read_stations(write(tmp_path, "s.csv", text)).stations[0]
    assert (station.start, station.end) == (datetime(2009, 4, 13, 9, 30), datetime(2009, 5, 14, 18))


def test_wildlife_insights_deployments_are_stations(tmp_path: Path) -> None:
    text = (
        "project_id,deployment_id,placename,longitude,latitude,start_date,end_date,camera_id\n"
        "1,d1,Ridge,10.5,46.25,2021-06-01 00:00:00,2021-07-01 00:00:00,c7\n"
    )
    stations = read_stations(write(tmp_path, "deployments.csv", text))
    station = stations.stations[0]
    assert (station.location_id, station.deployment_id, station.camera) == ("Ridge", "d1", "c7")
    assert (station.latitude, station.longitude) == (46.25, 10.5)
    assert any("midnight" in note for note in stations.notes)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("Station,Setup_date\nA,2020-01-01\n", "no column that is known to hold the end"),
        ("Station,Setup_date,Retrieval_date\nA,2020-01-01,\n", "line 2: Retrieval_date is empty"),
        ("Station,Setup_date,Retrieval_date\nA,2020-01-05,2020-01-01\n", "ends .* before it starts"),
        ("Station,Setup_date,Retrieval_date\nA,01/02/2020,03/02/2020\n", "Is the day first"),
        ("Station,Setup_date,Retrieval_date\n,2020-01-01,2020-01-05\n", "names no station"),
        ("Station,Setup_date,Retrieval_date\nA,soon,2020-01-05\n", "no date or time"),
        (STATIONS.replace("12/05/2009,", ","), "Problem1_from is empty"),
        (
            STATIONS.replace("12/05/2009", "12/06/2009").replace("17/05/2009\n", "17/07/2009\n"),
            "outside the time",
        ),
        (STATIONS.replace(",Problem1_to", ",other"), "without the other end"),
    ],
)
def test_what_is_wrong_is_named(text: str, told: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=told):
        read_stations(write(tmp_path, "s.csv", text))


def test_a_column_is_what_the_user_says(tmp_path: Path) -> None:
    path = write(tmp_path, "s.csv", "Punto,Inicio,Fin\nA,2020-01-01,2020-01-05\n")
    told = {"station": "Punto", "start": "Inicio", "end": "Fin"}
    assert station_days(read_stations(path, columns=told)) == [("A", "2020-01-01", "2020-01-05")]
    with pytest.raises(DataError, match="lacks the column 'Ende'"):
        read_stations(path, columns=told | {"end": "Ende"})


def test_a_guess_is_proposed_and_stays_a_guess_until_a_person_says_otherwise(tmp_path: Path) -> None:
    records = read_records(
        write(tmp_path, "r.csv", "Station,Species,DateTime\nA,fox,2020-01-03 10:00\nA,fox,2020-01-09 23:59\n")
    )
    guess = guess_stations(records)
    assert guess.guessed
    assert station_days(guess) == [("A", "2020-01-03", "2020-01-09")]
    guess.save_proposal(tmp_path / "proposal.csv")
    again = read_stations(tmp_path / "proposal.csv")
    assert again.guessed
    assert station_days(again) == station_days(guess)
    corrected = (
        (tmp_path / "proposal.csv")
        .read_text()
        .replace(",guessed", "")
        .replace(",yes: first and last photo", "")
    )
    table = read_stations(write(tmp_path, "stations.csv", corrected))
    assert not table.guessed
    with pytest.raises(DataError, match="no guess"):
        table.save_proposal(tmp_path / "again.csv")


@pytest.mark.field
def test_packages_say_when_cameras_stood(field: Path) -> None:
    draft = read_stations(field / "ecology" / "mica")
    today = read_stations(field / "fixtures" / "camtrapdp_example")
    assert len(draft.stations) == len(today.stations) == 4
    # one of the draft's deployments is in today's package too, whose times have the offset of the clock
    here, there = (
        next(one for one in each.stations if one.deployment_id and one.deployment_id.startswith("29b7d356"))
        for each in (draft, today)
    )
    assert (here.start, there.start) == (datetime(2020, 7, 29, 5, 29, 41), datetime(2020, 7, 29, 7, 29, 41))
    zoned = read_stations(field / "ecology" / "mica", timezone="Europe/Brussels")
    same = next(one for one in zoned.stations if one.deployment_id == here.deployment_id)
    assert same.start == there.start


@pytest.mark.parametrize(
    "names",
    ["ProblemFrom1,ProblemTo1", "problem 1 start,problem 1 end", "Problems1_from_date,Problems1_to_date"],
)
def test_problems_are_read_however_their_columns_are_spelt(names: str, tmp_path: Path) -> None:
    text = f"Station,start,end,{names}\nA,2020-01-01,2020-03-01,2020-01-03,2020-01-04\n"
    station = read_stations(write(tmp_path, "s.csv", text)).stations[0]
    assert station.problems == ((datetime(2020, 1, 3), datetime(2020, 1, 5)),)


def test_columns_of_problems_that_are_not_read_are_named(tmp_path: Path) -> None:
    text = "Station,start,end,Problem_when\nA,2020-01-01,2020-03-01,in May\n"
    assert any("column Problem_when" in note for note in read_stations(write(tmp_path, "s.csv", text)).notes)
    twice = text.replace("Problem_when", "Problem1_from,Problem1_start,Problem1_to").replace("in May", ",,")
    with pytest.raises(DataError, match="Problem1_from and Problem1_start"):
        read_stations(write(tmp_path, "t.csv", twice))


def test_problems_beyond_the_time_of_a_station_are_named(tmp_path: Path) -> None:
    text = "Station,start,end,Problem1_from,Problem1_to\nA,2020-01-01,2020-03-01,2020-02-20,2020-03-{}\n"
    within, beyond = (read_stations(write(tmp_path, f"{day}.csv", text.format(day))) for day in ("01", "05"))
    assert not within.notes
    assert beyond.notes == ("problems reach beyond the time of A, and count within it",)
