"""A real but quick model, where the network is not what is measured: a head on Lite0 at 64 pixels."""

from __future__ import annotations

from pathlib import Path

from running import trapline


def small_model(folder: Path) -> Path:
    """Train it on a small synthetic world in `folder`."""
    size = ["--set", "preprocessing.height=64", "--set", "preprocessing.width=64"]
    sizes = ["--locations", "12", "--events-per-location", "8"]
    trapline("quickstart", "world", "--data-only", *sizes, cwd=folder)
    trapline("catalog", "world/labels.csv", "-o", "photos.parquet", cwd=folder)
    trapline("split", "photos.parquet", "-o", "photos.parquet", "--force", cwd=folder)
    trapline("train", "photos.parquet", "-r", "head", *size, "-o", "head", cwd=folder)
    return folder / "head" / "model.onnx"
