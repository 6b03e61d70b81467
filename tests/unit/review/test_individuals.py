"""How many, how old, of which sex, doing what: kept with a decision, taken from elsewhere, written again."""

from __future__ import annotations

import csv
import sqlite3
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest
from reviewed import photos

from trapline.catalog import INDIVIDUALS, Catalog
from trapline.errors import UsageError
from trapline.formats import read, write
from trapline.observations import Observations, gather
from trapline.review import DecidedMedia, Decision, DecisionLog, Sighting
from trapline.review.elsewhere import take_decisions
from trapline.review.labels import with_decisions

BOARS = (
    Sighting("wild_boar", 2, "adult", "female", "feeding"),
    Sighting("wild_boar", 3, "juvenile"),
    Sighting("fox"),
)


def decision(*labels: Sighting, number: str = "decision-1") -> Decision:
    media = (DecidedMedia("a", "a.jpg", 1, "x"),)
    return Decision(number, "Ann", datetime(2026, 5, 1, tzinfo=UTC), "e", media, False, "seen", labels)


def test_individuals_that_differ_are_kept_as_they_were_told(tmp_path: Path) -> None:
    with DecisionLog.open(tmp_path / "decisions.db", create=True) as log:
        log.add(decision(*BOARS))
        assert log.decisions()[0].labels == BOARS
        assert log.decisions()[0].names == ["fox", "wild_boar"]
        table = log.table().select("label", "count", "life_stage", "sex", "behaviour")
        assert table.row(0) == ("wild_boar", 2, "adult", "female", "feeding")


@pytest.mark.parametrize(
    "labels",
    [
        (Sighting("fox", life_stage="pup"),),
        (Sighting("fox", sex="vixen"),),
        (Sighting("fox", behaviour=" "),),
        (Sighting("fox", 1, "adult"), Sighting("fox", 2, "adult")),
    ],
)
def test_other_words_and_the_same_individuals_twice_are_refused(
    tmp_path: Path, labels: tuple[Sighting, ...]
) -> None:
    with (
        DecisionLog.open(tmp_path / "decisions.db", create=True) as log,
        pytest.raises(UsageError, match="decision-1"),
    ):
        log.add(decision(*labels))


def as_of_format_1(path: Path) -> None:
    """The file as earlier versions made it: sightings without what has come since."""
    with DecisionLog.open(path, create=True) as log:
        log.add(decision(Sighting("fox", 2)))
    with sqlite3.connect(path) as connection:
        for name in ("life_stage", "sex", "behaviour"):
            connection.execute(f"ALTER TABLE sightings DROP COLUMN {name}")
        connection.execute("PRAGMA user_version = 1")


def test_a_log_of_an_earlier_format_is_read_as_it_is_and_grows_when_it_is_written_to(tmp_path: Path) -> None:
    path = tmp_path / "decisions.db"
    as_of_format_1(path)
    before = path.read_bytes()
    with DecisionLog.open(path, read_only=True) as log:
        assert log.decisions()[0].labels == (Sighting("fox", 2),)
        assert log.current()["labels"].to_list() == [
            [{"label": "fox", "count": 2, "life_stage": None, "sex": None, "behaviour": None}]
        ]
    assert path.read_bytes() == before
    with DecisionLog.open(path) as log:
        log.add(decision(*BOARS, number="decision-2"))
        assert [one.labels for one in log.decisions()] == [(Sighting("fox", 2),), BOARS]
    with sqlite3.connect(path) as connection, pytest.raises(sqlite3.IntegrityError):
        connection.execute("UPDATE sightings SET sex = 'male'")


TIMELAPSE = """File,RelativePath,DateTime,Species,Count,Age,Sex,Behavior
1.jpg,A,2026-05-01 10:00:00,wild_boar,2,Adult,female,feeding
1.jpg,A,2026-05-01 10:00:00,wild_boar,3,juvenile,,
2.jpg,A,2026-05-01 11:00:00,fox,1,,unknown,
1.jpg,B,2026-05-01 11:00:00,hare,,,,
"""


@pytest.fixture
def taken(tmp_path: Path) -> tuple[Catalog, DecisionLog]:
    """A card, and decisions that were taken of Timelapse's table of its photos."""
    names = ["A/1.jpg", "A/2.jpg", "B/1.jpg"]
    rows = [
        {"file_path": name, "event_id": name, "location_id": name[0], "camera_time": datetime(2026, 5, 1, 10)}
        for name in names
    ]
    catalog = photos(tmp_path / "card", rows)
    table = tmp_path / "card" / "timelapse.csv"
    table.write_text(TIMELAPSE)
    log = DecisionLog.open(tmp_path / "decisions.db", create=True)
    source = read(table)
    assert source.table[INDIVIDUALS].to_list()[2] is None
    take_decisions(log, source, "Ann", catalog=catalog)
    assert log.decisions()[0].labels == (
        Sighting("wild_boar", 2, "adult", "female", "feeding"),
        Sighting("wild_boar", 3, "juvenile"),
    )
    assert take_again(log, source, catalog) == 0
    return catalog, log


def take_again(log: DecisionLog, source: Catalog, catalog: Catalog) -> int:
    return take_decisions(log, source, "Ann", catalog=catalog).decisions


def test_they_travel_from_a_table_to_the_log_and_into_every_writer(
    tmp_path: Path, taken: tuple[Catalog, DecisionLog]
) -> None:
    catalog, log = taken
    decided = with_decisions(catalog, log)
    decided.save(tmp_path / "decided.parquet")
    again = Catalog.load(tmp_path / "decided.parquet")
    observations = gather(None, again).observe()
    columns = ("label", "count", "life_stage", "sex", "behaviour")
    assert observations.table.select(columns).rows()[:2] == [
        ("wild_boar", 2, "adult", "female", "feeding"),
        ("wild_boar", 3, "juvenile", None, None),
    ]
    write(None, again, tmp_path / "o.csv", format="observations")
    with (tmp_path / "o.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["sex"] for row in rows] == ["female", "", "", ""]
    (tmp_path / "card" / "o.csv").write_bytes((tmp_path / "o.csv").read_bytes())
    back = gather(None, read(tmp_path / "card" / "o.csv")).observe()
    assert back.table.select(columns).rows() == observations.table.select(columns).rows()
    write(None, again, tmp_path / "summary.csv", format="summary")
    with (tmp_path / "summary.csv").open() as file:
        most = {row["label"]: row["most_at_once"] for row in csv.DictReader(file)}
    assert most == {"wild_boar": "5", "fox": "1", "hare": ""}


def test_observations_and_catalogs_of_earlier_versions_load(
    tmp_path: Path, taken: tuple[Catalog, DecisionLog], monkeypatch: pytest.MonkeyPatch
) -> None:
    decided = with_decisions(*taken)
    since = ["life_stage", "sex", "behaviour"]
    entry = pl.element().struct
    fields = [f.name for f in decided.table.schema["decisions"].inner.fields if f.name not in since]  # type: ignore[attr-defined]
    old = pl.col("decisions").list.eval(pl.struct(*(entry.field(name) for name in fields)))
    earlier = replace(decided, table=decided.table)
    vars(earlier)["table"] = decided.table.with_columns(old)
    earlier.save(tmp_path / "earlier.parquet")
    read_again = Catalog.load(tmp_path / "earlier.parquet")
    assert read_again.table.schema["decisions"] == decided.table.schema["decisions"]
    observations = gather(None, decided).observe()
    vars(observations)["table"] = observations.table.drop(since)
    observations.save(tmp_path / "o.parquet")
    loaded = Observations.load(tmp_path / "o.parquet")
    assert loaded.table["count"].to_list()[:2] == [2, 3]
    assert loaded.table["sex"].null_count() == len(loaded)
