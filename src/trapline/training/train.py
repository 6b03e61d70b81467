"""`train`: from a catalog with a split to a model file with its card, in a run folder that can be resumed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import yaml

from trapline.catalog import Catalog, training_fingerprint
from trapline.errors import TraplineError, UsageError
from trapline.models import Card, ModelFile
from trapline.models.calibrated import scale_logits
from trapline.models.recipe import Recipe
from trapline.prediction import Predictions
from trapline.prediction.facts import PredictionFacts
from trapline.taxonomy import Taxonomy
from trapline.training.crossval import run_folds
from trapline.training.frozen import head_recipe, need_weights
from trapline.training.history import draw_batches, draw_history, write_batches, write_history
from trapline.training.judging import (
    AVERAGES_FOLDS,
    OF_SINGLE_MODELS,
    Judged,
    judge,
    predictions_of,
    with_note,
)
from trapline.training.selection import (
    data_summary,
    refuse_leaks,
    select_media,
    split_record,
)
from trapline.training.targets import base_calibration
from trapline.training.torch_learner import StepReport, TorchLearner

if TYPE_CHECKING:
    import onnx

    from trapline.training.fitting import Fitted

MODEL, JUDGED = "model.onnx", "validation.parquet"
PARITY = 1e-3
"""Largest difference of a logit between PyTorch and the model file, relative above 1."""
LIBRARIES = ("trapline", "torch", "timm", "lightning", "onnx", "onnxruntime", "numpy", "pillow")


def train(
    recipe: Recipe,
    catalog: Catalog,
    run_folder: Path | str,
    *,
    taxonomy: Taxonomy | None = None,
    allow_leak: bool = False,
    resume: bool = False,
    cache: Path | None = None,
    report: StepReport | None = None,
) -> Path:
    """Train a recipe and write its model file.

    Args:
        recipe: see `trapline.models.resolve_recipe`.
        catalog: with labels and a split into train and validation (`trapline.catalog.split_catalog`); recipes
            that deal their own folds (`fit` is `all` or `folds`) need no split and use all labelled media.
        run_folder: made; gets `recipe.yaml`, `catalog.parquet`, `validation.parquet` (predictions of the
            judged media) and `model.onnx`; of a network also `history.csv` and `.png` (by epoch),
            `batches.csv` and `.png` (the training loss by batch) and checkpoints, of a head what `train_head`
            says.
        taxonomy: what the labels are, for recipes of taxa (`recipe.taxa`); others do not look at it.
        allow_leak: train although the split leaks; the card says so.
        resume: go on in a run folder that exists, with the same recipe and catalog.
        cache: folder for pixels and features; None for the user's.
        report: told of each step.

    Returns:
        the path of the model file.

    Raises:
        UsageError: the run folder exists and `resume` is False, or is of another recipe or catalog.
        DataError: the backbone's weights cannot be had (said before anything is read or made), the split
            leaks, a part is empty, a label has no training media, photos cannot be read, training diverges.
        MissingExtraError: the recipe needs PyTorch and it is not installed.
    """
    folder = Path(run_folder)
    if not (resume and folder.is_dir()):
        need_weights(recipe, cache)
    if recipe.taxa is not None:
        return _train_taxa(recipe, catalog, folder, taxonomy, allow_leak, resume, cache, report)
    selected = select_media(catalog, recipe, needs_split=recipe.fit == "train")
    leaks = refuse_leaks(catalog, allow_leak)
    _open_run(folder, recipe, catalog, resume)
    if recipe.how == "frozen":
        return _train_head(recipe, catalog, folder, allow_leak, cache, report)
    learner = TorchLearner(recipe, selected, cache, report)
    fitted, judged, histories = fit_recipe(learner, folder)
    selected = learner.selected
    caveat = " LEAKING SPLIT: these figures flatter the model." if leaks.leaking else ""
    card = Card(
        name=recipe.name,
        task=recipe.task,
        labels=selected.labels,
        embedding_size=sum(member.network.embedding_size for member in fitted),
        preprocessing=recipe.preprocessing,
        calibration=judged.calibration,
        event=judged.event,
        recipe=recipe.model_dump(mode="json"),
        split=split_record(catalog, leaks),
        training_data=data_summary(selected, recipe.preprocessing.crop),
        metrics=judged.metrics,
        metrics_on=judged.measured_on + caveat,
        backbone={"name": fitted[0].weights.name, "fingerprint": fitted[0].weights.fingerprint},
        notices=fitted[0].weights.notices,
        versions={name: version(name) for name in LIBRARIES},
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    if report is not None:
        report("export", 0, 1, "")
    model = _export(recipe, fitted, card, folder)
    _check_parity(ModelFile(model), recipe, fitted, learner)
    facts = PredictionFacts(recipe=recipe.name, measured_on=card.metrics_on)
    predictions_of(recipe, selected, judged, ModelFile(model).fingerprint, facts).save(folder / JUDGED)
    kept = fitted[0].best_epoch if len(fitted) == 1 else None
    write_history(histories[-1], folder)
    if fitted[-1].batch_losses:
        write_batches(fitted[-1].batch_losses, folder)
        draw_batches(fitted[-1].batch_losses, folder / "batches.png")
    draw_history(histories, folder / "history.png", kept)
    return model


def _open_run(folder: Path, recipe: Recipe, catalog: Catalog, resume: bool) -> None:
    """Write the recipe and the catalog into a new folder, or check them in one that is resumed."""
    wanted = recipe.model_dump(mode="json")
    if folder.is_dir() and any(folder.iterdir()):
        if not resume:
            raise UsageError(f"{folder} exists. Go on with it by --resume, or name another folder with -o.")
        if not (folder / "recipe.yaml").is_file() or not (folder / "catalog.parquet").is_file():
            raise UsageError(f"{folder} is not the folder of a training run, so it cannot be resumed.")
        found = yaml.safe_load((folder / "recipe.yaml").read_text(encoding="utf-8"))
        changed = [key for key in wanted if found.get(key) != wanted[key]]
        if changed:
            raise UsageError(
                f"{folder} was begun with another recipe (different: {', '.join(changed)}). "
                "Give the same options to resume it."
            )
        if training_fingerprint(Catalog.load(folder / "catalog.parquet")) != training_fingerprint(catalog):
            raise UsageError(
                f"{folder} was begun with another catalog or split, or other labels, boxes, locations or "
                "events; give the same to resume it, or train anew in another folder with -o."
            )
        return
    folder.mkdir(parents=True, exist_ok=True)
    catalog.save(folder / "catalog.parquet")
    text = yaml.safe_dump(wanted, sort_keys=False, allow_unicode=True)
    (folder / "recipe.yaml").write_text(text, encoding="utf-8")


def _train_head(
    recipe: Recipe,
    catalog: Catalog,
    folder: Path,
    allow_leak: bool,
    cache: Path | None,
    report: StepReport | None,
) -> Path:
    """A head on the features of a model file; the card keeps the recipe as it was asked for."""
    from trapline.training.heads import train_head

    resolved = head_recipe(recipe, cache)
    path = train_head(resolved, catalog, folder, allow_leak=allow_leak, cache=cache, report=report)
    return _with_recipe(path, recipe, resolved)


def _train_taxa(
    recipe: Recipe,
    catalog: Catalog,
    folder: Path,
    taxonomy: Taxonomy | None,
    allow_leak: bool,
    resume: bool,
    cache: Path | None,
    report: StepReport | None,
) -> Path:
    """The heads of a tree; what can be wrong with the data is said before the run's folder is made."""
    from trapline.training.taxa import needed, train_taxa
    from trapline.training.taxa_media import select_taxa

    known = needed(taxonomy, recipe)
    select_taxa(catalog, recipe, known, needs_split=recipe.fit == "train")
    refuse_leaks(catalog, allow_leak)
    _open_run(folder, recipe, catalog, resume)
    resolved = head_recipe(recipe, cache)
    path = train_taxa(resolved, catalog, folder, known, allow_leak=allow_leak, cache=cache, report=report)
    return _with_recipe(path, recipe, resolved)


def _with_recipe(path: Path, asked: Recipe, resolved: Recipe) -> Path:
    """The model file with the recipe as it was asked for in its card, and the predictions that name it so."""
    from trapline.models.onnx_graph import read_graph, write_model_file

    if resolved != asked:
        card = ModelFile(path).card.model_copy(update={"recipe": asked.model_dump(mode="json")})
        write_model_file(read_graph(path), card, path)
        judged = path.with_name(JUDGED)
        replace(Predictions.load(judged), model=ModelFile(path).fingerprint).save(judged)
    return path


Fits = tuple[Sequence["Fitted"], Judged, list[list[dict[str, float]]]]


def fit_recipe(learner: TorchLearner, folder: Path) -> Fits:
    """The networks whose mean leaves in the model file, what they say of unseen media, and their curves."""
    recipe, selected = learner.recipe, learner.selected
    if recipe.fit == "train":
        members = _members(learner, folder, selected.train, selected.validation)
        logits = np.mean(
            [member.answers.of_epoch(member.best_epoch) for member in members if member.answers], axis=0
        )
        base = base_calibration(recipe, selected, selected.train)
        logits = scale_logits(logits, base, recipe.task, selected.labels)
        judged = judge(recipe, selected, selected.validation, logits, base)
        return members, judged, [member.history for member in members]
    found = run_folds(learner, recipe.folds, folder)
    if recipe.fit == "folds":
        return found.fitted, with_note(found.judged, AVERAGES_FOLDS), list(found.histories)
    everything = np.sort(found.judged.rows)
    epochs = round(float(np.median(found.best_epochs)))
    members = _members(learner, folder, everything, None, epochs)
    note = f"; the model file was then trained on all of them for {epochs} of {recipe.epochs} epochs"
    if recipe.members > 1:
        note += f", {recipe.members} times, and averages these; {OF_SINGLE_MODELS}"
    return members, with_note(found.judged, note), [member.history for member in members]


def _members(
    learner: TorchLearner,
    folder: Path,
    train: npt.NDArray[np.int64],
    validation: npt.NDArray[np.int64] | None,
    stop_after: int | None = None,
) -> list[Fitted]:
    recipe = learner.recipe
    return [
        learner.fit(
            train,
            validation,
            folder / f"member-{place}",
            what="train" if recipe.members == 1 else f"member {place + 1} of {recipe.members}",
            seed=recipe.seed + place,
            stop_after=stop_after,
        )
        for place in range(recipe.members)
    ]


def _export(recipe: Recipe, fitted: Sequence[Fitted], card: Card, folder: Path) -> Path:
    from trapline.models.networks import network_graph
    from trapline.models.onnx_graph import average_flips, average_members, write_model_file

    size = recipe.preprocessing
    graphs: list[onnx.ModelProto] = []
    for member in fitted:
        graph = network_graph(member.network, size.height, size.width)
        graphs.append(average_flips(graph) if recipe.flip_average else graph)
    joined = graphs[0] if len(graphs) == 1 else average_members(graphs)
    return write_model_file(joined, card, folder / MODEL)


def _check_parity(model: ModelFile, recipe: Recipe, fitted: Sequence[Fitted], learner: TorchLearner) -> None:
    """The model file must answer as the trained networks do, on a few of the photos themselves."""
    from trapline.training.fitting import network_logits

    rows = np.concatenate([learner.selected.validation, learner.selected.train])[:8]
    exact = learner.examples.exact
    expected = np.mean(
        [network_logits(member.network, exact, rows, recipe.flip_average) for member in fitted], axis=0
    )
    found = model.run(exact.pixels[rows]).logits
    worst = float((np.abs(found - expected) / np.maximum(1, np.abs(expected))).max())
    if not worst <= PARITY:
        raise TraplineError(
            f"The exported model file answers otherwise than the network (logits differ by {worst:.2g}). "
            "This is a fault of the export, not of your data; please report it with the recipe."
        )
