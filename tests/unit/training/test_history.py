"""The loss by batch as published notebooks draw it."""

import csv
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from trapline.training.history import ROLLING, rolling_mean, write_batches


@given(st.lists(st.floats(0, 100, width=32), max_size=60))
def test_a_rolling_mean_is_that_of_the_last_batches_and_missing_before(values: list[float]) -> None:
    found = rolling_mean(np.array(values, np.float32))
    assert len(found) == len(values)
    for place, mean in enumerate(found):
        if place < ROLLING - 1:
            assert np.isnan(mean)
        else:
            np.testing.assert_allclose(mean, np.mean(values[place - ROLLING + 1 : place + 1]), atol=1e-6)


def test_batches_are_counted_through_and_know_their_epoch(tmp_path: Path) -> None:
    losses = [np.arange(7, dtype=np.float32), np.arange(7, 12, dtype=np.float32)]
    write_batches(losses, tmp_path)
    with (tmp_path / "batches.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["batch"] for row in rows] == [str(number) for number in range(1, 13)]
    assert [row["epoch"] for row in rows] == ["1"] * 7 + ["2"] * 5
    assert [row["mean_of_10"] for row in rows] == [""] * 9 + ["4.5", "5.5", "6.5"]
