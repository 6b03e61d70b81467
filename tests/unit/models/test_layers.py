"""The network of a model file, layer by layer."""

from collections.abc import Callable
from pathlib import Path

import pytest

from trapline.cli import main
from trapline.errors import UsageError
from trapline.models import ModelFile, backbones
from trapline.models.layers import network_layers
from trapline.reports.network_figure import draw_network


def test_a_small_network_is_told_in_full(write_tiny_model: Callable[..., Path], tmp_path: Path) -> None:
    found = network_layers(write_tiny_model(tmp_path / "m.onnx"), 16, 16)
    assert [layer.operator for layer in found[-3:]] == ["Reshape", "MatMul", "Softmax"]
    assert [layer.shape for layer in found[-3:]] == [(12,), (3,), (3,)]
    assert [layer.parameters for layer in found] == [0] * (len(found) - 2) + [36, 0]
    assert [layer.inputs for layer in found] == [(), *((index,) for index in range(len(found) - 1))]


def test_the_backbone_in_half_precision_has_its_weights_and_shortcuts() -> None:
    path = backbones.path("lite0")
    size = ModelFile(path).card.preprocessing
    found = network_layers(path, size.height, size.width)
    stem = next(layer for layer in found if layer.parameters)
    assert (stem.operator, stem.shape, stem.parameters) == (
        "Conv 3×3 /2 + Clip",
        (32, 112, 112),
        32 * 27 + 32,
    )
    assert sum(len(layer.inputs) == 2 for layer in found) == 9  # the sums of the residual blocks
    assert all(source < index for index, layer in enumerate(found) for source in layer.inputs)


def test_the_published_small_network_has_its_published_number_of_parameters(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    from trapline.models import Card
    from trapline.models.networks import build_network, network_graph
    from trapline.models.onnx_graph import write_model_file
    from trapline.recipes import resolve_recipe

    recipe = resolve_recipe("small-cnn", None, [])
    network, _ = build_network(recipe, 8)
    for name, values in network.named_parameters():
        if name.endswith("bias"):
            torch.nn.init.normal_(values)  # a bias of zeros leaves no trace in the file
    size, labels = recipe.preprocessing, tuple("abcdefgh")
    card = Card(
        name="t",
        task="single-label",
        labels=labels,
        embedding_size=network.embedding_size,
        preprocessing=size,
    )
    path = write_model_file(network_graph(network.eval(), 150, 150), card, tmp_path / "m.onnx")
    found = network_layers(path, 150, 150)
    assert sum(layer.parameters for layer in found) == 837_352
    assert [layer.shape for layer in found if layer.operator.startswith("Conv")] == [
        (32, 148, 148), (64, 72, 72), (64, 34, 34), (128, 15, 15), (256, 5, 5)
    ]  # fmt: skip


@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf"])
def test_the_command_prints_and_draws(
    suffix: str, write_tiny_model: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, picture = write_tiny_model(tmp_path / "m.onnx"), tmp_path / f"network{suffix}"
    command = ["show", str(model), "--layers", "-o", str(picture)]
    with pytest.raises(SystemExit) as left:
        main(command)
    assert left.value.code in (0, None)
    assert "36 parameters" in capsys.readouterr().out
    assert picture.stat().st_size > 1000
    with pytest.raises(SystemExit) as left:
        main(command)  # it is there
    assert left.value.code == 2


@pytest.mark.parametrize("asked", [["--layers"], ["-o", "network.png"]])
def test_a_photo_and_the_network_are_not_asked_for_at_once(
    asked: list[str],
    write_tiny_model: Callable[..., Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    model = write_tiny_model(tmp_path / "m.onnx")
    with pytest.raises(SystemExit) as left:
        main(["show", str(model), "--photo", "a.jpg", *asked])
    assert left.value.code == 2
    assert "ask for one of them" in capsys.readouterr().err


def test_a_drawing_of_another_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"\.png, \.svg, \.pdf, not as 'network\.txt'"):
        draw_network([], "nothing", tmp_path / "network.txt")
