"""Which media train: labels that nothing teaches are named with the option that leaves them out."""

import shlex
from typing import Any

import numpy as np
import pytest

from trapline.catalog import EVENT_LABELS, Catalog
from trapline.errors import DataError, UsageError
from trapline.recipes import resolve_recipe
from trapline.training.selection import how_to_leave_out, select_media


def catalog_of(*shown: tuple[str, list[str]], **more: list[Any]) -> Catalog:
    rows = [
        {
            "media_id": f"m{row}",
            "file_path": f"m{row}.jpg",
            "labels": labels,
            "split": part,
            **{name: values[row] for name, values in more.items()},
        }
        for row, (part, labels) in enumerate(shown)
    ]
    return Catalog.from_rows(rows, "/nowhere", "rows")


LATE = catalog_of(
    ("train", ["fox"]),
    ("train", ["hare"]),
    ("validation", ["fox"]),
    ("validation", ["hare"]),
    ("validation", ["elk"]),
    ("validation", ["wild, pig"]),
    ("test", ["cattle"]),
)


def test_a_label_without_training_media_is_left_out_by_the_option_that_the_message_names() -> None:
    with pytest.raises(DataError, match=r"No training media has the label elk, wild, pig") as refused:
        select_media(LATE, resolve_recipe("head"))
    *_, option = shlex.split(str(refused.value).rpartition("--set ")[2])
    selected = select_media(LATE, resolve_recipe("head", None, [option]))
    assert selected.labels == ("fox", "hare")
    assert (selected.train.tolist(), selected.validation.tolist()) == ([0, 1], [2, 3])
    assert selected.left_out == {"labelled elk": 1, "labelled wild, pig": 1}


def test_labels_of_another_part_may_be_left_out_too_and_unknown_ones_are_refused() -> None:
    recipe = resolve_recipe("head", None, ["leave_out=elk,cattle", 'leave_out=["elk","cattle","wild, pig"]'])
    assert select_media(LATE, recipe).left_out == {"labelled elk": 1, "labelled wild, pig": 1}
    with pytest.raises(DataError, match="leave_out names lynx, and no media has that label"):
        select_media(LATE, resolve_recipe("head", None, ["leave_out=lynx"]))
    with pytest.raises(UsageError, match="leave_out"):
        resolve_recipe("head", None, ["leave_out=12"])


@pytest.mark.parametrize("label", ["no", "12", "null", "a: b", "- x", "it's", "fox, red"])
def test_the_option_reads_back_as_the_label_that_it_names(label: str) -> None:
    text = how_to_leave_out([label], resolve_recipe("head"))
    *_, option = shlex.split(text.rpartition("--set ")[2])
    assert resolve_recipe("head", None, [option]).leave_out == (label,)


def test_of_several_labels_only_the_unwanted_goes_from_media_and_events() -> None:
    catalog = catalog_of(
        ("train", ["fox"]),
        ("train", ["hare"]),
        ("validation", ["elk", "fox"]),
        ("validation", ["elk"]),
        ("validation", ["hare"]),
        **{EVENT_LABELS: [["fox"], ["hare"], ["elk", "fox"], ["elk"], ["elk"]]},
    )
    recipe = resolve_recipe("head", None, ["task=multi-label", "leave_out=elk"])
    selected = select_media(catalog, recipe)
    assert selected.catalog.table["media_id"].to_list() == ["m0", "m1", "m2", "m4"]
    assert selected.catalog.table[EVENT_LABELS].to_list() == [["fox"], ["hare"], ["fox"], None]
    assert np.array_equal(selected.targets, [[1, 0], [0, 1], [1, 0], [0, 1]])
    assert selected.left_out == {"labelled elk": 1}
