"""Splits: nothing is torn, nothing is lost, shares are kept, and what leaks is named."""

import hashlib
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trapline.catalog import (
    AtRandom,
    ByColumn,
    ByDate,
    ByEvent,
    ByLocation,
    BySeason,
    Catalog,
    CatalogFacts,
    LeakCheck,
    Splitter,
    check_leaks,
    describe_left_out,
    fingerprint,
    make_splitter,
    training_fingerprint,
)
from trapline.catalog.facts import PartCounts
from trapline.catalog.grouping import assign_groups, connected
from trapline.catalog.splits import _cut
from trapline.errors import DataError, UsageError
from trapline.formats import read


def catalog_of(rows: Sequence[dict[str, Any]], root: Path | str = "/nowhere") -> Catalog:
    table = [
        {"media_id": f"m{n}", "file_path": f"m{n}.jpg", "labels": ["hare"], **row}
        for n, row in enumerate(rows)
    ]
    return Catalog.from_rows(table, root, "rows")


@st.composite
def worlds(draw: st.DrawFn) -> Catalog:
    """At least three locations; several labels, events that may span locations, media without labels."""
    rows = draw(
        st.lists(
            st.fixed_dictionaries(
                {
                    "location_id": st.sampled_from("ABCDEFGH"),
                    "event_id": st.one_of(st.none(), st.integers(0, 12).map("e{}".format)),
                    "labels": st.one_of(
                        st.none(), st.lists(st.sampled_from(["hare", "fox", "deer"]), min_size=1, unique=True)
                    ),
                }
            ),
            max_size=60,
        )
    )
    sure = [{"location_id": name, "event_id": None, "labels": ["hare"]} for name in ("X", "Y", "Z")]
    return catalog_of(rows + sure)


@given(worlds(), st.sampled_from(["location", "random"]), st.integers(0, 3))
@settings(deadline=None, max_examples=40)
def test_every_labelled_media_is_in_one_part_and_no_group_in_two(world: Catalog, by: str, seed: int) -> None:
    done = make_splitter(by, seed=seed).apply(world)
    table = done.table
    assert table["media_id"].to_list() == world.table["media_id"].to_list()
    assert table.filter(pl.col("labels").is_not_null())["split"].null_count() == 0
    assert table.filter(pl.col("labels").is_null())["split"].drop_nulls().is_empty()
    assert set(table["split"].drop_nulls()) == {"train", "validation", "test"}
    leaks = check_leaks(done)
    assert leaks.events == ()
    assert by == "random" or leaks.locations == ()


@given(worlds(), st.integers(0, 2**31))
@settings(deadline=None, max_examples=30)
def test_a_split_is_the_same_whatever_the_order_of_its_record(world: Catalog, seed: int) -> None:
    first, again = ByLocation(seed=seed).apply(world), ByLocation(seed=seed).apply(world)
    assert first.facts.split == again.facts.split
    turned = first.with_table(first.table.reverse())
    assert fingerprint(turned) == first.facts.split.fingerprint
    labelled = first.table["labels"].is_not_null().arg_max()
    other = first.table["split"].to_list()
    other[labelled] = "validation" if other[labelled] != "validation" else "test"
    assert fingerprint(first.with_table(first.table.with_columns(pl.Series("split", other)))) != fingerprint(
        first
    )


@given(worlds())
@settings(deadline=None, max_examples=20)
def test_each_location_validates_in_exactly_one_fold(world: Catalog) -> None:
    folds = list(ByLocation(folds=3, seed=1).folds(world))
    validating = pl.concat([fold.part("validation").table["media_id"] for fold in folds])
    assert sorted(validating) == sorted(world.table.filter(pl.col("labels").is_not_null())["media_id"])
    assert all(not check_leaks(fold).locations for fold in folds)


@given(st.integers(3, 40), st.integers(1, 5), st.integers(0, 5))
@settings(deadline=None, max_examples=40)
def test_no_part_is_empty(groups: int, classes: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 30, (groups, classes))
    counts = np.column_stack([labels.sum(1) + 1, labels])
    parts = assign_groups(counts, [0.9, 0.05, 0.05], seed)
    assert set(parts.tolist()) == {0, 1, 2}


@pytest.mark.field
def test_the_shares_are_nearer_than_those_of_scikit_learn(field: Path) -> None:
    from sklearn.model_selection import StratifiedGroupKFold

    catalog = read(field / "caltech-night", part="train")
    labels, sites = catalog.table["labels"].list.first().to_numpy(), catalog.table["location_id"].to_numpy()
    names, y = np.unique(labels, return_inverse=True)

    def unevenness(folds: list[np.ndarray]) -> float:
        counts = np.array([np.bincount(y[fold], minlength=len(names)) for fold in folds])
        return float(((counts / counts.sum(0) - 0.2) ** 2).sum())

    theirs = [test for _, test in StratifiedGroupKFold(5, shuffle=True, random_state=42).split(y, y, sites)]
    ours = [
        np.flatnonzero(fold.table["split"] == "validation")
        for fold in list(ByLocation(folds=5).folds(catalog))
    ]
    assert unevenness(ours) < unevenness(theirs)


def test_media_of_one_kind_are_dealt_by_quota() -> None:
    rows = [
        {"location_id": "A", "labels": [label]} for label, n in (("fox", 100), ("hare", 40)) for _ in range(n)
    ]
    done = AtRandom(ratios=(70, 20, 10)).apply(catalog_of(rows))
    assert done.facts.split.parts["test"].labels == {"fox": 10, "hare": 4}
    assert done.facts.split.parts["validation"].labels == {"fox": 20, "hare": 8}


def test_a_label_that_a_part_lacks_is_named() -> None:
    rows = [
        {"location_id": name, "labels": ["fox"] if name == "A" else ["hare"]}
        for name in "ABCDEF"
        for _ in range(4)
    ]
    lacks = ByLocation().apply(catalog_of(rows)).facts.split.lacks
    assert lacks["validation"] == ("fox",) or lacks["test"] == ("fox",)


@pytest.mark.parametrize(
    ("rows", "options", "complaint"),
    [
        ([{"location_id": "A"}] * 9, {"by": "location"}, "of 1 location only.*--by event"),
        ([{"location_id": "A"}] * 9, {"by": "event"}, r"--exif where .* no times\), or deal single .*random"),
        ([{"location_id": "A"}] * 9, {"by": "date"}, r"have no time.*those of a column\)\.$"),
        ([{"location_id": "A"}, {"location_id": "B"}] * 9, {"by": "date"}, "or split --by location"),
        (
            [{"location_id": "A"}] * 9,
            {},
            r"one location \(A\).*none is known.*--exif.*--event-gap.*--by random",
        ),
        (
            [{"location_id": "A", "camera_time": datetime(2020, 1, 1)}, {"location_id": "A"}],
            {},
            "of their times 1 of them not are known",
        ),
        (
            [{"location_id": "A", "camera_time": datetime(2020, 1, 1)}] * 9,
            {"seed": 1},
            "no events are known, by which folds and what has a seed",
        ),
        ([{"location_id": "A"}, {"location_id": "B"}] * 9, {}, "2 locations only; that cannot fill 3 parts"),
        ([{}] * 9, {}, "None of the labelled media have a location.*--by event"),
        ([{"location_id": "A"}, {}], {}, "1 of 2 labelled media have a location"),
        ([{"location_id": "A", "labels": None}], {}, "no labelled media"),
        ([{}] * 9, {"by": "event"}, "No labelled media has an event"),
        ([{}] * 9, {"by": "date"}, "9 of 9 labelled media have no time"),
        ([{}] * 9, {"by": "season"}, "no column 'season'"),
        ([{"season": "S1"}] * 9, {"by": "season"}, "of 1 season only"),
        ([{}] * 9, {"by": "column"}, "no column 'published_split'"),
        ([{"set": "elsewhere"}], {"by": "column", "column": "set"}, "'elsewhere' for m0"),
    ],
)
def test_what_cannot_be_split_says_why_and_what_else_to_do(
    rows: list[dict[str, Any]], options: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(DataError, match=complaint):
        make_splitter(**options).apply(catalog_of(rows))


@pytest.mark.parametrize(
    "options",
    [
        {"by": "moon"},
        {"ratios": (1,)},
        {"ratios": (0, 1, 1)},
        {"ratios": (1, -1)},
        {"ratios": (1, 0, 0)},
        {"folds": 5, "fold": 5},
        {"folds": 5, "fold": -1},
        {"fold": 1},
        {"folds": 1},
        {"folds": 3, "ratios": (1, 1)},
        {"by": "date", "folds": 3},
        {"by": "date", "seed": 3},
        {"by": "date", "ratios": (1, 1), "dates": (datetime(2020, 1, 1),)},
        {"by": "column", "ratios": (1, 1)},
        {"by": "date", "dates": (datetime(2020, 2, 1), datetime(2020, 1, 1))},
        {"by": "location", "dates": (datetime(2020, 1, 1),)},
        {"by": "location", "column": "season"},
    ],
)
def test_a_senseless_option_is_a_usage_error(options: dict[str, Any]) -> None:
    rows = [{"location_id": name, "camera_time": datetime(2020, 1, 1)} for name in "ABCDEF"]
    with pytest.raises(UsageError):
        make_splitter(**options).apply(catalog_of(rows))


def test_seasons_come_in_order_of_time_and_the_last_is_the_test() -> None:
    rows = [
        {"season": f"S{n}", "location_id": "A", "camera_time": datetime(2020, 12, 1) - timedelta(days=30 * n)}
        for n in range(1, 5)
        for _ in range(10)
    ]
    done = BySeason(ratios=(50, 25, 25)).apply(catalog_of(rows))
    held = {
        part: sorted(done.part(part).table["season"].unique()) for part in ("train", "validation", "test")
    }
    assert held == {"train": ["S3", "S4"], "validation": ["S2"], "test": ["S1"]}
    leaks = done.facts.split.leaks
    assert leaks.locations == ("A",)
    assert not leaks.leaking


def test_seasons_without_times_are_counted_not_spelt() -> None:
    rows = [{"season": f"S{n}"} for n in (1, 2, 9, 10) for _ in range(5)]
    done = BySeason(ratios=(50, 25, 25)).apply(catalog_of(rows))
    assert set(done.part("test").table["season"]) == {"S10"}
    assert done.facts.split.leaks.lines() == [
        "warning: the location of 20 media is unknown; whether parts share locations cannot be told"
    ]
    assert set(done.part("validation").table["season"]) == {"S9"}


def test_dates_cut_between_events_not_through_them() -> None:
    start = datetime(2020, 1, 1, 23, 59, 50)
    rows = [
        {"camera_time": start + timedelta(seconds=8 * n), "event_id": f"e{n // 3}"} for n in range(6)
    ]  # e0 begins before midnight and ends after it
    done = ByDate(dates=[datetime(2020, 1, 2)]).apply(catalog_of(rows))
    assert done.table["split"].to_list() == ["train"] * 3 + ["validation"] * 3
    by_ratio = ByDate(ratios=(50, 50)).apply(catalog_of(rows))
    assert by_ratio.table["split"].to_list() == done.table["split"].to_list()


def test_dates_with_a_zone_are_refused_since_cameras_have_none() -> None:
    catalog = catalog_of([{"camera_time": datetime(2020, 1, day)} for day in (1, 2, 3)])
    moment = datetime(2020, 1, 2, tzinfo=timezone(timedelta(hours=-10)))
    with pytest.raises(UsageError, match="zone"):
        ByDate(dates=[moment]).apply(catalog)


def test_a_published_column_is_taken_as_it_is_and_checked_for_leaks() -> None:
    rows = [
        {"location_id": location, "set": part, "labels": None}
        for location, part in (("A", "training"), ("A", "Val"), ("B", "holdout"), ("B", None))
    ]
    done = ByColumn(column="set").apply(catalog_of(rows))
    assert done.table["split"].to_list() == ["train", "validation", "test", None]
    assert done.facts.split.leaks.leaking


ONE_PLACE = [
    {"location_id": "A", "event_id": f"e{n // 2}", "camera_time": datetime(2020, 1, 1 + n // 2)}
    for n in range(20)
]


@pytest.mark.parametrize(
    ("options", "chosen"),
    [
        ({}, ByDate()),
        ({"ratios": (80, 20)}, ByDate(ratios=(80, 20))),
        ({"seed": 7}, ByEvent(seed=7)),
        ({"folds": 5, "fold": 2}, ByEvent(folds=5, fold=2)),
    ],
)
def test_one_location_alone_is_split_in_order_of_time_or_by_event_with_one_warning(
    options: dict[str, Any], chosen: Splitter
) -> None:
    catalog = catalog_of(ONE_PLACE)
    done = make_splitter(**options).apply(catalog)
    assert done.table["split"].equals(chosen.apply(catalog).table["split"])
    assert done.facts.split.by == chosen.by
    leaks = done.facts.split.leaks
    assert not leaks.leaking
    (warning,) = leaks.lines()
    assert "All photos are of one location (A): figures hold on this camera only" in warning
    assert CatalogFacts.from_json(done.facts.as_json(), "it").split.leaks == leaks


def test_one_location_without_times_is_split_by_its_events() -> None:
    rows = [{**row, "camera_time": None} for row in ONE_PLACE]
    assert make_splitter().apply(catalog_of(rows)).facts.split.by == "event"


def test_one_location_dealt_at_random_leaks_and_several_locations_do_too() -> None:
    assert make_splitter("random").apply(catalog_of(ONE_PLACE)).facts.split.leaks.leaking
    more = [*ONE_PLACE, {"location_id": "B", "event_id": "b"}]
    assert make_splitter("event").apply(catalog_of(more)).facts.split.leaks.leaking


def test_equal_files_and_near_times_in_two_parts_are_found(tmp_path: Path) -> None:
    for n, content in enumerate((b"same", b"same", b"else", b"")):
        (tmp_path / f"m{n}.jpg").write_bytes(content)
    time = datetime(2020, 1, 1)
    rows = [
        {"location_id": "A", "split": "train", "camera_time": time},
        {"location_id": "B", "split": "test", "camera_time": time},
        {"location_id": "A", "split": "train", "camera_time": time + timedelta(minutes=2), "event_id": "e"},
        {"location_id": "A", "split": "test", "camera_time": time + timedelta(minutes=4), "event_id": "e"},
    ]
    leaks = check_leaks(catalog_of(rows, tmp_path))
    assert leaks == LeakCheck(("A",), ("e",), (("m0", "m1"),), near=1)
    assert leaks.leaking
    nowhere = catalog_of([row | {"location_id": None, "event_id": None} for row in rows], tmp_path)
    assert check_leaks(nowhere, files=False).near == 0  # whether they are of one location is not known
    assert sum(line.startswith("LEAK") for line in leaks.lines()) == 3


def test_what_training_looks_at_has_another_fingerprint_than_the_split() -> None:
    boxed = [{"category": "animal", "conf": 0.9, "x": 0.1, "y": 0.1, "width": 0.3, "height": 0.4}]
    rows = [{"location_id": f"L{number}", "split": "train", "boxes": []} for number in range(4)]
    catalog = catalog_of(rows)
    assert training_fingerprint(catalog.with_table(catalog.table.reverse())) == training_fingerprint(catalog)
    for change in ({"labels": ["deer"]}, {"boxes": boxed}, {"boxes": None}, {"location_id": "L9"}):
        other = catalog_of([rows[0] | change, *rows[1:]])
        assert fingerprint(other) == fingerprint(catalog)
        assert training_fingerprint(other) != training_fingerprint(catalog)


# ---- named parts


def seasons(*names: str, each: int = 3) -> Catalog:
    return catalog_of(
        [
            {"season": name, "location_id": "AB"[n % 2], "event_id": f"{name}-{n}"}
            for name in names
            for n in range(each)
        ]
    )


def placed(done: Catalog, column: str = "season") -> dict[str, list[str]]:
    rows = done.table.group_by(column, "split").len().sort(column).drop_nulls("split").iter_rows()
    found: dict[str, list[str]] = {}
    for value, part, _ in rows:
        found.setdefault(part, []).append(value)
    return found


def test_named_seasons_are_the_parts_and_what_is_named_for_none_is_said() -> None:
    named = {"train": ["S1"], "validation": ["S3"]}
    done = BySeason.named(**named).apply(seasons("S1", "S2", "S3", "S10"))
    assert placed(done) == {"train": ["S1"], "validation": ["S3"]}
    record = done.facts.split
    assert (record.by, record.method, record.column) == ("season", "named", "season")
    assert record.named == {"train": ("S1",), "validation": ("S3",), "test": ()}
    assert record.left_out == {"S2": 3, "S10": 3}
    assert describe_left_out(done) == [
        "In no part, as no part was named for them: S2 (3 media), S10 (3 media)."
    ]
    assert not record.leaks.leaking  # locations are shared on purpose, as in every split by season


@pytest.mark.parametrize(
    ("named", "parts"),
    [
        ({"validation": ["S3"]}, {"train": ["S1", "S10", "S2"], "validation": ["S3"]}),  # the rest trains
        ({"train": ["S1..S3"], "test": ["S10"]}, {"train": ["S1", "S2", "S3"], "test": ["S10"]}),
        ({"train": ["S2..S10"], "validation": ["S1"]}, {"train": ["S10", "S2", "S3"], "validation": ["S1"]}),
        ({"train": ["S1, S2"], "validation": ["S3", "S3"]}, {"train": ["S1", "S2"], "validation": ["S3"]}),
        ({"train": ["S1", "S2,S3..S3"], "test": ["S10"]}, {"train": ["S1", "S2", "S3"], "test": ["S10"]}),
    ],
)
def test_seasons_are_named_one_by_one_as_lists_and_as_ranges(
    named: dict[str, list[str]], parts: dict[str, list[str]]
) -> None:
    assert placed(BySeason.named(**named).apply(seasons("S1", "S2", "S3", "S10"))) == parts


def test_a_name_with_a_comma_or_dots_is_itself_first() -> None:
    named = {"train": ["2019, wet"], "validation": ["a..b"]}
    done = BySeason.named(**named).apply(seasons("2019, wet", "a..b", "a", "b"))
    assert placed(done) == {"train": ["2019, wet"], "validation": ["a..b"]}


def test_locations_and_other_columns_are_named_too() -> None:
    done = ByLocation.named(**{"test": ["B"]}).apply(seasons("S1", "S2"))
    assert placed(done, "location_id") == {"train": ["A"], "test": ["B"]}
    years = catalog_of([{"year": year} for year in (2019, 2020, 2021)] * 2)
    done = BySeason.named(**{"validation": ["2020..2021"]}, column="year").apply(years)
    assert set(done.part("train").table["year"]) == {2019}


@pytest.mark.parametrize(
    ("options", "error", "complaint"),
    [
        ({"train": ["S1"], "validation": ["S9"]}, UsageError, "'S9'; there are: S1, S2, S3"),
        ({"train": ["S3..S1"], "test": ["S2"]}, UsageError, r"'S3\.\.S1'"),
        ({"train": ["S1"], "validation": ["S1..S2"]}, UsageError, "'S1' is named for train and"),
        ({"train": ["S1"]}, UsageError, "validate or test too"),
        ({"validation": ["S1..S3"]}, DataError, "nothing is left to train on"),
        ({"validation": ["S1"], "by": "date"}, UsageError, "by season or location"),
        ({"validation": ["S1"], "folds": 3}, UsageError, "leave --ratios and --folds out"),
        ({"validation": ["S1"], "seed": 3}, UsageError, "--seed goes with --by location, random, event"),
        ({"validation": ["S1"], "column": "winter"}, DataError, "no column 'winter'"),
    ],
)
def test_names_that_cannot_be_parts_are_refused(
    options: dict[str, Any], error: type[Exception], complaint: str
) -> None:
    with pytest.raises(error, match=complaint):
        make_splitter(**{"by": "season", **options}).apply(seasons("S1", "S2", "S3"))


def test_an_event_of_two_seasons_is_not_torn() -> None:
    rows = [{"season": season, "event_id": "e"} for season in ("S1", "S2")] + [{"season": "S3"}]
    apart = {"train": ["S1"], "validation": ["S2"]}
    with pytest.raises(DataError, match="'e' has media of S1 and S2, which would be in train and validation"):
        BySeason.named(**apart).apply(catalog_of(rows))
    half = {"train": ["S1"], "validation": ["S3"]}
    with pytest.raises(DataError, match="in no part and train"):
        BySeason.named(**half).apply(catalog_of(rows))
    together = {"train": ["S1..S2"], "validation": ["S3"]}
    assert placed(BySeason.named(**together).apply(catalog_of(rows))) == {
        "train": ["S1", "S2"],
        "validation": ["S3"],
    }


def test_a_fingerprint_is_that_of_the_sorted_lines_however_many(monkeypatch: pytest.MonkeyPatch) -> None:
    catalog = catalog_of([{"split": part} for part in ("test", None, "train", "validation", "train")])
    lines = sorted(f"{row['media_id']}\t{row['split'] or '-'}" for row in catalog.table.iter_rows(named=True))
    expected = hashlib.sha256("\n".join(lines).encode()).hexdigest()
    assert fingerprint(catalog) == expected
    training = training_fingerprint(catalog)
    monkeypatch.setattr("trapline.catalog.splits._LINES_AT_ONCE", 2)
    assert fingerprint(catalog) == expected
    assert training_fingerprint(catalog) == training


@pytest.mark.parametrize(
    "change",
    [
        {"media_id": "other"},
        {"split": "test"},
        {"labels": ["fox", "hare"]},
        {"event_labels": ["fox"]},
        {"location_id": "B"},
        {"event_id": "f"},
        {"frame": 2},
        {"season": "S2"},
    ],
    ids=str,
)
def test_whatever_training_looks_at_changes_its_fingerprint(change: dict[str, Any]) -> None:
    row = {
        "split": "train",
        "labels": ["hare", "boar"],
        "event_labels": ["hare"],
        "location_id": "A",
        "event_id": "e",
        "frame": 1,
        "season": "S1",
    }
    plain = catalog_of([row, row])
    assert training_fingerprint(catalog_of([row | change, row])) != training_fingerprint(plain)
    assert training_fingerprint(catalog_of([row | {"labels": ["boar", "hare"]}, row])) == (
        training_fingerprint(plain)
    ), "in whatever order the labels stand"


def test_a_moment_belongs_to_the_part_that_begins_with_it() -> None:
    days = [datetime(2020, 1, day) for day in (1, 2, 3, 4)]
    catalog = catalog_of([{"camera_time": day} for day in days])
    done = ByDate(dates=[days[1], days[3]]).apply(catalog)
    assert done.table["split"].to_list() == ["train", "validation", "validation", "test"]
    assert done.facts.split.dates == ("2020-01-02 00:00:00", "2020-01-04 00:00:00")
    for wrong in ([days[0], days[0]], days[:3], [days[1], days[0]]):
        with pytest.raises(UsageError, match="one or two dates, in order"):
            ByDate(dates=wrong).apply(catalog)


@pytest.mark.parametrize("by", ["location", "event", "random", "season"])
def test_folds_hold_everything_out_once_and_say_what_they_are(by: str) -> None:
    rows = [
        {"location_id": f"L{n % 7}", "event_id": f"e{n % 14}", "season": f"S{n % 7}", "labels": [label]}
        for n in range(42)
        for label in ("hare", "fox")
    ]
    catalog = catalog_of([*rows, {"location_id": "L0", "labels": None}])
    held: list[str] = []
    for fold in range(3):
        done = make_splitter(by, folds=3, fold=fold, seed=None if by == "season" else 5).apply(
            catalog, check_files=False
        )
        parts = done.table["split"].to_list()
        assert parts[-1] is None
        assert set(parts[:-1]) == {"train", "validation"}
        held += done.part("validation").table["media_id"].to_list()
        facts = {name: getattr(done.facts.split, name) for name in ("by", "method", "folds", "fold", "seed")}
        seed = None if by == "season" else 5
        assert facts == {"by": by, "method": "kfold", "folds": 3, "fold": fold, "seed": seed}
    assert sorted(held) == sorted(catalog.table["media_id"].to_list()[:-1])


def test_folds_of_locations_and_of_seasons_are_those_of_the_command() -> None:
    rows = [{"location_id": f"L{n % 6}", "season": f"S{n % 3}"} for n in range(18)]
    catalog = catalog_of(rows)
    five = list(ByLocation(folds=5).folds(catalog))
    assert [done.facts.split.fold for done in five] == [0, 1, 2, 3, 4]
    assert {done.facts.split.seed for done in five} == {42}
    assert (
        five[1]
        .table["split"]
        .equals(ByLocation(folds=5, fold=1).apply(catalog, check_files=False).table["split"])
    )
    seasons = list(BySeason(folds="each").folds(catalog))
    assert [set(done.part("validation").table["season"]) for done in seasons] == [{"S0"}, {"S1"}, {"S2"}]
    assert {done.facts.split.by for done in seasons} == {"season"}
    two = catalog_of([{"year": year} for year in (2019, 2020)])
    years = list(BySeason(column="year", folds="each").folds(two))
    assert [set(done.part("validation").table["year"]) for done in years] == [{2019}, {2020}]


def test_a_record_says_what_is_in_each_part_and_what_it_lacks(tmp_path: Path) -> None:
    rows = [
        {"location_id": "A", "event_id": "e", "labels": ["hare", "fox"], "set": "train"},
        {"location_id": "A", "event_id": "e", "labels": ["hare"], "set": "train"},
        {"location_id": None, "event_id": None, "labels": ["boar"], "set": "test"},
        {"location_id": "B", "event_id": "f", "labels": None, "set": "test"},
        {"location_id": "C", "labels": ["moose"], "set": None},
    ]
    for n in (0, 2):
        (tmp_path / f"m{n}.jpg").write_bytes(b"same")
    done = ByColumn(column="set").apply(catalog_of(rows, tmp_path))
    record = done.facts.split
    assert record is not None
    assert record.parts == {
        "train": PartCounts(media=2, locations=1, events=1, labels={"fox": 1, "hare": 2}),
        "test": PartCounts(media=2, locations=1, events=1, labels={"boar": 1}),
    }
    assert record.lacks == {"train": ("boar", "moose"), "test": ("fox", "hare", "moose")}
    assert (record.by, record.method, record.column) == ("column", "published", "set")
    assert record.fingerprint == fingerprint(done)
    assert (record.leaks.duplicates, record.leaks.by) == ((("m0", "m2"),), "column")
    assert check_leaks(done) == record.leaks
    unread = ByColumn(column="set").apply(catalog_of(rows, tmp_path), check_files=False)
    assert unread.facts.split is not None
    assert (unread.facts.split.leaks.duplicates, unread.facts.split.leaks.files_checked) == ((), False)


def test_an_empty_part_of_the_ratios_is_no_part() -> None:
    catalog = catalog_of([{"location_id": f"L{n}"} for n in range(20)])
    done = ByLocation(ratios=(3, 0, 1)).apply(catalog)
    assert done.facts.split.ratios == {"train": 0.75, "test": 0.25}
    assert done.table["split"].value_counts(sort=True)["count"].to_list() == [15, 5]
    usual = ByLocation().apply(catalog).facts.split
    assert (usual.by, usual.method, usual.seed) == ("location", "ratios", 42)
    assert usual.ratios == pytest.approx({"train": 0.7, "validation": 0.15, "test": 0.15})
    for wrong in ((float("nan"), 1), (float("inf"), 1), (1, 1, 1, 1)):
        with pytest.raises(UsageError, match="The ratios are those of"):
            ByLocation(ratios=wrong).apply(catalog)


def test_groups_are_cut_where_the_shares_are_nearest_and_none_is_empty() -> None:
    sizes = np.array([1, 50, 10, 39])  # in time: 10, 39, 1, 50
    order = np.array([2, 3, 0, 1])
    assert _cut(sizes, order, [0.5, 0.5], "date").tolist() == [0, 1, 0, 0]
    assert _cut(sizes, order, [0.1, 0.4, 0.5], "date").tolist() == [1, 2, 0, 1]
    assert _cut(sizes, order, [0.9, 0.05, 0.05], "date").tolist() == [1, 2, 0, 0]
    assert _cut(sizes, order, [0.25] * 4, "date").tolist() == [2, 3, 0, 1]
    with pytest.raises(
        DataError, match=r"4 events or single media only; that cannot fill 5 parts.*another --by"
    ):
        _cut(sizes, order, [0.2] * 5, "date")


def test_groups_are_what_an_event_joins() -> None:
    values, events = pl.Series(list("ABCDD")), pl.Series(["1", "1", "2", None, None])
    assert connected(values, events).tolist() == [0, 0, 1, 2, 2]
    chained = connected(pl.Series(list("ABCD")), pl.Series(["1", "1", None, "2"]))
    assert chained.tolist() == [0, 0, 1, 2]
    assert connected(pl.Series(list("ABA")), pl.Series(["1", "1", "2"])).tolist() == [0, 0, 0]
    assert connected(pl.Series(list("BA")), pl.Series([None, None], dtype=pl.String)).tolist() == [1, 0]
    assert connected(pl.Series([], dtype=pl.String), pl.Series([], dtype=pl.String)).tolist() == []


def test_what_is_dealt_costs_no_more_than_any_single_move_would() -> None:
    random = np.random.default_rng(4)
    counts = np.hstack([np.zeros((12, 1), int), random.integers(0, 9, (12, 3))])
    counts[:, 0] = counts[:, 1:].sum(axis=1)
    shares = np.array([0.6, 0.25, 0.15])

    def cost(parts: np.ndarray) -> float:
        total = 0.0
        for part, wanted in enumerate(shares):
            held = counts[parts == part].sum(axis=0) / counts.sum(axis=0)
            off = (held - wanted) ** 2 / wanted
            total += off[0] + off[1:].mean()  # the number of media counts as much as the classes together
        return total

    dealt = assign_groups(counts, shares, seed=1)
    for group in range(12):
        for part in range(3):
            moved = dealt.copy()
            moved[group] = part
            assert cost(moved) >= cost(dealt) - 1e-9
    assert np.array_equal(dealt, assign_groups(counts, shares, seed=1))
    with pytest.raises(ValueError, match="2 groups cannot fill 3 parts"):
        assign_groups(counts[:2], shares, seed=1)


def test_folds_are_dealt_with_the_seed_that_is_given() -> None:
    catalog = catalog_of([{"location_id": f"L{n}"} for n in range(12)])
    folds = list(ByLocation(folds=3, seed=7).folds(catalog))
    assert {done.facts.split.seed for done in folds if done.facts.split} == {7}
    other = ByLocation(folds=3, fold=0, seed=7).apply(catalog, check_files=False)
    assert folds[0].table["split"].equals(other.table["split"])
    assert (
        not folds[0]
        .table["split"]
        .equals(next(iter(ByLocation(folds=3, seed=42).folds(catalog))).table["split"])
    )


def test_folds_read_no_file() -> None:
    rows = [{"location_id": f"L{n % 4}", "season": f"S{n % 2}"} for n in range(8)]
    for done in (
        *ByLocation(folds=2).folds(catalog_of(rows)),
        *BySeason(folds="each").folds(catalog_of(rows)),
    ):
        assert done.facts.split is not None
        assert not done.facts.split.leaks.files_checked


def uneven_groups() -> np.ndarray:
    """30 groups of 1 to 59 media with four classes, of which the last is rare."""
    random = np.random.default_rng(0)
    sizes = random.integers(1, 60, 30)
    return np.column_stack([sizes, *(random.binomial(sizes, share) for share in (0.6, 0.3, 0.1, 0.02))])


ALIKE = np.repeat([[4, 4, 0], [6, 0, 6], [1, 1, 1]], [23, 11, 9], axis=0)
THREE, HALVES = (0.7, 0.15, 0.15), (0.5, 0.5)


@pytest.mark.parametrize(
    ("counts", "shares", "seed", "parts"),
    [
        (uneven_groups(), THREE, 42, "210000000000001202102000001000"),
        (uneven_groups(), HALVES, 7, "101110000000000011110111101101"),
        (ALIKE, THREE, 42, "1220000000001210000000000200010102010000020"),
        (ALIKE, HALVES, 7, "0010010110010101111001010110011000111111110"),
        (np.array([[9, 9], [1, 0], [2, 2], [1, 1]]), THREE, 42, "0212"),
        (np.array([[9, 9], [1, 0], [2, 2], [1, 1]]), HALVES, 7, "1000"),
    ],
)
def test_a_seed_gives_the_same_split_in_every_version(
    counts: np.ndarray, shares: tuple[float, ...], seed: int, parts: str
) -> None:
    """So that a published split can be made again; who changes how groups are dealt changes it knowingly."""
    assert "".join(map(str, assign_groups(counts, shares, seed))) == parts


def test_shares_of_every_class_are_close_to_what_is_wanted() -> None:
    counts = uneven_groups()
    parts = assign_groups(counts, THREE, 42)
    held = np.array([counts[parts == part].sum(0) for part in range(3)]) / counts.sum(0)
    assert np.abs(held[:, :-1] - np.array(THREE)[:, None]).max() < 0.05
    alone = np.random.default_rng(0).integers(1, 9, (700, 1))
    sizes = np.bincount(assign_groups(alone, THREE, 42), alone[:, 0])
    assert np.abs(sizes / sizes.sum() - THREE).max() < 0.005
