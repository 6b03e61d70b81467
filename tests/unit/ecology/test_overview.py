"""A survey at once: what is carried through from probabilities, and what the data do not allow."""

from __future__ import annotations

from datetime import datetime, timedelta

import polars as pl
import pytest

from trapline.ecology import (
    RECORDS,
    ExpectedRecords,
    Records,
    Station,
    Stations,
    guess_stations,
    overview,
)
from trapline.errors import DataError

START = datetime(2026, 5, 1, 22)


def stations(count: int) -> Stations:
    end = START + timedelta(days=40)
    made = [Station(f"s{at}", None, None, None, START, end, whole_days=False) for at in range(count)]
    return Stations(tuple(made), "a table")


def table(places: int, probability: float | None, label: str = "fox") -> pl.DataFrame:
    """Three records at each place, ten days apart."""
    rows = [
        {
            "location_id": f"s{place}",
            "event_id": f"{label}{place}-{at}",
            "camera_time": START + timedelta(days=10 * at + 1, hours=place),
            "label": label,
            "probability": probability,
        }
        for place in range(places)
        for at in range(3)
    ]
    frame = pl.DataFrame(rows)
    return frame.select(
        (pl.col(name) if name in frame.columns else pl.lit(None)).cast(kind).alias(name)
        for name, kind in RECORDS.items()
    )


def test_what_is_not_known_of_labels_widens_every_interval() -> None:
    sure = overview(Records(table(6, None)), stations(8))
    records = ExpectedRecords(table(6, 0.5), "probabilities", "a card")
    unsure = overview(records, stations(8), count=6)
    one, other = sure.species[0], unsure.species[0]
    assert one.records == 18
    assert other.records == pytest.approx(9, abs=3)
    assert unsure.draws == 6
    assert "calibrated probabilities" in unsure.made_of
    assert {name: set(each["made_of"]) for name, each in unsure.tables().items()} == {
        name: {"probabilities"} for name in unsure.tables()
    }
    for name in ("rate", "naive"):
        exact, drawn = getattr(one, name), getattr(other, name)
        assert drawn.low < drawn.value < drawn.high
        assert (drawn.high - drawn.low) / drawn.value > (exact.high - exact.low) / exact.value
    assert other.psi is not None
    assert one.psi is not None
    assert unsure.by_location["fox"].sum() == pytest.approx(other.records)


def test_shares_stay_shares_and_models_of_few_draws_are_left_out() -> None:
    often, rare = table(4, 0.9), table(1, 0.3, "lynx").head(1)
    records = ExpectedRecords(pl.concat([often, rare]), "probabilities", "a card")
    made = overview(records, stations(5), count=6)
    fox, lynx = made.species
    for share in (fox.naive, fox.psi, fox.p, made.completeness):
        assert share is not None
        assert share.high is None or share.high <= 1
    assert lynx.psi is None
    assert lynx.records == pytest.approx(2 / 6)
    assert "only 2 of 6 draws" in str(lynx.no_model)
    assert made.tables()["records"]["probability"].to_list().count(0.3) == 1  # all that may be, no one draw
    assert not any("are independent" in note for note in made.notes)


def test_sections_that_the_data_do_not_allow_say_why() -> None:
    records = Records(table(1, None))
    made = overview(records, guess_stations(records))
    (fox,) = made.species
    assert made.stations.guessed
    assert fox.no_model is not None
    assert "3 are the least" in fox.no_model
    assert fox.no_activity is not None
    assert made.no_richness is not None
    assert (fox.rate.low, fox.naive.low) == (None, None)
    assert set(made.tables()) == {"species", "by-location", "locations", "effort", "records"}


def test_people_are_no_species_unless_they_are_asked_for() -> None:
    both = pl.concat([table(3, None), table(3, None, "human")])
    made = overview(Records(both), stations(3))
    assert [one.label for one in made.species] == ["fox"]
    assert "left out: human" in made.notes
    asked = overview(Records(both), stations(3), species=["human"])
    assert [one.label for one in asked.species] == ["human"]
    with pytest.raises(DataError, match="wolf"):
        overview(Records(both), stations(3), species=["wolf"])
    with pytest.raises(DataError, match="location"):
        overview(Records(both.with_columns(location_id=pl.lit(None, pl.String))), stations(3))
