"""A small YOLOX of random weights, as its trainer saves one."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def write_checkpoint(path: Path, seed: int = 0) -> "torch.nn.Module":
    """Write it; returns the network."""
    import torch

    from trapline.models.networks.yolox import Yolox

    torch.manual_seed(seed)
    network = Yolox(width=8, depth=1, categories=1).eval()
    for layer in network.head.obj_preds:
        torch.nn.init.constant_(layer.bias, 1.0)
    torch.save({"start_epoch": 3, "model": network.state_dict(), "optimizer": {}}, path)
    return network
