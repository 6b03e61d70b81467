"""Catalogs that stay on the disk: the same answers as in memory, files and folders, and what is refused."""

import json
from datetime import datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from trapline.catalog import Catalog, CatalogFacts, ScannedCatalog, open_catalog, scanned
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
    with pytest.raises(DataError, match=r"part-00002\.parquet is missing"):
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
