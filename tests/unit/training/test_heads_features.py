"""Features: the same through the cache and without it, for every view, and nothing unread passes silently."""

import errno
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from trapline.catalog import Catalog
from trapline.errors import DataError, TraplineWarning
from trapline.images import CropPolicy, Preprocessing, choose_box, prepare
from trapline.models import ModelFile, backbones
from trapline.storage import Pieces
from trapline.training.digests import digests_of
from trapline.training.feature_cache import CachedFeatures, FeatureCache
from trapline.training.features import FeatureView, embed, embed_views

SMALL = Preprocessing(height=32, width=48)
CROPPED = Preprocessing(height=32, width=48, crop=CropPolicy())
BOX = {"category": "animal", "conf": 0.9, "x": 0.1, "y": 0.1, "width": 0.3, "height": 0.4}


@pytest.fixture(scope="module")
def model() -> ModelFile:
    return ModelFile(backbones.path("lite0"), threads=1)


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    draw = np.random.default_rng(0)
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in "abc":
        coarse = Image.fromarray(draw.integers(0, 256, (6, 8, 3)).astype(np.uint8))
        coarse.resize((160, 120)).save(folder / f"{name}.jpg")
    rows = [
        {"media_id": name, "file_path": f"{name}.jpg", "boxes": [BOX] if name == "a" else None}
        for name in "abc"
    ]
    return Catalog.from_rows(rows, folder, "drawn")


def test_the_cache_changes_nothing_and_spares_the_network(
    tmp_path: Path, model: ModelFile, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = embed(model, catalog, preprocessing=SMALL, cache=None)
    first = embed(model, catalog, preprocessing=SMALL, cache=tmp_path / "cache")
    monkeypatch.setattr(ModelFile, "run", lambda *_: pytest.fail("the features were in the cache"))
    second = embed(model, catalog, preprocessing=SMALL, cache=tmp_path / "cache")
    assert plain.shape == (3, 1584)
    assert plain.dtype == np.float32
    np.testing.assert_array_equal(first, plain)
    np.testing.assert_array_equal(second, plain)


def test_embed_sees_what_prepare_gives(model: ModelFile, catalog: Catalog) -> None:
    found = embed(model, catalog, preprocessing=CROPPED, cache=None)
    for row, (path, boxes) in enumerate(zip(catalog.paths(), catalog.table["boxes"].to_list(), strict=True)):
        pixels = prepare(path, CROPPED, choose_box(boxes, CROPPED.crop)).pixels
        alone = model.with_preprocessing(CROPPED).run(pixels[None]).embedding[0]
        np.testing.assert_allclose(found[row], alone, atol=1e-4)


def test_views_are_told_apart_in_the_cache(tmp_path: Path, model: ModelFile, catalog: Catalog) -> None:
    views = [FeatureView(SMALL), FeatureView(SMALL, mirrored=True), FeatureView(CROPPED)]
    values = embed_views(model, catalog, views, cache=tmp_path).values
    again = [embed_views(model, catalog, [view], cache=tmp_path).values[:, 0] for view in views]
    np.testing.assert_array_equal(np.stack(again, axis=1), values)
    assert np.abs(values[0, 0] - values[0, 1]).max() > 0.01
    assert np.abs(values[0, 0] - values[0, 2]).max() > 0.01
    np.testing.assert_allclose(values[1:, 0], values[1:, 2], atol=1e-5)  # these have no box


def test_a_photo_that_changes_under_its_name_is_looked_at_again(
    tmp_path: Path, model: ModelFile, catalog: Catalog
) -> None:
    before = embed(model, catalog, preprocessing=SMALL, cache=tmp_path / "cache")
    first, second = catalog.paths()[:2]
    first.write_bytes(second.read_bytes())
    after = embed(model, catalog, preprocessing=SMALL, cache=tmp_path / "cache")
    np.testing.assert_allclose(after[0], before[1], atol=1e-5)
    np.testing.assert_array_equal(after[1:], before[1:])


@pytest.mark.parametrize("cached", [True, False])
def test_unreadable_photos_are_listed_or_skipped_by_wish(
    tmp_path: Path, model: ModelFile, catalog: Catalog, cached: bool
) -> None:
    cache = tmp_path / "cache" if cached else None
    paths = catalog.paths()
    paths[0].write_bytes(b"this is no photo")
    paths[2].unlink()
    with pytest.raises(DataError, match=r"2 of 3 photos cannot be read: .*a\.jpg.*c\.jpg"):
        embed(model, catalog, preprocessing=SMALL, cache=cache)
    features = embed_views(model, catalog, [FeatureView(SMALL)], cache=cache, skip_unreadable=True)
    assert sorted(features.failed) == [0, 2]
    assert np.isnan(features.values[[0, 2]]).all()
    assert np.isfinite(features.values[1]).all()


def test_a_truncated_photo_is_used_and_its_warning_kept_by_the_cache(
    tmp_path: Path, model: ModelFile, catalog: Catalog
) -> None:
    path = catalog.paths()[1]
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    for _ in range(2):
        features = embed_views(model, catalog, [FeatureView(SMALL)], cache=tmp_path / "cache")
        assert list(features.warnings) == [1]
        assert "truncated" in features.warnings[1]


def test_progress_ends_at_all_views(tmp_path: Path, model: ModelFile, catalog: Catalog) -> None:
    told: list[tuple[int, int]] = []
    views = [FeatureView(SMALL), FeatureView(SMALL, mirrored=True)]
    embed_views(model, catalog, views, cache=None, progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (6, 6)


def test_the_cache_drops_what_was_used_longest_ago(tmp_path: Path) -> None:
    keys = [bytes([number]) * 16 for number in range(4)]
    for number, key in enumerate(keys):  # each its own piece
        with FeatureCache(tmp_path) as cache:
            cache.put("g", {key: CachedFeatures(np.full(10, number, np.float32), None)})
            for piece, seconds in zip((tmp_path / "features" / "g").iterdir(), range(9), strict=False):
                os.utime(piece, (1000 + seconds, 1000 + seconds))
    size = next((tmp_path / "features" / "g").iterdir()).stat().st_size
    with FeatureCache(tmp_path, max_bytes=2 * size) as cache:
        list(cache.get("g", [keys[2]]))
    with FeatureCache(tmp_path) as cache:
        left = dict(cache.get("g", keys))
    assert len(left) == 2
    assert keys[2] in left


def test_what_was_kept_just_now_and_finds_no_room_is_told(tmp_path: Path) -> None:
    cache = FeatureCache(tmp_path, max_bytes=1)
    cache.put("g", {b"k" * 16: CachedFeatures(np.zeros(10, np.float32), None)})
    with pytest.warns(TraplineWarning, match="no room for all"):
        cache.close()


def test_the_file_of_earlier_versions_goes_and_a_stranger_stays(tmp_path: Path) -> None:
    old = tmp_path / "features.sqlite"
    old.write_bytes(b"a diary")
    FeatureCache(tmp_path).close()
    assert old.exists()
    old.write_bytes(b"SQLite format 3\0" + bytes(100))
    FeatureCache(tmp_path).close()
    assert not old.exists()


def test_a_disk_that_keeps_nothing_is_said_once_and_costs_nothing_else(
    tmp_path: Path, model: ModelFile, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "piece")

    monkeypatch.setattr(Pieces, "put", full)
    with pytest.warns(TraplineWarning, match=r"not kept.*No space left") as told:
        found = embed_views(model, catalog, [FeatureView(SMALL), FeatureView(CROPPED)], cache=tmp_path)
    assert np.isfinite(found.values).all()
    assert len(told) == 1


def test_photos_are_read_once_for_their_digests(tmp_path: Path, catalog: Catalog) -> None:
    paths = catalog.paths()
    first = digests_of(paths, catalog.root, tmp_path / "cache")
    status = paths[0].stat()
    paths[0].write_bytes(bytes(status.st_size))
    os.utime(paths[0], ns=(status.st_atime_ns, status.st_mtime_ns))  # nobody can tell, but by reading
    assert digests_of(paths, catalog.root, tmp_path / "cache") == first
    assert digests_of(paths, catalog.root, None)[0] != first[0]


def test_a_cache_that_cannot_be_written_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(DataError, match="TRAPLINE_CACHE"):
        FeatureCache(tmp_path / "file")
