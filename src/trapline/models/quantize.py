"""A network in eight bits: the graph alone, by ONNX Runtime's static quantisation.

Activations become uint8 with ranges seen on real pictures, weights int8 with one scale a channel (Jacob et
al. 2018, *Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference*),
written as QuantizeLinear and DequantizeLinear pairs that any runtime reads.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx

from trapline.errors import DataError
from trapline.models.file import INPUT
from trapline.models.graph_parts import head_nodes, without_outputs
from trapline.models.onnx_graph import read_graph
from trapline.models.quiet import quiet

OPERATORS = ("Conv", "ConvTranspose", "Gemm", "MatMul", "Add", "Mul", "Relu", "Clip", "MaxPool")
"""What lies between products must be quantised too, or each of them computes its ranges in float again."""
_PRODUCTS = ("Conv", "ConvTranspose", "Gemm", "MatMul")


def quantise(
    model: onnx.ModelProto,
    pictures: Iterator[npt.NDArray[np.uint8]],
    *,
    seven_bits: bool = False,
    head: Callable[[onnx.ModelProto], Iterable[onnx.NodeProto]] = head_nodes,
    operators: Sequence[str] = OPERATORS,
) -> onnx.ModelProto:
    """The network with its convolutions and matrix products in eight bits.

    The input stays uint8 with its scaling in the graph; pooling, embedding and head stay float32.

    Args:
        model: a network as `trapline.models.onnx_graph` has it.
        pictures: batches of what it will see, uint8 [n, height, width, 3].
        seven_bits: of the weights. Processors without VNNI add pairs of products in 16 bits, where eight-bit
            weights saturate silently; seven bits are safe on every processor, and less exact.
        head: says which nodes stay float32 besides those before the first product.
        operators: that are quantised.

    Raises:
        DataError: no picture, or a network without anything to quantise.
    """
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    # The quantiser logs advice to use what is used here.
    with tempfile.TemporaryDirectory(prefix="trapline-int8-") as folder, quiet():
        source, plain, done = (Path(folder) / f"{name}.onnx" for name in ("source", "plain", "int8"))
        onnx.save(without_outputs(model, ["probabilities"]), source)
        # Weights kept as float16 become constants, batch norms part of their convolutions, and every value
        # gets its shape: without that the quantiser passes over what it does not know.
        quant_pre_process(source, plain, skip_symbolic_shape=True)
        quantize_static(
            plain,
            done,
            _Reader(pictures),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=list(operators),
            per_channel=True,
            reduce_range=seven_bits,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            nodes_to_exclude=_left_in_float(onnx.load(plain), head),
        )
        return read_graph(done)


class _Reader:
    """Gives the quantiser its batches."""

    def __init__(self, pictures: Iterator[npt.NDArray[np.uint8]]) -> None:
        self._pictures = pictures

    def get_next(self) -> dict[str, npt.NDArray[np.uint8]] | None:
        batch = next(self._pictures, None)
        return None if batch is None else {INPUT: batch}


def _left_in_float(
    network: onnx.ModelProto, head: Callable[[onnx.ModelProto], Iterable[onnx.NodeProto]]
) -> list[str]:
    """Names of the nodes that scale the input, and of the head's."""
    in_head = {node.name for node in head(network)}
    if not any(node.op_type in _PRODUCTS and node.name not in in_head for node in network.graph.node):
        raise DataError("The network has no convolution or matrix product before its head to be quantised.")
    behind: set[str] = set()  # values that a product had a part in
    before = []
    for node in network.graph.node:
        if node.op_type in _PRODUCTS or behind & set(node.input):
            behind.update(node.output)
        else:
            before.append(node.name)
    return [*before, *in_head]
