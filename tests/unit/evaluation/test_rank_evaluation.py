"""Figures by rank and node against counts made by hand; coarse labels and synonyms; the report and tables."""

from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from trapline.catalog import Catalog
from trapline.errors import UsageError
from trapline.evaluation import Evaluation, evaluate
from trapline.evaluation.rank_tables import write_answers
from trapline.evaluation.rolled_up import JudgedObservation
from trapline.prediction import ModelTree, PredictionFacts, Predictions
from trapline.prediction.facts import AnswerChoice, HeldOutAnswers, RollUpPromise
from trapline.prediction.table import fixed_columns
from trapline.taxonomy import taxonomy_from_csv
from trapline.taxonomy.classes import classes_of

CSV = """label,class,family,genus,species,kind
bobcat,Mammalia,Felidae,Lynx,Lynx rufus,animal
puma,Mammalia,Felidae,Puma,Puma concolor,animal
elk,Mammalia,Cervidae,Cervus,Cervus canadensis,animal
roe,Mammalia,Cervidae,Capreolus,Capreolus capreolus,animal
deer,Mammalia,Cervidae,,,animal
boar,Mammalia,Suidae,Sus,Sus scrofa,animal
pig,Mammalia,Suidae,Sus,Sus scrofa,animal
empty,,,,,blank
"""
MEDIA = [  # truth, location, probabilities of: Sus scrofa, bobcat, elk, empty, puma, roe
    ("bobcat", "A", (0.0, 0.96, 0.0, 0.0, 0.04, 0.0)),  # exact
    ("bobcat", "A", (0.0, 0.4, 0.0, 0.0, 0.6, 0.0)),  # Felidae: right but coarser; Puma at species
    ("puma", "B", (0.0, 0.0, 0.95, 0.0, 0.05, 0.0)),  # wrong
    ("deer", "B", (0.0, 0.0, 0.98, 0.0, 0.0, 0.02)),  # elk: finer than the label
    ("deer", "C", (0.0, 0.0, 0.5, 0.0, 0.0, 0.5)),  # Cervidae: exact
    ("pig", "C", (0.97, 0.0, 0.0, 0.03, 0.0, 0.0)),  # exact: the class is Sus scrofa
    ("boar", "C", (0.3, 0.1, 0.1, 0.3, 0.1, 0.1)),  # no answer
    ("empty", "A", (0.02, 0.0, 0.0, 0.98, 0.0, 0.0)),  # blank: exact
]


@pytest.fixture
def judged(tmp_path: Path) -> tuple[Catalog, Predictions]:
    (tmp_path / "t.csv").write_text(CSV)
    tree = taxonomy_from_csv(tmp_path / "t.csv")
    classes = classes_of(tree, list(tree.labels))
    ids = [f"{row}.jpg" for row in range(len(MEDIA))]
    rows = [
        {"media_id": name, "file_path": name, "location_id": place, "labels": [truth]}
        for name, (truth, place, _) in zip(ids, MEDIA, strict=True)
    ]
    fixed = {name: [None] * len(ids) for name in fixed_columns("media")}
    fixed |= {"media_id": ids, "file_path": ids, "status": ["ok"] * len(ids)}
    labels = pl.DataFrame([m[2] for m in MEDIA], dict.fromkeys(classes.names, pl.Float32), orient="row")
    tree = (
        classes.taxonomy.to_json()
        | {"classes": dict(classes.of_label), "head_ranks": ["family", "genus", "species"]}
        | {"rollup": {"promise": 0.9}}
    )
    facts = PredictionFacts(
        taxonomy=ModelTree.from_json(tree, "the tree"),
        thresholds={"kind": 0.9, "family": 0.9, "species": 0.9},
    )
    table = pl.DataFrame(fixed, fixed_columns("media")).hstack(labels)
    said = Predictions(table, classes.names, "media", "f" * 64, "single-label", facts)
    return Catalog.from_rows(rows, tmp_path, "by hand"), said


@pytest.fixture
def found(judged: tuple[Catalog, Predictions]) -> Evaluation:
    return evaluate(*judged, samples=50)


def test_each_rank_counts_the_animals_whose_label_reaches_it(found: Evaluation) -> None:
    assert found.ranks is not None
    by_rank = {one.rank: one for one in found.ranks.ranks}
    assert {rank: (one.media, one.without_taxon, one.coarser) for rank, one in by_rank.items()} == {
        "kind": (8, 0, 0),
        "class": (7, 1, 0),
        "family": (7, 1, 0),
        "genus": (5, 1, 2),
        "species": (5, 1, 2),
    }
    assert by_rank["kind"].metrics["accuracy"].value == 1
    assert by_rank["family"].metrics["accuracy"].value == pytest.approx(6 / 7)  # ties go to the first
    assert by_rank["species"].metrics["accuracy"].value == pytest.approx(3 / 5)
    assert (by_rank["kind"].taxa, by_rank["family"].taxa, by_rank["species"].taxa) == (2, 3, 5)
    taxa = {one.name: one for one in found.ranks.taxa}
    assert (taxa["Felidae"].recall, taxa["Felidae"].media) == (pytest.approx(2 / 3), 3)
    assert taxa["Cervidae"].precision == pytest.approx(2 / 3)


def test_blanks_that_are_right_do_not_hide_animals_that_are_wrong(
    judged: tuple[Catalog, Predictions], tmp_path: Path
) -> None:
    said = judged[1]
    rows = [  # 3 bobcats called puma, 1 called empty, 12 blanks called empty
        *[("bobcat", (0.0, 0.05, 0.0, 0.0, 0.95, 0.0))] * 3,
        ("bobcat", (0.0, 0.0, 0.0, 1.0, 0.0, 0.0)),
        *[("empty", (0.0, 0.0, 0.0, 1.0, 0.0, 0.0))] * 12,
    ]
    ids = [f"{row}.jpg" for row in range(len(rows))]
    truth = [
        {"media_id": name, "file_path": name, "location_id": name, "labels": [label]}
        for name, (label, _) in zip(ids, rows, strict=True)
    ]
    numbers = pl.DataFrame([row[1] for row in rows], dict.fromkeys(said.labels, pl.Float32), orient="row")
    fixed = {name: [None] * len(ids) for name in fixed_columns("media")}
    fixed |= {"media_id": ids, "file_path": ids, "status": ["ok"] * len(ids)}
    table = pl.DataFrame(fixed, fixed_columns("media")).hstack(numbers)
    found = evaluate(Catalog.from_rows(truth, tmp_path, "by hand"), replace(said, table=table), samples=50)
    assert found.ranks is not None
    accuracy = {one.rank: one.metrics["accuracy"].value for one in found.ranks.ranks}
    assert accuracy == {"kind": 15 / 16, "class": 0.75, "family": 0.75, "genus": 0, "species": 0}
    rolled = found.ranks.rollup
    assert rolled.precision is not None
    assert rolled.precision.value == 0  # of the answers that name a taxon: three pumas
    assert {one.level: (one.exact, one.right, one.wrong) for one in rolled.levels} == {
        "species": (0, 0, 3),
        "family": (0, 0, 0),
        "kind": (12, 12, 1),
    }
    text = found.to_text()
    assert "12 with no species (blank, people, …)" in text
    assert "Of the answers that name a taxon 0.000 are right" in text


def test_labels_that_the_model_does_not_know_are_wrong_at_every_rank_if_asked(
    judged: tuple[Catalog, Predictions], tmp_path: Path
) -> None:
    catalog, said = judged
    wolves = ["0.jpg", "4.jpg", "6.jpg", "7.jpg"]  # said: bobcat, Cervidae, no answer, blank
    label = (
        pl.when(pl.col("media_id").is_in(wolves))
        .then(pl.lit("wolf"))
        .otherwise(pl.col("labels").list.first())
    )
    changed = catalog.with_table(catalog.table.with_columns(pl.concat_list(label).alias("labels")))
    wrong = evaluate(changed, said, samples=50, unknown_labels="wrong")
    assert wrong.ranks is not None
    assert (wrong.ranks.media, wrong.ranks.unknown_labels) == (8, 4)
    by_rank = {one.rank: one for one in wrong.ranks.ranks}
    assert {rank: one.media for rank, one in by_rank.items()} == {
        "kind": 4,  # whether a wolf is an animal is not known
        "class": 8,
        "family": 8,
        "genus": 7,
        "species": 7,
    }
    assert by_rank["family"].metrics["accuracy"].value == pytest.approx(3 / 8)
    taxa = {one.name: one for one in wrong.ranks.taxa}
    assert taxa["Lynx rufus"].precision == 0
    rolled = wrong.ranks.rollup
    assert (rolled.exact, rolled.coarse, rolled.wrong, rolled.unknown, rolled.unanswered) == (1, 1, 3, 2, 1)
    assert "4 media have a label that the model does not know: they count as wrong" in wrong.to_text()
    assert len(wrong.ranks.answers) == 8
    without = evaluate(changed, said, samples=50, unknown_labels="leave-out")
    assert without.ranks is not None
    assert (without.ranks.media, without.ranks.unknown_labels, without.ranks.rollup.wrong) == (4, 4, 1)
    page = without.save_report(tmp_path / "r.html", pictures=0).read_text()
    assert "4 media have a label that the model does not know: they are in no figure by rank" in page


def test_a_node_is_judged_on_what_lies_below_it(found: Evaluation) -> None:
    assert found.ranks is not None
    nodes = {node.head: node for node in found.ranks.nodes}
    assert list(nodes) == [f"{name}_taxon_classifier" for name in ("family", "felidae", "cervidae")]
    cats = nodes["felidae_taxon_classifier"]
    assert [child.name for child in cats.children] == ["Lynx", "Puma"]
    assert cats.confusion == ((1, 1), (0, 1))
    assert cats.accuracy is not None
    assert cats.balanced_accuracy is not None
    assert (cats.accuracy.value, cats.balanced_accuracy.value) == (
        pytest.approx(2 / 3),
        pytest.approx(0.75),
    )
    lynx = cats.children[0]
    assert (lynx.precision, lynx.recall, lynx.f1, lynx.support) == (1.0, 0.5, pytest.approx(2 / 3), 2)
    deer = nodes["cervidae_taxon_classifier"]
    assert (deer.media, deer.accuracy, deer.children[0].recall) == (0, None, None)


def test_answers_are_right_coarser_wrong_finer_or_none(found: Evaluation) -> None:
    assert found.ranks is not None
    rolled = found.ranks.rollup
    assert (rolled.exact, rolled.coarse, rolled.wrong, rolled.unknown, rolled.unanswered) == (4, 1, 1, 1, 1)
    assert rolled.precision is not None
    assert rolled.precision.value == pytest.approx(4 / 5)
    assert {one.level: (one.exact, one.right, one.wrong, one.unknown) for one in rolled.levels} == {
        "species": (2, 2, 1, 1),
        "family": (1, 2, 0, 0),
        "kind": (1, 1, 0, 0),
    }
    both, said, true = (
        5 + 3 + 2 + 3 + 3 + 5 + 0 + 1,
        5 + 3 + 5 + 5 + 3 + 5 + 0 + 1,
        5 + 5 + 5 + 3 + 3 + 5 + 5 + 1,
    )
    assert rolled.hierarchical["precision"].value == pytest.approx(both / said)
    assert rolled.hierarchical["recall"].value == pytest.approx(both / true)


def test_coarse_labels_are_left_out_of_the_figures_by_label_and_synonyms_are_not(found: Evaluation) -> None:
    assert (found.counts.evaluated, found.counts.coarse) == (6, 2)
    assert next(one for one in found.per_label if one.label == "Sus scrofa").media == 2
    assert any("judged by rank only" in note for note in found.notes)


def test_report_text_json_and_tables(found: Evaluation, tmp_path: Path) -> None:
    text = found.to_text()
    assert "By rank, unconditional" in text
    assert "4 exact, 1 right but coarser, 1 wrong, 1 without an answer, 1 that cannot be judged" in text
    page = found.save_report(tmp_path / "r.html", pictures=0).read_text()
    for part in ("Rank by rank", "Answers that stop where the evidence does", "L. rufus", "felidae_taxon"):
        assert part in page
    again = Evaluation.load_json(found.save_json(tmp_path / "e.json"))
    assert again.ranks is not None
    assert again.ranks.ranks == found.ranks.ranks  # type: ignore[union-attr]
    assert found.ranks is not None
    found.ranks.save_tables(tmp_path / "tables")
    answers = pl.read_csv(tmp_path / "tables" / "answers.csv")
    assert answers.row(1)[:4] == ("1.jpg", "family", "Felidae", "bobcat")
    nodes = pl.read_csv(tmp_path / "tables" / "nodes.csv")
    assert nodes.columns == ["node", "class", "precision", "recall", "f1", "support"]
    confusion = (tmp_path / "tables" / "confusion_felidae_taxon_classifier.csv").read_text()
    assert confusion == "truth,Lynx,Puma\nLynx,1,1\nPuma,0,1\n"
    figures = pl.read_csv(tmp_path / "tables" / "node_figures.csv").rows_by_key(
        "node", unique=True, named=True
    )
    cats = figures["felidae_taxon_classifier"]
    assert (cats["media"], cats["accuracy"], cats["balanced_accuracy"]) == (3, pytest.approx(2 / 3), 0.75)
    assert figures["cervidae_taxon_classifier"]["accuracy"] is None
    assert "accuracy 0.667" in page
    assert "balanced accuracy 0.750" in page
    assert "What felidae_taxon_classifier takes for what" in page
    assert 'title="Lynx said to be Puma: 1 of 2"' in page


def test_where_nothing_is_answered_the_advice_works_without_locations(
    judged: tuple[Catalog, Predictions], tmp_path: Path
) -> None:
    catalog, said = judged
    found = evaluate(catalog, replace(said, facts=replace(said.facts, thresholds={})), samples=50)
    for text in (found.to_text(), found.save_report(tmp_path / "r.html", pictures=0).read_text()):
        assert "with --set fold_by=event too" in text


def test_greedy_answers_go_down_to_a_leaf_whatever_its_probability(
    judged: tuple[Catalog, Predictions], tmp_path: Path
) -> None:
    found = evaluate(*judged, samples=50, answers="greedy")
    assert found.ranks is not None
    said = {one.media_id: (one.level, one.prediction, one.truth) for one in found.ranks.answers}
    assert said["1.jpg"] == ("species", "Puma concolor", "bobcat")  # Felidae, if it may stop
    assert said["6.jpg"] == ("species", "Sus scrofa", "boar")  # no answer, if it may stop
    assert said["7.jpg"] == ("kind", "blank", "empty")
    assert {level for level, _, _ in said.values()} == {"species", "kind"}
    rolled = found.ranks.rollup
    assert (rolled.way, rolled.promise, rolled.unanswered, rolled.exact) == ("greedy", None, 0, 4)
    assert "Greedy answers, always to a leaf: 4 exact" in found.to_text()
    written = pl.read_csv(found.ranks.save_tables(tmp_path / "t")[3])
    assert written.columns == ["id", "taxonomic_level", "prediction", "truth", "probability"]
    assert written["prediction"].null_count() == 0
    assert "Greedy answers" in found.save_report(tmp_path / "r.html", pictures=0).read_text()


def test_every_class_of_every_level_has_its_figures_in_a_table(found: Evaluation, tmp_path: Path) -> None:
    assert found.ranks is not None
    found.ranks.save_tables(tmp_path)
    table = pl.read_csv(tmp_path / "taxa.csv")
    assert table.columns == ["level", "class", "precision", "recall", "f1", "support"]
    rows = {row["class"]: row for row in table.iter_rows(named=True)}
    assert rows["Felidae"]["level"] == "family"
    assert rows["empty"]["level"] == "blank"
    cervidae = rows["Cervidae"]  # said of the puma, the two deer; both deer are of it
    assert (cervidae["support"], cervidae["recall"]) == (2, 1)
    assert cervidae["precision"] == pytest.approx(2 / 3, abs=1e-5)
    assert cervidae["f1"] == pytest.approx(0.8)
    levels = [level for level in table["level"].unique(maintain_order=True) if level != "blank"]
    assert levels == ["class", "family", "genus", "species"]


def test_greedy_answers_need_a_tree(judged: tuple[Catalog, Predictions]) -> None:
    catalog, said = judged
    flat = replace(said, facts=PredictionFacts())
    with pytest.raises(UsageError, match="no taxonomy"):
        evaluate(catalog, flat, samples=50, answers="greedy", unknown_labels="wrong")
    with pytest.raises(UsageError, match="answers must be one of rolled-up, greedy"):
        evaluate(catalog, said, samples=50, answers="deepest")  # type: ignore[arg-type]


def test_names_that_a_spreadsheet_would_run_are_harmless_in_the_tables(tmp_path: Path) -> None:
    said = JudgedObservation(
        media_id="=1+1.jpg", level="species", prediction="@fox", probability=0.5, truth=" -hare"
    )
    text = write_answers(tmp_path / "answers.csv", [said]).read_text("utf-8")
    assert text.splitlines()[1] == "'=1+1.jpg,species,'@fox,' -hare,0.5"


def test_the_curve_says_of_each_choice_how_many_are_answered_and_how_many_of_these_rightly(
    judged: tuple[Catalog, Predictions], tmp_path: Path
) -> None:
    catalog, said = judged
    assert said.facts.taxonomy is not None
    nothing = {level: HeldOutAnswers(answered=0.0) for level in ("kind", "family", "species")}
    choices = (
        AnswerChoice(promise=0.5, thresholds={"species": 0.5}, curve=nothing),
        AnswerChoice(promise=0.9, thresholds=said.facts.thresholds, curve=nothing),
    )
    tree = replace(said.facts.taxonomy, rollup=RollUpPromise(promise=0.9, choices=choices))
    chosen = replace(said, facts=replace(said.facts, taxonomy=tree))
    found = evaluate(catalog, chosen, samples=50)
    assert found.ranks is not None
    lines = found.ranks.curve_by_level()
    assert list(lines) == ["species", "family"]
    assert [(point.promise, point.chosen, point.answered) for point in lines["species"]] == [
        (0.5, False, 6 / 8),
        (0.9, True, 5 / 8),  # two species, a wrong one, one that cannot be judged, and a blank
    ]
    assert [point.precision and point.precision.value for point in lines["species"]] == [2 / 4, 3 / 4]
    assert [point.precision and point.precision.value for point in lines["family"]] == [2 / 4, 5 / 6]
    assert "0.9 *" in found.to_text()
    page = found.save_report(tmp_path / "r.html", pictures=0).read_text(encoding="utf-8")
    assert "Share answered to share that is right: species: 75 % → 0.50, 62 % → 0.75" in page
    again = Evaluation.load_json(found.save_json(tmp_path / "e.json")).ranks
    assert again is not None
    assert again.curve == found.ranks.curve
