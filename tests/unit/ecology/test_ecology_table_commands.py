"""The commands effort, records, histories and rates: what they write, print, and refuse."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from survey_tables import RECORDS, STATIONS, write

Run = Callable[..., tuple[int, str, str]]
HISTORY = (
    "Station,o1,o2,o3,o4,o5,o6,o7\nStationA,0,1,0,0,1,0,0\nStationB,0,1,0,1,0,0,0\nStationC,0,0,1,0,0,0,NA\n"
)


@pytest.fixture
def tables(tmp_path: Path) -> tuple[str, str]:
    return str(write(tmp_path, "RECORDS.csv", RECORDS)), str(write(tmp_path, "CAMTRAPS.csv", STATIONS))


def test_histories_are_written_and_printed(run: Run, tables: tuple[str, str], tmp_path: Path) -> None:
    records, stations = tables
    command = ["ecology", "histories", records, "--stations", stations, "--species", "VTA", "--days", "7"]
    status, out, err = run(*command, "--from", "station", "-o", "history.csv", "--effort", "effort.csv")
    assert (status, out) == (0, "")
    assert "day-first" in err
    assert (tmp_path / "history.csv").read_text() == HISTORY
    assert (tmp_path / "effort.csv").read_text().splitlines()[3] == "StationC,6.5,7,7,7,7,3,NA"
    assert run(*command)[1] == HISTORY
    status, out, _ = run(*command, "--json", "--counts", "records")
    told = json.loads(out)
    assert (told["label"], told["records"], told["effort"][2][6]) == ("VTA", 5, None)
    status, _, err = run(*command, "-o", "history.csv")
    assert (status, "history.csv exists" in err) == (2, True)
    assert run(*command, "-o", records, "--force")[0] == 2


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (["--from", "spring"], "--from is station, survey, or a date"),
        (["--min-active-days", "9"], "cannot have 9 active ones"),
        (["--scale-effort"], "nothing asks for"),
        (["--seasons-in-columns"], "name no sessions"),
        (["--hours", "exact"], "exact hours are not known"),
        (["--hours", "often"], "hours must be one of"),
        (["--cameras", "separate"], "not separate"),
        (["--column", "animal=Species"], "--column is ROLE=NAME"),
        (["--counts", "heads"], "--counts is records or individuals"),
    ],
)
def test_what_cannot_be_is_refused(run: Run, tables: tuple[str, str], more: list[str], told: str) -> None:
    records, stations = tables
    command = ["ecology", "histories", records, "--stations", stations, "--species", "VTA", "--days", "7"]
    status, out, err = run(*command, *more)
    assert (status, out) == (2, "")
    assert told in err


def test_without_stations_a_guess_is_offered_and_never_used(
    run: Run, tables: tuple[str, str], tmp_path: Path
) -> None:
    records, stations = tables
    status, _, err = run("ecology", "rates", records)
    assert status == 2
    assert "trapline ecology effort --records" in err
    status, out, err = run("ecology", "effort", "--records", records, "--propose", "proposal.csv")
    assert status == 0
    assert "a guess: the span of the photos" in out
    assert "guessed" in (tmp_path / "proposal.csv").read_text()
    assert run("ecology", "effort", "--records", records, "-o", "operation.csv")[0] == 2
    assert run("ecology", "effort", "proposal.csv", "-o", "operation.csv")[0] == 2
    status, _, err = run("ecology", "rates", records, "--stations", "proposal.csv")
    assert (status, "says that it is a guess" in err) == (2, True)
    assert run("ecology", "effort", stations, "--propose", "p.csv")[0] == 2
    assert run("ecology", "effort")[0] == 2


def test_effort_names_what_photos_contradict(run: Run, tables: tuple[str, str], tmp_path: Path) -> None:
    records, stations = tables
    status, out, err = run("ecology", "effort", stations, "--records", records, "-o", "operation.csv")
    assert status == 0
    assert out.splitlines()[-1] == "122.5 trap days of 3 stations."
    assert "StationC 2009-05-12 (its camera did not work)" in err
    assert (tmp_path / "operation.csv").read_text().startswith("Station,2009-04-02,2009-04-03,")
    told = json.loads(run("ecology", "effort", stations, "--records", records, "--json")[1])
    assert told["contradictions"][0]["day"] == "2009-05-12"


def test_records_and_rates_are_tables(run: Run, tables: tuple[str, str], tmp_path: Path) -> None:
    records, stations = tables
    status, out, _ = run("ecology", "records", records, "--minutes", "60", "--exclude", "TRA")
    assert status == 0
    assert out.splitlines()[0].startswith("Station,Species,DateTimeOriginal,Date,Time,delta.time.secs,")
    assert len(out.splitlines()) == 6
    told = json.loads(run("ecology", "records", records, "-o", "independent.csv", "--json")[1])
    assert told["labels"] == {"VTA": 5, "TRA": 1}
    status, out, _ = run(
        *("ecology", "rates", "independent.csv", "--stations", stations, "-o", "rates.csv", "--json"),
        *("--months", "months.csv", "--by-location", "locations.csv", "--minutes", "30"),
    )
    assert status == 0
    assert json.loads(out)["species"][0]["rate"].keys() == {"estimate", "low", "high"}
    assert {"rates.csv", "months.csv", "locations.csv"} <= {path.name for path in tmp_path.iterdir()}
    assert (
        run("ecology", "rates", records, "--stations", stations, "-o", "x.csv", "--months", "x.csv")[0] == 2
    )


def test_times_of_stations_have_an_option_of_their_own(
    run: Run, tables: tuple[str, str], tmp_path: Path
) -> None:
    records, _ = tables
    unclear = str(
        write(
            tmp_path,
            "u.csv",
            STATIONS.replace("14/05", "11/05").replace("16/05", "12/05").replace("17/05", "12/05"),
        )
    )
    command = ["ecology", "rates", records, "--stations", unclear]
    status, _, err = run(*command)
    assert (status, "--stations-time-format day-first" in err) == (1, True)
    assert run(*command, "--stations-time-format", "day-first")[0] == 0


@pytest.mark.field
def test_a_package_has_its_own_stations(run: Run, field: Path) -> None:
    package = str(field / "fixtures" / "camtrapdp_example")
    status, out, _ = run("ecology", "histories", package, "--species", "Anas platyrhynchos", "--days", "7")
    assert status == 0
    assert len(out.splitlines()) == 5


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["rates", "R", "--stations", "S", "--since", "last-record"], "Add --minutes"),
        (["effort", "S", "--skip-unknown"], "--skip-unknown is of --records"),
        (["effort", "S", "--time-format", "day-first"], "--time-format is of --records"),
        (["activity", "R", "-o", "one.csv", "--figure", "one.csv"], "Two outputs have the same name"),
        (["activity", "R", "--stations-column", "start=Setup"], "--stations-column and"),
        (["report", "R", "-o", "r.html", "--exclude", "NIX"], "No record has the label 'NIX'"),
        (["occupancy", "H", "--covariates", "S"], "--covariates needs a formula"),
        (["occupancy", "H", "--effort", "E"], "Nothing would come of --effort"),
        (["occupancy", "H", "--effort", "E", "--p", "1"], "Nothing would come of --effort"),
    ],
)
def test_what_would_do_nothing_is_refused(
    run: Run, tables: tuple[str, str], tmp_path: Path, words: list[str], told: str
) -> None:
    history, effort = tmp_path / "h.csv", tmp_path / "e.csv"
    history.write_text(HISTORY)
    effort.write_text(HISTORY)
    names = dict(zip("RSHE", (*tables, str(history), str(effort)), strict=True))
    status, _, err = run("ecology", *(names.get(word, word) for word in words))
    assert status in (1, 2)
    assert told in err
    assert not (tmp_path / "one.csv").exists()
