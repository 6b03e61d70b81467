"""A frozen backbone becomes a model file once; its head then trains on features that are computed once."""

from __future__ import annotations

import hashlib
import json
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from trapline.errors import require
from trapline.models import BACKBONES, Card, ModelFile
from trapline.recipes import MODEL_FILE, Recipe
from trapline.storage import user_cache_folder

if TYPE_CHECKING:
    from trapline.models import Weights

R = TypeVar("R", bound=Recipe)


def head_recipe(recipe: R, cache: Path | None) -> R:
    """The same recipe with the backbone as a model file; one that is a model file already stays as it is.

    Args:
        recipe: with how `frozen`.
        cache: folder for the exported backbone; None for the user's.

    Raises:
        MissingExtraError: the backbone has to be exported and PyTorch is not installed.
        DataError: its weights cannot be had.
    """
    if recipe.backbone.startswith(MODEL_FILE):
        return recipe
    path = export_backbone(recipe, (cache or user_cache_folder()) / "backbones")
    head = recipe.head.model_copy(update={"pooling": "avg"})  # the exported graph has pooled
    changes = {"backbone": f"{MODEL_FILE}{path}", "weights": "none", "head": head}
    return recipe.model_copy(update=changes)


def need_weights(recipe: Recipe, cache: Path | None) -> None:
    """Have the weights of the recipe's backbone at hand, so that a run that cannot have them does nothing.

    Args:
        recipe: any.
        cache: folder for exported backbones; what was exported before needs no weights. None for the user's.

    Raises:
        MissingExtraError: the package that brings them is not installed.
        DataError: they cannot be had.
    """
    if recipe.backbone.startswith(MODEL_FILE) or recipe.weights == "none":
        return
    require("torch", "train", f"The backbone {recipe.backbone}")
    from trapline.models import fetch_weights, find_weights

    weights = find_weights(recipe.backbone, recipe.weights)
    folder = (cache or user_cache_folder()) / "backbones"
    if recipe.how != "frozen" or not _exported(recipe, weights, folder).is_file():
        fetch_weights(recipe.backbone, weights)


def _exported(recipe: Recipe, weights: Weights, folder: Path) -> Path:
    """The file that a recipe's frozen backbone is exported to."""
    size = recipe.preprocessing
    parts = [
        *(recipe.backbone, weights.name, weights.fingerprint, recipe.head.pooling, size.height, size.width),
        *(version(name) for name in ("trapline", "timm", "torch")),
    ]
    if recipe.backbone in BACKBONES:
        parts += [release] if (release := BACKBONES.release(recipe.backbone)) else []
    return _named_by(parts, recipe.backbone.replace("/", "-"), folder)


def _named_by(parts: list[Any], name: str, folder: Path) -> Path:
    """The file of what these parts decide."""
    return folder / f"{name}-{hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]}.onnx"


def background_backbone(backbone: ModelFile, cache: Path | None) -> ModelFile:
    """The same backbone as a model file whose batch is an event and that sees each frame twice.

    Args:
        backbone: any model file; what it says besides its embedding is left out.
        cache: folder for what is exported; None for the user's.
    """
    from trapline.models import read_graph, see_background, write_model_file

    parts = [backbone.fingerprint, version("trapline")]
    path = _named_by(parts, "background", (cache or user_cache_folder()) / "backbones")
    if not path.is_file():
        card = Card(
            name=backbone.card.name,
            task="features",
            batch="event",
            embedding_size=2 * backbone.card.embedding_size,
            preprocessing=backbone.card.preprocessing,
            backbone={"name": backbone.card.name, "fingerprint": backbone.fingerprint},
            notices=backbone.card.notices,
            versions=backbone.card.versions,
        )
        write_model_file(see_background(read_graph(backbone)), card, path)
    return ModelFile(path)


def export_backbone(recipe: Recipe, folder: Path) -> Path:
    """Write the recipe's backbone, with its pooling, as a model file of features, unless it is there."""
    require("torch", "train", f"The frozen backbone {recipe.backbone}")
    from trapline.models import find_weights, write_model_file
    from trapline.models.networks import build_network, network_graph

    size = recipe.preprocessing
    weights = find_weights(recipe.backbone, recipe.weights)
    path = _exported(recipe, weights, folder)
    if path.is_file():
        return path
    network, _ = build_network(recipe, labels=1)
    card = Card(
        name=weights.name,
        task="features",
        embedding_size=network.embedding_size,
        preprocessing=size,
        backbone={"name": weights.name, "fingerprint": weights.fingerprint},
        notices=weights.notices,
        versions={name: version(name) for name in ("trapline", "timm", "torch", "onnx")},
    )
    return write_model_file(network_graph(network, size.height, size.width), card, path)
