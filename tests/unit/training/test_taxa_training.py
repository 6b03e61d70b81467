"""Heads of a tree: names decide and never positions, coarse labels train what lies above them, and the one
model file says what was measured."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from trapline.catalog import Catalog
from trapline.errors import DataError, TraplineWarning, UsageError
from trapline.evaluation import evaluate
from trapline.models import ModelFile
from trapline.models.doubts import promise_doubt
from trapline.prediction import Predictions, predict
from trapline.recipes import Recipe, change_recipe, resolve_recipe
from trapline.taxonomy import Taxonomy, sum_at_rank, taxonomy_from_csv
from trapline.taxonomy.classes import classes_of, hierarchy_of, hierarchy_of_node, unsupported_kinds
from trapline.training import crossval, train
from trapline.training.linear import fit_head
from trapline.training.taxa_media import select_taxa
from trapline.training.tree_heads import HeadTargets, class_logits, fit_together, losses

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("unrendered")]

TREE = """label,class,order,family,genus,species,kind
bobcat,Mammalia,Carnivora,Felidae,Lynx,Lynx rufus,animal
lynx,Mammalia,Carnivora,Felidae,Lynx,Lynx lynx,animal
puma,Mammalia,Carnivora,Felidae,Puma,Puma concolor,animal
elk,Mammalia,Artiodactyla,Cervidae,Cervus,Cervus canadensis,animal
roe,Mammalia,Artiodactyla,Cervidae,Capreolus,Capreolus capreolus,animal
deer,Mammalia,Artiodactyla,Cervidae,,,animal
wild_pig,Mammalia,Artiodactyla,Suidae,Sus,Sus scrofa,animal
wild_boar,Mammalia,Artiodactyla,Suidae,Sus,Sus scrofa,animal
empty,,,,,,blank
"""
COLOURS = {
    "bobcat": (200, 60, 40),
    "lynx": (200, 60, 120),
    "puma": (200, 140, 40),
    "elk": (40, 200, 60),
    "roe": (40, 200, 160),
    "deer": (40, 200, 110),
    "wild_pig": (60, 60, 200),
    "wild_boar": (70, 50, 190),
    "empty": (20, 20, 20),
}
CLASSES = ("Sus scrofa", "bobcat", "elk", "empty", "lynx", "puma", "roe")
QUICK = ["optimiser.weight_decay=0.01", "augmentation.horizontal_flip=0", "preprocessing.height=16"]
QUICK += ["preprocessing.width=16", "preprocessing.crop=null", "taxa.promise=0.7"]


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Taxonomy:
    path = tmp_path_factory.mktemp("tree") / "taxonomy.csv"
    path.write_text(TREE)
    return taxonomy_from_csv(path)


@pytest.fixture(scope="module")
def backbone(tmp_path_factory: pytest.TempPathFactory, write_tiny_model: Callable[..., Path]) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("backbone") / "tiny.onnx")


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Catalog]:
    folder = tmp_path_factory.mktemp("photos")

    def make(labels: Sequence[str] = tuple(COLOURS), places: int = 9) -> Catalog:
        rows = []
        for place in range(places):
            for label in labels:
                name = f"{place}-{label}.png"
                random = np.random.default_rng([place, *label.encode()])
                noise = random.normal(0, 25, (16, 16, 3)) + random.normal(0, 12, 3)
                pixels = np.clip(np.array(COLOURS[label]) + noise, 0, 255).astype(np.uint8)
                Image.fromarray(pixels).save(folder / name)
                row = {"media_id": name, "file_path": name, "location_id": f"L{place}", "labels": [label]}
                rows.append(row | {"split": "train" if place < places * 2 // 3 else "validation"})
        return Catalog.from_rows(rows, folder, "colours")

    return make


@pytest.fixture(scope="module")
def run(
    tmp_path_factory: pytest.TempPathFactory, backbone: Path, tree: Taxonomy
) -> Callable[..., tuple[ModelFile, Path]]:
    """Trains in a new folder with a new cache; gives the model file and the folder."""

    def train_it(
        name: str, catalog: Catalog, *changes: str, taxonomy: Taxonomy = tree
    ) -> tuple[ModelFile, Path]:
        folder = tmp_path_factory.mktemp("run")
        recipe = quick(name, backbone, *changes)
        path = train(recipe, catalog, folder / "run", taxonomy=taxonomy, cache=folder / "cache")
        return ModelFile(path), folder

    return train_it


def quick(name: str, backbone: Path, *changes: str) -> Recipe:
    folds = [] if "taxa.solver=adam" in changes else ["folds=3"]  # heads trained by epochs have none
    return resolve_recipe(name, None, [f"backbone=model-file:{backbone}", *QUICK, *folds, *changes])


# ---- the tree as decisions


def test_labels_of_one_taxon_are_one_class_and_labels_above_others_are_none(tree: Taxonomy) -> None:
    found = classes_of(tree, list(COLOURS))
    assert found.names == CLASSES
    assert found.coarse == ("deer",)
    assert found.of_label["wild_boar"] == found.of_label["wild_pig"] == "Sus scrofa"
    assert [name for name, there in zip(found.names, found.possible("deer"), strict=True) if there] == [
        "elk",
        "roe",
    ]


def test_a_coarse_label_without_others_below_it_is_a_class(tree: Taxonomy) -> None:
    assert classes_of(tree, ["deer", "bobcat"]).names == ("bobcat", "deer")


def test_a_head_for_each_parent_with_several_children_named_as_published(tree: Taxonomy) -> None:
    heads = hierarchy_of(classes_of(tree, list(COLOURS)), ("family", "genus", "species")).heads
    assert [(head.name, head.children) for head in heads] == [
        ("family_taxon_classifier", ("Cervidae", "Felidae", "Suidae", "empty")),
        ("felidae_taxon_classifier", ("Lynx", "Puma")),
        ("cervidae_taxon_classifier", ("Capreolus", "Cervus")),
        ("lynx_taxon_classifier", ("Lynx lynx", "Lynx rufus")),
    ]


def test_with_all_ranks_the_root_decides_between_classes(tree: Taxonomy) -> None:
    ranks = ("class", "order", "family", "genus", "species")
    heads = hierarchy_of(classes_of(tree, list(COLOURS)), ranks).heads
    assert heads[0].name == "class_taxon_classifier"
    assert heads[0].children == ("Mammalia", "empty")


def test_a_coarse_label_says_something_above_its_taxon_and_nothing_below(tree: Taxonomy) -> None:
    cut = hierarchy_of(classes_of(tree, list(COLOURS)), ("family", "genus", "species"))
    said = {head.name: cut.truth_at(head, ["deer"])[0] for head in cut.heads}
    assert said["family_taxon_classifier"] == 0
    assert {number for name, number in said.items() if name != "family_taxon_classifier"} == {-1}


def test_an_only_child_of_a_taxon_at_which_labels_stop_is_not_supported(tree: Taxonomy) -> None:
    found = unsupported_kinds(classes_of(tree, ["deer", "elk", "bobcat"]))
    assert found == {"Cervus", "Cervus canadensis"}
    assert not unsupported_kinds(classes_of(tree, ["elk", "bobcat"]))
    assert not unsupported_kinds(classes_of(tree, list(COLOURS)))


def test_an_unknown_head_is_named_with_those_there_are(tree: Taxonomy) -> None:
    with pytest.raises(DataError, match=r"There is no head 'canidae_taxon_classifier'.*felidae"):
        hierarchy_of(classes_of(tree, list(COLOURS)), ("family",)).head("canidae_taxon_classifier")


# ---- numbers


def features(seed: int, media: int = 60, views: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 1, (media, views, 5)).astype(np.float32)


def test_heads_fitted_together_are_each_the_optimum_of_logistic_regression() -> None:
    values = features(1, views=2)
    truth = (values[:, 0] @ np.random.default_rng(2).normal(0, 1, (5, 3))).argmax(axis=1)
    flags = np.eye(3, dtype=bool)[truth]
    other = np.zeros((60, 2), bool)
    other[:20] = np.eye(2, dtype=bool)[(values[:20, 0, 0] > 0).astype(int)]
    decisions = [HeadTargets("one", flags, np.ones(60)), HeadTargets("two", other, np.ones(60))]
    together = fit_together(values, decisions, 0.1, view_weights=(0.7, 0.3))
    alone = fit_head(values, truth, 3, 0.1, view_weights=(0.7, 0.3))
    found, expected = (head.logits(values[:, 0]) for head in (together["one"], alone))
    np.testing.assert_allclose(
        found - found.mean(axis=1, keepdims=True),
        expected - expected.mean(axis=1, keepdims=True),
        atol=0.02,
    )
    assert (together["two"].logits(values[:20, 0]).argmax(axis=1) == other[:20].argmax(axis=1)).mean() > 0.7


def test_a_label_that_leaves_two_children_possible_rules_out_the_third_only() -> None:
    values = features(3)
    possible = np.ones((60, 3), bool)
    possible[:30] = [True, False, False]
    possible[30:] = [False, True, True]
    heads = fit_together(values, [HeadTargets("head", possible, np.ones(60))], 10.0)
    logits = class_logits([heads["head"]], np.eye(3), values, (0,))
    shares = np.exp(logits).mean(axis=0)
    np.testing.assert_allclose(shares, [0.5, 0.25, 0.25], atol=0.02)


def test_epochs_of_adam_take_a_label_of_several_children_for_any_of_them() -> None:
    pytest.importorskip("torch")
    from trapline.training.taxa_adam import fit_by_epochs

    changes = ["taxa.solver=adam", "selection=last", "epochs=40", "batch_size=20", "optimiser.lr=0.05"]
    recipe = resolve_recipe("taxa-flat", None, changes)
    values = np.zeros((60, 5), np.float32)
    values[30:, 0] = 1
    possible = np.zeros((60, 3), bool)
    possible[:30, 0] = possible[30:, 1] = possible[30:, 2] = True
    head = fit_by_epochs(recipe, values, possible, np.ones(60), values, possible)
    logits = class_logits([head], np.eye(3), values[:, None], (0,))
    assert np.exp(logits[30:, 1:]).sum(axis=1).min() > 0.95
    assert np.exp(logits[30:, 1]).max() < 0.9  # neither child is taught; both keep a share
    assert np.exp(logits[30:, 2]).max() < 0.9


def test_adam_keeps_the_epoch_of_the_best_validation_accuracy() -> None:
    pytest.importorskip("torch")
    from trapline.training.taxa_adam import fit_by_epochs

    values = features(5)[:, 0]
    truth = np.eye(3, dtype=bool)[(values @ np.random.default_rng(6).normal(0, 1, (5, 3))).argmax(axis=1)]
    unlike = truth[:, [1, 2, 0]]  # the better the heads get, the worse they do here

    def fit(epochs: int, selection: str) -> np.ndarray:
        changes = ["taxa.solver=adam", f"selection={selection}", f"epochs={epochs}", "optimiser.lr=0.05"]
        recipe = resolve_recipe("taxa-cascade", None, changes)
        head = fit_by_epochs(recipe, values, truth, np.ones(60), values, unlike)
        return head.logits(values)

    after = [fit(epochs, "last") for epochs in range(1, 7)]
    scores = [float((logits.argmax(axis=1) == unlike.argmax(axis=1)).mean()) for logits in after]
    assert max(scores) > scores[-1]
    best = max(place for place, score in enumerate(scores) if score == max(scores))
    np.testing.assert_allclose(fit(6, "accuracy"), after[best])


def test_epochs_leave_their_accuracy_in_training_and_on_what_chose_the_epoch() -> None:
    pytest.importorskip("torch")
    from trapline.training.taxa_adam import fit_by_epochs

    changes = ["taxa.solver=adam", "selection=accuracy", "epochs=30", "optimiser.lr=0.05", "batch_size=60"]
    recipe = resolve_recipe("taxa-cascade", None, changes)
    values = features(5)[:, 0]
    truth = np.eye(3, dtype=bool)[(values @ np.random.default_rng(6).normal(0, 1, (5, 3))).argmax(axis=1)]
    head = fit_by_epochs(recipe, values, truth, np.ones(60), values, truth)
    assert [row["epoch"] for row in head.history] == list(range(1, 31))
    kept = head.history[head.best_epoch - 1]
    own = float((head.logits(values).argmax(axis=1) == truth.argmax(axis=1)).mean())
    assert kept["validation_accuracy"] == pytest.approx(own)
    assert own == max(row["validation_accuracy"] or 0 for row in head.history)
    # one batch an epoch: what training met is what validation saw the epoch before
    for before, after in zip(head.history, head.history[1:], strict=False):
        assert after["train_accuracy"] == pytest.approx(before["validation_accuracy"])
        assert after["train_loss"] == pytest.approx(before["validation_loss"], abs=1e-4)
    nobody = fit_by_epochs(recipe, values, truth, np.ones(60), values[:0], truth[:0])
    assert nobody.best_epoch == 30
    assert nobody.history[0]["validation_accuracy"] is None


def test_a_head_that_no_media_reaches_knows_nothing() -> None:
    heads = fit_together(features(4), [HeadTargets("head", np.zeros((60, 4), bool), np.ones(60))], 1.0)
    assert not heads["head"].logits(features(4)[:, 0]).any()


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_probabilities_of_classes_sum_to_one_and_a_path_is_a_product(seed: int) -> None:
    random = np.random.default_rng(seed)
    values = features(seed, 8)
    flags = [np.eye(2, dtype=bool)[random.integers(0, 2, 8)] for _ in range(2)]
    flags[1][:4] = False
    decisions = [HeadTargets("root", flags[0], np.ones(8)), HeadTargets("below", flags[1], np.ones(8))]
    heads = fit_together(values, decisions, 1.0)
    paths = np.array([[1, 1, 0], [0, 0, 1], [1, 0, 0], [0, 1, 0]], float)  # root 0 → below 0, 1; root 1
    logits = class_logits([heads["root"], heads["below"]], paths, values, (0,))
    np.testing.assert_allclose(np.exp(logits).sum(axis=1), 1)
    root = np.exp(class_logits([heads["root"]], np.eye(2), values, (0,)))
    np.testing.assert_allclose(np.exp(logits)[:, :2].sum(axis=1), root[:, 0])
    assert np.isnan(losses(heads, decisions[1:], values, (0,))[:4]).all()


# ---- training


@pytest.mark.parametrize("name", ["taxa-flat", "taxa-cascade", "taxa-path"])
def test_one_model_file_holds_the_tree_and_says_what_was_measured(
    name: str, run: Callable[..., Any], photos: Callable[..., Catalog], tmp_path: Path
) -> None:
    model, folder = run(name, photos())
    assert model.card.labels == CLASSES
    assert model.card.metrics["accuracy"].value > 0.8
    assert model.card.taxonomy["rollup"]["promise"] == 0.7
    heads = [head["name"] for head in model.card.taxonomy["heads"]]
    assert heads == (
        ["taxon_classifier"]
        if name == "taxa-flat"
        else [f"{node}_taxon_classifier" for node in ("family", "felidae", "cervidae", "lynx")]
    )
    kept = Predictions.load(folder / "run" / "validation.parquet")
    catalog = photos().part("validation")
    said = predict(model, catalog, tmp_path / "p.parquet")
    joined = kept.table.select("media_id").join(said.table, on="media_id", how="left", maintain_order="left")
    np.testing.assert_allclose(
        kept.probabilities(), joined.select(CLASSES).to_numpy(), atol=1e-4
    )  # what leaves training is what was measured, media of coarse labels among them
    assert len(kept) == len(catalog)
    history = pl.read_csv(folder / "run" / "history.csv")
    assert history["node"].unique(maintain_order=True).to_list() == heads
    assert history["weight_decay"].unique().to_list() == [0.01]
    assert history["train_accuracy"].min() > 0.8  # type: ignore[operator]
    assert history["out_of_fold_accuracy"].is_between(0, 1).all()
    with Image.open(folder / "run" / "history.png") as figure:
        assert figure.height > 200
    deer = joined["media_id"].str.contains("deer").to_numpy()
    tree = Taxonomy.from_json(model.card.taxonomy)
    families, names = sum_at_rank(kept.probabilities(), tree, list(CLASSES), "family")
    assert (np.array(names)[families[deer].argmax(axis=1)] == "Cervidae").all()


def test_each_node_of_epochs_leaves_a_history_and_the_balanced_prior_may_stay(
    run: Callable[..., Any], photos: Callable[..., Catalog]
) -> None:
    pytest.importorskip("torch")
    changes = ["taxa.solver=adam", "epochs=3", "optimiser.weight_decay=0", "optimiser.lr=0.01"]
    model, folder = run("taxa-cascade", photos(), *changes, "correct_prior=false", "calibration=none")
    history = pl.read_csv(folder / "run" / "history.csv")
    assert history.columns == [
        "node",
        *("epoch", "train_loss", "train_accuracy", "validation_loss", "validation_accuracy"),
    ]
    heads = [head["name"] for head in model.card.taxonomy["heads"]]
    assert history.select("node", "epoch").rows() == [(head, n) for head in heads for n in (1, 2, 3)]
    assert (folder / "run" / "history.png").is_file()


@pytest.mark.parametrize(
    ("thresholds", "said"),
    [
        ({}, "it answers nothing"),
        ({"kind": 0.5}, "only animal, human, vehicle or blank"),
        ({"kind": 0.5, "genus": 0.9}, ""),
    ],
)
def test_a_model_that_could_promise_no_rank_says_so(
    thresholds: dict[str, float], said: str, run: Callable[..., Any], photos: Callable[..., Catalog]
) -> None:
    card = run("taxa-flat", photos())[0].card.model_copy(update={"thresholds": thresholds})
    found = promise_doubt(card)
    assert said in found
    assert bool(found) == bool(said)
    assert not said or "70% of answers are right" in found


def test_the_order_of_the_folders_changes_nothing(
    run: Callable[..., Any], photos: Callable[..., Catalog]
) -> None:
    forward, _ = run("taxa-cascade", photos())
    backward, _ = run("taxa-cascade", photos(tuple(reversed(COLOURS))))
    assert forward.card.labels == backward.card.labels
    pixels = np.full((1, 16, 16, 3), COLOURS["puma"], np.uint8)
    found = [
        dict(zip(m.card.labels, m.run(pixels).probabilities[0], strict=True)) for m in (forward, backward)
    ]
    for label in CLASSES:
        assert found[0][label] == pytest.approx(found[1][label], abs=0.02)
    assert max(found[1], key=found[1].__getitem__) == "puma"


def test_one_node_by_name_is_the_same_head_as_in_the_whole_cascade(
    run: Callable[..., Any], photos: Callable[..., Catalog]
) -> None:
    model, _ = run("taxa-cascade", photos(), "taxa.node=felidae_taxon_classifier", "calibration=none")
    whole, _ = run("taxa-cascade", photos(), "calibration=none")
    assert model.card.name == "felidae_taxon_classifier"
    assert model.card.labels == ("Lynx", "Puma")
    pixels = np.full((1, 16, 16, 3), (190, 100, 60), np.uint8)
    alone = dict(zip(model.card.labels, model.run(pixels).probabilities[0], strict=True))
    parts = dict(zip(whole.card.labels, whole.run(pixels).probabilities[0], strict=True))
    cats = parts["bobcat"] + parts["lynx"] + parts["puma"]
    assert alone["Puma"] == pytest.approx(parts["puma"] / cats, abs=1e-3)


def test_one_node_is_judged_by_the_labels_of_the_data(
    run: Callable[..., Any], photos: Callable[..., Catalog], tmp_path: Path
) -> None:
    model, folder = run("taxa-cascade", photos(), "taxa.node=felidae_taxon_classifier")
    assert model.card.training_data["left_out"] == {"outside felidae_taxon_classifier": 54}
    said = predict(model, photos().part("validation"), tmp_path / "p.parquet")
    found = evaluate(photos(), said, samples=20)
    assert (found.counts.evaluated, found.counts.outside) == (9, 18)
    assert found.metrics["accuracy"].value > 0.7
    assert any("18 of 27 media have a label outside the node" in note for note in found.notes)
    assert found.ranks is not None
    assert (found.ranks.media, found.ranks.unknown_labels) == (9, 0)
    assert [node.head for node in found.ranks.nodes] == ["felidae_taxon_classifier"]
    assert found.ranks.nodes[0].media == 9
    assert [one.rank for one in found.ranks.ranks] == ["class", "order", "family", "genus"]
    kept = evaluate(photos(), Predictions.load(folder / "run" / "validation.parquet"), samples=20)
    assert kept.counts.evaluated == 9


def test_a_child_is_a_taxon_though_a_label_below_it_has_its_name(tmp_path: Path) -> None:
    rows = [
        "label,family,genus,species",
        "puma,Felidae,Puma,Puma concolor",
        "jaguarundi,Felidae,Puma,Puma yagouaroundi",
        "bobcat,Felidae,Lynx,Lynx rufus",
        "cat,Felidae,,",
        "fox,Canidae,Vulpes,Vulpes vulpes",
    ]
    (tmp_path / "t.csv").write_text("\n".join(rows))
    classes = classes_of(taxonomy_from_csv(tmp_path / "t.csv"), [row.split(",")[0] for row in rows[1:]])
    whole = hierarchy_of(classes, ("family", "genus", "species"))
    cats = hierarchy_of_node(whole, "felidae_taxon_classifier").classes
    assert cats.names == ("Lynx", "Puma")
    assert cats.taxonomy.path("Puma") == ("Felidae", "Puma")
    assert cats.of_label == {"puma": "Puma", "jaguarundi": "Puma", "bobcat": "Lynx", "cat": None}
    assert cats.outside == ("fox",)
    (tmp_path / "t.csv").write_text("\n".join(rows).replace("puma,", "Puma,"))
    named = ["Puma", *(row.split(",")[0] for row in rows[2:])]
    classes = classes_of(taxonomy_from_csv(tmp_path / "t.csv"), named)
    whole = hierarchy_of(classes, ("family", "genus", "species"))
    with pytest.raises(DataError, match="The label 'Puma' means Puma concolor"):
        hierarchy_of_node(whole, "felidae_taxon_classifier")


def test_a_node_missing_from_validation_and_an_empty_node_are_told_and_moved_past(
    run: Callable[..., Any], photos: Callable[..., Catalog]
) -> None:
    whole = photos()
    table = whole.table.to_dicts()
    kept = [
        row
        for row in table
        if not (row["split"] == "validation" and row["labels"][0] in ("bobcat", "lynx"))
        and not (row["split"] == "train" and row["labels"][0] in ("elk", "roe"))
    ]
    catalog = whole.with_table(
        whole.table.filter(whole.table["media_id"].is_in([r["media_id"] for r in kept]))
    )
    with pytest.warns(TraplineWarning) as told:
        model, _ = run("taxa-cascade", catalog)
    said = " ".join(str(warning.message) for warning in told)
    assert "No training media has the class elk, roe" in said
    assert "No validation media has the class bobcat, lynx" in said
    pixels = np.full((1, 16, 16, 3), COLOURS["deer"], np.uint8)
    found = dict(zip(model.card.labels, model.run(pixels).probabilities[0], strict=True))
    assert found["elk"] == pytest.approx(found["roe"])  # the deer teach the family, nothing its species
    assert found["elk"] + found["roe"] > 0.5


def test_labels_of_the_taxonomy_that_no_photo_has_are_told(
    photos: Callable[..., Catalog], backbone: Path, tmp_path: Path
) -> None:
    extra = "ocelot,Mammalia,Carnivora,Felidae,Leopardus,Leopardus pardalis,animal\nhuman,,,,,,human\n"
    (tmp_path / "t.csv").write_text(TREE + extra)
    grown = taxonomy_from_csv(tmp_path / "t.csv")
    with pytest.warns(TraplineWarning, match="labels without photos .* know: ocelot, human[.]"):
        select_taxa(photos(), quick("taxa-cascade", backbone), grown)
    with pytest.warns(TraplineWarning, match="labels without photos .* know: ocelot[.]"):
        select_taxa(photos(), quick("taxa-cascade", backbone, "taxa.node=felidae_taxon_classifier"), grown)
    with pytest.warns(TraplineWarning) as told:
        select_taxa(photos(), quick("taxa-cascade", backbone, "taxa.node=cervidae_taxon_classifier"), grown)
    assert not any("ocelot" in str(warning.message) for warning in told)


@pytest.mark.parametrize("name", ["taxa-flat", "taxa-path"])
def test_location_folds_judge_every_media(
    name: str, photos: Callable[..., Catalog], backbone: Path, tree: Taxonomy, tmp_path: Path
) -> None:
    recipe = change_recipe(quick(name, backbone), {"optimiser.weight_decay": 0.0})
    found = crossval(recipe, photos(), 3, taxonomy=tree, cache=tmp_path)
    assert len(found.predictions) == len(photos())
    assert found.metrics["accuracy"].value > 0.8


def test_fit_all_trains_on_everything_and_judges_out_of_fold(
    run: Callable[..., Any], photos: Callable[..., Catalog]
) -> None:
    model, folder = run("taxa-cascade", photos(), "fit=all")
    assert "location folds" in model.card.metrics_on
    assert len(Predictions.load(folder / "run" / "validation.parquet")) == len(photos())


def test_photos_of_a_fold_are_no_leak_when_they_are_judged(
    run: Callable[..., Any], photos: Callable[..., Catalog]
) -> None:
    catalog = photos()
    _, folder = run("taxa-cascade", catalog, "fit=all")
    judged = Predictions.load(folder / "run" / "validation.parquet")
    found = evaluate(catalog, judged, samples=20)
    assert found.leak.findings == ()
    assert found.seen is None
    assert found.unseen is not None


def crops(catalog: Catalog) -> Catalog:
    """The photos as one to three crops an observation, without locations."""
    observation = pl.col("location_id") + pl.col("labels").list.first().str.head(1)
    nowhere = pl.lit(None, pl.String).alias("location_id")
    return catalog.with_table(catalog.table.with_columns(observation.alias("event_id"), nowhere))


def test_folds_without_locations_name_the_setting_that_deals_by_event(
    run: Callable[..., Any], photos: Callable[..., Catalog]
) -> None:
    catalog = crops(photos())
    with pytest.raises(
        DataError, match=r"81 of 81 labelled media have no known location.*fold_by=event\), or"
    ):
        run("taxa-cascade", catalog, "fit=all")
    unsplit = pl.lit(None, pl.String).alias("split")
    one = catalog.with_table(catalog.table.with_columns(pl.lit("A").alias("location_id"), unsplit))
    with pytest.raises(DataError, match=r"of 1 location only, so 3 folds.*fold_by=event"):
        run("taxa-cascade", one, "fit=all")
    model, _ = run("taxa-cascade", catalog, "fit=all", "fold_by=event")
    assert "3 event folds" in model.card.metrics_on


def test_crops_of_one_observation_count_as_one_where_no_location_is_known(
    run: Callable[..., Any], photos: Callable[..., Catalog]
) -> None:
    catalog = crops(photos())
    model, _ = run("taxa-cascade", catalog, "taxa.promise=0.6")
    judged = catalog.table.filter(pl.col("split") == "validation")["event_id"].n_unique()
    card, said = model.card, model.card.taxonomy["rollup"]
    assert (said["media"], said["groups"], said["over"]) == (27, judged, "events")
    assert {"locations": 0, "events": judged}.items() <= card.training_data["validation"].items()
    for text in (card.metrics_on, card.calibration.fitted_on):
        assert "media, their locations not known (" in text
        assert "events; intervals are over events)" in text
    assert card.calibration.locations == ()


def test_without_a_taxonomy_the_message_says_what_to_give(
    photos: Callable[..., Catalog], tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="--taxonomy"):
        train(resolve_recipe("taxa-flat"), photos(), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_label_that_the_taxonomy_lacks_stops_before_the_run_begins(
    photos: Callable[..., Catalog], tree: Taxonomy, tmp_path: Path
) -> None:
    catalog = photos()
    labels = pl.Series("labels", [["wombat"], *catalog.table["labels"].to_list()[1:]])
    changed = catalog.with_table(catalog.table.with_columns(labels))
    with pytest.raises(DataError, match="'wombat' is not in it"):
        train(resolve_recipe("taxa-flat"), changed, tmp_path / "run", taxonomy=tree)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("task=multi-label", "task: .*'single-label'.*trains the heads of taxa"),
        ("fit=folds", "fit: .*'train' or 'all'.*that is for a linear head"),
        ("keep_blanks=0.5", "keep_blanks: it belongs to recipes that train a linear head"),
        ("frames=first", "frames: it belongs"),
        ("taxa.ranks=[]", "taxa.ranks"),
        ("taxa.way=sideways", "taxa.way"),
    ],
)
def test_recipes_that_cannot_be_are_refused(change: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        resolve_recipe("taxa-path", None, [change])
