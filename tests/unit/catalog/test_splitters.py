"""What every splitter keeps to, whatever it splits by."""

import datetime
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from trapline.catalog import AtRandom, ByColumn, ByDate, ByEvent, ByLocation, BySeason, Catalog, Splitter
from trapline.catalog.splitters import SPLITTERS, make_splitter
from trapline.errors import UsageError

MIDDLE = datetime.datetime(2020, 1, 8)

EVERY: list[Splitter] = [
    ByLocation(),
    ByLocation(ratios=(2, 1), seed=3),
    ByLocation(folds=4),
    ByLocation.named(validation="L2", test=["L3", "L4"]),
    ByEvent(folds=3, fold=2, seed=7),
    AtRandom(ratios=(1, 0, 1)),
    BySeason(),
    BySeason(folds=2),
    BySeason(folds="each"),
    BySeason.named(train=["S1..S2"], validation="S3"),
    ByDate(),
    ByDate(dates=[MIDDLE]),
    ByColumn(),
    ByColumn(column="season_part"),
]


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    """48 media, two of an event, at six locations and in four seasons; every twelfth is not labelled."""
    rows = [
        {
            "media_id": f"m{n}",
            "file_path": f"m{n}.jpg",
            "location_id": f"L{n // 2 % 6}",
            "event_id": f"e{n // 2}",
            "camera_time": datetime.datetime(2020, 1, 1) + timedelta(hours=8 * n),
            "labels": None if n % 12 == 11 else [("fox", "hare", "blank")[n % 3]],
            "season": f"S{1 + n // 12}",
            "published_split": ("train", "train", "val", "test")[n // 12],
            "season_part": ("training", "validation", None, None)[n // 12],
        }
        for n in range(48)
    ]
    return Catalog.from_rows(rows, "photos", "drawn")


def test_every_way_of_the_command_is_here() -> None:
    assert {splitter.by for splitter in EVERY} == set(SPLITTERS)


@pytest.mark.parametrize("splitter", EVERY, ids=repr)
class TestContract:
    def test_it_fills_the_split_and_keeps_its_record(self, splitter: Splitter, catalog: Catalog) -> None:
        done = splitter.apply(catalog)
        record = done.facts.split
        assert record is not None
        assert record.by == splitter.by
        assert set(record.parts) == set(done.table["split"].drop_nulls()) >= {"train"}
        assert done.table.drop("split").equals(catalog.table.drop("split"))
        assert catalog.table["split"].is_null().all()  # what is given stays as it was

    def test_equal_splitters_split_alike(self, splitter: Splitter, catalog: Catalog) -> None:
        assert splitter == eval(repr(splitter)), "the repr makes it again"
        assert hash(splitter) == hash(eval(repr(splitter)))
        first, again = splitter.apply(catalog), eval(repr(splitter)).apply(catalog)
        assert first.facts.split == again.facts.split

    def test_it_cannot_be_changed(self, splitter: Splitter, catalog: Catalog) -> None:
        with pytest.raises(AttributeError):
            splitter.fold = 1  # type: ignore[attr-defined]

    def test_no_event_is_torn_and_nothing_unlabelled_is_used(
        self, splitter: Splitter, catalog: Catalog
    ) -> None:
        for fold in splitter.folds(catalog):
            used = fold.table.drop_nulls("split")
            if splitter.by == "column":  # taken as it is published
                used = used.filter(pl.col("labels").is_not_null())
            assert used.group_by("event_id").agg(pl.col("split").n_unique())["split"].max() == 1
            assert used["labels"].null_count() == 0

    def test_folds_and_indices_are_the_same(self, splitter: Splitter, catalog: Catalog) -> None:
        folds, indices = list(splitter.folds(catalog)), list(splitter.split(catalog))
        assert len(folds) == len(indices) == splitter.get_n_splits(catalog)
        for fold, (train, held_out) in zip(folds, indices, strict=True):
            assert set(fold.table["split"][train]) == {"train"}
            assert set(fold.table["split"][held_out]) <= {"validation"}
            assert not set(train) & set(held_out)
        if len(folds) > 1:  # each labelled media is held out once
            held = np.sort(np.concatenate([held_out for _, held_out in indices]))
            assert held.tolist() == catalog.table["labels"].is_not_null().arg_true().to_list()

    def test_the_fold_that_is_asked_for_is_that_of_the_folds(
        self, splitter: Splitter, catalog: Catalog
    ) -> None:
        fold = getattr(splitter, "fold", 0)
        asked = list(splitter.folds(catalog))[fold]
        assert splitter.apply(catalog).table["split"].equals(asked.table["split"])


def test_scikit_learn_judges_by_them(catalog: Catalog) -> None:
    from sklearn.dummy import DummyClassifier
    from sklearn.model_selection import cross_val_score

    labelled = catalog.filter(pl.col("labels").is_not_null())
    y = labelled.table["labels"].list.first().to_numpy()
    scores = cross_val_score(
        DummyClassifier(), np.zeros((len(y), 1)), y, cv=ByLocation(folds=3).split(labelled)
    )
    assert scores.shape == (3,)


def test_how_many_seasons_there_are_is_asked_of_the_catalog(catalog: Catalog) -> None:
    assert BySeason(folds="each").get_n_splits(catalog) == 4
    with pytest.raises(UsageError, match="get_n_splits"):
        BySeason(folds="each").get_n_splits()


def test_a_source_that_has_its_own_split_is_taken_by_it(catalog: Catalog) -> None:
    own = ByLocation(ratios=(1, 1)).apply(catalog)
    plain = own.with_table(own.table.drop("published_split"))
    assert ByColumn().apply(plain).table["split"].equals(own.table["split"])


@pytest.mark.parametrize(
    "make",
    [
        lambda: ByLocation(ratios=(1, 1), folds=3),  # type: ignore[call-overload]
        lambda: ByLocation(fold=1),  # type: ignore[call-overload]
        lambda: ByLocation(folds=1),
        lambda: ByLocation(folds=2.5),  # type: ignore[call-overload]
        lambda: ByLocation(folds=3, fold=3),
        lambda: ByLocation(folds=3, fold=0.5),  # type: ignore[call-overload]
        lambda: ByLocation(ratios="70,30"),  # type: ignore[call-overload]
        lambda: ByLocation(ratios=(float("nan"), 1)),
        lambda: ByLocation(ratios=(0, 1)),
        lambda: ByEvent(seed="x"),  # type: ignore[call-overload]
        lambda: AtRandom(seed=-1),
        lambda: BySeason(folds="all"),  # type: ignore[call-overload]
        lambda: ByDate(dates=[]),
        lambda: ByDate(dates=["2020-01-01"]),  # type: ignore[list-item]
        lambda: ByDate(dates=[MIDDLE, MIDDLE]),
        lambda: ByDate(ratios=(1, 1), dates=[MIDDLE]),  # type: ignore[call-overload]
        lambda: ByLocation.named(train="L1"),
        lambda: BySeason.named(validation=[3]),  # type: ignore[list-item]
    ],
)
def test_what_cannot_be_is_refused_when_it_is_made(make: Callable[[], Splitter]) -> None:
    with pytest.raises(UsageError):
        make()


METHODS = {
    "ratios": [ByLocation(), AtRandom(ratios=(1, 0, 1)), BySeason(ratios=(1, 1)), ByDate()],
    "kfold": [ByLocation(folds=4), ByEvent(folds=3, fold=2), BySeason(folds="each")],
    "dates": [ByDate(dates=[MIDDLE])],
    "named": [ByLocation.named(validation="L2"), BySeason.named(train=["S1..S2"], validation="S3")],
    "published": [ByColumn(), ByColumn(column="season_part")],
}


@pytest.mark.parametrize(("method", "splitter"), [(name, one) for name, of in METHODS.items() for one in of])
def test_the_record_says_how_the_split_was_made(method: str, splitter: Splitter, catalog: Catalog) -> None:
    record = splitter.apply(catalog).facts.split
    assert record is not None
    assert record.method == method
    assert (record.ratios is not None) == (method == "ratios")
    assert (record.folds is not None) == (method == "kfold")
    assert record.dates == (("2020-01-08 00:00:00",) if method == "dates" else None)


def test_shares_of_a_split_by_date_are_recorded_by_part(catalog: Catalog) -> None:
    record = ByDate(ratios=(3, 1)).apply(catalog).facts.split
    assert record is not None
    assert record.ratios == {"train": 0.75, "validation": 0.25}


@pytest.mark.parametrize(
    "splitter", [ByLocation.named(validation="L0"), ByDate(dates=[MIDDLE]), ByDate(), ByLocation(folds=2)]
)
def test_equal_files_in_two_parts_are_a_leak_unless_files_are_not_to_be_read(
    splitter: Splitter, catalog: Catalog, tmp_path: Path
) -> None:
    for name in catalog.table["file_path"]:
        (tmp_path / name).write_bytes(b"all the same photo")
    here = Catalog(catalog.table, tmp_path, "drawn", catalog.facts)

    def leaking(split: Catalog) -> int:
        assert split.facts.split is not None
        return len(split.facts.split.leaks.duplicates)

    assert leaking(splitter.apply(here)) > 0
    assert leaking(splitter.apply(here, check_files=False)) == 0
    assert leaking(next(iter(splitter.folds(here)))) == 0


def test_the_repr_of_named_seasons_names_their_column_where_it_is_not_the_usual_one() -> None:
    usual = BySeason.named(train="S1", validation="S2")
    assert repr(usual) == "BySeason.named(train=('S1',), validation=('S2',))"
    other = BySeason.named(train="S1", validation="S2", column="winter")
    assert repr(other) == "BySeason.named(train=('S1',), validation=('S2',), column='winter')"
    assert eval(repr(other)) == other != usual


def test_a_published_split_is_one_of_a_column(catalog: Catalog) -> None:
    assert make_splitter("published") == ByColumn() == make_splitter("column")
    taken = make_splitter("published", column="season_part").apply(catalog)
    assert taken.table["split"].value_counts().height == 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"by": "location", "dates": [MIDDLE]}, "--dates goes with --by date, not with --by location"),
        ({"by": "location", "train": ["L1"], "seed": 3}, "--seed goes with --by .*, not with named parts"),
        ({"by": "season", "train": ["S1"], "fold": 1}, "leave --ratios and --folds out"),
        ({"by": "season", "train": ["S1"], "ratios": [1, 1]}, "leave --ratios and --folds out"),
        ({"by": "date", "train": ["S1"]}, "named by season or location .*, not by date"),
    ],
)
def test_options_that_a_way_has_not_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        make_splitter(**options)
