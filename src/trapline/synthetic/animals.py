"""The kinds of animals: bodies made of tapered tubes, their coats and their gaits.

Lengths are metres; x points where the animal goes, y up, the ground is y = 0. A tube is a list of circles
(x, y, radius) joined by a smooth curve, with a colour that runs from its first circle to its last.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Circle = tuple[float, float, float]
Colour = tuple[int, int, int]


@dataclass(frozen=True)
class Tube:
    """A part of a body: circles along a curve, coloured from `first` to `last`, or in `first` alone."""

    circles: tuple[Circle, ...]
    first: Colour
    last: Colour | None = None


@dataclass(frozen=True)
class AnimalKind:
    """A kind of animal.

    Attributes:
        label: its name in the labels.
        body: trunk and tail, drawn in order.
        head_up: neck, head, ears while it looks about or walks.
        head_down: the circles of the same parts, as many, while it feeds.
        hind: one hind leg, from hip to foot.
        eye: where the eye is, with the head up and with the head down.
        gait: `walk` moves the legs one after another, `trot` the diagonal ones together, `bound` the pairs.
        stride: how far a foot swings either way, metres.
        speed: walking speed, metres a second, from–to.
        group: largest number seen at once.
        feeds: share of events in which it feeds on the spot.
        distance: how far from the camera it passes, metres, from–to.
        activity: the hours at which it is most active, with the share of each peak.
        spread: how far from a peak its hours spread.
        shine: brightness of its eyes in the lamp, 0–1.
        coarse: how rough its coat is.
        fore: one foreleg, from shoulder to foot; None for a kind on two legs.
        crest: colour of the bristles on its back; None for a kind without.
    """

    label: str
    body: tuple[Tube, ...]
    head_up: tuple[Tube, ...]
    head_down: tuple[tuple[Circle, ...], ...]
    hind: Tube
    eye: tuple[tuple[float, float], tuple[float, float]]
    gait: Literal["walk", "trot", "bound"]
    stride: float
    speed: tuple[float, float]
    group: int
    feeds: float
    distance: tuple[float, float]
    activity: tuple[tuple[float, float], ...]
    spread: float
    shine: float
    coarse: float
    fore: Tube | None = None
    crest: Colour | None = None


_DEER, _DEER_LIGHT, _DEER_DARK = (150, 98, 58), (186, 146, 104), (84, 60, 42)
_WHITE, _BLACK = (232, 226, 214), (28, 25, 24)

DEER = AnimalKind(
    label="deer",
    body=(
        Tube(((-0.56, 0.84, 0.03), (-0.63, 0.78, 0.025)), _DEER, _WHITE),
        Tube(((-0.46, 0.80, 0.15), (-0.15, 0.77, 0.185), (0.15, 0.76, 0.19), (0.40, 0.79, 0.17)), _DEER),
        Tube(((-0.25, 0.66, 0.08), (0.2, 0.63, 0.07)), _DEER_LIGHT),
        Tube(((-0.58, 0.80, 0.055), (-0.55, 0.70, 0.05)), _WHITE),
    ),
    head_up=(
        Tube(((0.42, 0.84, 0.14), (0.58, 1.04, 0.09), (0.66, 1.20, 0.07)), _DEER),
        Tube(((0.62, 1.28, 0.03), (0.54, 1.37, 0.045), (0.48, 1.44, 0.012)), _DEER, _DEER_DARK),
        Tube(((0.66, 1.24, 0.085), (0.80, 1.18, 0.06), (0.93, 1.12, 0.036)), _DEER, _DEER_DARK),
        Tube(((0.68, 1.28, 0.03), (0.66, 1.40, 0.045), (0.64, 1.48, 0.012)), _DEER_LIGHT, _DEER_DARK),
    ),
    head_down=(
        ((0.42, 0.80, 0.14), (0.66, 0.60, 0.09), (0.78, 0.40, 0.07)),
        ((0.80, 0.40, 0.03), (0.90, 0.46, 0.045), (0.96, 0.50, 0.012)),
        ((0.79, 0.36, 0.085), (0.85, 0.20, 0.06), (0.88, 0.07, 0.036)),
        ((0.76, 0.42, 0.03), (0.70, 0.50, 0.045), (0.66, 0.55, 0.012)),
    ),
    fore=Tube(((0.34, 0.74, 0.12), (0.34, 0.50, 0.055), (0.36, 0.28, 0.032), (0.35, 0.02, 0.026)),
              _DEER, _DEER_DARK),
    hind=Tube(((-0.42, 0.74, 0.14), (-0.38, 0.54, 0.085), (-0.50, 0.32, 0.036), (-0.46, 0.02, 0.026)),
              _DEER, _DEER_DARK),
    eye=((0.74, 1.25), (0.83, 0.30)),
    gait="walk", stride=0.22, speed=(0.5, 1.1),
    group=3, feeds=0.4, distance=(3.6, 12.0),
    activity=((6.5, 0.4), (19.0, 0.4), (13.0, 0.2)), spread=2.2,
    shine=0.9, coarse=0.14,
)  # fmt: skip

_BOAR, _BOAR_DARK, _SNOUT = (66, 56, 48), (36, 31, 28), (104, 88, 78)

BOAR = AnimalKind(
    label="boar",
    body=(
        Tube(((-0.62, 0.58, 0.02), (-0.70, 0.48, 0.015), (-0.70, 0.36, 0.022)), _BOAR_DARK),
        Tube(((-0.46, 0.52, 0.19), (-0.12, 0.55, 0.24), (0.22, 0.57, 0.28), (0.40, 0.54, 0.25)), _BOAR),
    ),
    head_up=(
        Tube(((0.42, 0.72, 0.05), (0.44, 0.86, 0.05), (0.40, 0.92, 0.012)), _BOAR_DARK),
        Tube(((0.44, 0.54, 0.23), (0.66, 0.46, 0.16), (0.86, 0.36, 0.085), (1.0, 0.31, 0.06)), _BOAR, _SNOUT),
        Tube(((0.52, 0.66, 0.05), (0.56, 0.80, 0.05), (0.54, 0.86, 0.012)), _BOAR_DARK, _BOAR),
        Tube(((0.86, 0.30, 0.018), (0.90, 0.36, 0.01)), _WHITE),
    ),
    head_down=(
        ((0.46, 0.60, 0.05), (0.52, 0.72, 0.05), (0.50, 0.78, 0.012)),
        ((0.42, 0.48, 0.23), (0.62, 0.34, 0.16), (0.76, 0.19, 0.085), (0.86, 0.08, 0.06)),
        ((0.56, 0.54, 0.05), (0.64, 0.66, 0.05), (0.64, 0.72, 0.012)),
        ((0.74, 0.12, 0.018), (0.79, 0.17, 0.01)),
    ),
    fore=Tube(((0.28, 0.46, 0.15), (0.28, 0.28, 0.075), (0.29, 0.12, 0.045), (0.29, 0.03, 0.036)),
              _BOAR, _BOAR_DARK),
    hind=Tube(((-0.42, 0.46, 0.16), (-0.40, 0.30, 0.09), (-0.48, 0.16, 0.045), (-0.45, 0.03, 0.036)),
              _BOAR, _BOAR_DARK),
    eye=((0.70, 0.53), (0.70, 0.38)),
    gait="walk", stride=0.14, speed=(0.5, 1.2),
    group=4, feeds=0.45, distance=(3.2, 11.0),
    activity=((22.0, 0.5), (3.0, 0.3), (18.0, 0.2)), spread=2.4,
    shine=0.35, coarse=0.34,
    crest=_BOAR_DARK,
)  # fmt: skip

_FOX, _FOX_DARK = (188, 92, 40), (118, 60, 34)

FOX = AnimalKind(
    label="fox",
    body=(
        Tube(((-0.30, 0.37, 0.04), (-0.48, 0.29, 0.075), (-0.66, 0.21, 0.08)), _FOX, _FOX_DARK),
        Tube(((-0.66, 0.21, 0.078), (-0.76, 0.18, 0.055), (-0.83, 0.17, 0.02)), _FOX_DARK, _WHITE),
        Tube(((-0.27, 0.37, 0.088), (-0.05, 0.37, 0.084), (0.22, 0.375, 0.098)), _FOX),
        Tube(((-0.05, 0.31, 0.04), (0.26, 0.31, 0.05)), _FOX, _WHITE),
    ),
    head_up=(
        Tube(((0.24, 0.40, 0.08), (0.34, 0.47, 0.072)), _FOX),
        Tube(((0.35, 0.54, 0.035), (0.33, 0.62, 0.028), (0.325, 0.66, 0.008)), _FOX_DARK, _BLACK),
        Tube(((0.36, 0.49, 0.078), (0.46, 0.465, 0.045), (0.56, 0.44, 0.018)), _FOX, _BLACK),
        Tube(((0.38, 0.445, 0.035), (0.50, 0.435, 0.022)), _WHITE),
        Tube(((0.39, 0.54, 0.035), (0.40, 0.62, 0.028), (0.40, 0.66, 0.008)), _FOX, _BLACK),
    ),
    head_down=(
        ((0.24, 0.38, 0.08), (0.36, 0.30, 0.072)),
        ((0.38, 0.33, 0.035), (0.42, 0.41, 0.028), (0.44, 0.45, 0.008)),
        ((0.40, 0.27, 0.078), (0.47, 0.18, 0.045), (0.52, 0.09, 0.018)),
        ((0.40, 0.21, 0.035), (0.48, 0.13, 0.022)),
        ((0.43, 0.31, 0.035), (0.50, 0.38, 0.028), (0.53, 0.41, 0.008)),
    ),
    fore=Tube(((0.20, 0.34, 0.07), (0.20, 0.22, 0.034), (0.21, 0.11, 0.022), (0.22, 0.015, 0.022)),
              _FOX, _BLACK),
    hind=Tube(((-0.24, 0.35, 0.08), (-0.21, 0.25, 0.05), (-0.28, 0.14, 0.024), (-0.25, 0.015, 0.022)),
              _FOX, _BLACK),
    eye=((0.43, 0.495), (0.46, 0.24)),
    gait="trot", stride=0.14, speed=(0.8, 1.8),
    group=1, feeds=0.3, distance=(2.2, 8.0),
    activity=((23.0, 0.45), (4.5, 0.35), (19.5, 0.2)), spread=2.2,
    shine=1.0, coarse=0.16,
)  # fmt: skip

_HARE, _HARE_LIGHT = (148, 120, 84), (190, 168, 134)

HARE = AnimalKind(
    label="hare",
    body=(
        Tube(((-0.27, 0.20, 0.045), (-0.31, 0.22, 0.035)), _WHITE),
        Tube(((-0.17, 0.19, 0.125), (0.0, 0.22, 0.115), (0.15, 0.23, 0.085)), _HARE),
        Tube(((-0.05, 0.13, 0.06), (0.14, 0.17, 0.05)), _HARE_LIGHT),
    ),
    head_up=(
        Tube(((0.15, 0.26, 0.075), (0.21, 0.32, 0.062)), _HARE),
        Tube(((0.20, 0.37, 0.022), (0.14, 0.49, 0.033), (0.09, 0.60, 0.014)), _HARE, _BLACK),
        Tube(((0.22, 0.33, 0.068), (0.28, 0.31, 0.055), (0.33, 0.295, 0.036)), _HARE, _HARE_LIGHT),
        Tube(((0.22, 0.38, 0.022), (0.19, 0.51, 0.033), (0.16, 0.62, 0.014)), _HARE_LIGHT, _BLACK),
    ),
    head_down=(
        ((0.15, 0.22, 0.075), (0.22, 0.20, 0.062)),
        ((0.20, 0.25, 0.022), (0.09, 0.33, 0.033), (-0.01, 0.38, 0.014)),
        ((0.24, 0.18, 0.068), (0.29, 0.12, 0.055), (0.32, 0.08, 0.036)),
        ((0.23, 0.25, 0.022), (0.13, 0.36, 0.033), (0.04, 0.43, 0.014)),
    ),
    fore=Tube(((0.14, 0.20, 0.05), (0.15, 0.10, 0.024), (0.16, 0.015, 0.02)), _HARE, _HARE_LIGHT),
    hind=Tube(((-0.16, 0.17, 0.10), (-0.08, 0.10, 0.06), (-0.20, 0.03, 0.03), (-0.06, 0.02, 0.024)),
              _HARE, _HARE_LIGHT),
    eye=((0.255, 0.345), (0.275, 0.17)),
    gait="bound", stride=0.14, speed=(0.6, 1.6),
    group=2, feeds=0.55, distance=(2.0, 6.0),
    activity=((21.5, 0.4), (5.0, 0.4), (1.0, 0.2)), spread=2.0,
    shine=0.8, coarse=0.2,
)  # fmt: skip

_BADGER, _BADGER_DARK = (138, 134, 128), (34, 31, 30)

BADGER = AnimalKind(
    label="badger",
    body=(
        Tube(((-0.36, 0.24, 0.06), (-0.46, 0.20, 0.05), (-0.54, 0.17, 0.02)), _BADGER, _WHITE),
        Tube(((-0.28, 0.22, 0.145), (-0.05, 0.24, 0.165), (0.16, 0.225, 0.14)), _BADGER),
        Tube(((-0.26, 0.12, 0.06), (0.18, 0.12, 0.06)), _BADGER_DARK),
    ),
    head_up=(
        Tube(((0.18, 0.22, 0.125), (0.28, 0.22, 0.10)), _BADGER, _WHITE),
        Tube(((0.28, 0.30, 0.03), (0.27, 0.33, 0.022)), _BADGER_DARK, _WHITE),
        Tube(((0.28, 0.22, 0.10), (0.40, 0.19, 0.072), (0.51, 0.155, 0.034)), _WHITE),
        Tube(((0.26, 0.25, 0.036), (0.38, 0.215, 0.034), (0.52, 0.16, 0.026)), _BADGER_DARK),
        Tube(((0.30, 0.13, 0.04), (0.42, 0.125, 0.028)), _BADGER_DARK),
    ),
    head_down=(
        ((0.18, 0.20, 0.125), (0.27, 0.17, 0.10)),
        ((0.30, 0.26, 0.03), (0.31, 0.29, 0.022)),
        ((0.28, 0.16, 0.10), (0.38, 0.105, 0.072), (0.46, 0.05, 0.034)),
        ((0.27, 0.20, 0.036), (0.37, 0.135, 0.034), (0.47, 0.055, 0.026)),
        ((0.27, 0.09, 0.04), (0.36, 0.05, 0.028)),
    ),
    fore=Tube(((0.14, 0.18, 0.09), (0.15, 0.09, 0.06), (0.17, 0.03, 0.042)), _BADGER_DARK),
    hind=Tube(((-0.26, 0.18, 0.11), (-0.25, 0.09, 0.06), (-0.24, 0.03, 0.042)), _BADGER_DARK),
    eye=((0.37, 0.225), (0.37, 0.14)),
    gait="walk", stride=0.08, speed=(0.4, 1.0),
    group=2, feeds=0.35, distance=(2.0, 6.5),
    activity=((22.5, 0.55), (2.0, 0.45)), spread=1.8,
    shine=0.45, coarse=0.3,
)  # fmt: skip

_PHEASANT, _PHEASANT_DARK, _HEAD, _BEAK = (162, 84, 34), (92, 52, 28), (34, 62, 66), (206, 190, 130)

BIRD = AnimalKind(
    label="bird",
    body=(
        Tube(((-0.14, 0.26, 0.05), (-0.34, 0.27, 0.03), (-0.60, 0.25, 0.008)), _PHEASANT_DARK, _PHEASANT),
        Tube(((-0.15, 0.26, 0.06), (0.0, 0.245, 0.105), (0.12, 0.27, 0.09)), _PHEASANT),
        Tube(((-0.20, 0.26, 0.03), (-0.06, 0.255, 0.055), (0.04, 0.27, 0.045)), _PHEASANT_DARK, _BEAK),
    ),
    head_up=(
        Tube(((0.13, 0.31, 0.065), (0.17, 0.38, 0.042)), _PHEASANT, _WHITE),
        Tube(((0.17, 0.39, 0.04), (0.19, 0.45, 0.038)), _HEAD),
        Tube(((0.19, 0.455, 0.04), (0.22, 0.455, 0.03)), _HEAD, (176, 40, 36)),
        Tube(((0.235, 0.455, 0.016), (0.275, 0.44, 0.006)), _BEAK),
    ),
    head_down=(
        ((0.15, 0.26, 0.065), (0.22, 0.20, 0.042)),
        ((0.23, 0.19, 0.04), (0.27, 0.14, 0.038)),
        ((0.275, 0.13, 0.04), (0.295, 0.105, 0.03)),
        ((0.30, 0.09, 0.016), (0.315, 0.05, 0.006)),
    ),
    hind=Tube(((0.02, 0.18, 0.035), (-0.02, 0.10, 0.014), (0.02, 0.01, 0.012), (0.06, 0.008, 0.01)),
              _PHEASANT, _BEAK),
    eye=((0.215, 0.465), (0.295, 0.125)),
    gait="walk", stride=0.08, speed=(0.3, 0.9),
    group=3, feeds=0.5, distance=(2.0, 6.0),
    activity=((8.0, 0.5), (16.0, 0.3), (12.0, 0.2)), spread=1.8,
    shine=0.3, coarse=0.26,
)  # fmt: skip

KINDS: tuple[AnimalKind, ...] = (DEER, BOAR, FOX, HARE, BADGER, BIRD)
