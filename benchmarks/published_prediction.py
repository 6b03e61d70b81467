"""Recipe C's prediction loop as published: Pillow, torchvision transforms, a DataLoader, an eager network.

Word for word where it matters: photos are decoded whole, batch 32, no workers, softmax, a data frame a batch.
Waits for a line on standard input, predicts all photos once, prints the seconds; again for each line.
usage: published_prediction.py FOLDER NETWORK (a timm name, or `resnet50` for the notebook's own)
"""

import sys
import time
from pathlib import Path
from typing import Any

import polars as pl
import torch
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, Dataset
from torchvision import models, transforms

LABELS = [f"label{number}" for number in range(8)]


class ImagesDataset(Dataset[dict[str, Any]]):
    """The notebook's dataset."""

    def __init__(self, paths: list[Path]) -> None:
        self.paths = paths
        self.transform = transforms.Compose(
            [
                transforms.Resize((224, 224)),
                transforms.ToTensor(),
                transforms.Normalize(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)),
            ]
        )

    def __getitem__(self, index: int) -> dict[str, Any]:
        image = Image.open(self.paths[index]).convert("RGB")
        return {"image_id": self.paths[index].stem, "image": self.transform(image)}

    def __len__(self) -> int:
        return len(self.paths)


def network(name: str) -> nn.Module:
    """An eager network with random weights and eight labels."""
    if name == "resnet50":
        model = models.resnet50(weights=None)
        model.fc = nn.Sequential(
            nn.Linear(2048, 100), nn.ReLU(inplace=True), nn.Dropout(0.1), nn.Linear(100, 8)
        )
        return model
    import timm

    return timm.create_model(name, pretrained=False, num_classes=8)


def predict(model: nn.Module, paths: list[Path]) -> pl.DataFrame:
    """The notebook's loop (its data frames are pandas', which cost no less)."""
    loader = DataLoader(ImagesDataset(paths), batch_size=32)
    collected = []
    with torch.no_grad():
        for batch in loader:
            chances = nn.functional.softmax(model.forward(batch["image"]), dim=1)
            frame = pl.DataFrame(chances.numpy(), schema=LABELS)
            collected.append(frame.with_columns(pl.Series("id", batch["image_id"])))
    return pl.concat(collected)


def main() -> None:
    """Answer lines with seconds."""
    paths = sorted(Path(sys.argv[1]).glob("*.jpg"))
    model = network(sys.argv[2])
    model.eval()
    predict(model, paths[:8])
    print("ready", flush=True)
    for _ in sys.stdin:
        started = time.perf_counter()
        assert len(predict(model, paths)) == len(paths)
        print(time.perf_counter() - started, flush=True)


if __name__ == "__main__":
    main()
