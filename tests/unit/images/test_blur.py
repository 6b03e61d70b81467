"""People made unrecognisable: what is left of them, and what is not touched."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from trapline.images import Rectangle, blur

RNG = np.random.default_rng(3)


def noise(height: int = 120, width: int = 160) -> np.ndarray:
    return RNG.integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_only_the_rectangle_and_its_margin_are_changed_and_the_picture_that_came_is_not():
    pixels = noise()
    before = pixels.copy()
    blurred = blur(pixels, [Rectangle(40, 20, 80, 100)])
    assert np.array_equal(pixels, before)
    outside = np.ones(pixels.shape[:2], bool)
    outside[12:108, 36:84] = False
    assert np.array_equal(blurred[outside], pixels[outside])
    inside = ~outside
    assert np.abs(blurred[inside].astype(int) - pixels[inside]).mean() > 30


def test_what_is_left_are_36_numbers_a_colour_whatever_the_details_were():
    """Two people who differ in everything but the means of large cells give the same pixels."""
    pixels = np.zeros((120, 120, 3), np.uint8)
    stripes, checks = pixels.copy(), pixels.copy()
    stripes[::2] = 200
    checks[(np.indices((120, 120)).sum(axis=0) % 2) == 0] = 200
    whole = [Rectangle(0, 0, 120, 120)]
    assert np.array_equal(blur(stripes, whole), blur(checks, whole))


side = st.floats(-300, 300, allow_nan=False)


@given(side, side, side, side)
def test_any_rectangle_is_taken(left: float, top: float, right: float, bottom: float):
    pixels = noise(30, 40)
    blurred = blur(
        pixels, [Rectangle(min(left, right), min(top, bottom), max(left, right), max(top, bottom))]
    )
    assert blurred.shape == pixels.shape
    assert blurred.dtype == np.uint8
