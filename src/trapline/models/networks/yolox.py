"""YOLOX (Ge et al. 2021, *YOLOX: Exceeding YOLO Series in 2021*), as far as its checkpoints need it to run.

Written after the paper and the shapes in a checkpoint, whose names the modules bear. Width, depth and number
of categories follow from the checkpoint; the variant with depthwise convolutions (nano) is not covered.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from trapline.errors import DataError, many
from trapline.models.networks.export import export_module
from trapline.models.weights import read_tensors

if TYPE_CHECKING:
    import onnx

_EPSILON = 1e-3
"""Of the batch norms: YOLOX trains with this, PyTorch's own is 1e-5."""


def yolox_graph(checkpoint: Path, side: int) -> tuple[onnx.ModelProto, int]:
    """A checkpoint as a graph in YOLOX's own layout, and its number of categories.

    Input `images`: float32 [batch, 3, side, side], BGR, 0..255. Output `output`: float32 [batch, cells, 5 +
    categories], see `trapline.models.detector`.

    Raises:
        DataError: no checkpoint of YOLOX, or one with depthwise convolutions.
    """
    state = read_tensors(checkpoint)
    try:
        width = state["backbone.backbone.stem.conv.conv.weight"].shape[0]
        categories = state["head.cls_preds.0.weight"].shape[0]
        depth = len({key.split(".")[5] for key in state if key.startswith("backbone.backbone.dark2.1.m.")})
        network = Yolox(width, depth, categories)
        missing = sorted(set(network.state_dict()) - set(state))
        if missing:
            raise DataError(
                f"{checkpoint} lacks {many(len(missing), 'tensor')} of a YOLOX, such as {missing[0]}."
            )
        network.load_state_dict({key: state[key] for key in network.state_dict()})
    except (KeyError, RuntimeError) as error:
        raise DataError(f"{checkpoint} is no checkpoint of a YOLOX: {error}") from error
    example = torch.zeros(2, 3, side, side)
    return export_module(network, example, ["output"]), categories


class Yolox(nn.Module):
    """Backbone with pyramid, and a head for each of its three scales."""

    def __init__(self, width: int, depth: int, categories: int) -> None:
        super().__init__()
        self.backbone = Pyramid(width, depth)
        self.head = YoloxHead(width * 4, [width * 4, width * 8, width * 16], categories)

    def forward(self, images: Tensor) -> Tensor:
        """float [N, 3, H, W] -> [N, cells, 5 + categories]."""
        raw: Tensor = self.head(self.backbone(images))
        return raw


class Convolution(nn.Module):
    """Convolution without bias, batch norm, SiLU."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, (kernel - 1) // 2, bias=False)
        self.bn = nn.BatchNorm2d(outputs, eps=_EPSILON)

    def forward(self, maps: Tensor) -> Tensor:
        """[N, inputs, h, w] -> [N, outputs, h / stride, w / stride]."""
        return functional.silu(self.bn(self.conv(maps)))


class Bottleneck(nn.Module):
    """A 1 × 1 and a 3 × 3 convolution, with what came in added if `shortcut`."""

    def __init__(self, channels: int, shortcut: bool) -> None:
        super().__init__()
        self.conv1 = Convolution(channels, channels, 1)
        self.conv2 = Convolution(channels, channels, 3)
        self.shortcut = shortcut

    def forward(self, maps: Tensor) -> Tensor:
        """Keeps the shape."""
        done: Tensor = self.conv2(self.conv1(maps))
        return maps + done if self.shortcut else done


class CrossStage(nn.Module):
    """Two halves side by side, one of them through bottlenecks (Wang et al. 2020, *CSPNet*)."""

    def __init__(self, inputs: int, outputs: int, count: int, shortcut: bool) -> None:
        super().__init__()
        half = outputs // 2
        self.conv1, self.conv2 = Convolution(inputs, half, 1), Convolution(inputs, half, 1)
        self.conv3 = Convolution(outputs, outputs, 1)
        self.m = nn.Sequential(*(Bottleneck(half, shortcut) for _ in range(count)))

    def forward(self, maps: Tensor) -> Tensor:
        """[N, inputs, h, w] -> [N, outputs, h, w]."""
        done: Tensor = self.conv3(torch.cat([self.m(self.conv1(maps)), self.conv2(maps)], dim=1))
        return done


class SpatialPools(nn.Module):
    """The map beside its maxima over 5, 9 and 13 cells."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = Convolution(channels, channels // 2, 1)
        self.conv2 = Convolution(channels * 2, channels, 1)

    def forward(self, maps: Tensor) -> Tensor:
        """Keeps the shape."""
        narrow = self.conv1(maps)
        pools = [functional.max_pool2d(narrow, size, 1, size // 2) for size in (5, 9, 13)]
        done: Tensor = self.conv2(torch.cat([narrow, *pools], dim=1))
        return done


class Stem(nn.Module):
    """Every 2 × 2 pixels become one cell with four times the channels."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.conv = Convolution(12, outputs, 3)

    def forward(self, images: Tensor) -> Tensor:
        """[N, 3, H, W] -> [N, outputs, H / 2, W / 2]."""
        corners = [images[..., row::2, column::2] for column in (0, 1) for row in (0, 1)]
        done: Tensor = self.conv(torch.cat(corners, dim=1))
        return done


class Darknet(nn.Module):
    """The backbone: maps of strides 8, 16 and 32."""

    def __init__(self, width: int, depth: int) -> None:
        super().__init__()
        self.stem = Stem(width)
        self.dark2, self.dark3, self.dark4 = (
            nn.Sequential(
                Convolution(width * size, width * size * 2, 3, 2),
                CrossStage(width * size * 2, width * size * 2, count, shortcut=True),
            )
            for size, count in ((1, depth), (2, depth * 3), (4, depth * 3))
        )
        self.dark5 = nn.Sequential(
            Convolution(width * 8, width * 16, 3, 2),
            SpatialPools(width * 16),
            CrossStage(width * 16, width * 16, depth, shortcut=False),
        )

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """[N, 3, H, W] -> maps of strides 8, 16, 32."""
        fine = self.dark3(self.dark2(self.stem(images)))
        middle = self.dark4(fine)
        return fine, middle, self.dark5(middle)


class Pyramid(nn.Module):
    """The backbone, its coarse maps carried down to the fine ones and back up (Liu et al. 2018, *PANet*)."""

    def __init__(self, width: int, depth: int) -> None:
        super().__init__()
        fine, middle, coarse = width * 4, width * 8, width * 16
        self.backbone = Darknet(width, depth)
        self.lateral_conv0 = Convolution(coarse, middle, 1)
        self.C3_p4 = CrossStage(middle * 2, middle, depth, shortcut=False)
        self.reduce_conv1 = Convolution(middle, fine, 1)
        self.C3_p3 = CrossStage(fine * 2, fine, depth, shortcut=False)
        self.bu_conv2 = Convolution(fine, fine, 3, 2)
        self.C3_n3 = CrossStage(fine * 2, middle, depth, shortcut=False)
        self.bu_conv1 = Convolution(middle, middle, 3, 2)
        self.C3_n4 = CrossStage(middle * 2, coarse, depth, shortcut=False)

    def forward(self, images: Tensor) -> list[Tensor]:
        """[N, 3, H, W] -> maps of strides 8, 16, 32."""
        fine, middle, coarse = self.backbone(images)
        narrow = self.lateral_conv0(coarse)
        between = self.reduce_conv1(self.C3_p4(torch.cat([_double(narrow), middle], dim=1)))
        low = self.C3_p3(torch.cat([_double(between), fine], dim=1))
        mid = self.C3_n3(torch.cat([self.bu_conv2(low), between], dim=1))
        return [low, mid, self.C3_n4(torch.cat([self.bu_conv1(mid), narrow], dim=1))]


def _double(maps: Tensor) -> Tensor:
    return functional.interpolate(maps, scale_factor=2.0, mode="nearest")


class YoloxHead(nn.Module):
    """At every cell of every scale: a box, whether something is there, and what."""

    def __init__(self, width: int, inputs: list[int], categories: int) -> None:
        super().__init__()
        self.stems = nn.ModuleList(Convolution(channels, width, 1) for channels in inputs)
        self.cls_convs, self.reg_convs = (
            nn.ModuleList(
                nn.Sequential(Convolution(width, width, 3), Convolution(width, width, 3)) for _ in inputs
            )
            for _ in range(2)
        )
        self.reg_preds, self.obj_preds, self.cls_preds = (
            nn.ModuleList(nn.Conv2d(width, numbers, 1) for _ in inputs) for numbers in (4, 1, categories)
        )

    def forward(self, scales: list[Tensor]) -> Tensor:
        """Maps [N, inputs[k], h, w] -> [N, cells of all scales, 5 + categories]."""
        return torch.cat([self._at(index, maps).flatten(2) for index, maps in enumerate(scales)], 2).mT

    def _at(self, index: int, maps: Tensor) -> Tensor:
        stem = self.stems[index](maps)
        kinds, boxes = self.cls_convs[index](stem), self.reg_convs[index](stem)
        there, what = self.obj_preds[index](boxes).sigmoid(), self.cls_preds[index](kinds).sigmoid()
        return torch.cat([self.reg_preds[index](boxes), there, what], dim=1)
