"""Which media belong together: those of a location; of an event where locations do not tell."""

from collections.abc import Sequence

import polars as pl
import pytest

from trapline.catalog import Groups


def media(places: Sequence[str | None], events: Sequence[str | None]) -> pl.DataFrame:
    ids = [f"m{number}" for number in range(len(places))]
    types = dict.fromkeys(("media_id", "location_id", "event_id"), pl.String)
    return pl.DataFrame({"media_id": ids, "location_id": places, "event_id": events}, types)


@pytest.mark.parametrize(
    ("places", "events", "count", "over", "where"),
    [
        ("AABB", "1234", 2, "locations", "4 media at 2 locations"),
        ("AAAA", "1122", 2, "events of one location", "4 media at 1 location (2 events; intervals are over"),
        ("----", "1122", 2, "events", "4 media, their locations not known (2 events; intervals are over"),
        ("----", "11--", 3, "events", "4 media, their locations not known (3 events; intervals are over"),
        ("AB--", "1122", 3, "locations and, where none is known, events", "2 of them at none that is known"),
        ("A---", "1122", 2, "events", "4 media at 1 location, 3 of them at none that is known (2 events"),
        ("AAAA", "----", 1, "locations", "4 media at 1 location"),
        ("----", "----", 4, "media", "4 media, their locations not known (no events known; intervals are"),
    ],
)
def test_groups_of_media(places: str, events: str, count: int, over: str, where: str) -> None:
    found = Groups.of(media(*([None if one == "-" else one for one in text] for text in (places, events))))
    assert (found.count, found.over) == (count, over)
    assert where in found.where


def test_an_event_is_no_location_of_the_same_name() -> None:
    found = Groups.of(media(["1", "2", None], [None, None, "1"]))
    assert found.count == 3
    assert found.locations == ("1", "2")
