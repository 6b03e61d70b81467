"""From a trained network to an ONNX graph that any runtime can run."""

from __future__ import annotations

import copy
import warnings
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from trapline.models.collecting import put_off_collecting
from trapline.models.networks.network import Network
from trapline.models.quiet import quiet

if TYPE_CHECKING:
    import onnx

OPSET = 18


def network_graph(network: Network, height: int, width: int) -> onnx.ModelProto:
    """The network as ONNX: `images` uint8 [batch, height, width, 3] -> `embedding`, `logits`."""
    images = torch.zeros(2, height, width, 3, dtype=torch.uint8)
    return export_module(network, images, ["logits", "embedding"])


def export_module(module: nn.Module, images: Tensor, outputs: list[str]) -> onnx.ModelProto:
    """A module of one input as ONNX: `images` as the example [N, …], of any N, -> `outputs`."""
    still = copy.deepcopy(module).cpu().float().eval().to(memory_format=torch.contiguous_format)
    for layer in still.modules():
        if getattr(layer, "inplace", False):
            layer.inplace = False  # type: ignore[assignment]  # the same graph, in half the time
    with torch.no_grad(), warnings.catch_warnings(), quiet("torch.onnx"), put_off_collecting():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            still,
            (images,),
            input_names=["images"],
            output_names=outputs,
            dynamic_shapes=({0: torch.export.Dim("batch", min=1)},),
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    return program.model_proto
