"""Thresholds of an evaluation: curves by definition, what goes with blanks, ranks, and the way to `write`."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from test_evaluate import catalog_of, predictions_of
from test_rank_evaluation import judged  # noqa: F401  a fixture

from trapline import api
from trapline.catalog import Catalog
from trapline.errors import DataError, UsageError
from trapline.evaluation import Evaluation, Wants, evaluate
from trapline.evaluation.threshold_tallies import MOST_GROUPS, _largest_boxes, scores_of
from trapline.metrics import labels_said
from trapline.observations.thresholds import LabelThresholds, thresholds_for
from trapline.prediction import ModelTree, PredictionFacts, Predictions, RegionWeights, SharesShift
from trapline.taxonomy import Label, Taxonomy, taxonomy_from_csv
from trapline.taxonomy.classes import classes_of

Floats = npt.NDArray[np.float64]
LABELS = ("blank", "hare", "lynx", "fox")


def world(locations: int = 12, each: int = 30, seed: int = 3) -> tuple[Catalog, Predictions]:
    """A model that is mostly right, media with a box of some size, half of them blank."""
    random = np.random.default_rng(seed)
    rows, said = [], {}
    for location in range(locations):
        for number in range(each):
            media_id, label = f"m{location}-{number}", int(random.choice(4, p=[0.5, 0.25, 0.05, 0.2]))
            scores = random.normal(size=4) + 2.5 * np.eye(4)[label]
            side = float(random.uniform(0.03, 0.3))
            box = {"category": "animal", "conf": 0.9, "x": 0.1, "y": 0.1, "width": side, "height": side}
            rows.append(
                {
                    "media_id": media_id,
                    "labels": [LABELS[label]],
                    "location_id": f"L{location:02}",
                    "boxes": [box] if label else [],
                }
            )
            said[media_id] = (np.exp(scores) / np.exp(scores).sum()).tolist()
    return catalog_of(rows), predictions_of(said, LABELS)


@pytest.fixture(scope="module")
def judged_world() -> tuple[Catalog, Predictions, Evaluation]:
    catalog, predictions = world()
    return (
        catalog,
        predictions,
        evaluate(catalog, predictions, samples=50, want=Wants.parse(["precision=0.9"])),
    )


@given(
    values=arrays(np.float64, (6, 4), elements=st.floats(0, 1).map(lambda one: round(one, 2))),
    threshold=st.floats(0, 1),
    column=st.integers(0, 3),
    blank=st.sampled_from([0, None]),
)
@settings(max_examples=150, deadline=None)
def test_a_label_of_several_is_said_from_its_score_down(
    values: Floats, threshold: float, column: int, blank: int | None
) -> None:
    alone, joint = scores_of(values, blank, several=True)
    limits = np.full(4, 0.5)
    limits[column] = threshold
    assert np.array_equal(alone[:, column] >= threshold, labels_said(values, limits, blank)[:, column])
    assert np.array_equal(joint >= threshold, labels_said(values, threshold, blank))


def test_curves_are_those_of_the_definition(judged_world: tuple[Catalog, Predictions, Evaluation]) -> None:
    catalog, predictions, evaluation = judged_world
    assert evaluation.thresholds is not None
    values = predictions.probabilities()
    truth = np.array([LABELS.index(names[0]) for names in catalog.table["labels"]])
    best, sure = values.argmax(axis=1), values.max(axis=1)
    for one in evaluation.thresholds.subjects:
        index = None if one.of == "all" else LABELS.index(one.name)
        mine = np.ones(len(best), bool) if index is None else best == index
        there = np.ones(len(best), bool) if index is None else truth == index
        assert one.media == there.sum()
        for point in one.curve:
            said = mine & (sure >= point.threshold)
            right = said & (best == truth)
            assert (point.answers, point.right) == (said.sum(), right.sum())
            assert point.answered == pytest.approx(said.mean())
            assert point.precision == pytest.approx(right.sum() / said.sum())
            assert point.recall == pytest.approx(right.sum() / there.sum())
        assert one.curve[0].answers == mine.sum()


def test_the_chosen_threshold_keeps_what_is_wanted_and_says_what_it_keeps_elsewhere(
    judged_world: tuple[Catalog, Predictions, Evaluation],
) -> None:
    thresholds = judged_world[2].thresholds
    assert thresholds is not None
    assert (thresholds.groups, thresholds.over, thresholds.level) == (12, "location", "media")
    for one in thresholds.subjects:
        if one.chosen.threshold is None or one.chosen.wanted != "precision=0.9":
            continue
        assert one.chosen.precision is not None
        assert one.chosen.precision >= 0.9
        assert one.chosen.elsewhere is not None
        assert one.chosen.bound is not None
        assert one.chosen.bound <= one.chosen.elsewhere.value
    text = judged_world[2].to_text()
    assert "all labels alike" in text
    assert "Each label with its own threshold, elsewhere:" in text


def test_what_goes_with_the_blanks(judged_world: tuple[Catalog, Predictions, Evaluation]) -> None:
    catalog, predictions, evaluation = judged_world
    assert evaluation.thresholds is not None
    blank = evaluation.thresholds.blank
    assert blank is not None
    assert blank.threshold is not None
    values, labels = predictions.probabilities(), catalog.table["labels"].list.first()
    area = catalog.table["boxes"].list.eval(pl.element().struct["width"] * pl.element().struct["height"])
    small = area.list.max().fill_null(1).to_numpy() < 0.01
    empty = (labels == "blank").to_numpy()
    assert (blank.blanks, blank.animals, blank.small) == (empty.sum(), (~empty).sum(), small.sum())
    assert blank.boxed == blank.animals
    for point in blank.curve:
        gone = (values.argmax(axis=1) == 0) & (values[:, 0] >= point.threshold)
        assert point.removed == pytest.approx(gone[empty].mean())
        assert point.lost == pytest.approx(gone[~empty].mean())
        assert point.small_lost == pytest.approx(gone[small].mean())
    gone = (values.argmax(axis=1) == 0) & (values[:, 0] >= blank.threshold)
    assert gone[~empty].mean() <= 0.02
    lost = {label: int(gone[(labels == label).to_numpy()].sum()) for label in LABELS[1:]}
    assert {one.label: one.lost for one in blank.labels} == {name: n for name, n in lost.items() if n}


def test_only_sure_boxes_of_animals_tell_how_large_it_is() -> None:
    def box(side: float, conf: float | None = 0.9, category: str = "animal") -> dict[str, Any]:
        return {"category": category, "conf": conf, "x": 0.1, "y": 0.1, "width": side, "height": side}

    boxes: list[tuple[list[dict[str, Any]], float | None]] = [
        ([box(0.05), box(0.9, 0.01)], 0.0025),
        ([box(0.05), box(0.9, category="person"), box(0.8, category="3")], 0.0025),
        ([box(0.05), box(0.5, category="1")], 0.25),
        ([box(0.05), box(0.5, None)], 0.25),
        ([box(0.5, 0.1)], None),
        ([box(0.5, category="2")], None),
        ([], None),
    ]
    media = [{"media_id": f"m{n}", "labels": ["fox"], "boxes": own} for n, (own, _) in enumerate(boxes)]
    largest = _largest_boxes(catalog_of(media).table)
    expected = [np.nan if share is None else share for _, share in boxes]
    assert largest == pytest.approx(expected, nan_ok=True)


def test_all_locations_are_told_of_though_some_are_tallied_as_one() -> None:
    evaluation = evaluate(*world(MOST_GROUPS + 20, 1), samples=10, want=Wants())
    assert evaluation.thresholds is not None
    assert evaluation.thresholds.groups == MOST_GROUPS + 20


def test_what_cannot_be_wanted_is_refused() -> None:
    for text in ("precision", "precision=2", "lynx:lost=0.1", "f1=0.9", ":recall=0.5", "recall=x"):
        with pytest.raises(UsageError, match=r"nothing that can be wanted|animals are lost"):
            Wants.parse([text])
    with pytest.raises(UsageError, match="Two things are wanted of all labels"):
        Wants.parse(["precision=0.9", "recall=0.9"])
    catalog, predictions = world(2, 4)
    with pytest.raises(UsageError, match="names 'bear', which is no label"):
        evaluate(catalog, predictions, samples=10, want=Wants.parse(["bear:recall=0.9"]))


def test_thresholds_go_from_an_evaluation_to_what_is_written(tmp_path: Path) -> None:
    catalog, predictions = world()
    catalog.save(tmp_path / "c.parquet")
    predictions.save(tmp_path / "p.parquet")
    table = tmp_path / "t.csv"
    evaluation = api.evaluate(
        tmp_path / "c.parquet",
        tmp_path / "p.parquet",
        thresholds=table,
        want=["lynx:precision=0.999"],
        samples=20,
    )
    assert evaluation.thresholds is not None
    chosen = {one.name: one.chosen.threshold for one in evaluation.thresholds.of("label")}
    observed = api.observe(
        tmp_path / "p.parquet", tmp_path / "c.parquet", thresholds=table, observers=["model"]
    )
    values = predictions.probabilities()
    best, sure = values.argmax(axis=1), values.max(axis=1)
    limits = [2.0 if (limit := chosen[label]) is None else limit for label in LABELS]
    expected = [LABELS[k] if p >= limits[k] else None for k, p in zip(best, sure, strict=True)]
    assert observed.standing["label"].to_list() == expected
    assert observed.facts.thresholds == {name: one for name, one in chosen.items() if one is not None}
    report = api.write(
        tmp_path / "p.parquet",
        tmp_path / "c.parquet",
        tmp_path / "s.csv",
        format="summary",
        thresholds=table,
        observers=["model"],
    )
    assert "as chosen in t.csv" in report.notes[0]
    counted = pl.read_csv(tmp_path / "s.csv").group_by("label").agg(pl.col("media").sum())
    assert dict(counted.iter_rows()).get("unclassified", 0) == expected.count(None)


def test_a_label_of_few_answers_is_told_and_never_an_answer(tmp_path: Path) -> None:
    """Three answers, all right, would be reached from 0 on."""
    catalog, predictions = world()
    values = predictions.probabilities().copy()
    truth = catalog.table["labels"].list.first()
    lynxes = np.flatnonzero((truth == "lynx").to_numpy())
    values[:, 2] = 0
    values /= values.sum(axis=1, keepdims=True)
    values[lynxes[:3]] = [0.1, 0.1, 0.7, 0.1]
    said = dict(zip(predictions.table["media_id"], values.tolist(), strict=True))
    predictions = predictions_of(said, LABELS)
    thresholds = evaluate(catalog, predictions, samples=10, want=Wants()).thresholds
    assert thresholds is not None
    lynx = next(one for one in thresholds.subjects if one.name == "lynx")
    assert (lynx.curve[0].answers, lynx.curve[0].right) == (3, 3)
    assert (lynx.chosen.threshold, lynx.chosen.state) == (None, "not reached: too few")
    thresholds.save_csv(tmp_path / "t.csv")
    rows = pl.read_csv(tmp_path / "t.csv").filter(pl.col("chosen").is_not_null() & (pl.col("name") == "lynx"))
    assert rows["chosen"].to_list() == ["not reached: too few"]
    assert thresholds_for(tmp_path / "t.csv", predictions).labels["lynx"] == np.inf


def test_thresholds_are_written_over_nothing_that_is_read(tmp_path: Path) -> None:
    catalog, predictions = world(4, 10)
    answers, truth, report = (tmp_path / name for name in ("p.csv", "c.csv", "report.json"))
    catalog.save(tmp_path / "c.parquet")
    predictions.save(answers)
    truth.write_text("label\n", encoding="utf-8")
    before = answers.read_bytes()
    given: list[dict[str, Any]] = [{}, {"taxonomy": truth}, {"training": str(truth)}, {"alike": truth}]
    for options in given:
        lost = truth if options else answers
        with pytest.raises(UsageError, match="is read by the command itself"):
            api.evaluate(tmp_path / "c.parquet", answers, thresholds=lost, samples=10, **options)
    with pytest.raises(UsageError, match="cannot both be"):
        api.evaluate(tmp_path / "c.parquet", answers, report, thresholds=report, samples=10)
    assert answers.read_bytes() == before
    assert truth.read_text(encoding="utf-8") == "label\n"


def test_thresholds_by_hand_and_those_of_others(tmp_path: Path) -> None:
    catalog, predictions = world(4, 10)
    options: dict[str, Any] = {"observers": ["model"]}
    by_hand = api.observe(predictions, catalog, thresholds={"lynx": 1.0}, **options)
    assert "lynx" not in by_hand.standing["label"].to_list()
    assert "unclassified" not in by_hand.standing.filter(pl.col("label").is_not_null())["status"].to_list()
    for wrong, what in (({"bear": 0.5}, "no label of the model"), ({"lynx": 1.5}, "between 0 and 1")):
        with pytest.raises(UsageError, match=what):
            api.observe(predictions, catalog, thresholds=wrong, **options)
    with pytest.raises(UsageError, match="give one of both"):
        api.observe(predictions, catalog, thresholds={"lynx": 0.5}, threshold=0.5, **options)
    with pytest.raises(UsageError, match="no predictions are asked for"):
        api.observe(catalog, thresholds={"lynx": 0.5})
    evaluation = evaluate(catalog, predictions, samples=10, want=Wants())
    assert evaluation.thresholds is not None
    evaluation.thresholds.model_copy(update={"model": "a" * 64}).save_csv(tmp_path / "other.csv")
    with pytest.raises(DataError, match="of the model aaaa"):
        api.observe(predictions, catalog, thresholds=tmp_path / "other.csv", **options)
    evaluation.thresholds.model_copy(update={"level": "event"}).save_csv(tmp_path / "events.csv")
    with pytest.raises(DataError, match="rows of the level event"):
        api.observe(predictions, catalog, thresholds=tmp_path / "events.csv", **options)


@pytest.mark.parametrize("strange", ["bear", "blank"])
def test_a_label_that_the_model_does_not_know_has_no_threshold(strange: str, tmp_path: Path) -> None:
    catalog, predictions = world(12, 10)
    labels = tuple("badger" if label == "blank" else label for label in LABELS)
    predictions = replace(predictions, table=predictions.table.rename({"blank": "badger"}), labels=labels)
    renamed = pl.col("labels").list.eval(pl.element().replace("hare", strange).replace("blank", strange))
    catalog = catalog.with_table(catalog.table.with_columns(renamed))
    evaluation = evaluate(catalog, predictions, samples=10, unknown_labels="wrong", want=Wants())
    assert evaluation.thresholds is not None
    assert [one.name for one in evaluation.thresholds.of("label")] == list(labels)
    assert evaluation.thresholds.blank is None
    together = evaluation.thresholds.together
    assert together is not None
    assert together.recall is not None
    assert together.recall.value < 0.5, "media of the unknown label are never recognised"
    wanted = Wants.parse([f"{strange}:recall=0.5"])
    with pytest.raises(UsageError, match="which is no label"):
        evaluate(catalog, predictions, samples=10, unknown_labels="wrong", want=wanted)
    evaluation.thresholds.save_csv(tmp_path / "t.csv")
    assert set(thresholds_for(tmp_path / "t.csv", predictions).labels) == set(labels)


def test_thresholds_of_probabilities_that_were_made_otherwise_are_refused(tmp_path: Path) -> None:
    catalog, predictions = world(4, 10)
    table, old = tmp_path / "t.csv", tmp_path / "old.csv"
    thresholds = evaluate(catalog, predictions, samples=10, want=Wants()).thresholds
    assert thresholds is not None
    thresholds.save_csv(table)
    shares = {name: 1 / len(LABELS) for name in LABELS}
    shift = SharesShift(before=shares, after=shares, over="season", kept=1.0, media=9)
    region = RegionWeights(weights=shares, unlisted=0.1, not_named=(), unknown=())
    changes: list[dict[str, Any]] = [
        {"calibration": "elsewhere"},
        {"shares": {"S1": shift}},
        {"region": region},
    ]
    for change in changes:
        other = replace(predictions, facts=replace(predictions.facts, **change))
        with pytest.raises(DataError, match="other probabilities of this model"):
            api.observe(other, catalog, thresholds=table, observers=["model"])
    one, next_season = (PredictionFacts(shares={name: shift}).made_by for name in ("S1", "S2"))
    assert one == next_season, "shares are estimated anew of what comes"
    pl.read_csv(table, infer_schema=False).drop("made_by").write_csv(old)
    described = thresholds_for(old, predictions).describe()
    assert "does not say how its answers were made" in described
    assert "does not say" not in thresholds_for(table, predictions).describe()


def test_labels_that_are_words_for_no_value_keep_their_thresholds(tmp_path: Path) -> None:
    catalog, predictions = world(4, 10)
    names = {"hare": "NA", "lynx": "null", "fox": "None"}
    renamed = pl.col("labels").list.eval(pl.element().replace(names))
    catalog = catalog.with_table(catalog.table.with_columns(renamed))
    labels = tuple(names.get(label, label) for label in LABELS)
    predictions = replace(predictions, table=predictions.table.rename(names), labels=labels)
    thresholds = evaluate(catalog, predictions, samples=10, want=Wants()).thresholds
    assert thresholds is not None
    thresholds.save_csv(tmp_path / "t.csv")
    assert list(thresholds_for(tmp_path / "t.csv", predictions).labels) == list(labels)


def test_ranks_have_thresholds_and_write_stops_by_them(
    judged: tuple[Catalog, Predictions],  # noqa: F811
    tmp_path: Path,
) -> None:
    catalog, predictions = judged
    table = tmp_path / "t.csv"
    evaluation = evaluate(catalog, predictions, samples=20, want=Wants.parse(["precision=0.6"]))
    assert evaluation.thresholds is not None
    ranks = {one.name: one for one in evaluation.thresholds.of("rank")}
    assert list(ranks) == ["kind", "class", "family", "genus", "species"]
    family = ranks["family"].curve[-1]
    assert (family.answers, family.right) == (4, 4)  # those that are sure of it: bobcats and deer
    evaluation.thresholds.save_csv(table)
    observed = api.observe(predictions, catalog, thresholds=table, observers=["model"])
    assert observed.facts.thresholds == {
        name: one.chosen.threshold for name, one in ranks.items() if one.chosen.threshold is not None
    }
    by_hand = api.observe(predictions, catalog, thresholds={"kind": 0.5}, observers=["model"])
    assert set(by_hand.standing["label"]) == {"animal", "empty"}


def test_ranks_that_are_never_an_answer_are_named() -> None:
    described = LabelThresholds({}, {"family": 0.4, "species": float("inf")}).describe()
    assert "no threshold of species reaches what was wanted: never an answer" in described
    assert "family" not in described


def test_no_rank_finds_more_than_there_is(tmp_path: Path) -> None:
    """Of a person whose label has no taxon every taxon of people is right, and none is missed."""
    (tmp_path / "t.csv").write_text(
        "label,class,family,genus,species,kind\n"
        "person,Mammalia,Hominidae,Homo,Homo sapiens,human\n"
        "hunter,,,,,human\n"
        "puma,Mammalia,Felidae,Puma,Puma concolor,animal\n"
    )
    tree = taxonomy_from_csv(tmp_path / "t.csv")
    classes = classes_of(tree, list(tree.labels))
    media = ["person"] * 2 + ["hunter"] * 6 + ["puma"] * 4
    names = [classes.of_label[label] or "person" for label in media]
    own = {"hunter": classes.of_label["person"]}
    values = [
        [
            0.96 if name == own.get(label, as_class) else 0.04 / (len(classes.names) - 1)
            for name in classes.names
        ]
        for label, as_class in zip(media, names, strict=True)
    ]
    document = classes.taxonomy.to_json() | {
        "classes": dict(classes.of_label),
        "head_ranks": ["family", "genus", "species"],
        "rollup": {"promise": 0.9},
    }
    facts = PredictionFacts(taxonomy=ModelTree.from_json(document, "the tree"), thresholds={"species": 0.9})
    rows = [
        {"media_id": f"m{n}", "labels": [label], "location_id": f"L{n % 3}"} for n, label in enumerate(media)
    ]
    said: dict[str, list[float] | None] = {f"m{n}": list(row) for n, row in enumerate(values)}
    predictions = replace(predictions_of(said, classes.names), facts=facts)
    found = evaluate(catalog_of(rows), predictions, samples=10, want=Wants())
    assert found.thresholds is not None
    ranks = found.thresholds.of("rank")
    assert ranks
    for one in ranks:
        assert one.curve, one.name
        assert all(point.recall is None or point.recall <= 1 for point in one.curve), one.name


def people(kind: str = "single-label") -> tuple[Catalog, Predictions, Taxonomy]:
    """Hunters called human, one called fox, and a human called hunter."""
    labels = ("fox", "human", "hunter")
    rows = [("hunter", (0.1, 0.8, 0.1)), ("hunter", (0.7, 0.2, 0.1)), ("human", (0.1, 0.3, 0.6))]
    rows += [("fox", (0.9, 0.05, 0.05)), ("hunter", (0.0, 0.1, 0.9)), ("poacher", (0.1, 0.7, 0.2))]
    media = [
        {"media_id": f"m{n}", "labels": [label], "location_id": f"L{n % 3}"}
        for n, (label, _) in enumerate(rows)
    ]
    said: dict[str, list[float] | None] = {f"m{n}": list(values) for n, (_, values) in enumerate(rows)}
    own = [Label("fox", "animal"), *(Label(name, "human") for name in ("human", "hunter", "poacher"))]
    taxonomy = Taxonomy({}, {label.name: label for label in own})
    return catalog_of(media), predictions_of(said, labels, kind), taxonomy


def test_an_answer_that_says_less_is_right_and_one_that_says_more_is_not() -> None:
    catalog, predictions, taxonomy = people()
    with pytest.raises(DataError, match=r"poacher.*say what they are"):
        evaluate(catalog, predictions, samples=10)
    evaluation = evaluate(catalog, predictions, samples=10, taxonomy=taxonomy, want=Wants())
    assert evaluation.metrics["accuracy"].value == pytest.approx(4 / 6)
    assert evaluation.metrics["exact_accuracy"].value == pytest.approx(2 / 6)
    assert evaluation.counts.coarser == 2
    assert [(one.label, one.answer, one.media) for one in evaluation.coarser] == [
        ("hunter", "human", 1),
        ("poacher", "human", 1),
    ]
    assert {one.media_id for one in evaluation.mistakes} == {"m1", "m2"}
    losses = -np.log([0.8, 0.1, 0.3, 0.9, 0.9, 0.7])
    assert evaluation.metrics["log_loss"].value == pytest.approx(losses.mean(), abs=1e-5)
    assert "Right but coarser, and counted as right: 2 of 6" in evaluation.to_text()
    assert evaluation.thresholds is not None
    human = next(one for one in evaluation.thresholds.subjects if one.name == "human")
    assert [(point.answers, point.right) for point in human.curve] == [(2, 2), (1, 1)]


@pytest.mark.parametrize("kind", ["single-label", "multi-label"])
def test_a_model_that_says_animal_of_everything_ranks_nothing(kind: str) -> None:
    labels, random = ("animal", "fox", "hare", "lynx"), np.random.default_rng(3)
    species = random.integers(1, 4, 300)
    rest = random.dirichlet(np.ones(3), 300) * 0.3
    said: dict[str, list[float] | None] = {f"m{n}": [0.7, *row] for n, row in enumerate(rest.tolist())}
    media = [
        {"media_id": f"m{n}", "labels": [labels[k]], "location_id": f"L{n % 10}"}
        for n, k in enumerate(species)
    ]
    taxonomy = Taxonomy({}, {name: Label(name, "animal") for name in labels})
    evaluation = evaluate(
        catalog_of(media), predictions_of(said, labels, kind), samples=10, taxonomy=taxonomy
    )
    values = {name: one.value for name, one in evaluation.metrics.items()}
    right = "accuracy" if kind == "single-label" else "subset_accuracy"
    assert (values[right], values[f"exact_{right}"], values["macro_f1"], values["exact_macro_f1"]) == (
        1,
        0,
        1,
        0,
    )
    assert values["log_loss"] < 0.4, "the probability of the answer counts"
    assert 0.4 < values["macro_auc"] < 0.6, "it does not tell one species from the other"
    if kind == "single-label":
        assert (values["balanced_accuracy"], values["exact_balanced_accuracy"]) == (1, 0)
        assert values["top_2_accuracy"] < 0.6
        assert evaluation.confusion is not None
        assert sum(row[0] for row in evaluation.confusion) == 300
    for one in evaluation.per_label:
        assert one.said == (300 if one.label == "animal" else 0)
        assert one.label == "animal" or (one.recall and one.recall.value == 0)


def test_coarser_answers_of_several_labels_are_right_too() -> None:
    catalog, predictions, taxonomy = people("multi-label")
    evaluation = evaluate(catalog, predictions, samples=10, taxonomy=taxonomy)
    assert evaluation.metrics["subset_accuracy"].value == pytest.approx(4 / 6)
    assert evaluation.counts.coarser == 2
