"""Catalogs that stay on the disk: the same answers as in memory, files and folders, and what is refused."""

import json
from datetime import datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from trapline.catalog import (
    AtRandom,
    ByColumn,
    ByDate,
    ByEvent,
    ByLocation,
    BySeason,
    Catalog,
    CatalogFacts,
    ScannedCatalog,
    Splitter,
    check_leaks,
    codes,
    counting,
    grouping,
    labels_by_part,
    open_catalog,
    scanned,
    splits,
    summarise,
    training_fingerprint,
)
from trapline.catalog import table as catalog_table
from trapline.errors import DataError

START = datetime(2020, 5, 1)


def rows(number: int = 60) -> list[dict[str, object]]:
    """Media of three locations and of events of up to three, one in seven of no event, some not labelled."""
    return [
        {
            "media_id": f"m{(index * 37) % number:03}",
            "file_path": f"x/{index}.jpg",
            "location_id": f"L{index // 3 % 3}",
            "event_id": None if index % 7 == 0 else f"e{(index // 3) * 13 % 50}",
            "camera_time": START + timedelta(minutes=11 * index),
            "labels": [None, ["blank"], ["fox"], ["fox", "hare"]][index % 4],
            "season": f"S{index * 4 // number + 1}",
        }
        for index in range(number)
    ]


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    return Catalog.from_rows(rows(), tmp_path, "rows", facts=CatalogFacts(timezone="UTC"))


@pytest.mark.parametrize("rows_per_file", [None, 25, 60, 1000])
def test_a_scanned_catalog_is_the_one_that_was_saved(
    catalog: Catalog, tmp_path: Path, rows_per_file: int | None
) -> None:
    path = catalog.save(tmp_path / "c.parquet", rows_per_file=rows_per_file)
    for opened in (ScannedCatalog.load(path), Catalog.load(path)):
        assert opened.table.equals(catalog.table)
        assert (opened.root, opened.source, opened.facts) == (catalog.root, catalog.source, catalog.facts)
        assert len(opened) == len(catalog)
        assert opened.labels == catalog.labels
        assert opened._repr_html_() == catalog._repr_html_()
        blank = pl.col("labels").list.contains("blank")
        assert opened.filter(blank).table.equals(catalog.filter(blank).table)
        again = opened.save(tmp_path / "again.parquet", rows_per_file=7)
        assert Catalog.load(again).table.equals(catalog.table)


def test_a_catalog_of_many_rows_is_scanned_where_its_path_is_named(
    catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = catalog.save(tmp_path / "c.parquet")
    assert not isinstance(open_catalog(path), ScannedCatalog)
    monkeypatch.setattr(scanned, "ROWS_IN_MEMORY", 59)
    assert isinstance(open_catalog(path), ScannedCatalog)


def test_doubled_ids_are_found_in_slices_and_named_by_their_rows(
    catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalog_table, "_HASHES_AT_ONCE", 9)
    path = catalog.save(tmp_path / "c.parquet")
    header = json.loads(pl.read_parquet_metadata(path)["trapline_catalog"])
    twice = pl.concat([catalog.table, catalog.table[[4]]])
    twice.write_parquet(path, metadata={"trapline_catalog": json.dumps(header)})
    with pytest.raises(DataError, match=r"2 of 61 rows .* more than once: row 5 .* row 61 "):
        ScannedCatalog.load(path)


def test_a_folder_is_refused_that_lacks_a_file_or_has_a_changed_one(catalog: Catalog, tmp_path: Path) -> None:
    path = catalog.save(tmp_path / "c.parquet", rows_per_file=25)
    (path / "part-00002.parquet").write_bytes((path / "part-00001.parquet").read_bytes())
    with pytest.raises(DataError, match=r"part-00002\.parquet has 25 rows and not 10"):
        ScannedCatalog.load(path)
    (path / "part-00002.parquet").unlink()
    with pytest.raises(DataError, match=r"lacks part-00002\.parquet"):
        Catalog.load(path)
    (path / "_trapline_catalog.json").unlink()
    with pytest.raises(DataError, match="written last"):
        Catalog.load(path)


def test_a_folder_that_is_no_catalog_is_not_replaced(catalog: Catalog, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    with pytest.raises(DataError, match="is a folder"):
        catalog.save(tmp_path / "photos", rows_per_file=25)
    assert (tmp_path / "photos").is_dir()


def test_a_scanned_catalog_can_be_written_over_itself_and_is_then_to_be_opened_again(
    catalog: Catalog, tmp_path: Path
) -> None:
    path = catalog.save(tmp_path / "c.parquet", rows_per_file=25)
    opened = ScannedCatalog.load(path)
    assert opened.filter(pl.col("location_id") == "L1").save(path) == path
    with pytest.raises(DataError, match="was changed since it was opened"):
        opened.save(tmp_path / "other.parquet")
    assert ScannedCatalog.load(path).frame.collect()["location_id"].unique().to_list() == ["L1"]


SPLITTERS: list[Splitter] = [
    ByLocation(seed=1),
    ByLocation(folds=2, seed=3),
    ByEvent(seed=1),
    AtRandom(ratios=(50, 50), seed=5),
    BySeason(),
    ByDate(),
    ByDate(dates=[START + timedelta(hours=5)]),
    ByColumn(column="published"),
    BySeason.named(test="S4"),
]


@pytest.mark.parametrize("splitter", SPLITTERS, ids=repr)
def test_a_scanned_catalog_is_split_as_one_in_memory(
    splitter: Splitter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Event for event and digit for digit, whatever is in memory at a time."""
    table = pl.DataFrame(rows(200)).with_columns(published=pl.lit("val"))
    if splitter.by == "season":
        table = table.with_columns(event_id=pl.lit(None, pl.String))
    if splitter.by == "location":  # some events join two locations
        locations = pl.format("L{}", pl.int_range(200) // 17)
        events = pl.format("e{}", pl.int_range(200) // 10).replace(
            {f"e{n}": None for n in range(20) if n % 3}
        )
        table = table.with_columns(location_id=locations, event_id=events)
    catalog = Catalog.from_rows(table, tmp_path, "rows")
    whole = splitter.apply(catalog, check_files=False)
    for module in (codes, counting):
        monkeypatch.setattr(module, "ROWS_AT_ONCE", 30)
    monkeypatch.setattr(codes, "_SAMPLE", 20)
    monkeypatch.setattr(codes, "_FEW_NAMES", 3)
    monkeypatch.setattr(splits, "_MANY_GROUPS", 3)
    monkeypatch.setattr(grouping, "_ROWS_AT_ONCE", 7)
    done = splitter.apply(ScannedCatalog.load(catalog.save(tmp_path / "c.parquet")), check_files=False)
    assert isinstance(done, ScannedCatalog)
    assert done.facts == whole.facts
    assert done.table.equals(whole.table)
    assert training_fingerprint(done) == training_fingerprint(whole)
    again = splitter.apply(done, check_files=False)  # of one that is split already
    assert again.facts == whole.facts
    saved = Catalog.load(done.save(tmp_path / "done.parquet", rows_per_file=70))
    assert saved.table.equals(whole.table)
    assert check_leaks(saved, files=False) == check_leaks(done, files=False)


def test_a_scanned_catalog_is_summarised_as_one_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    of_events = [["fox"], ["fox", "hare"], ["blank"]]
    table = [row | {"event_labels": of_events[index // 3 * 13 % 3]} for index, row in enumerate(rows(90))]
    catalog = AtRandom(seed=2).apply(Catalog.from_rows(table, tmp_path, "rows"), check_files=False)
    whole = summarise(catalog)
    monkeypatch.setattr(counting, "ROWS_AT_ONCE", 11)
    opened = ScannedCatalog.load(catalog.save(tmp_path / "c.parquet"))
    assert summarise(opened) == whole
    assert labels_by_part(opened).equals(labels_by_part(catalog))
    assert opened.part("train").table.equals(catalog.part("train").table)
    with pytest.raises(DataError, match="no media in the part 'holdout'; it has: test, train, validation"):
        opened.part("holdout")
