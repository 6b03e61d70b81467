"""The ONNX graph of every network that recipes train with PyTorch answers as PyTorch does."""

from pathlib import Path

import numpy as np
import pytest

from trapline.models import Card, ModelFile
from trapline.recipes import recipe_names, resolve_recipe

torch = pytest.importorskip("torch")
networks = pytest.importorskip("trapline.models.networks")

SMALL = ["preprocessing.height=96", "preprocessing.width=128", "weights=none", "how=scratch"]
RECIPES = [resolve_recipe(name) for name in recipe_names()]
TRAINED = [one for one in RECIPES if one.how != "frozen"]
NETWORKS = {
    (one.backbone, one.head.model_copy(update={"dropout": 0.0})): one.name for one in reversed(TRAINED)
}


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(NETWORKS.values()))
def test_the_graph_answers_as_the_network_does(name: str, tmp_path: Path) -> None:
    from trapline.models.onnx_graph import write_model_file

    recipe = resolve_recipe(name, None, SMALL)
    torch.manual_seed(0)
    network, _ = networks.build_network(recipe, labels=3)
    network.eval()
    images = np.random.default_rng(0).integers(0, 256, (3, 96, 128, 3), dtype=np.uint8)
    with torch.no_grad():
        logits, embedding = network(torch.from_numpy(images))
    card = Card(
        name=name,
        task="single-label",
        labels=("a", "b", "c"),
        embedding_size=network.embedding_size,
        preprocessing=recipe.preprocessing,
    )
    write_model_file(networks.network_graph(network, 96, 128), card, tmp_path / "m.onnx")
    outputs = ModelFile(tmp_path / "m.onnx", threads=1).run(images)
    np.testing.assert_allclose(outputs.logits, logits.numpy(), atol=1e-4)
    np.testing.assert_allclose(outputs.embedding, embedding.numpy(), atol=1e-4)
    np.testing.assert_allclose(outputs.probabilities, logits.softmax(dim=1).numpy(), atol=1e-4)
