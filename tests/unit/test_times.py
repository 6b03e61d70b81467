"""One text is one time: by whichever door it comes, and nothing is made up."""

from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from trapline.errors import DataError, UsageError
from trapline.formats import wall_clock
from trapline.formats.deployments import read_deployments
from trapline.formats.time_columns import join_date_and_time, read_times
from trapline.formats.times import parse_times, to_utc
from trapline.formats.zones import parse_zone
from trapline.images import parse_exif_time
from trapline.times import clean, day_evidence, is_unset, read_offset, read_time, read_time_of_day

MOMENT = datetime(2021, 5, 9, 14, 3, 7)


@pytest.mark.parametrize(
    "text",
    [
        "2021-05-09 14:03:07",
        "2021:05:09 14:03:07",
        "2021/5/9 14:03:07",
        "2021-05-09T14:03:07",
        "2021.05.09 14:03:07",
        "2021-05-09, 14:03:07",
        "2021-05-09_14:03:07",
        "2021:05:09 14:03:07\x00\x00",
        " 2021:05:09   14:03:07   :  ",
        "2021-05-09 02:03:07 PM",
        "2021-05-09 2:03:07pm",
        "2021-05-09 2:03:07\u202fp. m.",
        "2021-05-09 14:03:07 PM",
        "2021-05-09 14.03.07",
        "09-May-2021 14:03:07",
        "9 may 2021 14:03:07",
        "May 9, 2021 2:03:07 PM",
        "Sunday, May 9th, 2021 14:03:07",
        "2021-May-09 14:03:07",
        "20210509_140307",
        "20210509T140307",
        "20210509140307",
        "2021-05-09_14-03-07",
    ],
)
def test_ways_to_write_one_time(text: str) -> None:
    read = read_time(text)
    assert read is not None
    assert (read.wall, read.offset) == (MOMENT, None)


@pytest.mark.parametrize(
    ("zone", "hours"),
    [
        ("Z", 0),
        (" UTC", 0),
        (" GMT", 0),
        ("+01", 1),
        ("-03", -3),
        ("+0100", 1),
        ("+05:30", 5.5),
        (" -09:30", -9.5),
        (" UTC+02:00", 2),
        ("+02:00[Europe/Paris]", 2),
        ("\u221204:00", -4),
    ],
)
def test_offsets_make_instants(zone: str, hours: float) -> None:
    read = read_time(f"2021-05-09 14:03:07{zone}")
    assert read is not None
    assert read.wall == MOMENT
    assert read.instant == MOMENT.replace(tzinfo=UTC) - timedelta(hours=hours)


@pytest.mark.parametrize(
    ("fraction", "microseconds"),
    [(".5", 500_000), (",25", 250_000), (".123456789", 123_456), (".000000999999999999", 0)],
)
def test_fractions_of_any_length(fraction: str, microseconds: int) -> None:
    assert wall_clock(f"2021-05-09 14:03:07{fraction}") == MOMENT.replace(microsecond=microseconds)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yesterday",
        "0000:00:00 00:00:00",
        "    :  :     :  :  ",
        "2019:01:01 24:04:20",
        "2019-01-01 23:59:60",
        "2019-01-01 12:60:00",
        "2019-02-29 12:00:00",
        "2019-13-01 12:00:00",
        "0000-01-01 12:00:00",
        "+01:00",
        "14:03:07",
        "2019-01-01 13:00:00 AM",
        "2019-01-01 00:30:00 PM",
        "2019-01-01 12:00:00+99:00",
        "2019-01-01 12:00:00+01:75",
        "2019-01-01 12:00:00 CEST",
        "9-May-21 14:03:07",
        "12 mai 2021 10:00",
        "21-05-09 14:03:07",
        "05/06/2021 14:03",
        "25/12/2021 14:03",
        "1620568987",
    ],
)
def test_what_is_no_time_or_may_be_two_is_none(text: str) -> None:
    assert read_time(text) is None
    assert wall_clock(text) is None


@pytest.mark.parametrize("text", ["2021-05-09", "2021:05:09", "20210509", "9 May 2021", "May 9, 2021"])
def test_a_date_alone_is_a_date_and_no_midnight(text: str) -> None:
    read = read_time(text)
    assert read is not None
    assert (read.day, read.clock, read.wall, read.instant) == (date(2021, 5, 9), None, None, None)


@pytest.mark.parametrize(
    "text", ["0000:00:00 00:00:00", "0000-00-00 00:00:00", "0000-00-00T00:00:00Z", "    :  :     :  :  ", "0"]
)
def test_zeroes_and_blanks_are_unset(text: str) -> None:
    assert is_unset(text)
    assert not is_unset("2000-01-01 00:00:00")


def test_a_time_beyond_the_calendar_has_no_instant() -> None:
    for text in ("0001-01-01 00:00:00+01:00", "9999-12-31 23:59:59-01:00"):
        read = read_time(text)
        assert read is not None
        assert (read.wall is not None, read.instant) == (True, None)
        assert read_times(pl.Series([text])).instants.to_list() == [None]


WRITTEN: dict[str, Callable[[datetime], str]] = {
    "plain": lambda t: t.strftime("%Y-%m-%d %H:%M:%S"),
    "iso": lambda t: t.isoformat(),
    "fraction": lambda t: t.strftime("%Y-%m-%dT%H:%M:%S.%f"),
    "comma": lambda t: t.strftime("%Y-%m-%d %H:%M:%S,%f"),
    "exif": lambda t: t.strftime("%Y:%m:%d %H:%M:%S"),
    "slashes": lambda t: t.strftime("%Y/%m/%d %H:%M"),
    "half": lambda t: t.strftime("%Y-%m-%d %I:%M:%S %p"),
    "name": lambda t: t.strftime("%d-%b-%Y %H:%M:%S"),
    "american": lambda t: t.strftime("%B %d, %Y %I:%M %p"),
    "day first": lambda t: t.strftime("%d/%m/%Y %H:%M:%S"),
    "date": lambda t: t.strftime("%Y-%m-%d"),
    "run together": lambda t: t.strftime("%Y%m%d_%H%M%S"),
}
MOMENTS = st.datetimes(datetime(1000, 1, 1), datetime(9999, 12, 30))
ZONES = st.sampled_from(["", "Z", "+01", "-0530", "+14:00", " UTC", "+15:00", "Q"])
TEXTS = st.one_of(
    st.builds(
        lambda how, moment, zone: WRITTEN[how](moment) + zone, st.sampled_from(list(WRITTEN)), MOMENTS, ZONES
    ),
    st.text("0123456789-:/. TZ+APMapm,_", max_size=24),
    st.text(max_size=12),
)


@given(st.lists(TEXTS, min_size=1, max_size=6))
@settings(deadline=None, max_examples=300)
@example(["2019-01-01 23:59:60"])
@example(["2019-01- 1 +1:00:00"])
@example(["0000-01-01 00:00:00"])
@example(["2021-05-09T14:03:07.1234567891+01", "2021-05-09 14:03:07"])
def test_the_same_text_is_the_same_time_by_every_door(texts: list[str]) -> None:
    """A column with a row that settles day and month, one text alone, and EXIF."""
    column = [*texts, "31/12/2020 10:00:00", "2000-01-01 00:00:00"]
    if day_evidence(column).order is None:
        with pytest.raises(DataError, match="contradict"):
            read_times(pl.Series(column))
        column = texts = [text for text in texts if day_evidence([text]).texts == 0] or [""]
    read = read_times(pl.Series(column, dtype=pl.String))
    order = day_evidence(column).order
    for text, wall, instant, day in zip(column, read.walls, read.instants, read.days, strict=True):
        one = read_time(text, order)
        assert (wall, instant) == (one and one.wall, one and one.instant)
        assert day == (one.day if one and one.clock is None else None)
        if day_evidence([text]).texts == 0:
            assert wall_clock(text) == wall
            assert parse_exif_time(text) == wall


@given(st.lists(TEXTS, min_size=1, max_size=4))
@settings(deadline=None, max_examples=100)
def test_a_text_is_read_alike_among_others_and_alone(texts: list[str]) -> None:
    """What is fast for a whole column of one kind is no other reading."""
    texts = [text for text in texts if day_evidence([text]).texts == 0]
    together = read_times(pl.Series([*texts, "May 9, 2021"], dtype=pl.String)).walls.to_list()[:-1]
    alone = [read_times(pl.Series([text, "2000-01-01 00:00:00"])).walls[0] for text in texts]
    assert together == alone


@given(st.text(max_size=40))
def test_no_text_makes_the_reader_fail(text: str) -> None:
    for order in (None, "day-first", "month-first"):
        read_time(text, order)  # type: ignore[arg-type]
    read_time_of_day(text), read_offset(text), is_unset(text)
    assert clean(clean(text)) == clean(text)


def rows(*texts: str | None) -> pl.DataFrame:
    lines = [f"t.csv line {line}" for line in range(2, len(texts) + 2)]
    return pl.DataFrame({"_time_text": texts, "_place": lines}, schema_overrides={"_time_text": pl.String})


@pytest.mark.parametrize(
    ("texts", "order"),
    [
        (["03/04/2021 10:00", "25/04/2021 10:00"], "day-first"),
        (["3.4.2021 10:00", "13.4.2021 10:00:05"], "day-first"),
        (["03-04-2021 1:00:00 PM", "03-30-2021 1:00 PM"], "month-first"),
        (["2021-04-03 10:00", "4/3/2021 10:00", "4/14/2021 10:00"], "month-first"),
    ],
)
def test_day_or_month_first_is_told_by_the_column_and_said(texts: list[str], order: str) -> None:
    read, notes = parse_times(rows(*texts), None)
    assert read["camera_time"].null_count() == 0
    april = [moment for moment in read["camera_time"] if (moment.month, moment.day) == (4, 3)]
    assert april or read["camera_time"][0].month == 3
    assert any(f"dates are read {order}" in note and "t.csv line" in note for note in notes)
    assert parse_times(rows(*texts), order)[0].equals(read)


@pytest.mark.parametrize(
    "texts",
    [
        ["03/04/2021 10:00"],
        ["1.2.2021 10:00", "12.11.2021 11:00"],
        ["2021-01-01 10:00", "05-06-2021 3:00 PM"],
    ],
)
def test_what_the_column_does_not_tell_is_asked(texts: list[str]) -> None:
    with pytest.raises(DataError, match=r"day first or the month.*t\.csv line.*--time-format day-first"):
        parse_times(rows(*texts), None)
    first, second = (
        parse_times(rows(*texts), order)[0]["camera_time"][-1] for order in ("day-first", "month-first")
    )
    assert (first.day, first.month) == (second.month, second.day)


@pytest.mark.parametrize(
    "texts",
    [
        ["25/04/2021 10:00", "04/25/2021 10:00"],
        ["31.01.2021 13:00", "1/30/2021 1:00 PM"],
        ["13.1.2020", "1.13.2020"],
    ],
)
def test_a_column_that_contradicts_itself_is_refused(texts: list[str]) -> None:
    with pytest.raises(DataError, match=r"contradict each other.*line 2.*line 3"):
        parse_times(rows(*texts), None)


def test_dates_that_are_the_same_both_ways_need_no_answer() -> None:
    assert parse_times(rows("05/05/2021 10:00"), None)[0]["camera_time"].to_list() == [
        datetime(2021, 5, 5, 10)
    ]


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["44325.5", "44326"], [datetime(2021, 5, 9, 12), datetime(2021, 5, 10)]),
        (["44325,25"], [datetime(2021, 5, 9, 6)]),
        (["44325.58549768519", None, "44325.0"], [MOMENT, None, datetime(2021, 5, 9)]),
        (["25569.75"], [datetime(1970, 1, 1, 18)]),
    ],
)
def test_a_column_of_excels_days_is_read_and_said(texts: list[str], expected: list[datetime]) -> None:
    read, notes = parse_times(rows(*texts), None)
    assert read["camera_time"].to_list() == expected
    assert any("Excel's days since 1900" in note and "excel-1904" in note for note in notes)
    later = parse_times(rows(*texts), "excel-1904")[0]["camera_time"][0]
    assert later - expected[0] == timedelta(days=1462)


def test_excels_whole_days_alone_are_dates() -> None:
    read, notes = parse_times(rows("44325", "44326.0"), None)
    assert read["camera_time"].to_list() == [None, None]
    assert read["camera_date"].to_list() == [date(2021, 5, 9), date(2021, 5, 10)]
    assert any("2 are dates without a time of day" in note for note in notes)


@pytest.mark.parametrize(
    "texts", [["44325.5", "x"], ["44325.5", "2021-05-09 10:00"], ["99999"], ["123456.5"]]
)
def test_numbers_that_are_not_a_whole_column_of_days_are_no_times(texts: list[str]) -> None:
    assert read_times(pl.Series(texts)).walls[0] is None


def test_what_is_left_out_is_counted_by_kind() -> None:
    read, notes = parse_times(
        rows("2021-05-09 14:03:07", "2021-05-09", "0000-00-00 00:00:00", "soon", None), None
    )
    assert read["camera_time"].to_list() == [MOMENT, None, None, None, None]
    assert read["camera_date"].to_list() == [None, date(2021, 5, 9), None, None, None]
    assert [note for note in notes if note.startswith("1 time cannot be read")] == [
        "1 time cannot be read and is left out: 'soon' in t.csv line 5"
    ]
    assert any("1 are dates without a time of day" in note and "t.csv line 3" in note for note in notes)
    assert "1 time is zeroes or blanks: none" in notes


@pytest.mark.parametrize("texts", [["0000:00:00 00:00:00", None], ["0", "0"], ["    :  :     :  :  "]])
def test_a_column_of_zeroes_has_no_times_and_is_no_error(texts: list[str]) -> None:
    assert parse_times(rows(*texts), None)[0]["camera_time"].null_count() == len(texts)


@pytest.mark.parametrize(
    ("time_format", "text", "expected"),
    [
        ("%d/%m/%y %H:%M", "09/05/21 14:03", datetime(2021, 5, 9, 14, 3)),
        ("%d/%m/%Y %H:%M", "09/05/21 14:03", None),  # the year 21 was not meant
        ("%d-%b-%Y %H:%M:%S", "09-May-2021 14:03:07", MOMENT),
        ("%s", "1620568987", MOMENT),
        ("%Y-%m-%dT%H:%M:%SZ", "2021-05-09T14:03:07Z", MOMENT),
    ],
)
def test_a_given_format_is_all_that_is_read(time_format: str, text: str, expected: datetime | None) -> None:
    read = read_times(pl.Series([text]), time_format)
    assert read.walls.to_list() == [expected]


def test_a_format_of_dates_makes_no_midnight() -> None:
    read = read_times(pl.Series(["09/05/2021"]), "%d/%m/%Y")
    assert (read.walls.to_list(), read.days.to_list()) == ([None], [date(2021, 5, 9)])
    with pytest.raises(UsageError, match="may not hold a zone"):
        read_times(pl.Series(["x"]), "%H:%M %z")


@pytest.mark.parametrize(
    ("dates", "times", "expected"),
    [
        (["01-May-2021"], ["14:03:00"], ["2021-05-01 14:03:00"]),
        (["2021-05-01", "2021-05-02"], ["2:03:00 PM", None], ["2021-05-01 14:03:00", None]),
        (["2021-05-01 00:00:00"], ["14:03"], ["2021-05-01 14:03:00"]),
        (["2021-05-01"], ["1899-12-31 14:03:00"], ["2021-05-01 14:03:00"]),
        (["2021:05:01"], ["14:03:00.5"], ["2021-05-01 14:03:00.500000"]),
        (["2021-05-01"], ["2021-05-01 14:03:00"], ["2021-05-01 14:03:00"]),
        (["2021-05-01 14:03:00"], ["14:03:00"], ["2021-05-01 14:03:00"]),
        (["44317", "44318"], ["0.5", "0"], ["2021-05-01 12:00:00", "2021-05-02 00:00:00"]),
        (["13/05/2021"], ["14:03:00"], ["2021-05-13 14:03:00"]),
        (["2021-05-01"], ["+01:00"], [None]),
    ],
)
def test_date_and_time_in_two_columns(
    dates: list[str], times: list[str | None], expected: list[str | None]
) -> None:
    joined = join_date_and_time(pl.Series(dates), pl.Series(times, dtype=pl.String))
    assert [one and str(one) for one in read_times(joined).walls] == expected


def test_an_offset_is_a_zone_of_clocks_that_never_change() -> None:
    read, _ = parse_times(rows("2021-03-28 02:30:00"), None)
    for name in ("+01:00", "+01", "+0100"):
        assert to_utc(read, name)[0]["timestamp"].to_list() == [datetime(2021, 3, 28, 1, 30, tzinfo=UTC)]
    assert to_utc(read, "Europe/Paris")[0]["timestamp"].to_list() == [None]
    with pytest.raises(UsageError, match="no time zone 'Mars'"):
        to_utc(read, "Mars")


def test_a_time_of_day_needs_a_clock() -> None:
    assert read_time_of_day("2:03 pm") == time(14, 3)
    assert [read_time_of_day(text) for text in ("25:00", "noon", "", "14", "2021-05-01 14:03")] == [None] * 5


HEAD = "deploymentID,latitude,longitude,deploymentStart,deploymentEnd\n"


@pytest.mark.parametrize(
    ("start", "end"),
    [
        ("2021-05-01", "2021-05-13"),
        ("01/05/2021", "13/05/2021"),
        ("5/1/2021 12:00 AM", "5/13/2021 11:59:59 PM"),
        ("1 May 2021", "13-May-2021"),
        ("2021-05-01T00:00:00+02", "2021-05-13 23:59:59+0200"),
    ],
)
def test_deployments_are_read_as_media_are(tmp_path: Path, start: str, end: str) -> None:
    path = tmp_path / "d.csv"
    path.write_text(f"{HEAD}d,46.5,6.5,{start},{end}\n")
    (one,) = read_deployments(path, parse_zone("Europe/Zurich"))
    assert one.start.isoformat() == "2021-05-01T00:00:00+02:00"
    assert one.end.isoformat() == "2021-05-13T23:59:59+02:00"


@pytest.mark.parametrize(
    ("start", "end", "complaint"),
    [
        ("2021-05-01", "", "line 2: deploymentEnd is empty.*last photo"),
        ("", "2021-05-01", "line 2: deploymentStart is empty"),
        ("01/05/2021", "02/05/2021", "deploymentStart is '01/05/2021'.*tells the day from the month"),
        ("2021-05-01", "13/05/21", "deploymentEnd is '13/05/21', not a date"),
    ],
)
def test_deployments_without_a_time_say_which_row_and_what_to_do(
    tmp_path: Path, start: str, end: str, complaint: str
) -> None:
    path = tmp_path / "d.csv"
    path.write_text(f"{HEAD}d,46.5,6.5,{start},{end}\n")
    with pytest.raises(DataError, match=complaint):
        read_deployments(path, parse_zone("UTC"))
