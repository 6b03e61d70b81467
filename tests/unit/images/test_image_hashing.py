"""Fingerprints: equal for equal files, close for pictures that look alike, and found without n² work."""

import io
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageEnhance

from trapline.images import near_duplicates, perceptual_hash


def jpeg(image: Image.Image, quality: int = 90) -> bytes:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return file.getvalue()


def scene(seed: int) -> Image.Image:
    noise = np.random.default_rng(seed).integers(0, 255, (6, 8, 3)).astype(np.uint8)
    return Image.fromarray(noise).resize((640, 480), Image.Resampling.BICUBIC)


def distance(one: int, other: int) -> int:
    return (one ^ other).bit_count()


def test_the_same_scene_stays_close_and_others_are_far() -> None:
    first = perceptual_hash(jpeg(scene(1)))
    for changed in (
        jpeg(scene(1), quality=30),
        jpeg(scene(1).resize((200, 150))),
        jpeg(ImageEnhance.Brightness(scene(1)).enhance(1.2)),
        jpeg(scene(1).convert("L")),
    ):
        assert distance(first, perceptual_hash(changed)) <= 4
    assert min(distance(first, perceptual_hash(jpeg(scene(seed)))) for seed in range(2, 12)) > 12


def test_an_even_picture_has_a_stable_hash() -> None:
    hashes = {
        perceptual_hash(jpeg(Image.new("L", size, shade)))
        for size in ((64, 48), (640, 480))
        for shade in (9, 99)
    }
    assert len(hashes) == 1


@given(
    st.lists(st.integers(0, 2**64 - 1), max_size=12),
    st.lists(st.tuples(st.integers(0, 11), st.sets(st.integers(0, 63), max_size=6)), max_size=12),
    st.integers(0, 8),
)
def test_groups_are_those_that_comparing_all_pairs_gives(
    seeds: list[int], changes: list[tuple[int, set[int]]], limit: int
) -> None:
    hashes: list[int | None] = [*seeds, None]
    hashes += [seeds[which % len(seeds)] ^ sum(1 << bit for bit in bits) for which, bits in changes if seeds]
    groups = [{place} for place, value in enumerate(hashes) if value is not None]
    for one, first in enumerate(hashes):
        for other, second in enumerate(hashes[:one]):
            if first is not None and second is not None and distance(first, second) <= limit:
                joined = [group for group in groups if one in group or other in group]
                groups = [group for group in groups if group not in joined] + [set().union(*joined)]
    expected = sorted(sorted(group) for group in groups if len(group) > 1)
    assert near_duplicates(hashes, limit) == expected


def test_a_hundred_thousand_hashes_take_seconds() -> None:
    random = np.random.default_rng(0)
    hashes = random.integers(0, 2**63, 100_000).tolist()
    hashes[77_777] = hashes[5] ^ 0b1011
    hashes[99_999] = hashes[77_777]
    started = time.perf_counter()
    assert near_duplicates(hashes, 4) == [[5, 77_777, 99_999]]
    assert time.perf_counter() - started < 20


def test_a_distance_that_is_too_large_is_refused() -> None:
    with pytest.raises(ValueError, match="0 to 15"):
        near_duplicates([1], 16)
