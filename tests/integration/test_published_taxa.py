"""The published taxonomic classifiers, run small: weights from a local file of the hub's format."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from PIL import Image

from trapline.cli import main
from trapline.models import ModelFile
from trapline.recipes import resolve_recipe
from trapline.training import taxa_adam
from trapline.training.linear import LinearLayer

torch = pytest.importorskip("torch")
timm = pytest.importorskip("timm")


def test_the_recipe_is_the_published_one() -> None:
    recipe = resolve_recipe("taxon-efficientnet-b6")
    assert recipe.backbone == "timm/tf_efficientnet_b6.aa_in1k"
    assert (recipe.preprocessing.height, recipe.preprocessing.width) == (528, 528)
    assert (recipe.optimiser.name, recipe.optimiser.lr, recipe.batch_size) == ("adam", 1e-3, 32)
    assert (recipe.epochs, recipe.balance, recipe.selection) == (25, "class-weights", "accuracy")
    assert (recipe.correct_prior, recipe.calibration) == (False, "none")
    assert recipe.taxa is not None
    assert (recipe.taxa.way, recipe.taxa.solver) == ("cascade", "adam")


def run(*arguments: str) -> None:
    with pytest.raises(SystemExit) as left:
        main(list(arguments))
    assert left.value.code == 0


@pytest.fixture
def nested(tmp_path: Path) -> Path:
    """`taxon_train/<family>/<genus>/<species>/<obsid>_<letter>.jpg`, and `taxon_validate`."""
    random = np.random.default_rng(0)
    colours = {
        "felidae/panthera/panthera_leo": (200, 150, 60),
        "felidae/panthera/panthera_pardus": (200, 60, 60),
        "felidae/acinonyx/acinonyx_jubatus": (200, 200, 160),
        "canidae/lycaon/lycaon_pictus": (40, 60, 200),
    }
    for part, observations in (("taxon_train", range(6)), ("taxon_validate", range(6, 11))):
        for number, (folder, colour) in enumerate(colours.items()):
            for observation in observations:
                for letter in "ab":
                    path = tmp_path / "photos" / part / folder / f"{number}{observation}_{letter}.jpg"
                    path.parent.mkdir(parents=True, exist_ok=True)
                    pixels = np.clip(colour + random.normal(0, 20, (40, 40, 3)), 0, 255).astype(np.uint8)
                    Image.fromarray(pixels).save(path)
    return tmp_path / "photos"


@pytest.mark.slow
def test_one_command_trains_every_node_with_weights_from_a_local_file(
    nested: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from safetensors.torch import save_file

    heads: list[tuple[tuple[Any, ...], LinearLayer]] = []
    original = taxa_adam.fit_by_epochs

    def recorded(*given: Any) -> LinearLayer:
        heads.append((given, original(*given)))
        return heads[-1][1]

    monkeypatch.setattr(taxa_adam, "fit_by_epochs", recorded)
    monkeypatch.setenv("TRAPLINE_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    network = timm.create_model("test_efficientnet", pretrained=False)
    save_file(network.state_dict(), tmp_path / "hub.safetensors")
    run("catalog", str(nested), "-o", "catalog.parquet")
    changes = ["backbone=timm/test_efficientnet", "weights=hub.safetensors", "epochs=6"]
    changes += ["preprocessing.height=64", "preprocessing.width=64", "taxa.promise=0.6"]
    settings = [word for change in changes for word in ("--set", change)]
    tree = ["--taxonomy", str(nested / "taxon_train")]
    run("train", "catalog.parquet", "-r", "taxon-efficientnet-b6", *tree, "-o", "run", *settings)
    card = ModelFile(tmp_path / "run" / "model.onnx").card
    assert [head["name"] for head in card.taxonomy["heads"]] == [
        "family_taxon_classifier",
        "felidae_taxon_classifier",
        "panthera_taxon_classifier",
    ]
    assert card.labels == ("acinonyx_jubatus", "lycaon_pictus", "panthera_leo", "panthera_pardus")
    assert card.training_data["train"]["media"] == 48
    assert "labels, recipe taxon-efficientnet-b6" in capsys.readouterr().out
    assert len(heads) == 3
    for given, head in heads:
        _, features, possible, weights, held, held_possible = given
        shares = weights @ possible  # balanced: each child counts alike
        np.testing.assert_allclose(shares, shares.mean())
        layers, scores = published_epochs(features, possible, weights, held, held_possible)
        assert len(scores) == 6
        best = max(place for place, score in enumerate(scores) if score == max(scores))
        np.testing.assert_allclose(head.weights, layers[best][0], atol=1e-5)
        np.testing.assert_allclose(head.bias, layers[best][1], atol=1e-5)
    history = pl.read_csv("run/history.csv")
    assert history["node"].unique(maintain_order=True).to_list() == [
        head["name"] for head in card.taxonomy["heads"]
    ]
    assert history["epoch"].to_list() == [*range(1, 7)] * 3
    assert history.select(pl.selectors.ends_with("accuracy")).columns == [
        "train_accuracy",
        "validation_accuracy",
    ]
    with Image.open(tmp_path / "run" / "history.png") as figure:
        assert figure.width > 400
    run("predict", "run/model.onnx", "catalog.parquet", "--part", "validation", "-o", "p.csv")
    said = pl.read_csv("p.csv")
    right = said.filter(pl.col("answer").is_not_null())
    assert len(said) == 40
    assert len(right) > 20
    assert set(right["answer_rank"]) <= {"family", "genus", "species", "kind"}


def published_epochs(
    features: np.ndarray, possible: np.ndarray, weights: np.ndarray, held: np.ndarray, truth: np.ndarray
) -> tuple[list[tuple[np.ndarray, np.ndarray]], list[float]]:
    """A dense layer (Glorot) by six epochs of Adam at 1e-3, batches of 32; its accuracy after each."""
    torch.manual_seed(42)
    layer = torch.nn.Linear(features.shape[1], possible.shape[1])
    torch.nn.init.xavier_uniform_(layer.weight)
    torch.nn.init.zeros_(layer.bias)
    adam = torch.optim.Adam(layer.parameters(), lr=1e-3)
    values, targets = torch.from_numpy(features), torch.from_numpy(possible.argmax(axis=1))
    shares = torch.from_numpy(weights.astype(np.float32))
    layers, scores = [], []
    for _ in range(6):
        for batch in torch.randperm(len(values)).split(32):
            adam.zero_grad()
            loss = torch.nn.functional.cross_entropy(layer(values[batch]), targets[batch], reduction="none")
            (loss * shares[batch]).mean().backward()
            adam.step()
        layers.append((layer.weight.detach().numpy().T.copy(), layer.bias.detach().numpy().copy()))
        said = (held @ layers[-1][0] + layers[-1][1]).argmax(axis=1)
        scores.append(float((said == truth.argmax(axis=1)).mean()))
    return layers, scores
