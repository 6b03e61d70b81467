"""Files of PyTorch, as model files that answer what the networks answer that they hold."""

from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
timm = pytest.importorskip("timm")
torchvision = pytest.importorskip("torchvision")

from torch import nn  # noqa: E402

from trapline.errors import DataError, UsageError  # noqa: E402
from trapline.models import ModelFile, describe  # noqa: E402
from trapline.models.foreign.importing import translate  # noqa: E402
from trapline.models.foreign.torch_tensors import _families, _fill  # noqa: E402

LABELS = ("antelope_duiker", "bird", "blank", "civet_genet", "hog", "leopard", "monkey_prosimian", "rodent")
MEAN = torch.tensor((0.485, 0.456, 0.406)).view(1, 3, 1, 1)
STD = torch.tensor((0.229, 0.224, 0.225)).view(1, 3, 1, 1)
PIXELS = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), dtype=np.uint8)
FLOATS = torch.tensor(PIXELS).permute(0, 3, 1, 2).float() / 255


def settled(network: Any) -> Any:
    """With running means and deviations that are not those of a new network."""
    torch.manual_seed(1)
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d | nn.BatchNorm1d):
            layer.running_mean.uniform_(-0.2, 0.2)
            layer.running_var.uniform_(0.5, 2)
    return network.eval()


def resnet(head: Any = None) -> Any:
    network = torchvision.models.resnet18(num_classes=8)
    if head is not None:
        network.fc = head
    return settled(network)


def conser_vision_head() -> Any:
    return nn.Sequential(nn.Linear(512, 100), nn.ReLU(inplace=True), nn.Dropout(0.1), nn.Linear(100, 8))


def small() -> Any:
    features = (nn.Conv2d(3, 16, 3, stride=4), nn.BatchNorm2d(16), nn.ReLU(), nn.AdaptiveAvgPool2d(2))
    return settled(nn.Sequential(*features, nn.Flatten(), nn.Linear(64, 100), nn.ReLU(), nn.Linear(100, 8)))


def mobilenet() -> Any:
    network = torchvision.models.mobilenet_v3_small()
    network.classifier[3] = nn.Linear(1024, 8)
    return settled(network)


def headless(network: Any) -> Any:
    network.classifier = nn.Linear(network.classifier[0].in_features, 8)
    return settled(network)


def lightning(state: dict[str, Any]) -> dict[str, Any]:
    named = {f"model.{key}": value for key, value in state.items()}
    return {"epoch": 3, "state_dict": OrderedDict(named), "hyper_parameters": {"lr": 1e-3}}


def plain(state: Any) -> Any:
    return state


CASES = {
    "the whole network": ("resnet18", resnet, plain),
    "a head of dense layers (conser-vision)": ("resnet18", lambda: resnet(conser_vision_head()), plain),
    "of Lightning": ("torchvision/resnet18", lambda: resnet(conser_vision_head()), lightning),
    "of DataParallel": (
        "resnet18",
        resnet,
        lambda state: {"model": {f"module.{key}": value for key, value in state.items()}},
    ),
    "the last layer of a classifier replaced": ("mobilenet_v3_small", mobilenet, plain),
    "a classifier replaced": (
        "mobilenet_v3_small",
        lambda: headless(torchvision.models.mobilenet_v3_small()),
        plain,
    ),
    "a head with normalisation": (
        "resnet18",
        lambda: resnet(nn.Sequential(nn.Linear(512, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 8))),
        plain,
    ),
    "of timm, with a head beside it": (
        "timm/resnet18",
        lambda: settled(nn.Sequential(timm.create_model("resnet18", num_classes=0), nn.Linear(512, 8))),
        plain,
    ),
    "of timm": (
        "timm/mobilenetv3_small_050",
        lambda: settled(timm.create_model("mobilenetv3_small_050", num_classes=8)),
        plain,
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_tensors_become_the_network_that_they_are_of(tmp_path: Path, case: str) -> None:
    from trapline.models.weights import read_checkpoint, tensors_of

    named, make, wrap = CASES[case]
    theirs, path = make(), tmp_path / "weights.pth"
    torch.save(wrap(theirs.state_dict()), path, _use_new_zipfile_serialization=case != "of DataParallel")
    state = tensors_of(read_checkpoint(path), path)
    family, name = next(iter(_families(named)))
    ours, assumed = _fill(family, name, state, describe({}), path)
    with torch.no_grad():
        torch.testing.assert_close(ours(FLOATS), theirs(FLOATS), atol=1e-5, rtol=1e-5)
    hidden = isinstance(getattr(theirs, "fc", None), nn.Sequential)
    assert any("ReLU" in sentence for sentence in assumed) == hidden


def saved(network: Any, path: Path, kind: str) -> dict[str, Any]:
    """Write the network as such a file; what must be said of it."""
    example = torch.zeros(2, 3, 64, 64)
    if kind == "safetensors":
        from safetensors.torch import save_file

        save_file(network.state_dict(), path)
        return {"network": "resnet18", "height": 64, "width": 64}
    if kind == "TorchScript":
        torch.jit.trace(network, example).save(path)
        return {"scaling": "imagenet", "height": 64, "width": 64}
    alone = kind == "torch.export of one picture"
    shapes = None if alone else ({0: torch.export.Dim("batch")},)
    torch.export.save(
        torch.export.export(network, (example[:1] if alone else example,), dynamic_shapes=shapes), path
    )
    return {"scaling": "imagenet"}


@pytest.mark.slow
@pytest.mark.parametrize(
    "kind", ["safetensors", "TorchScript", "torch.export", "torch.export of one picture"]
)
@pytest.mark.filterwarnings("ignore")
def test_a_file_answers_what_its_network_answers(tmp_path: Path, kind: str) -> None:
    theirs, path = resnet(conser_vision_head()) if kind == "safetensors" else small(), tmp_path / "model.bin"
    about = saved(theirs, path, kind)
    origin = translate(path, tmp_path / "model.onnx", describe({"labels": LABELS, **about}))
    model = ModelFile(tmp_path / "model.onnx", threads=1, trial=None)
    with torch.no_grad():
        logits = theirs((FLOATS - MEAN) / STD)
    outputs = model.run(PIXELS)
    np.testing.assert_allclose(outputs.logits, logits.numpy(), atol=1e-4)
    np.testing.assert_allclose(outputs.probabilities, logits.softmax(1).numpy(), atol=1e-4)
    assert outputs.embedding.shape == (2, 100)
    assert any("softmax" in sentence for sentence in origin.assumed)


def refused(path: Path, **about: Any) -> str:
    with pytest.raises((DataError, UsageError)) as error:
        translate(path, path.with_suffix(".onnx"), describe({"labels": LABELS, **about}))
    return str(error.value)


def test_a_pickled_network_is_refused_with_the_safe_way(tmp_path: Path) -> None:
    for name, new in (("new.pth", True), ("old.pth", False)):
        torch.save(resnet(), tmp_path / name, _use_new_zipfile_serialization=new)
        message = refused(tmp_path / name, network="resnet18")
        assert "wants to run code" in message
        assert "state_dict(), 'weights.pth'" in message
        assert "torchvision.models.resnet.ResNet" in message or name == "old.pth"


def test_tensors_of_another_network_are_named(tmp_path: Path) -> None:
    torch.save(resnet().state_dict(), tmp_path / "weights.pth")
    assert "lacks layer1.2.conv1.weight" in refused(tmp_path / "weights.pth", network="resnet34")
    assert "--network" in refused(tmp_path / "weights.pth")
    assert "Neither torchvision nor timm" in refused(tmp_path / "weights.pth", network="resnet19")
    assert "of torchvision/ or timm/" in refused(tmp_path / "weights.pth", network="hub/resnet18")
    torch.save({"a": 1}, tmp_path / "none.pth")
    assert "no tensors by name" in refused(tmp_path / "none.pth", network="resnet18")


def test_a_script_that_reads_files_is_not_run(tmp_path: Path) -> None:
    class Reader(nn.Module):
        def forward(self, pictures: torch.Tensor) -> torch.Tensor:
            return torch.from_file("/etc/passwd", size=8) + pictures.mean()

    torch.jit.script(Reader()).save(tmp_path / "reader.pt")
    assert "reads or writes files" in refused(tmp_path / "reader.pt", height=64, width=64)


def test_an_activation_between_layers_that_are_not_there_is_refused(tmp_path: Path) -> None:
    torch.save(resnet().state_dict(), tmp_path / "weights.pth")
    with pytest.raises(UsageError, match="--hidden-activation"):
        translate(
            tmp_path / "weights.pth",
            tmp_path / "o.onnx",
            describe({"network": "resnet18", "hidden_activation": "gelu", "labels": LABELS}),
        )
