"""Detection histories and effort are camtrapR's in every cell; no record is lost in silence."""

import csv
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from survey_tables import RECORDS, STATIONS, write

from trapline.ecology import Records, Stations, detection_histories, read_records, read_stations
from trapline.errors import DataError, UsageError

NAN = np.nan


@pytest.fixture
def records(tmp_path: Path) -> Records:
    return read_records(write(tmp_path, "records.csv", RECORDS))


@pytest.fixture
def stations(tmp_path: Path) -> Stations:
    return read_stations(write(tmp_path, "stations.csv", STATIONS))


@pytest.mark.field
@pytest.mark.parametrize("days", [5, 10])
def test_every_cell_is_camtraprs(days: int, field: Path, tmp_path: Path) -> None:
    folder = field / "ecology" / "camtrapr"
    records = read_records(folder / "recordTableSample.csv")
    stations = read_stations(folder / "camtraps.csv")
    for species in ("EGY", "MNE", "PBE", "TRA", "VTA"):
        histories = detection_histories(records, stations, species, days)
        histories.save(tmp_path / "dh.csv")
        histories.save(tmp_path / "effort.csv", what="effort")
        for what in ("dh", "effort"):
            ours, theirs = (
                list(csv.reader(path.open()))
                for path in (tmp_path / f"{what}.csv", folder / "expected" / f"{what}_{species}_{days}.csv")
            )
            assert ours[0][1:] == theirs[0][1:]
            assert ours[1:] == theirs[1:]


def test_seven_days_as_camtraprs_vignette_has_them(records: Records, stations: Stations) -> None:
    histories = detection_histories(records, stations, "VTA", 7)
    assert histories.occasions == ("o1", "o2", "o3", "o4", "o5", "o6", "o7")
    np.testing.assert_array_equal(
        histories.detections, [[0, 1, 0, 0, 1, 0, 0], [0, 1, 0, 1, 0, 0, 0], [0, 0, 1, 0, 0, 0, NAN]]
    )
    np.testing.assert_array_equal(
        histories.effort,
        [[6.5, 7, 7, 7, 7, 7, 0.5], [6.5, 7, 7, 7, 7, 7, 1.5], [6.5, 7, 7, 7, 7, 3, NAN]],
    )


def test_occasions_of_the_survey_begin_together(records: Records, stations: Stations) -> None:
    histories = detection_histories(records, stations, "VTA", 7, origin="survey")
    assert set(histories.first_days) == {date(2009, 4, 2)}
    np.testing.assert_array_equal(histories.effort[:, 0], [6.5, 5.5, 4.5])
    np.testing.assert_array_equal(histories.detections[2], [0, 0, 0, 1, 0, 0, NAN])


def test_occasions_begin_on_a_date(records: Records, stations: Stations) -> None:
    later = detection_histories(records, stations, "VTA", 7, origin=date(2009, 4, 16))
    assert later.records == 3
    assert any("2 records before the first occasion" in note for note in later.notes)
    earlier = detection_histories(records, stations, "VTA", 7, origin=date(2009, 3, 26))
    assert np.isnan(earlier.effort[:, 0]).all()
    np.testing.assert_array_equal(earlier.effort[:, 1], [6.5, 5.5, 4.5])
    with pytest.raises(UsageError, match="No station stood there from 2010"):
        detection_histories(records, stations, "VTA", 7, origin=date(2010, 1, 1))


def test_too_little_effort_is_missing_as_asked(records: Records, stations: Stations) -> None:
    """camtrapR's table of incomplete occasions: includeEffort and minActiveDaysPerOccasion."""
    least = detection_histories(records, stations, "TRA", 7, min_active_days=3.5)
    np.testing.assert_array_equal(np.isnan(least.detections[:, 5:]), [[0, 1], [0, 1], [1, 1]])
    assert any("1 record on occasions with too little effort" in note for note in least.notes)
    whole = detection_histories(records, stations, "VTA", 7, complete_only=True)
    np.testing.assert_array_equal(np.isnan(whole.effort), [[0] * 6 + [1]] * 2 + [[0] * 5 + [1, 1]])


def test_buffer_and_most_days(records: Records, stations: Stations) -> None:
    histories = detection_histories(records, stations, "VTA", 7, buffer=3, max_days=10)
    np.testing.assert_array_equal(histories.effort, [[7, 3]] * 3)
    np.testing.assert_array_equal(histories.detections, [[1, 0], [0, 1], [0, 0]])
    assert any("3 records before the first occasion or after the last" in note for note in histories.notes)


def test_effort_is_scaled_over_all_cells(records: Records, tmp_path: Path) -> None:
    """Centre, scale and cells of camtrapR's vignette 3, where no station has problems."""
    stations = read_stations(write(tmp_path, "s.csv", STATIONS.replace("12/05/2009,17/05/2009", ",")))
    scaled = detection_histories(records, stations, "VTA", 7, scale_effort=True)
    assert scaled.scaling == pytest.approx((6.095238, 2.077372), abs=1e-6)
    np.testing.assert_allclose(scaled.effort[0], [0.1948432, *[0.4355319] * 5, -2.693421], atol=1e-6)


SESSIONS = (
    "Station,Setup_date,Retrieval_date,session\n"
    "A,2009-04-02,2009-05-14,2009\nB,2009-04-03,2009-05-16,2009\n"
    "A,2010-04-02,2010-05-14,2010\nD,2010-04-04,2010-06-17,2010\n"
)


def test_each_session_has_its_own_occasions(tmp_path: Path) -> None:
    stations = write(tmp_path, "s.csv", SESSIONS)
    records = write(
        tmp_path, "r.csv", "Station,Species,DateTime\nA,fox,2009-04-10 05:07\nA,fox,2010-05-06 19:06\n"
    )
    histories = detection_histories(records, stations, "fox", 10)
    assert histories.names == ("A__SESS_2009", "B__SESS_2009", "A__SESS_2010", "D__SESS_2010")
    assert histories.detections.shape == (4, 8)
    np.testing.assert_array_equal(np.argwhere(histories.detections == 1), [[0, 0], [2, 3]])
    wide = histories.by_season()
    assert wide.names == ("A", "B", "D")
    assert wide.occasions[7:9] == ("2009_o8", "2010_o1")
    assert np.isnan(wide.detections[2, :8]).all()
    assert wide.detections[0, 11] == 1
    survey = detection_histories(records, stations, "fox", 10, origin="survey")
    assert survey.first_days == (date(2009, 4, 2),) * 2 + (date(2010, 4, 2),) * 2


@pytest.mark.field
def test_two_seasons_are_camtraprs(field: Path) -> None:
    folder = field / "ecology" / "camtrapr"
    histories = detection_histories(
        folder / "recordTableSampleMultiSeason.csv", folder / "camtrapsMultiSeason.csv", "VTA", 10
    ).by_season()
    one = [[1, 0, 0, 1, 0], [0, 1, 1, 0, 0], [0, 0, 1, 0, NAN]]
    expected = np.full((4, 16), NAN)
    expected[:3, :5] = expected[:3, 8:13] = one
    expected[3, 8:] = 0
    np.testing.assert_array_equal(histories.detections, expected)
    np.testing.assert_array_equal(histories.effort[3, 8:], [9.5, 10, 10, 10, 6, 3, 10, 4.5])


def test_sessions_that_overlap_are_refused(tmp_path: Path) -> None:
    stations = write(tmp_path, "s.csv", SESSIONS.replace("A,2010-04-02", "A,2009-05-01"))
    records = write(tmp_path, "r.csv", "Station,Species,DateTime\nA,fox,2009-04-10 05:07\n")
    with pytest.raises(DataError, match="sessions 2009 and 2010 of the station A overlap"):
        detection_histories(records, stations, "fox", 10)


def test_records_outside_of_the_survey_are_named(stations: Stations, tmp_path: Path) -> None:
    more = "StationB,VTA,2009-06-01 10:00:00\nStationB,VTA,\n"
    records = read_records(write(tmp_path, "r.csv", RECORDS + more))
    histories = detection_histories(records, stations, "VTA", 7)
    assert histories.records == 5
    notes = " ".join(histories.notes)
    assert "1 record of days on which no camera stood there, counted nowhere: StationB 2009-06-01" in notes
    assert "1 record without a time" in notes


def test_a_record_of_a_broken_camera_counts_and_is_named(records: Records, stations: Stations) -> None:
    histories = detection_histories(records, stations, "TRA", 7)
    assert histories.detections[2, 5] == 1
    assert any(
        "said not to have worked" in note and "StationC 2009-05-12" in note for note in histories.notes
    )


def test_records_of_unknown_stations_are_refused_or_left_out_as_asked(
    stations: Stations, tmp_path: Path
) -> None:
    more = "StationX,VTA,2009-04-20 10:00:00\nstationa,VTA,2009-04-20 10:00:00\n"
    records = read_records(write(tmp_path, "r.csv", RECORDS + more))
    with pytest.raises(DataError, match="1 record at locations that no station is at: StationX"):
        detection_histories(records, stations, "VTA", 7)
    histories = detection_histories(records, stations, "VTA", 7, skip_unknown=True)
    assert histories.records == 6
    assert any("left out as asked" in note for note in histories.notes)
    assert any("another case: stationa" in note for note in histories.notes)


def test_a_mistyped_species_is_no_absence(records: Records, stations: Stations) -> None:
    with pytest.raises(UsageError, match=r"is of 'VTB'. Its labels are: TRA, VTA"):
        detection_histories(records, stations, "VTB", 7)


def test_individuals_are_counted_where_all_are(stations: Stations, tmp_path: Path) -> None:
    text = (
        "Station,Species,DateTime,count\nStationA,fox,2009-04-10 05:07,3\nStationA,fox,2009-04-11 05:07,{}\n"
    )
    counted = read_records(write(tmp_path, "r.csv", text.format(2)))
    histories = detection_histories(counted, stations, "fox", 7, count="individuals")
    assert histories.counts[0, 1] == 5
    with pytest.raises(DataError, match="1 of 2 records have no count"):
        detection_histories(
            read_records(write(tmp_path, "r2.csv", text.format(""))), stations, "fox", 7, count="individuals"
        )


def test_an_occasion_may_begin_at_noon(stations: Stations, tmp_path: Path) -> None:
    records = read_records(
        write(tmp_path, "r.csv", "Station,Species,DateTime\nStationA,fox,2009-04-04 05:00\n")
    )
    nights = detection_histories(records, stations, "fox", 2, occasion_start=12)
    days = detection_histories(records, stations, "fox", 2)
    assert (int(np.nanargmax(nights.detections[0])), int(np.nanargmax(days.detections[0]))) == (0, 1)


def test_most_days_count_from_each_stations_own_first_day(records: Records, stations: Stations) -> None:
    of_survey = detection_histories(records, stations, "VTA", 7, origin="survey", max_days=7)
    np.testing.assert_allclose(np.nansum(of_survey.effort, axis=1), [6.5, 6.5, 6.5])
    of_date = detection_histories(records, stations, "VTA", 7, origin=date(2009, 4, 2), max_days=7)
    np.testing.assert_allclose(np.nansum(of_date.effort, axis=1), [6.5, 5.5, 4.5])
