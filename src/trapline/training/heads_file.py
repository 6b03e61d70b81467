"""Heads in a file, to the last bit: what one process has fitted and another goes on with."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from trapline.storage import replace_whole
from trapline.training.dense import DenseHead
from trapline.training.linear import LinearLayer

_FIELDS = ("mean", "scale", "weights", "bias")


def save_heads(heads: Mapping[str, LinearLayer], path: Path) -> None:
    """Write linear heads with their names."""
    arrays = {
        f"{index}.{field}": getattr(head, field)
        for index, head in enumerate(heads.values())
        for field in _FIELDS
    }
    _save(arrays | {"names": np.array(list(heads), np.str_)}, path)


def load_heads(path: Path) -> dict[str, LinearLayer]:
    """What `save_heads` wrote."""
    with np.load(path, allow_pickle=False) as arrays:
        return {
            str(name): LinearLayer(*(arrays[f"{index}.{field}"] for field in _FIELDS))
            for index, name in enumerate(arrays["names"])
        }


def save_dense(head: DenseHead, path: Path) -> None:
    """Write a head of hidden layers."""
    arrays = {"mean": head.mean, "scale": head.scale, "history": np.array(json.dumps(head.history))}
    for index, (weights, bias) in enumerate(head.layers):
        arrays |= {f"{index}.weights": weights, f"{index}.bias": bias}
    _save(arrays, path)


def load_dense(path: Path) -> DenseHead:
    """What `save_dense` wrote."""
    with np.load(path, allow_pickle=False) as arrays:
        count = sum(name.endswith(".bias") for name in arrays.files)
        layers = tuple((arrays[f"{index}.weights"], arrays[f"{index}.bias"]) for index in range(count))
        history = json.loads(str(arrays["history"]))
        return DenseHead(arrays["mean"], arrays["scale"], layers, tuple(history))


def _save(arrays: Mapping[str, Any], path: Path) -> None:
    with replace_whole(path) as partial, partial.open("wb") as file:
        np.savez(file, **arrays)
