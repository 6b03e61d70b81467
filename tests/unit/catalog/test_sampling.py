"""A share of the labelled media: reproducible, by whole events, part by part; and the published half."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from trapline.catalog import AtRandom, Catalog, SampleRecord, sample_catalog
from trapline.formats import read
from trapline.recipes import resolve_recipe
from trapline.training.selection import select_media


def media(count: int = 40, unlabelled: int = 5, frames: int = 1) -> Catalog:
    rows = [
        {
            "media_id": f"m{number}",
            "file_path": f"m{number}.jpg",
            "location_id": f"L{number % 8}",
            "event_id": f"e{number // frames}" if frames > 1 else None,
            "labels": ["a" if number % 2 else "b"] if number < count else None,
        }
        for number in range(count + unlabelled)
    ]
    return Catalog.from_rows(rows, ".", "made")


def test_a_sample_has_its_share_and_all_unlabelled_media_and_says_so() -> None:
    found = sample_catalog(media(), 0.25, 3)
    assert found.table["labels"].is_not_null().sum() == 10
    assert found.table["labels"].is_null().sum() == 5
    assert found.facts.sample == SampleRecord(share=0.25, seed=3, of=40)
    again, other = sample_catalog(media(), 0.25, 3), sample_catalog(media(), 0.25, 4)
    assert found.table.equals(again.table)
    assert not found.table.equals(other.table)


def test_what_was_drawn_so_is_not_drawn_again() -> None:
    found = sample_catalog(media(), 0.5, 1)
    assert len(sample_catalog(found, 0.5, 1)) == len(found)
    assert len(sample_catalog(found, 0.5, 2)) < len(found)


def test_events_are_drawn_whole() -> None:
    found = sample_catalog(media(frames=4, unlabelled=0), 0.5, 1)
    sizes = found.table.group_by("event_id").len()["len"]
    assert sizes.to_list() == [4] * 5


def test_each_part_of_a_split_is_drawn_from() -> None:
    catalog = AtRandom(ratios=(3, 1)).apply(media(), check_files=False)
    found = sample_catalog(catalog, 0.5, 1).table
    assert dict(found["split"].drop_nulls().value_counts().iter_rows()) == {"train": 15, "validation": 5}


def test_the_draw_is_that_of_the_published_notebook() -> None:
    chosen = np.random.RandomState(1).choice(40, 20, replace=False)  # as pandas.DataFrame.sample draws
    found = sample_catalog(media(unlabelled=0), 0.5, 1)
    assert set(found.table["media_id"]) == {f"m{number}" for number in chosen}


@pytest.mark.field
def test_the_published_half_and_its_evaluation_have_the_published_sizes(field: Path) -> None:
    """6,183 and 2,061 of 16,488, stratified; drawn before the split or after it."""
    catalog = read(field / "conser-vision-metadata")
    recipe = resolve_recipe("conser-vision-resnet50")
    assert recipe.sample is not None
    drawn = sample_catalog(catalog, recipe.sample.share, recipe.sample.seed)
    for first in (drawn, catalog):
        split = AtRandom(ratios=(75, 25)).apply(first, check_files=False)
        selected = select_media(split, recipe)
        assert (len(selected.train), len(selected.validation)) == (6183, 2061)
    split = AtRandom(ratios=(75, 25)).apply(drawn, check_files=False)
    counts = split.table.drop_nulls("split").group_by("split").agg(pl.col("labels").explode().value_counts())
    shares = {
        part: {row["labels"]: row["count"] / (6183 if part == "train" else 2061) for row in found}
        for part, found in counts.iter_rows()
    }
    for label, share in shares["train"].items():
        assert shares["validation"][label] == pytest.approx(share, abs=1 / 2061)
