"""Where shards end."""

from itertools import accumulate, pairwise

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trapline.catalog import Catalog, Cursor, ScannedCatalog
from trapline.cluster.bounds import cut_at_batches, cut_between_events

COUNTS = st.lists(st.integers(0, 5), min_size=1, max_size=200)


@given(COUNTS, st.integers(1, 60), st.integers(1, 16))
def test_a_shard_ends_where_a_batch_ends(asked: list[int], size: int, batch: int) -> None:
    bounds = cut_at_batches(np.array(asked), size, batch)
    assert bounds[0] == 0
    assert bounds[-1] == len(asked)
    for start, stop in pairwise(bounds[:-1]):
        assert stop - start >= size
        assert sum(asked[:stop]) % batch == 0
        assert all(sum(asked[:other]) % batch for other in range(start + size, stop)), "the first that may be"


@given(st.lists(st.integers(0, 12), min_size=1, max_size=100), st.integers(1, 30))
def test_no_event_is_cut_however_its_media_lie(events: list[int], size: int) -> None:
    last = np.array([len(events) - 1 - events[::-1].index(event) for event in events])
    bounds = cut_between_events(last, size)
    assert bounds[0] == 0
    assert bounds[-1] == len(events)
    for stop in bounds[1:-1]:
        assert not set(events[:stop]) & set(events[stop:])
    assert all(stop - start >= size for start, stop in pairwise(bounds[:-1]))


@pytest.mark.parametrize(("size", "bounds"), [(100, [0, 112, 224, 250]), (16, [0, *range(16, 250, 16), 250])])
def test_media_that_are_asked_once_each(size: int, bounds: list[int]) -> None:
    assert cut_at_batches(np.ones(250, np.int64), size, 16) == bounds


@given(st.lists(st.integers(1, 9), min_size=1, max_size=8), st.integers(1, 5))
def test_a_catalog_is_cut_where_its_bounds_are_however_it_is_read(sizes: list[int], rows: int) -> None:
    bounds = [0, *accumulate(sizes)]
    ids = [str(number) for number in range(bounds[-1])]
    catalog = Catalog.from_rows([{"media_id": one, "file_path": one} for one in ids], "/", "numbers")
    catalog = ScannedCatalog(
        pl.concat([catalog.table[at : at + rows] for at in range(0, len(ids), rows)]), catalog.root, ""
    )
    cursor = Cursor(catalog.frame, rows)
    parts = [cursor.take(stop - start) for start, stop in pairwise(bounds)]
    assert [part.height for part in parts] == sizes
    assert [one for part in parts for one in part["media_id"]] == ids
    assert not cursor.more()
    assert cursor.take(1).height == 0
