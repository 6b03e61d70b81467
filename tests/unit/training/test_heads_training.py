"""Heads of model files: what leaves training is what was measured, on the base install alone."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image, ImageDraw

from trapline.catalog import ByLocation, Catalog
from trapline.errors import DataError, UsageError
from trapline.images import Preprocessing, choose_box, prepare
from trapline.models import ModelFile, TrainedOn, backbones
from trapline.prediction import Predictions, predict
from trapline.recipes import Recipe, change_recipe
from trapline.training import crossval, train
from trapline.training.features import embed
from trapline.training.learners import looks_of

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("unrendered")]

LABELS = ("disc", "square")
PLACES = 8


def recipe(**changes: object) -> Recipe:
    described = {
        "name": "shapes",
        "backbone": "model-file:lite0",
        "how": "frozen",
        "preprocessing": {"height": 32, "width": 32, "crop": {"context": 1.2}},
        "optimiser": {"weight_decay": 0.3},
        "folds": 3,
    }
    return Recipe.model_validate(described | changes)


def draw(path: Path, shape: str, place: int, number: int) -> dict[str, object]:
    random = np.random.default_rng(place * 100 + number)
    image = Image.fromarray(random.integers(place * 10, place * 10 + 60, (96, 128)).astype(np.uint8))
    left, top = (int(value) for value in random.integers(0, (80, 48)))
    outline = (left, top, left + 44, top + 44)
    pencil = ImageDraw.Draw(image)
    pencil.ellipse(outline, fill=230) if shape == "disc" else pencil.rectangle(outline, fill=230)
    image.convert("RGB").save(path)
    box = {"category": "animal", "conf": 0.9}
    return box | {"x": left / 128, "y": top / 96, "width": 45 / 128, "height": 45 / 96}


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    folder = tmp_path_factory.mktemp("shapes")
    rows = []
    for place in range(PLACES):
        for number in range(6):
            shape = LABELS[(number * 3 + place) % 4 == 0]  # squares are rarer
            name = f"{place}-{number}.png"
            mistaken = (place * 6 + number) % 5 == 0  # so that no head is perfect
            box = draw(folder / name, LABELS[(shape == LABELS[1]) != mistaken], place, number)
            rows.append(
                {
                    "media_id": name,
                    "file_path": name,
                    "location_id": f"L{place}",
                    "labels": [shape],
                    "boxes": [box] if number else None,
                }
            )
    return ByLocation(ratios=(0.7, 0.3)).apply(Catalog.from_rows(rows, folder, "drawn"))


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def seen(model: ModelFile, catalog: Catalog) -> np.ndarray:
    size = model.card.preprocessing
    boxes = catalog.table["boxes"].to_list()
    return np.stack(
        [
            prepare(path, size, choose_box(found, size.crop)).pixels
            for path, found in zip(catalog.paths(), boxes, strict=True)
        ]
    )


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"fit": "all"},
        {"fit": "folds"},
        {"flip_average": True, "augmentation": {"horizontal_flip": 0.5, "full_frame": 0.25}},
        {"balance": "class-weights"},
        {"balance": "sampling", "calibration": "none"},
        {"task": "multi-label", "balance": "class-weights"},
    ],
    ids=str,
)
def test_the_model_file_says_of_validation_photos_what_was_measured(
    tmp_path: Path, catalog: Catalog, cache: Path, changes: dict[str, object]
) -> None:
    wanted = recipe(**changes)
    model = ModelFile(train(wanted, catalog, tmp_path / "run", cache=cache))
    assert model.card.saw_crops
    facts = model.card.training_data["train"]
    assert 0 < facts["cropped"] < facts["media"]  # every sixth photo has no box
    assert model.card.labels == LABELS
    assert model.card.preprocessing == wanted.preprocessing
    assert model.card.recipe == wanted.model_dump(mode="json")
    assert "EfficientNet-Lite0" in model.card.notices[0]
    assert model.card.backbone["fingerprint"] == ModelFile(backbones.path("lite0")).fingerprint
    assert model.card.metrics["log_loss"].low is not None
    assert set(model.card.calibration.locations) <= {f"L{place}" for place in range(PLACES)}
    kept = Predictions.load(tmp_path / "run" / "validation.parquet")
    assert kept.model == model.fingerprint
    if wanted.fit == "train":
        validation = catalog.part("validation")
        found = model.run(seen(model, validation)).probabilities
        assert kept.table["media_id"].to_list() == validation.table["media_id"].to_list()
        np.testing.assert_allclose(kept.probabilities(), found, atol=1e-4)
    else:
        assert len(kept) == len(catalog)


def test_balanced_training_keeps_the_natural_prior(tmp_path: Path, catalog: Catalog, cache: Path) -> None:
    strong = {"optimiser": {"weight_decay": 1000.0}, "calibration": "none"}
    shares = {}
    for balance in ("none", "class-weights", "sampling"):
        path = train(recipe(balance=balance, **strong), catalog, tmp_path / balance, cache=cache)
        shares[balance] = ModelFile(path).run(seen(ModelFile(path), catalog)).probabilities.mean(axis=0)
    natural = np.mean([labels == ["disc"] for labels in catalog.part("train").table["labels"].to_list()])
    for found in shares.values():
        np.testing.assert_allclose(found, [natural, 1 - natural], atol=0.03)


def test_a_head_trains_on_a_heads_model_file(tmp_path: Path, catalog: Catalog, cache: Path) -> None:
    first = train(recipe(), catalog, tmp_path / "first", cache=cache)
    second = train(
        recipe(backbone=f"model-file:{first.as_posix()}", name="second"), catalog, tmp_path / "2", cache=cache
    )
    one, two = ModelFile(first), ModelFile(second)
    assert two.card.backbone == {"name": "shapes", "fingerprint": one.fingerprint}
    assert two.card.notices == one.card.notices
    pixels = seen(one, catalog)
    np.testing.assert_allclose(two.run(pixels).logits, one.run(pixels).logits, atol=1e-3)
    np.testing.assert_allclose(embed(one, catalog, cache=None), one.run(pixels).embedding, atol=1e-4)


def test_equal_trainings_give_equal_weights(tmp_path: Path, catalog: Catalog, cache: Path) -> None:
    one, two = (ModelFile(train(recipe(), catalog, tmp_path / name, cache=cache)) for name in ("one", "two"))
    pixels = seen(one, catalog)
    np.testing.assert_array_equal(one.run(pixels).logits, two.run(pixels).logits)


def test_location_folds_judge_every_media_once(catalog: Catalog, cache: Path) -> None:
    found = crossval(recipe(optimiser={"weight_decay": 0.0}), catalog, folds=4, cache=cache)
    assert sorted(found.predictions.table["media_id"]) == sorted(catalog.table["media_id"])
    places = dict(catalog.table.select("media_id", "location_id").iter_rows())
    fold_of: dict[str, set[int]] = {}
    for media, fold in zip(found.predictions.table["media_id"], found.folds, strict=True):
        fold_of.setdefault(places[media], set()).add(int(fold))
    assert all(len(folds) == 1 for folds in fold_of.values())
    assert found.metrics["accuracy"].value > 0.6
    assert found.metrics["accuracy"].low is not None


def test_unreadable_photos_are_counted_and_keep_their_row(
    tmp_path: Path, catalog: Catalog, cache: Path
) -> None:
    lost = catalog.part("validation").table["media_id"][0]
    table = catalog.table.with_columns(file_path=catalog.table["file_path"].replace({lost: "gone.png"}))
    with pytest.warns(UserWarning, match=r"1 photo cannot be read .*gone\.png"):
        path = train(recipe(), catalog.with_table(table), tmp_path / "run", cache=cache)
    assert ModelFile(path).card.training_data["left_out"] == {"unreadable": 1}
    kept = Predictions.load(tmp_path / "run" / "validation.parquet")
    assert kept.failed["media_id"].to_list() == [lost]


def test_the_strengths_that_were_tried_are_written_and_drawn(
    tmp_path: Path, catalog: Catalog, cache: Path
) -> None:
    train(recipe(optimiser={"weight_decay": 0.0}), catalog, tmp_path / "chosen", cache=cache)
    lines = (tmp_path / "chosen" / "history.csv").read_text().splitlines()
    assert lines[0] == "weight_decay,out_of_fold_log_loss"
    assert len(lines) > 3
    with Image.open(tmp_path / "chosen" / "history.png") as figure:
        assert figure.width > figure.height > 300
    train(recipe(), catalog, tmp_path / "named", cache=cache)
    assert not (tmp_path / "named" / "history.png").exists()


def test_one_training_location_is_enough_to_choose_a_strength(
    tmp_path: Path, catalog: Catalog, cache: Path
) -> None:
    table = catalog.table.filter(catalog.table["location_id"].is_in(["L0", "L1"]))
    parts = table["location_id"].replace({"L0": "train", "L1": "validation"}).alias("split")
    two = catalog.with_table(table.with_columns(parts))
    path = train(recipe(optimiser={"weight_decay": 0.0}), two, tmp_path / "run", cache=cache)
    assert ModelFile(path).card.metrics["log_loss"].low is None


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"head": {"pooling": "max"}}, "head.pooling"),
        ({"augmentation": {"noise": 0.1}}, "augmentation.noise"),
        ({"loss": {"label_smoothing": 0.1}}, "label_smoothing"),
        ({"members": 3}, "members"),
        ({"loss": {"name": "bce"}}, "loss.name"),
        ({"schedule": {"name": "cosine"}}, "schedule.name"),
        ({"optimiser": {"clip": 1.0}}, "optimiser.clip"),
        ({"patience": 3}, "patience"),
        ({"ema": 0.9}, "ema"),
        ({"selection": "macro_f1"}, "selection"),
        ({"head": {"hidden": [4]}, "ema": 0.9, "patience": 3}, "ema, patience"),
        ({"head": {"hidden": [4]}, "taxa": {"way": "flat"}}, "head.hidden"),
    ],
)
def test_what_a_linear_head_cannot_do_is_refused_by_name(changes: dict[str, object], named: str) -> None:
    with pytest.raises(UsageError, match=named):
        change_recipe(recipe(), changes)


def test_a_backbone_that_does_not_exist_is_refused(tmp_path: Path, catalog: Catalog) -> None:
    with pytest.raises(DataError, match=r"no model file at nowhere\.onnx"):
        train(recipe(backbone="model-file:nowhere.onnx"), catalog, tmp_path / "run")


def test_a_leaking_split_is_refused_unless_insisted_on(tmp_path: Path, catalog: Catalog, cache: Path) -> None:
    parts = ["train" if row % 2 else "validation" for row in range(len(catalog))]
    leaking = catalog.with_table(catalog.table.with_columns(split=np.array(parts)))
    with pytest.raises(DataError, match="leaks"):
        train(recipe(), leaking, tmp_path / "run", cache=cache)
    path = train(recipe(), leaking, tmp_path / "run", allow_leak=True, cache=cache)
    assert "LEAKING" in ModelFile(path).card.metrics_on


def test_views_follow_from_flips_and_full_frames() -> None:
    looks = looks_of(recipe(flip_average=True, augmentation={"horizontal_flip": 0.5, "full_frame": 0.2}))
    assert looks.weights == pytest.approx((0.4, 0.4, 0.1, 0.1))
    assert looks.predict == (0, 1)
    assert [view.preprocessing.crop is None for view in looks.views] == [False, False, True, True]
    alone = looks_of(recipe(preprocessing=_uncropped()))
    assert (alone.weights, alone.predict) == ((1.0,), (0,))


def _uncropped() -> dict[str, object]:
    return Preprocessing(height=32, width=32).model_dump()


def test_bursts_with_two_species_are_left_out_of_the_pooling_and_counted(
    catalog: Catalog, tmp_path: Path
) -> None:
    number = pl.col("media_id").str.extract(r"-(\d)").cast(pl.Int64)
    bursts = catalog.with_table(
        catalog.table.with_columns(pl.format("{}/{}", "location_id", number // 2).alias("event_id"))
    )
    mixed = bursts.table.group_by("event_id").agg(pl.col("labels").explode().n_unique().alias("species"))
    several = int((mixed["species"] > 1).sum())
    assert 0 < several < mixed.height
    model = train(recipe(fit="all"), bursts, tmp_path / "run")
    event = ModelFile(model).card.event
    assert event is not None
    assert f"{mixed.height - several} events" in event.selected_on
    assert f"({several} with several labels left out)" in event.selected_on


def test_a_single_event_that_can_be_judged_chooses_no_pooling_and_stops_nothing(
    catalog: Catalog, tmp_path: Path
) -> None:
    place, name = catalog.table["location_id"][0], catalog.table["labels"][0][0]
    label = pl.when(pl.col("location_id") == place).then(pl.lit(name))
    bursts = catalog.with_table(
        catalog.table.with_columns(
            event_id="location_id", labels=pl.concat_list(label.otherwise(pl.col("labels").list.first()))
        )
    )
    species = bursts.table.group_by("event_id").agg(pl.col("labels").explode().n_unique().alias("species"))
    assert (species["species"] == 1).sum() == 1
    assert ModelFile(train(recipe(fit="all"), bursts, tmp_path / "run")).card.event is None


def test_predictions_carry_what_their_model_was_trained_on(catalog: Catalog, tmp_path: Path) -> None:
    photos = ByLocation(ratios=(0.5, 0.25, 0.25)).apply(catalog, check_files=False)
    for fit, parts in (("train", ["train"]), ("all", ["train", "validation"])):
        model = ModelFile(train(recipe(fit=fit, folds=2), photos, tmp_path / fit))
        found = predict(model, photos, tmp_path / f"{fit}.csv", part="test")
        assert found.facts.trained_on == (TrainedOn(parts=parts, split=photos.facts.split.fingerprint),)
        assert Predictions.load(tmp_path / f"{fit}.csv").facts.trained_on == found.facts.trained_on
        judged = Predictions.load(tmp_path / fit / "validation.parquet")
        assert judged.facts.held_out_by == (None if fit == "train" else "location")
