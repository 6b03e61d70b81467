"""Photos in, answers out: those of `predict`; a broken photo costs its own answer and no other."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trapline import ModelFile, predict
from trapline.errors import DataError, UsageError
from trapline.images import Limits
from trapline.serving import answers
from trapline.serving.answers import (
    Answer,
    RequestPhoto,
    answer,
    answer_event,
    as_document,
    as_flat,
    familiar_document,
)


@pytest.fixture(scope="module")
def model(write_tiny_model: Any, tmp_path_factory: pytest.TempPathFactory) -> ModelFile:
    return ModelFile(write_tiny_model(tmp_path_factory.mktemp("model") / "tiny.onnx"))


def test_answers_are_those_of_predict_for_good_and_broken_photos(
    model: ModelFile, write_zoo: Any, tmp_path: Path
) -> None:
    zoo = write_zoo(tmp_path / "zoo")
    names = [name for name in zoo if (tmp_path / "zoo" / name).is_file()]
    table = predict(model, [tmp_path / "zoo" / name for name in names], tmp_path / "zoo.csv")
    photos = [RequestPhoto((tmp_path / "zoo" / name).read_bytes(), name) for name in names]
    found = answer(model, photos)
    assert [one.status for one in found] == table.table["status"].to_list()
    assert [one.name for one in found] == names
    expected = table.probabilities()
    for one, row in zip(found, expected, strict=True):
        if one.probabilities is not None:
            np.testing.assert_allclose(one.probabilities, row, atol=1e-6)


def test_a_model_made_for_crops_looks_at_the_box(write_tiny_model: Any, tmp_path: Path, world: Any) -> None:
    from trapline.images import CropPolicy, Preprocessing

    cropping = Preprocessing(height=16, width=16, crop=CropPolicy())
    model = ModelFile(write_tiny_model(tmp_path / "crop.onnx", preprocessing=cropping))
    catalog = world()
    rows = catalog.table.select("file_path", "boxes").rows()
    photos = [RequestPhoto(catalog.path(path).read_bytes(), path, boxes) for path, boxes in rows]
    expected = predict(model, catalog, tmp_path / "crop.csv").probabilities()
    found = np.stack([one.probabilities for one in answer(model, photos) if one.probabilities is not None])
    np.testing.assert_allclose(found, expected, atol=1e-6)
    bare = answer(model, [photo.content for photo in photos])
    assert not np.allclose(bare[1].probabilities, found[1])


def test_a_request_says_how_far_its_photos_lie_together_from_those_of_training(
    model: ModelFile, write_tiny_model: Any, statistics: Any, world: Any, tmp_path: Path
) -> None:
    contents = [world().path(f"{number}.png").read_bytes() for number in range(3)]
    assert familiar_document(answer(model, contents), model.card) is None
    near, far = (
        ModelFile(write_tiny_model(tmp_path / f"{limit}.onnx", familiar=statistics(limit)))
        for limit in (100.0, 1e-3)
    )
    told = familiar_document(answer(near, [*contents, b"no photo"]), near.card)
    assert told is not None
    assert (told["photos"], told["far"]) == (3, False)
    beyond = familiar_document([answer_event(far, contents)], far.card)
    assert beyond is not None
    assert beyond == {"photos": 3, "distance": pytest.approx(told["distance"] * 1e5, rel=0.1), "far": True}


def test_the_flat_form_is_label_to_probability_and_the_rich_one_has_the_rest(
    model: ModelFile, world: Any
) -> None:
    photo = world().path("0.png").read_bytes()
    (found,) = answer(model, [RequestPhoto(photo, "0.png")])
    flat = as_flat(found, model.card)
    assert list(flat) == ["blank", "hare", "lynx"]
    assert sum(flat.values()) == pytest.approx(1)
    document = as_document(found, model, top=2)
    best = max(flat, key=lambda label: flat[label])
    assert document["name"] == "0.png"
    assert document["status"] == "ok"
    assert document["labels"] == [best]
    assert [one["label"] for one in document["top"]] == sorted(flat, key=lambda label: -flat[label])[:2]
    assert document["probabilities"] == flat


def test_labels_are_those_that_pass_their_thresholds(write_tiny_model: Any, tmp_path: Path) -> None:
    row = np.array([0.2, 0.45, 0.6], np.float32)
    multi = ModelFile(
        write_tiny_model(tmp_path / "multi.onnx", task="multi-label", thresholds={"hare": 0.4, "lynx": 0.7})
    )
    assert as_document(Answer("a", row), multi)["labels"] == ["hare"]
    both = np.array([0.8, 0.9, 0.1], np.float32)  # blank and hare: an empty photo shows no hare
    assert as_document(Answer("a", both), multi)["labels"] == ["hare"]
    assert as_document(Answer("a", both[[1, 0, 2]]), multi)["labels"] == ["blank"]
    sure = ModelFile(write_tiny_model(tmp_path / "sure.onnx", thresholds={"lynx": 0.7}))
    assert as_document(Answer("a", row), sure)["labels"] == []


def test_the_frames_of_an_event_get_one_answer_and_broken_ones_do_not_count(
    model: ModelFile, world: Any
) -> None:
    catalog = world()
    frames = [catalog.path(f"{place}.png").read_bytes() for place in range(3)]
    alone = np.stack([one.probabilities for one in answer(model, frames) if one.probabilities is not None])
    expected = 1 / (1 + np.exp(-np.log(alone / (1 - alone)).mean(axis=0)))  # the mean of their log odds
    found = answer_event(model, [*frames, b"no picture"])
    np.testing.assert_allclose(found.probabilities, expected / expected.sum(), atol=1e-6)
    assert found.reason == "1 of 4 photos cannot be read"
    broken = answer_event(model, [b"no picture", b"neither"])
    assert broken.status == "failed"
    assert broken.reason is not None
    assert "none of the 2 photos" in broken.reason


@pytest.mark.parametrize(
    ("content", "limits", "reason"),
    [
        (b"", answers.SERVING_LIMITS, "empty"),
        (b"<svg/>", answers.SERVING_LIMITS, "known format"),
        (b"x" * 11, Limits(max_bytes=10), "limit"),
        ("0.png", Limits(max_pixels=100), "pixels are more than the limit"),
    ],
)
def test_what_is_no_photo_or_too_large_fails_with_its_reason(
    model: ModelFile, world: Any, content: bytes | str, limits: Limits, reason: str
) -> None:
    if isinstance(content, str):
        content = world().path(content).read_bytes()
    (found,) = answer(model, [RequestPhoto(content, "it")], limits)
    assert found.status == "failed"
    assert reason in (found.reason or "")
    with pytest.raises(DataError, match=r"it cannot be used as a picture: .*" + reason):
        as_flat(found, model.card)


def test_a_request_without_photos_or_with_too_many_is_refused(model: ModelFile) -> None:
    with pytest.raises(DataError, match="holds no photo"):
        answer(model, [])
    with pytest.raises(DataError, match="65 photos; at most 64"):
        answer(model, [b""] * 65)


def test_a_backbone_cannot_answer() -> None:
    from trapline.models import backbones

    with pytest.raises(UsageError, match="backbone without labels"):
        answer(ModelFile(backbones.path("lite0")), [b""])


def test_a_model_of_taxa_answers_with_the_finest_taxon_that_it_is_sure_of(
    write_tiny_model: Any, tmp_path: Path
) -> None:
    from trapline.taxonomy import Label, Taxon, Taxonomy

    taxa = (
        Taxon("Mammalia", "class"),
        Taxon("Lynx", "genus", "Mammalia"),
        Taxon("Lynx lynx", "species", "Lynx"),
        Taxon("Lynx rufus", "species", "Lynx"),
    )
    labels = (
        Label("lynx", "animal", "Lynx lynx"),
        Label("bobcat", "animal", "Lynx rufus"),
        Label("blank", "blank"),
    )
    tree = Taxonomy({one.name: one for one in taxa}, {one.name: one for one in labels})
    path = write_tiny_model(tmp_path / "taxa.onnx", [one.name for one in labels], taxonomy=tree.to_json())
    model = ModelFile(path)
    split = as_document(Answer("a", np.array([0.45, 0.45, 0.1], np.float32)), model)["taxon"]
    assert (split["name"], split["rank"]) == ("Lynx", "genus")
    assert split["probability"] == pytest.approx(0.9)
    sure = as_document(Answer("a", np.array([0.05, 0.9, 0.05], np.float32)), model)["taxon"]
    assert (sure["name"], sure["rank"]) == ("Lynx rufus", "species")
