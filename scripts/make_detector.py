"""Make the detector that Trapline ships: zamba's MegadetectorLite as one small ONNX file.

    uv run --all-extras python scripts/make_detector.py src/trapline/models/detectors/megadetector-lite.onnx \
        --photos FOLDERS

The weights come with the package `zamba` on PyPI, whose wheel is downloaded (or named with `--wheel`) and
checked; of the wheel one file is read, as numbers. Three things are written otherwise than YOLOX's own
exporter does, none of which changes what is computed: the file takes pictures as Trapline has them (uint8,
channels last, RGB) and of any size; the stem's regrouping of 2 × 2 pixels is part of its convolution; batch
normalisation is folded. Then convolutions and what lies between them become eight-bit, with ranges seen on
some photos of FOLDERS (the shipped file: of jura and of the unlabelled part of caltech-night; its recall was
measured on other photos). Seven bits for the weights: processors without VNNI would be wrong with eight. The
last convolutions, which give boxes and confidences, stay float32.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import torch
from onnx import helper
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from trapline.errors import DataError
from trapline.images import Preprocessing, prepare
from trapline.models import Detector
from trapline.models.detector import METADATA_KEY
from trapline.models.graph_parts import forget_exporter
from trapline.models.networks.yolox import Convolution, Yolox
from trapline.models.onnx_graph import store_half
from trapline.models.quantize import OPERATORS, quantise
from trapline.models.weights import read_tensors

REQUIREMENT = "zamba==2.7.2"
WHEEL_SHA256 = "9683e004af3219635937d2a854b4443fe51527e242b2f3602267159a039571c6"
MEMBER = "zamba/object_detection/yolox/assets/yolox_tiny_640_20220528.pth"
WEIGHTS_SHA256 = "31f8690fc62f9d0756f1e8c09b0b02e5ade106173ed0a30743d47c004f88f4e0"
SIDE, STRIDE, OPSET = 640, 32, 18
CALIBRATION_PHOTOS = 200
BETWEEN = ("Sigmoid", "Concat", "Resize")
"""What lies between YOLOX's convolutions, besides what Trapline's own networks have."""
FACTS = {
    "name": "megadetector-lite",
    "categories": ["animal"],
    "side": SIDE,
    "source": f"{REQUIREMENT}: {MEMBER}",
    "source_fingerprint": WEIGHTS_SHA256,
    "licence": "MIT",
    "notices": [
        "MegadetectorLite: YOLOX-tiny, trained by DrivenData; MIT License, Copyright (c) 2022 DrivenData "
        "Inc. (package zamba 2.7.2); written as ONNX by Trapline: batch normalisation folded, convolutions "
        "in eight bits.",
    ],
    "measured": (
        "recall of the boxes of 831 photos of caltech-night at confidence 0.2 and IoU 0.5: 0.755 (in float32 "
        "0.758), of those drawn by people 0.690 (0.694); average precision 0.725 (0.728)"
    ),
}
"""What the file says of itself; it has no date, so that it comes out the same every time."""


class Stem(nn.Module):
    """YOLOX's stem as one convolution of stride 2: 3 × 3 over cells of 2 × 2 pixels is 6 × 6 over pixels."""

    def __init__(self, cells: nn.Conv2d) -> None:
        super().__init__()
        assert cells.bias is not None
        outputs = cells.out_channels
        self.conv = nn.Conv2d(3, outputs, 6, stride=2, padding=2)
        # The cells' channels are [column, row, BGR] of the pixels; the pixels' are RGB.
        apart = cells.weight.detach().reshape(outputs, 2, 2, 3, 3, 3)  # out, column, row, BGR, y, x
        pixels = apart.permute(0, 3, 4, 2, 5, 1).reshape(outputs, 3, 6, 6)  # out, BGR, 2y + row, 2x + column
        with torch.no_grad():
            self.conv.weight.copy_(pixels.flip(1))
            self.conv.bias.copy_(cells.bias)  # type: ignore[union-attr]

    def forward(self, images: Tensor) -> Tensor:
        """[N, 3, H, W] -> [N, outputs, H / 2, W / 2]."""
        return nn.functional.silu(self.conv(images))


class Shipped(nn.Module):
    """The network with pictures as Trapline has them."""

    def __init__(self, network: Yolox) -> None:
        super().__init__()
        for layer in network.modules():
            if isinstance(layer, Convolution):
                layer.conv, layer.bn = fuse_conv_bn_eval(layer.conv, layer.bn), nn.Identity()  # type: ignore[assignment]
        network.backbone.backbone.stem = Stem(network.backbone.backbone.stem.conv.conv)  # type: ignore[assignment]
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        """uint8 [N, H, W, 3] -> [N, cells, 5 + categories]."""
        raw: Tensor = self.network(images.permute(0, 3, 1, 2).float())
        return raw


def load_network(checkpoint: Path) -> Yolox:
    """MegadetectorLite, in evaluation mode."""
    state = read_tensors(checkpoint)
    network = Yolox(width=24, depth=1, categories=1)
    network.load_state_dict(state, strict=True)
    return network.eval()


def fetch_weights(folder: Path, wheel: Path | None) -> Path:
    """The checkpoint out of zamba's wheel, both checked."""
    if wheel is None:
        command = ["uv", "tool", "run", "pip", "download", "--no-deps", "--dest", str(folder), REQUIREMENT]
        subprocess.run(command, check=True)
        (wheel,) = folder.glob("zamba-*.whl")
    check_sha256(wheel, wheel.read_bytes(), WHEEL_SHA256)
    with zipfile.ZipFile(wheel) as archive:
        content = archive.read(MEMBER)
    check_sha256(Path(MEMBER), content, WEIGHTS_SHA256)
    checkpoint = folder / Path(MEMBER).name
    checkpoint.write_bytes(content)
    return checkpoint


def check_sha256(path: Path, content: bytes, expected: str) -> None:
    """Refuse content that is not the one this script was written for."""
    found = hashlib.sha256(content).hexdigest()
    if found != expected:
        raise DataError(f"{path} is not what it was: its SHA-256 is {found}, and was {expected}.")


def export(network: Shipped) -> onnx.ModelProto:
    """As ONNX, of any number of pictures of any sides that are multiples of 32."""
    batch = torch.export.Dim("batch", min=1)
    rows, columns = torch.export.Dim("rows", min=2), torch.export.Dim("columns", min=2)
    with torch.no_grad():
        program = torch.onnx.export(
            network,
            (torch.zeros(2, 96, 128, 3, dtype=torch.uint8),),
            input_names=["images"],
            output_names=["output"],
            dynamic_shapes=({0: batch, 1: STRIDE * rows, 2: STRIDE * columns},),
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    return program.model_proto


def answer_nodes(network: onnx.ModelProto) -> list[onnx.NodeProto]:
    """The last convolutions, which give boxes and confidences, and what follows them."""
    behind: set[str] = set()  # values that a convolution still reads, directly or not
    trunk = []
    for node in reversed(network.graph.node):
        if behind & set(node.output):
            trunk.append(node.name)
        if node.op_type == "Conv" or behind & set(node.output):
            behind.update(node.input)
    return [node for node in network.graph.node if node.name not in trunk]


def calibration_pictures(folders: Sequence[Path]) -> Iterator[npt.NDArray[np.uint8]]:
    """Some photos of folders, one at a time, as the detector sees them: uint8 [1, height, width, 3]."""
    photos = sorted(path for folder in folders for path in folder.rglob("*.[jJ][pP][gG]"))
    chosen = np.random.default_rng(42).permutation(len(photos))[:CALIBRATION_PHOTOS]
    size = Preprocessing(height=SIDE, width=SIDE, fit="corner", interpolation="bilinear")
    for number in chosen:
        prepared = prepare(photos[number], size)
        rows, columns = (STRIDE * -(-side // STRIDE) for side in prepared.inner)
        yield np.ascontiguousarray(prepared.pixels[None, :rows, :columns])


def main() -> None:
    """Write the file named on the command line."""
    parser = argparse.ArgumentParser(description="Make the detector that Trapline ships.")
    parser.add_argument("output", type=Path)
    parser.add_argument("--photos", type=Path, nargs="+", required=True, help="folders of photos")
    parser.add_argument("--wheel", type=Path, help=f"of {REQUIREMENT}, if it is at hand")
    parser.add_argument("--float", action="store_true", help="write it in half precision, to compare")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="trapline-detector-") as folder:
        network = load_network(fetch_weights(Path(folder), options.wheel))
    graph = export(Shipped(network).eval())
    if options.float:
        graph = store_half(graph)
    else:
        pictures = calibration_pictures(options.photos)
        graph = quantise(
            graph, pictures, seven_bits=True, head=answer_nodes, operators=(*OPERATORS, *BETWEEN)
        )
    write(graph, options.output)
    print(f"{options.output}: {options.output.stat().st_size / 1e6:.1f} MB")


def write(graph: onnx.ModelProto, output: Path) -> None:
    """The finished file, tried."""
    forget_exporter(graph)
    for number, node in enumerate(graph.graph.node):
        node.name = f"node{number}"
    helper.set_model_props(graph, {METADATA_KEY: json.dumps(FACTS)})
    output.write_bytes(graph.SerializeToString(deterministic=True))
    Detector(output)


if __name__ == "__main__":
    main()
