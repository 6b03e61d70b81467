"""Joining, averaging and writing graphs: the numbers come out as numpy computes them, the bytes the same."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from trapline.errors import DataError
from trapline.images import Preprocessing
from trapline.models import Calibration, Card, ModelFile
from trapline.models.calibrated import apply_calibration
from trapline.models.graph_events import see_background
from trapline.models.onnx_graph import (
    Layer,
    attach_head,
    average_flips,
    average_members,
    fold_scaling,
    read_graph,
    set_calibration,
    store_half,
    write_model_file,
)

SIDE, WIDTH = 8, 12


def tiny_backbone(seed: int = 0) -> onnx.ModelProto:
    """Each image's left third, seen as numbers, times a fixed matrix: it can tell left from right."""
    weights = np.random.default_rng(seed).normal(size=(SIDE * 2 * 3, WIDTH)).astype(np.float32) / 100
    nodes = [
        helper.make_node(
            "Cast", ["images"], ["floats"], to=TensorProto.FLOAT, doc_string="/home/me/model.py"
        ),
        helper.make_node("Slice", ["floats", "start", "stop", "axis"], ["left"]),
        helper.make_node("Flatten", ["left"], ["flat"], axis=1),
        helper.make_node("MatMul", ["flat", "weights"], ["embedding"]),
    ]
    constants = {"start": [0], "stop": [2], "axis": [2]}
    return helper.make_model(
        helper.make_graph(
            nodes,
            "tiny",
            [helper.make_tensor_value_info("images", TensorProto.UINT8, ["batch", SIDE, "width", 3])],
            [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["batch", WIDTH])],
            [numpy_helper.from_array(weights, "weights")]
            + [numpy_helper.from_array(np.array(value, np.int64), name) for name, value in constants.items()],
        ),
        opset_imports=[helper.make_opsetid("", 18)],
        ir_version=10,
    )


def card(labels: int = 3, **changes: object) -> Card:
    described = {
        "name": "tiny",
        "task": "single-label" if labels else "features",
        "labels": tuple("abcdefg"[:labels]),
        "embedding_size": WIDTH,
        "preprocessing": Preprocessing(height=SIDE, width=SIDE),
    }
    return Card.model_validate(described | changes)


def layer(inputs: int, outputs: int, seed: int = 1) -> Layer:
    draw = np.random.default_rng(seed)
    return Layer(draw.normal(size=(inputs, outputs)), draw.normal(size=outputs))


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


@pytest.fixture
def images() -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (5, SIDE, SIDE, 3)).astype(np.uint8)


@pytest.fixture
def backbone(tmp_path: Path) -> ModelFile:
    return ModelFile(write_model_file(tiny_backbone(), card(0), tmp_path / "backbone.onnx"))


def test_a_head_computes_what_numpy_computes(tmp_path: Path, images: np.ndarray, backbone: ModelFile) -> None:
    first, second = layer(WIDTH, 4), layer(4, 3, seed=2)
    calibration = Calibration(method="temperature", temperature=1.7, prior_shift=(0.5, 0.0, -1.0))
    joined = attach_head(read_graph(backbone.path), [first, second])
    model = ModelFile(write_model_file(joined, card(calibration=calibration), tmp_path / "m.onnx"))
    found = model.run(images)
    embedding = backbone.run(images).embedding
    logits = np.maximum(embedding @ first.weights + first.bias, 0) @ second.weights + second.bias
    np.testing.assert_allclose(found.embedding, embedding, atol=1e-6)
    np.testing.assert_allclose(found.logits, logits, atol=1e-4)
    expected = softmax((logits + calibration.prior_shift) / 1.7)
    np.testing.assert_allclose(found.probabilities, expected, atol=1e-5)


def test_a_multi_label_head_ends_in_a_sigmoid(
    tmp_path: Path, images: np.ndarray, backbone: ModelFile
) -> None:
    joined = attach_head(read_graph(backbone.path), [layer(WIDTH, 3)])
    model = ModelFile(write_model_file(joined, card(task="multi-label"), tmp_path / "m.onnx"))
    found = model.run(images)
    np.testing.assert_allclose(found.probabilities, 1 / (1 + np.exp(-found.logits)), atol=1e-6)


BY_LABEL = {"method": "labels", "slopes": (0.5, 2.0, 1.0), "offsets": (1.0, 0.0, -2.0)}


@pytest.mark.parametrize(
    ("task", "changes"),
    [
        ("single-label", BY_LABEL),
        ("multi-label", {"exclusive": True}),
        ("multi-label", {"blank_kept": 0.1}),
        (
            "multi-label",
            {"blank_kept": 0.1, "method": "temperature", "temperature": 2.0, "prior_shift": (0.5, 0.0, -1.0)},
        ),
        ("multi-label", BY_LABEL | {"blank_kept": 0.5}),
    ],
    ids=str,
)
@pytest.mark.parametrize("size", [1.0, 30.0])
def test_graph_and_numbers_make_the_same_probabilities_of_logits(
    tmp_path: Path, images: np.ndarray, task: str, changes: dict[str, Any], size: float
) -> None:
    calibration, labels = Calibration.model_validate(changes), ("a", "blank", "c")
    weights, bias = layer(WIDTH, 3)
    joined = attach_head(tiny_backbone(), [Layer(weights * size, bias * size)])
    described = card(task=task, calibration=calibration).model_copy(update={"labels": labels})
    found = ModelFile(write_model_file(joined, described, tmp_path / "m.onnx")).run(images)
    expected = apply_calibration(found.logits, calibration, task, labels)
    np.testing.assert_allclose(found.probabilities, expected, atol=2e-6)


def test_blanks_cannot_be_put_back_without_a_label_for_them(tmp_path: Path) -> None:
    joined = attach_head(tiny_backbone(), [layer(WIDTH, 3)])
    described = card(task="multi-label", calibration=Calibration(blank_kept=0.1))
    with pytest.raises(DataError, match="no label 'blank'"):
        write_model_file(joined, described, tmp_path / "m.onnx")


def test_a_new_head_replaces_the_old_one(tmp_path: Path, images: np.ndarray, backbone: ModelFile) -> None:
    old = write_model_file(
        attach_head(read_graph(backbone.path), [layer(WIDTH, 5)]), card(5), tmp_path / "old.onnx"
    )
    again = write_model_file(attach_head(read_graph(old), [layer(WIDTH, 3)]), card(), tmp_path / "again.onnx")
    direct = write_model_file(
        attach_head(read_graph(backbone.path), [layer(WIDTH, 3)]), card(), tmp_path / "direct.onnx"
    )
    assert again.read_bytes() == direct.read_bytes()
    assert ModelFile(again).run(images).logits.shape == (5, 3)


def test_scaling_folds_into_the_layer() -> None:
    features = np.random.default_rng(0).normal(size=(6, WIDTH))
    mean, scale = features.mean(axis=0), features.std(axis=0) + 0.1
    weights, bias = layer(WIDTH, 3)
    folded = fold_scaling(weights, bias, mean, scale)
    np.testing.assert_allclose(
        features @ folded.weights + folded.bias, (features - mean) / scale @ weights + bias
    )


def test_equal_inputs_give_equal_bytes_without_traces_of_the_exporter(tmp_path: Path) -> None:
    joined = attach_head(tiny_backbone(), [layer(WIDTH, 3)])
    first = write_model_file(joined, card(), tmp_path / "one.onnx").read_bytes()
    second = write_model_file(joined, card(), tmp_path / "two.onnx").read_bytes()
    assert first == second
    assert b"/home/me" not in first
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.onnx", "two.onnx"]


def test_flip_averaging_is_the_mean_over_an_image_and_its_mirror_image(
    tmp_path: Path, images: np.ndarray
) -> None:
    joined = attach_head(tiny_backbone(), [layer(WIDTH, 3)])
    plain = ModelFile(write_model_file(joined, card(), tmp_path / "plain.onnx"))
    both = ModelFile(write_model_file(average_flips(joined), card(), tmp_path / "both.onnx"))
    one, other = plain.run(images), plain.run(np.ascontiguousarray(images[:, :, ::-1]))
    assert np.abs(one.embedding - other.embedding).max() > 0.1
    np.testing.assert_allclose(both.run(images).embedding, (one.embedding + other.embedding) / 2, atol=1e-5)
    np.testing.assert_allclose(both.run(images).logits, (one.logits + other.logits) / 2, atol=1e-5)


def test_members_of_one_backbone_share_it(tmp_path: Path, images: np.ndarray) -> None:
    members = [attach_head(tiny_backbone(), [layer(WIDTH, 3, seed=seed)]) for seed in range(4)]
    joined = average_members(members)
    model = ModelFile(write_model_file(joined, card(), tmp_path / "all.onnx"))
    singles = [
        ModelFile(write_model_file(member, card(), tmp_path / f"{place}.onnx")).run(images)
        for place, member in enumerate(members)
    ]
    found = model.run(images)
    np.testing.assert_allclose(found.logits, np.mean([one.logits for one in singles], axis=0), atol=1e-5)
    np.testing.assert_allclose(found.embedding, singles[0].embedding, atol=1e-6)
    assert sum(node.op_type == "MatMul" for node in joined.graph.node) == 1


def test_members_of_several_backbones_keep_their_embeddings_side_by_side(
    tmp_path: Path, images: np.ndarray
) -> None:
    members = [attach_head(tiny_backbone(seed), [layer(WIDTH, 3, seed)]) for seed in (5, 6)]
    described = card(embedding_size=2 * WIDTH)
    model = ModelFile(write_model_file(average_members(members), described, tmp_path / "all.onnx"))
    singles = [
        ModelFile(write_model_file(member, card(), tmp_path / f"{place}.onnx")).run(images)
        for place, member in enumerate(members)
    ]
    found = model.run(images)
    np.testing.assert_allclose(found.embedding, np.hstack([one.embedding for one in singles]), atol=1e-6)
    np.testing.assert_allclose(found.logits, np.mean([one.logits for one in singles], axis=0), atol=1e-5)


def test_an_ensemble_of_flip_averaged_members_is_a_member_like_any_other(
    tmp_path: Path, images: np.ndarray
) -> None:
    members = [average_flips(attach_head(tiny_backbone(), [layer(WIDTH, 3, seed)])) for seed in (1, 2)]
    first = average_members(members)
    nested = average_members([first, members[0], members[1]])
    one, two = (
        ModelFile(write_model_file(model, card(), tmp_path / f"{place}.onnx")).run(images)
        for place, model in enumerate((first, nested))
    )
    np.testing.assert_allclose(one.logits, two.logits, atol=1e-5)


def test_members_with_other_labels_are_refused() -> None:
    members = [attach_head(tiny_backbone(), [layer(WIDTH, size)]) for size in (3, 4)]
    with pytest.raises(DataError, match="same labels"):
        average_members(members)


def test_half_precision_halves_the_weights_and_hardly_moves_the_numbers(
    tmp_path: Path, images: np.ndarray
) -> None:
    whole = write_model_file(tiny_backbone(), card(0), tmp_path / "whole.onnx")
    half = write_model_file(store_half(tiny_backbone()), card(0), tmp_path / "half.onnx")
    assert half.stat().st_size < whole.stat().st_size - SIDE * 2 * 3 * WIDTH
    expected = ModelFile(whole).run(images).embedding
    np.testing.assert_allclose(ModelFile(half).run(images).embedding, expected, atol=0.02)


def test_a_new_calibration_changes_the_graph_and_the_card(tmp_path: Path, images: np.ndarray) -> None:
    path = write_model_file(attach_head(tiny_backbone(), [layer(WIDTH, 3)]), card(), tmp_path / "m.onnx")
    before = ModelFile(path)
    calibration = Calibration(method="temperature", temperature=3.0, locations=("L1",), fitted_on="L1")
    set_calibration(path, calibration)
    after = ModelFile(path)
    assert after.card == before.card.model_copy(update={"calibration": calibration})
    np.testing.assert_allclose(
        after.run(images).probabilities, softmax(before.run(images).logits / 3), atol=1e-5
    )
    set_calibration(path, Calibration())
    assert ModelFile(path).fingerprint == before.fingerprint


@pytest.mark.parametrize(
    ("model", "described", "complaint"),
    [
        (tiny_backbone(), card(), "lacks the outputs"),
        (tiny_backbone(), card(0, embedding_size=7), "its card says"),
        (attach_head(tiny_backbone(), [layer(WIDTH, 4)]), card(), "its card says"),
        (tiny_backbone(), card(0, preprocessing=Preprocessing(height=9, width=9)), "its card says"),
        (
            attach_head(tiny_backbone(), [layer(WIDTH, 3)]),
            card(calibration=Calibration(prior_shift=(1.0,))),
            "prior shift",
        ),
    ],
)
def test_a_card_that_does_not_fit_the_graph_is_refused_and_nothing_is_written(
    tmp_path: Path, model: onnx.ModelProto, described: Card, complaint: str
) -> None:
    with pytest.raises(DataError, match=complaint):
        write_model_file(model, described, tmp_path / "m.onnx")
    assert list(tmp_path.iterdir()) == []


def test_layers_that_do_not_fit_are_refused() -> None:
    with pytest.raises(DataError, match="Layer 2"):
        attach_head(tiny_backbone(), [layer(WIDTH, 4), layer(5, 3)])


def test_an_operator_set_of_the_future_is_refused(tmp_path: Path) -> None:
    model = tiny_backbone()
    model.opset_import[0].version = 999
    path = tmp_path / "future.onnx"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(DataError, match="operator set 999"):
        read_graph(path)
    with pytest.raises(DataError, match=r"future\.onnx"):
        ModelFile(path)


def test_files_that_are_no_model_files_are_refused_by_name(tmp_path: Path) -> None:
    good = write_model_file(tiny_backbone(), card(0), tmp_path / "good.onnx")
    cases = {
        "truncated.onnx": good.read_bytes()[: good.stat().st_size // 2],
        "empty.onnx": b"",
        "text.onnx": b"not a model at all",
        "foreign.onnx": tiny_backbone().SerializeToString(),
    }
    for name, content in cases.items():
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(DataError, match=name):
            ModelFile(path)
    with pytest.raises(DataError, match=r"missing\.onnx"):
        read_graph(tmp_path / "missing.onnx")
    with pytest.raises(DataError, match=r"text\.onnx"):
        read_graph(tmp_path / "text.onnx")


def test_weights_outside_the_file_are_refused(tmp_path: Path) -> None:
    model = tiny_backbone()
    onnx.save(
        model, tmp_path / "outside.onnx", save_as_external_data=True, location="w.bin", size_threshold=0
    )
    with pytest.raises(DataError, match="other files"):
        read_graph(tmp_path / "outside.onnx")


@pytest.mark.parametrize("damage", ['"labels":["a","b","c"],', '"format_version":"1",', '"name":"tiny",'])
def test_a_damaged_card_is_refused(tmp_path: Path, damage: str) -> None:
    good = write_model_file(attach_head(tiny_backbone(), [layer(WIDTH, 3)]), card(), tmp_path / "good.onnx")
    model = onnx.load(good)
    text = model.metadata_props[0].value
    assert damage in text
    replaced = '"format_version":"9",' if "format" in damage else ""
    model.metadata_props[0].value = text.replace(damage, replaced)
    (tmp_path / "bad.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(DataError, match=r"card in .*bad\.onnx"):
        ModelFile(tmp_path / "bad.onnx")


def test_a_model_file_can_be_fed_images_of_another_size_only_if_its_graph_takes_them(
    backbone: ModelFile, images: np.ndarray
) -> None:
    wider = backbone.with_preprocessing(Preprocessing(height=SIDE, width=20))
    assert wider.run(np.zeros((1, SIDE, 20, 3), np.uint8)).embedding.shape == (1, WIDTH)
    assert backbone.run(images).embedding.shape == (5, WIDTH)
    with pytest.raises(DataError, match="height 8, not 9"):
        backbone.with_preprocessing(Preprocessing(height=9, width=8))


@pytest.mark.parametrize("frames", [1, 2, 3, 6])
def test_the_second_view_is_the_frame_less_the_median_of_its_event(frames: int, tmp_path: Path) -> None:
    random = np.random.default_rng(frames)
    images = random.integers(0, 256, (frames, SIDE, SIDE, 3), dtype=np.uint8)
    images[:, :4] //= 8  # differences that need no clipping, and others that do
    network = tiny_backbone()
    features = card(0, embedding_size=WIDTH)
    plain = ModelFile(write_model_file(network, features, tmp_path / "plain.onnx"))
    twice = features.model_copy(update={"embedding_size": 2 * WIDTH, "batch": "event"})
    seeing = ModelFile(write_model_file(see_background(network), twice, tmp_path / "seeing.onnx"))
    difference = images - np.median(images.astype(np.float32), axis=0)
    second = np.clip(np.round(difference + 128), 0, 255).astype(np.uint8)
    wanted = np.concatenate([plain.run(images).embedding, plain.run(second).embedding], axis=1)
    np.testing.assert_allclose(seeing.run(images).embedding, wanted, rtol=1e-5, atol=1e-5)
