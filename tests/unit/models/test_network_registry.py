"""Every recipe that PyTorch trains builds its network, with the right weights or none."""

import functools
from pathlib import Path

import pytest

from trapline.errors import DataError, UsageError
from trapline.recipes import Recipe, recipe_names, resolve_recipe

pytestmark = pytest.mark.slow

torch = pytest.importorskip("torch")
networks = pytest.importorskip("trapline.models.networks")

SMALL = ["preprocessing.height=96", "preprocessing.width=128", "weights=none", "how=scratch"]


@functools.cache
def small(name: str) -> Recipe:
    return resolve_recipe(name, None, SMALL)


def is_torch(name: str) -> bool:
    return resolve_recipe(name).how != "frozen"  # those train heads only, on embeddings


@pytest.mark.parametrize("name", [name for name in recipe_names() if is_torch(name)])
def test_a_network_answers_logits_and_an_embedding_for_uint8_images(name: str) -> None:
    network, _ = networks.build_network(small(name), labels=5)
    network.eval()
    logits, embedding = network(torch.zeros(3, 96, 128, 3, dtype=torch.uint8))
    assert logits.shape == (3, 5)
    assert embedding.shape == (3, network.embedding_size)
    assert logits.dtype == embedding.dtype == torch.float32


def test_the_small_cnn_is_the_published_one() -> None:
    network, _ = networks.build_network(resolve_recipe("small-cnn"), labels=8)
    assert sum(parameter.numel() for parameter in network.parameters()) == 837_352
    assert network.embedding_size == 6400
    dropouts = [layer.p for layer in network.head if isinstance(layer, torch.nn.Dropout)]
    assert dropouts == [0.5, 0.5, 0.5]


def test_the_batch_norm_variant_normalises_every_layer_but_the_last() -> None:
    network, _ = networks.build_network(resolve_recipe("small-cnn-bn"), labels=8)
    kinds = [type(layer).__name__ for layer in network.modules()]
    assert kinds.count("BatchNorm2d") == 5
    assert kinds.count("BatchNorm1d") == 2
    convolutions = [layer for layer in network.modules() if isinstance(layer, torch.nn.Conv2d)]
    assert [layer.bias for layer in convolutions] == [None] * 5
    plain = 837_352
    assert sum(parameter.numel() for parameter in network.parameters()) == plain - 544 + 2 * (544 + 64 + 32)


def test_the_benchmark_resnet_has_the_published_head() -> None:
    recipe = resolve_recipe("conser-vision-resnet50", None, ["weights=none", "how=scratch"])
    network, _ = networks.build_network(recipe, labels=8)
    assert [type(layer).__name__ for layer in network.head] == ["Linear", "ReLU", "Dropout", "Linear"]
    assert (network.head[0].in_features, network.head[0].out_features) == (2048, 100)
    assert network.head[2].p == 0.1


@pytest.mark.parametrize("pooling", ["avg", "max", "avgmax", "gem"])
def test_every_pooling_gives_one_vector_an_image(pooling: str) -> None:
    network, _ = networks.build_network(
        resolve_recipe("efficientnet-lite0", None, [*SMALL, f"head.pooling={pooling}"]), labels=2
    )
    assert network.embedding_size == (2560 if pooling == "avgmax" else 1280)


def test_the_offline_weights_are_loaded_whole() -> None:
    recipe = resolve_recipe("efficientnet-lite0")
    loaded, weights = networks.build_network(recipe, labels=2)
    again, _ = networks.build_network(recipe, labels=2)
    assert weights.notices
    assert "Apache-2.0" in weights.notices[0]
    for (name, first), second in zip(
        loaded.backbone.state_dict().items(), again.backbone.state_dict().values(), strict=True
    ):
        assert torch.equal(first, second), name


def test_a_trained_networks_weights_start_another(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    trained, _ = networks.build_network(small("efficientnet-lite0"), labels=4)
    path = tmp_path / "weights.safetensors"
    save_file({key: value.contiguous() for key, value in trained.state_dict().items()}, path)
    recipe = resolve_recipe("efficientnet-lite0", None, [*SMALL[:2], f"weights={path}"])
    started, weights = networks.build_network(recipe, labels=2)
    assert weights.path == path
    assert torch.equal(started.backbone.conv_stem.weight, trained.backbone.conv_stem.weight)


def test_a_torchvision_state_dict_fits_the_resnet(tmp_path: Path) -> None:
    torchvision = pytest.importorskip("torchvision")
    published = torchvision.models.resnet50(weights=None)
    torch.save(published.state_dict(), tmp_path / "resnet50.pth")
    recipe = resolve_recipe("conser-vision-resnet50", None, [f"weights={tmp_path / 'resnet50.pth'}"])
    network, _ = networks.build_network(recipe, labels=8)
    images = torch.rand(1, 3, 64, 64)
    published.fc = torch.nn.Identity()
    with torch.no_grad():
        expected = published.eval()(images)
        found = network.eval().backbone(images)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    torch.save({"conv.weight": torch.zeros(3)}, tmp_path / "other.pth")
    with pytest.raises(DataError, match="does not hold the backbone"):
        networks.build_network(
            resolve_recipe("small-cnn", None, ["how=whole", f"weights={tmp_path / 'other.pth'}"]), labels=2
        )
    with pytest.raises(DataError, match="no weights at"):
        networks.build_network(resolve_recipe("small-cnn", None, ["how=whole", "weights=gone.pth"]), labels=2)


class Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return print, ("unpickled",)


def test_a_pickle_that_wants_to_run_code_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    torch.save({"weight": Evil()}, tmp_path / "evil.pth")
    with pytest.raises(DataError, match="cannot be read as weights"):
        networks.build_network(
            resolve_recipe("small-cnn", None, ["how=whole", f"weights={tmp_path / 'evil.pth'}"]), labels=2
        )
    assert "unpickled" not in capsys.readouterr().out


def test_an_input_too_small_for_the_network_is_a_usage_error() -> None:
    recipe = resolve_recipe("small-cnn", None, ["preprocessing.height=16", "preprocessing.width=16"])
    with pytest.raises(UsageError, match="does not take 16 × 16"):
        networks.build_network(recipe, labels=2)
