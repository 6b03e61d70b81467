"""Tables in parts: no event is cut, no row is lost, and what comes out is what comes out of the whole."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trapline.catalog import Catalog, ScannedCatalog
from trapline.ensemble import combine, combine_tables
from trapline.ensemble.combining import GROUPS
from trapline.errors import DataError, TraplineWarning, UsageError
from trapline.prediction import (
    Combination,
    Predictions,
    pool_events,
    pool_table,
    probability_columns,
    scan_table,
)
from trapline.prediction import parts as parts_of_tables
from trapline.prediction.parts import SideBySide, media_of, whole_events
from trapline.prediction.table import FIXED, FOLDER_HEADER

LABELS = ("hare", "lynx", "*")


def world(events: Sequence[str | None], seed: int = 0) -> tuple[Predictions, Catalog]:
    """A media for each event's name, some failed, with probabilities of any kind."""
    random = np.random.default_rng(seed)
    ids = [f"m{number}" for number in range(len(events))]
    failed = random.random(len(ids)) < 0.1
    numbers = random.dirichlet(np.ones(3), len(ids)).astype(np.float32)
    numbers[failed] = np.nan
    fixed = pl.DataFrame(
        {
            "media_id": ids,
            "event_id": pl.Series(events, dtype=pl.String),
            "box": pl.Series([None] * len(ids), dtype=pl.Int64),
            "file_path": [f"{one}.jpg" for one in ids],
            "status": np.where(failed, "failed", "ok"),
            "reason": [("no photo" if bad else None) for bad in failed],
        },
        schema={**FIXED},
    )
    table = fixed.hstack(probability_columns(LABELS, numbers))
    box = {"category": "animal", "conf": 0.9, "x": 0.1, "y": 0.1, "width": 0.2, "height": 0.2}
    media = fixed.select("media_id", "event_id", "file_path").with_columns(
        frame=pl.Series(random.permutation(len(ids))),
        boxes=pl.Series([[box] if seen else [] for seen in random.random(len(ids)) < 0.6]),
    )
    catalog = Catalog.from_rows(media, ".", "rows")
    return Predictions(table, LABELS, "media", "fingerprint", "single-label"), catalog


scattered = st.lists(st.sampled_from(["a", "b", "c", "d", "e", None, None]), min_size=1, max_size=40)


@given(events=scattered, size=st.integers(1, 12))
def test_a_part_ends_at_the_first_place_that_cuts_no_event(events: list[str | None], size: int) -> None:
    sizes = whole_events(pl.LazyFrame({"event_id": events}, schema={"event_id": pl.String}), size)
    assert sum(sizes) == len(events)
    ends = np.cumsum(sizes).tolist()

    def cuts(at: int) -> bool:
        return bool(set(events[:at]) & set(events[at:]) - {None})

    for begin, end in zip([0, *ends], ends, strict=False):
        allowed = [at for at in range(min(begin + size, len(events)), len(events) + 1) if not cuts(at)]
        assert end == allowed[0]


def visits(count: int, seed: int = 0) -> list[str | None]:
    """Events of some media each, mostly one after the other, some scattered, some media of none."""
    random = np.random.default_rng(seed)
    names: list[str | None] = [f"e{number}" for number in range(count) for _ in range(random.integers(1, 6))]
    for _ in range(count // 20):
        first = int(random.integers(0, len(names) - 12))
        names[first], names[first + 11] = names[first + 11], names[first]
    return [None if random.random() < 0.1 else name for name in names]


@pytest.mark.parametrize(
    "options",
    [
        {"rows": "event"},
        {"rows": "media", "how": "first"},
        {"rows": "event", "how": "max", "without_box": 0.2},
    ],
)
def test_pooled_in_parts_is_pooled_whole_byte_for_byte(
    options: dict[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts_of_tables, "AT_ONCE", 50)
    predictions, catalog = world(visits(300))
    some = replace(predictions, table=predictions.table.filter(pl.int_range(pl.len()) % 7 != 3))
    some.save(tmp_path / "p.parquet")
    catalog.save(tmp_path / "c.parquet")
    pool_events(some, catalog, **options).save(tmp_path / "whole.parquet")
    table, media = scan_table(tmp_path / "p.parquet"), media_of(ScannedCatalog.load(tmp_path / "c.parquet"))
    side = SideBySide.open([table], media)
    assert side is not None
    assert len(side.counts) > 5
    done = pool_table(table, media, tmp_path / "parts.parquet", **options)
    assert (tmp_path / "parts.parquet").read_bytes() == (tmp_path / "whole.parquet").read_bytes()
    assert (done.pooled, done.rows) == (len(some), len(Predictions.load(tmp_path / "whole.parquet")))


def test_rows_in_another_order_are_pooled_too_and_strangers_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts_of_tables, "AT_ONCE", 10)
    predictions, catalog = world(visits(40))
    turned = replace(predictions, table=predictions.table.reverse())
    assert SideBySide.open([(turned, turned.table.lazy())], (catalog, catalog.table.lazy())) is None
    monkeypatch.setattr(parts_of_tables, "_LONG", len(turned) - 1)
    with pytest.warns(TraplineWarning, match="all are taken into memory"):
        pool_table((turned, turned.table.lazy()), (catalog, catalog.table.lazy()), tmp_path / "p.parquet")
    assert Predictions.load(tmp_path / "p.parquet").table.equals(pool_events(turned, catalog).table)
    monkeypatch.setattr(parts_of_tables, "_LONG", len(turned))  # and of shorter ones it is not told
    fewer = catalog.filter(pl.col("media_id") != "m17")
    with pytest.raises(DataError, match=r"1 predicted media are not in the catalog.*m17"):
        pool_table(
            (predictions, predictions.table.lazy()), (fewer, fewer.table.lazy()), tmp_path / "q.parquet"
        )
    assert not (tmp_path / "q.parquet").exists()


def test_a_table_of_several_files_is_the_same_table(tmp_path: Path) -> None:
    predictions, _ = world(visits(100))
    folder = predictions.save(tmp_path / "p", rows_per_file=64)
    files = sorted(path.name for path in folder.iterdir())
    assert files[:2] == [FOLDER_HEADER, "part-00000.parquet"]
    assert len(files) == 1 + -(-len(predictions) // 64)
    assert Predictions.load(folder).table.equals(predictions.table)
    assert Predictions.load(folder).header() == predictions.header()
    assert pl.read_parquet(folder / "part-*.parquet").equals(predictions.table), "for others too"
    predictions.save(folder, rows_per_file=1000)
    assert len(list(folder.iterdir())) == 2, "nothing of the former is left"
    assert [path.name for path in tmp_path.iterdir()] == ["p"]


def test_a_folder_that_is_not_whole_or_not_ours_is_refused(tmp_path: Path) -> None:
    predictions, _ = world(visits(40))
    folder = predictions.save(tmp_path / "p", rows_per_file=20)
    (folder / "part-00001.parquet").rename(tmp_path / "away.parquet")
    with pytest.raises(DataError, match=r"p is not whole: it lacks part-00001\.parquet"):
        Predictions.load(folder)
    (folder / "part-00000.parquet").replace(folder / "part-00001.parquet")
    predictions.table[:19].write_parquet(folder / "part-00000.parquet")
    with pytest.raises(DataError, match=r"p was changed: part-00000\.parquet has 19 rows and not 20"):
        Predictions.load(folder)
    (folder / FOLDER_HEADER).write_text("[]")
    with pytest.raises(DataError, match="is damaged"):
        Predictions.load(folder)
    (folder / FOLDER_HEADER).unlink()
    with pytest.raises(DataError, match="no table of predictions but a folder"):
        Predictions.load(folder)
    with pytest.raises(UsageError, match="never overwritten, not even with --force"):
        predictions.save(folder, rows_per_file=20)


def test_models_are_combined_in_parts_as_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts_of_tables, "AT_ONCE", 50)
    first, catalog = world(visits(200))
    second = replace(world(visits(200), seed=1)[0], model="other")
    sureness = dict(zip(GROUPS, (0.5, 0.8, 1.0, 1.2), strict=True))
    like = Combination(
        models=("other", "fingerprint"),
        names=("b", "a"),
        weights=(0.7, 0.4),
        sureness=sureness,
        pooled=None,
        learnt_on="others",
    )
    tables = [(one, one.table.lazy()) for one in (first, second)]
    media = (catalog, catalog.table.lazy())
    done = combine_tables(tables, media, tmp_path / "p.parquet", like)
    combine([first, second], catalog, like).save(tmp_path / "whole.parquet")
    assert (tmp_path / "p.parquet").read_bytes() == (tmp_path / "whole.parquet").read_bytes()
    assert done.rows == len(first)
    combine_tables(tables, media, tmp_path / "many", like, rows_per_file=100)
    assert Predictions.load(tmp_path / "many").table.equals(combine([first, second], catalog, like).table)
    turned = replace(second, table=second.table.reverse())
    combine_tables([tables[0], (turned, turned.table.lazy())], media, tmp_path / "q.parquet", like)
    same = combine([first, turned], catalog, like).table
    assert Predictions.load(tmp_path / "q.parquet").table.equals(same)
