"""What is said of a calibration that little is behind."""

import pytest

from trapline.models import Calibration
from trapline.models.calibrated import doubts_of

PLACES = tuple(f"L{place}" for place in range(8))


@pytest.mark.parametrize(
    ("calibration", "words"),
    [
        (Calibration(), []),
        (Calibration(method="temperature", temperature=1.4, locations=PLACES), []),
        (Calibration(method="temperature", temperature=1.4), []),
        (Calibration(method="temperature", temperature=1.4, locations=PLACES[:1]), ["rests on 1 location;"]),
        (Calibration(method="labels", locations=PLACES[:4]), ["rests on 4 locations;"]),
        (Calibration(method="temperature", temperature=0.06, locations=PLACES), ["0.06 is extreme"]),
        (
            Calibration(method="temperature", temperature=20, locations=PLACES[:2]),
            ["rests on 2 locations", "20 is extreme"],
        ),
    ],
    ids=str,
)
def test_a_calibration_with_little_behind_it_is_told_with_a_doubt(
    calibration: Calibration, words: list[str]
) -> None:
    doubts = doubts_of(calibration)
    assert len(doubts) == len(words)
    assert all(word in doubt for word, doubt in zip(words, doubts, strict=True))
