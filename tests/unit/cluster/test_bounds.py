"""Where shards end."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

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
