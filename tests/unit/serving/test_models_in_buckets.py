"""A model that is served from a bucket, and replaced there."""

from pathlib import Path
from typing import Any

import pytest
from test_engine import watched

from trapline.errors import DataError
from trapline.serving.settings import name_models
from trapline.serving.shelf import Shelf
from trapline.storage import RemotePath, as_any_path

pytestmark = pytest.mark.slow


@pytest.fixture
def address(bucket: str, write_tiny_model: Any, tmp_path: Path) -> RemotePath:
    path = as_any_path(f"{bucket}/a=b/model.onnx")
    assert isinstance(path, RemotePath)
    path.put(write_tiny_model(tmp_path / "model.onnx", seed=1))
    return path


def test_it_is_named_by_its_card_or_as_asked(address: RemotePath) -> None:
    assert name_models([str(address), f"other={address}"]) == {"tiny": address, "other": address}


def test_it_is_opened_and_replaced(address: RemotePath, write_tiny_model: Any, tmp_path: Path) -> None:
    shelf = Shelf({"it": address})
    shelf.open_all()
    before = shelf.get("it")
    address.put(write_tiny_model(tmp_path / "new.onnx", labels=("a", "b"), seed=2))
    watched(shelf, lambda: shelf.get("it") is not before)
    assert shelf.get("it").model.card.labels == ("a", "b")


def test_what_is_wrong_with_it_names_its_address(address: RemotePath, tmp_path: Path) -> None:
    (tmp_path / "broken").write_bytes(b"no model")
    address.put(tmp_path / "broken")
    with pytest.raises(DataError) as caught:
        Shelf({"it": address}).open_all()
    assert str(address) in str(caught.value)
    assert "/trapline-" not in str(caught.value)
