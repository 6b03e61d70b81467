"""How good predictions are and what is in a catalog: typed results, and reports a person reads."""

from trapline.evaluation.compare import Comparison, compare
from trapline.evaluation.evaluate import evaluate
from trapline.evaluation.exploration import Exploration
from trapline.evaluation.findings import RARE_LOCATIONS, RARE_MEDIA
from trapline.evaluation.matching import SeveralLabels, UnknownLabels
from trapline.evaluation.rank_figures import TaxonResult
from trapline.evaluation.ranks import RankEvaluation
from trapline.evaluation.result import Evaluation, Mistake, Over
from trapline.evaluation.rolled_up import Way
from trapline.evaluation.survey import explore, survey
from trapline.evaluation.words import (
    UNITS,
    columns,
    describe_left_out,
    describe_unknown,
    direction,
    meaning,
    number,
    span,
    title,
    with_span,
)

__all__ = [
    "RARE_LOCATIONS",
    "RARE_MEDIA",
    "UNITS",
    "Comparison",
    "Evaluation",
    "Exploration",
    "Mistake",
    "Over",
    "RankEvaluation",
    "SeveralLabels",
    "TaxonResult",
    "UnknownLabels",
    "Way",
    "columns",
    "compare",
    "describe_left_out",
    "describe_unknown",
    "direction",
    "evaluate",
    "explore",
    "meaning",
    "number",
    "span",
    "survey",
    "title",
    "with_span",
]
