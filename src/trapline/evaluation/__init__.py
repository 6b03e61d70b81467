"""How good predictions are and what is in a catalog: typed results, and reports a person reads."""

from trapline.evaluation.compare import Comparison, compare
from trapline.evaluation.evaluate import evaluate
from trapline.evaluation.exploration import Exploration
from trapline.evaluation.result import Evaluation
from trapline.evaluation.survey import explore, survey

__all__ = [
    "Comparison",
    "Evaluation",
    "Exploration",
    "compare",
    "evaluate",
    "explore",
    "survey",
]
