"""Truth and predictions joined: what becomes of every row, at the edges too."""

from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest

from trapline.catalog import Catalog
from trapline.errors import DataError
from trapline.evaluation.coarser import CoarserLabels
from trapline.evaluation.matching import Counts, Matched, match
from trapline.prediction import ModelTree, PredictionFacts, Predictions
from trapline.taxonomy import Label, Taxon, Taxonomy, says_less

LABELS = ("blank", "hare", "lynx")
SURE = {"hare": (0.1, 0.8, 0.1), "lynx": (0.1, 0.2, 0.7), "blank": (0.8, 0.1, 0.1)}


def catalog_of(*rows: tuple[str, list[str] | None], **columns: list[Any]) -> Catalog:
    table = [
        {"media_id": media, "file_path": f"{media}.jpg", "labels": labels}
        | {name: values[place] for name, values in columns.items()}
        for place, (media, labels) in enumerate(rows)
    ]
    return Catalog.from_rows(pl.DataFrame(table, infer_schema_length=None), "/photos", "rows")


def predictions_of(
    said: dict[str, tuple[float, ...] | None], labels: tuple[str, ...] = LABELS, **more: Any
) -> Predictions:
    fixed = pl.DataFrame(
        {
            "media_id": list(said),
            "event_id": None,
            "box": None,
            "file_path": [f"{one}.jpg" for one in said],
            "status": ["failed" if one is None else "ok" for one in said.values()],
            "reason": ["torn" if one is None else None for one in said.values()],
        },
        schema_overrides={"event_id": pl.String, "box": pl.Int64, "reason": pl.String},
    )
    numbers = {
        label: pl.Series([None if one is None else one[place] for one in said.values()], dtype=pl.Float32)
        for place, label in enumerate(labels)
    }
    made = Predictions(fixed.hstack(pl.DataFrame(numbers)), labels, "media", "f" * 64, "single-label")
    return replace(made, **more)


def test_every_media_and_every_prediction_is_counted_in_one_place() -> None:
    catalog = catalog_of(
        ("good", ["hare"]),
        ("placeless", ["lynx"]),
        ("nothing", None),
        ("torn", ["hare"]),
        ("missed", ["hare"]),
        ("several", ["hare", "lynx"]),
        ("wolf", ["wolf"]),
        ("trained", ["hare"]),
        split=["test"] * 7 + ["train"],
        location_id=["A", None, "B", "C", "D", "E", "F", "G"],
    )
    said = dict.fromkeys(("stranger", "trained", "wolf", "several", "nothing"), SURE["hare"])
    predictions = predictions_of({**said, "torn": None, "placeless": SURE["lynx"], "good": SURE["blank"]})
    found = match(
        catalog,
        predictions,
        part="test",
        unknown_labels="leave-out",
        several_labels="leave-out",
        allow_unmatched=True,
    )
    assert found.counts == Counts(
        media=7,
        evaluated=2,
        unlabelled=1,
        failed=1,
        unpredicted=1,
        unknown_label=1,
        several_labels=1,
        predictions_elsewhere=1,
        predictions_unmatched=1,
        locations=1,
        without_location=1,
    )
    assert found.media["media_id"].to_list() == ["good", "placeless"], "in the catalog's order"
    assert not {"prediction", "status", "reason"} & set(found.media.columns)
    assert found.truth.tolist() == [1, 2]
    np.testing.assert_allclose(found.probabilities, [SURE["blank"], SURE["lynx"]], rtol=1e-6)
    assert (found.labels, found.unknown, found.failures) == (LABELS, (), {"torn": 1})
    whole = match(
        catalog,
        predictions,
        unknown_labels="wrong",
        several_labels="leave-out",
        allow_unmatched=True,
    )
    assert (whole.counts.media, whole.counts.evaluated, whole.counts.predictions_elsewhere) == (8, 4, 0)
    assert (whole.labels, whole.unknown) == ((*LABELS, "wolf"), ("wolf",))
    assert whole.truth.tolist() == [1, 2, 3, 1]
    assert (whole.probabilities[:, 3] == 0).all()
    assert whole.counts.unknown_label == 0


def test_failures_are_told_the_most_frequent_first() -> None:
    names = [f"m{number}" for number in range(5)]
    predictions = predictions_of({**dict.fromkeys(names[:4]), "m4": SURE["hare"]})
    reasons = pl.Series("reason", ["torn", "gone", "odd", "odd", None])
    predictions = replace(predictions, table=predictions.table.with_columns(reasons))
    found = match(catalog_of(*((name, ["hare"]) for name in names)), predictions)
    assert list(found.failures.items()) == [("odd", 2), ("gone", 1), ("torn", 1)]
    assert found.counts.failed == 4


def test_what_cannot_be_joined_is_refused_with_the_first_five_ids() -> None:
    names = [f"m{number}" for number in range(7)]
    catalog = catalog_of(*((name, ["hare"]) for name in names))
    all_of = predictions_of(dict.fromkeys(names, SURE["hare"]))
    with pytest.raises(DataError, match=r"7 of 7 labelled media have no prediction: 'm0', .*'m4' and 2 more"):
        match(catalog, replace(all_of, table=all_of.table[:0]))
    with pytest.raises(DataError, match=r"6 predictions are for media .*'m1', .* 'm5' and 1 more"):
        match(catalog.filter(pl.col("media_id") == "m0"), all_of)
    with pytest.raises(DataError, match=r"1 media has more than one row in the predictions: 'm2'\."):
        match(catalog, replace(all_of, table=all_of.table.vstack(all_of.table[2:3])))
    with pytest.raises(DataError, match="Predictions a event cannot be judged"):
        match(catalog, replace(all_of, level="event"))
    nothing = replace(all_of, table=all_of.table.with_columns(status=pl.lit("failed")))
    with pytest.raises(DataError, match=r"of 7 media, 0 have no label, 0 one outside .*, 7 failed, 0 have"):
        match(catalog, nothing)
    strange = catalog_of(("m0", None), ("m1", ["wolf"]), ("m2", ["hare", "lynx"]))
    said = dict.fromkeys(("m0", "m1", "m2"), SURE["hare"])
    with pytest.raises(DataError, match=r"of 3 media, 1 have no label, .* 0 have no prediction and 2 were"):
        match(strange, predictions_of(said), unknown_labels="leave-out", several_labels="leave-out")


@pytest.mark.parametrize(
    ("values", "good"),
    [
        ((0.5, 0.5, 0.0), True),
        ((0.5, 0.5009, 0.0), True),
        ((0.5, 0.5012, 0.0), False),
        ((0.5, 0.4988, 0.0), False),
        ((1.0000005, 0.0, 0.0), True),
        ((1.0001, 0.0, -0.0001), False),
        ((0.5, 0.5001, -0.0001), False),
        ((1.000002, 0.0, 0.0), False),
        ((float("nan"), 0.5, 0.5), False),
        ((float("inf"), 0.0, 0.0), False),
    ],
)
def test_probabilities_are_in_0_to_1_and_sum_to_1_but_for_rounding(
    values: tuple[float, ...], good: bool
) -> None:
    catalog = catalog_of(("a", ["hare"]), ("b", ["hare"]))
    predictions = predictions_of({"a": SURE["hare"], "b": values})
    if good:
        found = match(catalog, predictions)
        assert found.probabilities.min() >= 0
        assert found.probabilities.max() <= 1
    else:
        with pytest.raises(DataError, match=r"1 prediction is 'ok', but .*: 'b'"):
            match(catalog, predictions)


def test_of_several_labels_the_probabilities_need_not_sum_to_1_and_each_is_its_own_truth() -> None:
    catalog = catalog_of(("a", ["lynx", "hare"]), ("b", ["blank"]), ("c", ["hare"]))
    said = {"a": (0.9, 0.9), "b": (0.1, 0.1), "c": (0.3, 0.4)}
    found = match(catalog, predictions_of(said, LABELS[1:], task="multi-label"))
    assert found.truth.tolist() == [[1, 1], [0, 0], [1, 0]]
    assert (found.labels, found.blank, found.counts.several_labels) == (("hare", "lynx"), None, 0)
    knows = predictions_of({name: (0.5, *pair) for name, pair in said.items()}, task="multi-label")
    assert match(catalog, knows).truth.tolist() == [[0, 1, 1], [1, 0, 0], [0, 1, 0]]
    assert match(catalog, knows).blank == 0
    assert match(catalog, knows).exclusive is False
    assert match(catalog, replace(knows, facts=PredictionFacts(exclusive=True))).exclusive is True
    wolves = catalog_of(("a", ["wolf", "hare"]), ("b", ["hare"]), ("c", ["hare"]))
    left = match(wolves, knows, unknown_labels="leave-out")
    assert (left.counts.unknown_label, left.counts.evaluated) == (1, 2)
    with pytest.raises(DataError, match=r"1 media has a label that the model does not know: 'wolf'\. The"):
        match(wolves, knows)


def single() -> Matched:
    return match(catalog_of(("a", ["hare"])), predictions_of({"a": SURE["hare"]}))


def test_of_one_label_no_column_is_said_alone() -> None:
    assert single().blank is None
    assert single().exclusive is False


def test_labels_of_a_tree_are_its_classes_and_those_above_or_outside_are_counted() -> None:
    catalog = catalog_of(
        ("a", ["snowshoe"]), ("b", ["mammal"]), ("c", ["bird"]), ("d", ["lynx"]), ("e", None)
    )
    said = dict.fromkeys("abcd", SURE["lynx"])
    classes = {"snowshoe": "hare", "mammal": None, "lynx": "lynx"}
    tree = ModelTree(
        format_version="1", source="a table", taxa=(), labels=(), outside=("bird",), classes=classes
    )
    predictions = predictions_of(said, facts=PredictionFacts(taxonomy=tree))
    found = match(catalog, predictions)
    assert found.media["labels"].to_list() == [["hare"], ["lynx"]]
    assert found.truth.tolist() == [1, 2]
    counts = found.counts
    assert (counts.outside, counts.coarse, counts.unlabelled, counts.evaluated) == (1, 1, 1, 2)
    with pytest.raises(DataError, match=r"of 2 media, 0 have no label, 1 one outside .* and 1 were left out"):
        match(catalog.filter(pl.col("media_id").is_in(["b", "c"])), predictions, allow_unmatched=True)
    plain = replace(predictions, facts=PredictionFacts(taxonomy=replace(tree, outside=(), classes=None)))
    assert match(catalog_of(("a", ["hare"])), plain, allow_unmatched=True).counts.outside == 0


def test_which_labels_say_less_is_so_of_every_pair_and_found_once() -> None:
    rows = [("mammal", "Mammalia"), ("deer", "Cervidae")]
    rows += [(name, "Capreolus capreolus") for name in ("roe", "doe")]
    taxa = {
        "Mammalia": Taxon("Mammalia", "class", None),
        "Cervidae": Taxon("Cervidae", "family", "Mammalia"),
        "Capreolus capreolus": Taxon("Capreolus capreolus", "species", "Cervidae"),
        "Homo sapiens": Taxon("Homo sapiens", "species", "Mammalia"),
    }
    own = [Label(name, "animal", taxon) for name, taxon in rows]
    own += [Label("animal", "animal"), Label("bug", "animal")]
    own += [Label("person", "human", "Homo sapiens"), Label("human", "human"), Label("hunter", "human")]
    own += [Label("blank", "blank"), Label("truck", "vehicle"), Label("vehicle", "vehicle")]
    tree = Taxonomy(taxa, {label.name: label for label in own})
    labels = (*tree.labels, "stone")
    known = [label for label in labels if label != "deer"]
    less = CoarserLabels(tree, known)
    table = less.of(labels)
    assert table is not None
    expected = [
        [
            answer in known and {answer, true} <= set(tree.labels) and says_less(tree, answer, true)
            for answer in labels
        ]
        for true in labels
    ]
    assert table.tolist() == expected
    assert table.any()
    assert less.of(labels) is table
    assert CoarserLabels(tree, known).of(("blank", "stone")) is None
    assert CoarserLabels(None, known).of(labels) is None
