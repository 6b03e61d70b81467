"""A real but quick model, where the network is not what is measured: a head on Lite0 at 64 pixels."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def trapline(folder: Path, *arguments: str) -> None:
    """Run one command of Trapline in a folder, quietly."""
    command = [sys.executable, "-m", "trapline", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}\n{done.stdout}\n{done.stderr}")


def small_model(folder: Path) -> Path:
    """Train it on a small synthetic world in `folder`."""
    size = ["--set", "preprocessing.height=64", "--set", "preprocessing.width=64"]
    sizes = ["--locations", "12", "--events-per-location", "8"]
    trapline(folder, "quickstart", "world", "--data-only", *sizes)
    trapline(folder, "catalog", "world/labels.csv", "-o", "photos.parquet")
    trapline(folder, "split", "photos.parquet", "-o", "photos.parquet", "--force")
    trapline(folder, "train", "photos.parquet", "-r", "head", *size, "-o", "head")
    return folder / "head" / "model.onnx"
