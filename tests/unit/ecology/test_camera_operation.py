"""Camera operation is camtrapR's, day by day, and days that photos contradict are named."""

import csv
from datetime import date, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from survey_tables import RECORDS, STATIONS, write

from trapline.ecology import camera_operation, read_records, read_stations, survey_effort
from trapline.ecology.spans import cut, day_shares, join
from trapline.errors import DataError, UsageError

NAN = np.nan


@pytest.mark.field
def test_the_matrix_is_camtraprs(field: Path, tmp_path: Path) -> None:
    folder = field / "ecology" / "camtrapr"
    camera_operation(read_stations(folder / "camtraps.csv")).save(tmp_path / "operation.csv")
    ours, theirs = (
        list(csv.reader(path.open()))
        for path in (tmp_path / "operation.csv", folder / "expected" / "camera_operation.csv")
    )
    assert ours[0][1:] == theirs[0][1:]
    assert ours[1:] == theirs[1:]


def test_known_hours_count_as_they_are(tmp_path: Path) -> None:
    """The numbers are those of camtrapR's vignette 3, of days that begin at midnight and at noon."""
    text = (
        "Station,Setup_date,Retrieval_date,Problem1_from,Problem1_to\n"
        "StationA,02/04/2009 12,14/05/2009 18,,\n"
        "StationB,03/04/2009 15,16/05/2009 15,,\n"
        "StationC,04/04/2009 18,17/05/2009 12,12/05/2009 20,17/05/2009 12\n"
    )
    stations = read_stations(write(tmp_path, "s.csv", text))
    days = camera_operation(stations).days
    np.testing.assert_allclose(days[:, :3], [[0.5, 1, 1], [NAN, 0.375, 1], [NAN, NAN, 0.25]])
    last = np.array(
        [
            [1, 1, 1, 0.75, NAN, NAN, NAN],
            [1, 1, 1, 1, 1, 0.625, NAN],
            [1, 20 / 24, 0, 0, 0, 0, 0],
        ]
    )
    np.testing.assert_allclose(days[:, -7:], last)
    nights = camera_operation(stations, occasion_start=12)
    np.testing.assert_allclose(nights.days[:, :3], np.array([[1, 1, 1], [NAN, 0.875, 1], [NAN, NAN, 0.75]]))
    ends = np.array([[1, 1, 0.25, NAN, NAN], [1, 1, 1, 1, 0.125], [8 / 24, 0, 0, 0, 0]])
    np.testing.assert_allclose(nights.days[:, -6:-1], ends)
    assert camera_operation(stations, hours="noon").days[0, 0] == 0.5
    assert camera_operation(stations, hours="whole").days[0, [0, 42]].tolist() == [1, 1]


def test_days_have_no_exact_hours(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="exact hours are not known"):
        camera_operation(read_stations(write(tmp_path, "s.csv", STATIONS)), hours="exact")


TWO_CAMERAS = (
    "Station,camera,setup,retrieval,Problem1_from,Problem1_to,Problem2_from,Problem2_to\n"
    "A,cam1,2020-01-01 12,2020-01-08 18,2020-01-03 12,2020-01-05 18,2020-01-06 12,2020-01-07 12\n"
    "A,cam2,2020-01-01 12,2020-01-07 18,NA,NA,NA,NA\n"
)


@pytest.mark.parametrize(
    ("cameras", "days"),
    [
        ("any", [0.5, 1, 1, 1, 1, 1, 1, 0.75]),
        ("all", [0.5, 1, 0.5, 0, 0.25, 0.5, 0.5, 0.75]),
        ("sum", [1, 2, 1.5, 1, 1.25, 1.5, 1.25, 0.75]),  # as camtrapR's camerasIndependent = TRUE
    ],
)
def test_cameras_of_a_station_are_joined_as_asked(cameras: str, days: list[float], tmp_path: Path) -> None:
    stations = read_stations(write(tmp_path, "s.csv", TWO_CAMERAS))
    operation = camera_operation(stations, cameras=cameras)  # type: ignore[arg-type]
    np.testing.assert_allclose(operation.days, [days])


def test_each_camera_has_a_row_with_camtraprs_name(tmp_path: Path) -> None:
    text = TWO_CAMERAS.replace("Station,", "session,Station,").replace("\nA,", "\n2020,A,")
    operation = camera_operation(read_stations(write(tmp_path, "s.csv", text)), cameras="separate")
    assert operation.names == ("A__SESS_2020__CAM_cam1", "A__SESS_2020__CAM_cam2")


def test_between_two_deployments_a_station_does_not_stand(tmp_path: Path) -> None:
    text = "Station,start,end\nA,2020-01-01,2020-01-03\nA,2020-01-06,2020-01-08\n"
    operation = camera_operation(read_stations(write(tmp_path, "s.csv", text)))
    np.testing.assert_allclose(operation.days, [[0.5, 1, 0.5, NAN, NAN, 0.5, 1, 0.5]])


def test_rows_that_overlap_without_cameras_count_once_and_are_named(tmp_path: Path) -> None:
    text = "Station,start,end\nA,2020-01-01,2020-01-05\nA,2020-01-03,2020-01-08\n"
    operation = camera_operation(read_stations(write(tmp_path, "s.csv", text)), cameras="sum")
    assert np.nansum(operation.days) == 7
    assert any("rows of A overlap" in note for note in operation.notes)


def test_a_mistyped_year_is_asked_about(tmp_path: Path) -> None:
    stations = read_stations(write(tmp_path, "s.csv", STATIONS.replace("02/04/2009", "02/04/1009")))
    with pytest.raises(DataError, match="Is a year mistyped"):
        camera_operation(stations)


def test_days_that_photos_contradict_are_named(tmp_path: Path) -> None:
    more = "StationA,VTA,2009-03-01 10:00:00\nStationA,VTA,2009-03-01 11:00:00\n"
    records = read_records(write(tmp_path, "r.csv", RECORDS + more))
    effort = survey_effort(read_stations(write(tmp_path, "s.csv", STATIONS)), records)
    assert effort.trap_days == 122.5
    assert [one.records for one in effort.stations] == [2, 2, 2]
    assert [(one.location_id, one.day, one.records, one.why) for one in effort.contradictions] == [
        ("StationA", date(2009, 3, 1), 2, "no camera stood there"),
        ("StationC", date(2009, 5, 12), 1, "its camera did not work"),
    ]


def test_a_known_hour_is_contradicted_to_the_minute(tmp_path: Path) -> None:
    stations = write(tmp_path, "s.csv", "Station,start,end\nA,2020-01-01 12:00,2020-01-05 12:00\n")
    records = (
        "Station,Species,DateTime\nA,fox,2020-01-01 11:59\nA,fox,2020-01-01 12:00\nA,fox,2020-01-05 12:00\n"
    )
    effort = survey_effort(stations, write(tmp_path, "r.csv", records))
    assert [(one.day, one.records) for one in effort.contradictions] == [(date(2020, 1, 1), 1)]


HOURS = st.integers(0, 24 * 20)
SPANS = st.lists(st.tuples(HOURS, HOURS).filter(lambda pair: pair[0] < pair[1]), max_size=5)


@given(spans=SPANS, holes=SPANS, hour=st.integers(0, 23))
@settings(max_examples=60, deadline=None)
def test_shares_of_days_are_the_hours_that_are_left(
    spans: list[tuple[int, int]], holes: list[tuple[int, int]], hour: int
) -> None:
    first = datetime(2020, 1, 1)
    as_times = [
        [(first + timedelta(hours=a), first + timedelta(hours=b)) for a, b in each] for each in (spans, holes)
    ]
    left = cut(*as_times)
    assert left == join(left)
    hours = {h for a, b in spans for h in range(a, b)} - {h for a, b in holes for h in range(a, b)}
    shares = day_shares(left, date(2019, 12, 31), 23, hour)
    expected = np.bincount([(h - hour + 24) // 24 for h in hours], minlength=23)[:23] / 24
    np.testing.assert_allclose(shares, expected, atol=1e-12)


@pytest.mark.parametrize(
    ("cameras", "days"),
    [("any", [1, 1, 1, 0.5]), ("all", [0.5, 0, 1, 0.5]), ("sum", [1, 1, 1.5, 0.5])],
)
def test_cameras_known_by_days_are_joined_as_in_camtrapr(
    cameras: str, days: list[float], tmp_path: Path
) -> None:
    text = "Station,camera,setup,retrieval,Problem1_from,Problem1_to\n"
    text += "A,cam1,2020-01-01,2020-01-03,2020-01-02,2020-01-02\nA,cam2,2020-01-01,2020-01-04,,\n"
    stations = read_stations(write(tmp_path, "s.csv", text))
    operation = camera_operation(stations, cameras=cameras)  # type: ignore[arg-type]
    np.testing.assert_allclose(operation.days, [days])
