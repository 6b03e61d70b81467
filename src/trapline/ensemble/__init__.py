"""From predictions to predictions: tables combined, probabilities weighed by what lives in a region."""

from trapline.ensemble.combining import combine, learn_combination
from trapline.ensemble.region import RegionalList, read_region, weigh_by_region
from trapline.prediction import Combination

__all__ = [
    "Combination",
    "RegionalList",
    "combine",
    "learn_combination",
    "read_region",
    "weigh_by_region",
]
